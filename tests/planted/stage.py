"""An installation for the scenes: real ledger, package, gateway; and time flies.

One database holds ledger and billing package; the gateway is the sandbox over HTTP, by
the product's own adapter. Whatever a step raises is what a task would have logged: it
is kept in `failures`, and the next step is taken.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from itertools import count
from typing import Any

from replenish import failpoints
from replenish.domain.account import Card
from replenish.domain.enrolment import Consent, NewAccount, Overrides
from replenish.errors import LeaseLost, Refused, Transient
from replenish.failpoints import InjectedFaultError
from replenish.pipeline.cutoff import cutoff
from replenish.pipeline.reconcile import reconcile
from replenish.pipeline.replenish import replenish
from replenish.pipeline.services import Services
from replenish.pipeline.sweep import Kind, Sweep
from replenish.verify import Deed, Report, run
from tests.bundled import add_account
from tests.sandbox_server import SandboxServer
from tests.world import DEFAULTS, World

Fault = tuple[str, str, dict[str, Any]]
"""A kind of the sandbox, a part of the path that it hits, and its options."""

EXPECTED = (Transient, Refused, LeaseLost, InjectedFaultError)
"""What a step may end in where nothing is wrong with the code."""

AGREED = Consent(datetime(2026, 1, 1, tzinfo=UTC), "v1", "form")

ROUNDS = 7  # of sweep, reconcile and cut-off until everything must be at rest

AGED = {
    "replenish.attempt": (
        "claimed_at", "changed_at", "charged_at", "settled_at", "next_at", "nudge_at",
    ),
    "replenish.card": ("dead_at", "retry_at", "added_at", "removed_at"),
    "replenish.account": ("episode_at", "low_since", "not_before"),
    "replenish.skip": ("first_at", "last_at", "until"),
    "replenish.cut_off": ("begun_at", "done_at", "restored_at"),
    "replenish.batch": ("opened_at", "closed_at"),
    "replenish.job": ("busy_until", "begun_at", "ended_at"),
    "replenish.credit_break": ("found_at", "put_right_at"),
    "billing.refill": ("at", "recorded_at"),
    "billing.call": ("started", "recorded_at"),
}  # fmt: skip
"""The times in rows. Not those of the journal, whose chain of hashes holds them, nor
when somebody held or stopped charging, which is compared with the gateway's clock."""


class CaughtError(Exception):
    """The checker has found something; `found` is invariant → examples."""

    def __init__(self, found: dict[str, Sequence[str]]) -> None:
        super().__init__(str(found))
        self.found = found


@dataclass
class Stage:
    """The installation.

    Attributes:
        failures: what no step should ever end in.
        deeds: what the operator did at the billing package.
        report: the checker's last word.
    """

    world: World
    sandbox: SandboxServer
    failures: list[str] = field(default_factory=list)
    deeds: list[Deed] = field(default_factory=list)
    report: Report | None = None
    _numbers: Iterator[int] = field(default_factory=lambda: count(1001))

    def __post_init__(self) -> None:
        self._api = self.sandbox.client()

    # ------------------------------------------------------------ accounts, cards

    @property
    def services(self) -> Services:
        """The ports of a worker."""
        return self.world.services

    def enrol(
        self,
        *outcomes: str,
        balance: str = "5",
        faults: Sequence[Fault] = (),
        **rule: Any,  # noqa: ANN401 - an `Overrides` knows each one
    ) -> str:
        """Open an account that is low, with a card that answers so; give its ref.

        Args:
            outcomes: of the card's tries, in order; the last one stays.
            balance: what it has.
            faults: of the gateway, for this account, once unless told otherwise.
            rule: the account's own values.
        """
        number = next(self._numbers)
        ref, currency = str(number), str(rule.pop("currency", "USD"))
        add_account(self.world.engine, ref, balance, currency=currency)
        card = self._card(number, outcomes or ("succeed",))
        account = NewAccount(ref, currency, Overrides(**rule), AGREED, card)
        self.world.register.enrol(account, actor="test")
        threshold = rule.get("threshold", DEFAULTS.threshold)
        self.services.billing.watch({ref: threshold})
        for kind, path, options in faults:
            match = {"customer": card.customer, "path": path}
            self.sandbox.tool.fault(kind, match=match, **{"times": 1, **options})
        return ref

    def _card(self, number: int, outcomes: Sequence[str]) -> Card:
        customer = self._api.v1.customers.create({"name": "Ada"}).id
        token = f"pm_sandbox_visa_no{number}"
        method = self._api.v1.payment_methods.attach(token, {"customer": customer})
        self.sandbox.tool.set_card(method.id, *outcomes)
        return self.services.gateway.card(customer, method.id)

    def senseless(self, ref: str) -> None:
        """Enrol an account, out of service, with a balance that makes no sense."""
        engine = self.world.engine
        add_account(engine, ref, "-5000000000000", state="blocked")
        account = NewAccount(ref, "USD", Overrides(), AGREED, None)
        self.world.register.enrol(account, actor="test")
        self.services.billing.watch({ref: DEFAULTS.threshold})

    def pay(self, ref: str, amount: str) -> None:
        """Let a customer pay at the counter, by the package's own hands."""
        has = self.world.balance(ref)
        self.world.set_balance(str(has + Decimal(amount)), ref)

    def block(self, ref: str) -> None:
        """Take an account out of service for good, in the package's own screen."""
        self.world.run(
            "UPDATE billing.account SET state = 'blocked' WHERE number = :ref", ref=ref
        )
        self.deeds.append(Deed(ref, "blocked"))

    # ---------------------------------------------------------------------- steps

    def attempt(self, step: Callable[[], object]) -> None:
        """Take a step as a task would: what it raises is logged, and life goes on."""
        try:
            step()
        except EXPECTED:
            pass
        except Exception as error:  # noqa: BLE001 - a task's last resort
            self.failures.append(f"{type(error).__name__}: {error}"[:300])

    def charge(self, ref: str, services: Services | None = None) -> None:
        """Take one account as far as it goes."""
        self.attempt(lambda: replenish(ref, services or self.services))

    def crash(self, ref: str, seam: str) -> None:
        """Die at a seam; a seam that is not passed is survived."""
        with failing(seam):
            self.charge(ref)
        self.later()

    def sweep(self, kind: Kind = Kind.HOT) -> list[str]:
        """Sweep once; give the claimed accounts."""
        claimed: list[str] = []

        def turn() -> None:
            for claims in Sweep(kind, self.services):
                claimed.extend(attempt.account for attempt in claims.attempts)

        self.attempt(turn)
        return claimed

    def round(self) -> None:
        """Do once what beat and the workers do all the time."""
        found = self.sweep()
        self.attempt(lambda: found.extend(reconcile(self.services).accounts))
        for ref in found:
            self.charge(ref)
        self.attempt(lambda: cutoff(None, self.services))

    def heal(self) -> None:
        """End all faults, and let beat and the workers have their time."""
        self.sandbox.tool.clear_faults()
        for _ in range(ROUNDS):
            self.later()
            self.round()
            if self._at_rest():
                break
        self.later()
        self.attempt(lambda: reconcile(self.services))

    def _at_rest(self) -> bool:
        moving = self.world.ask(
            "SELECT (SELECT count(*) FROM replenish.attempt WHERE state IN"
            " ('claimed', 'charging', 'unknown', 'charged'))"
            " + (SELECT count(*) FROM billing.account a WHERE is_low AND NOT EXISTS"
            "    (SELECT FROM replenish.skip k WHERE k.account_id = a.number))"
        )
        return not int(str(moving[0][0]))

    # ----------------------------------------------------------------------- time

    def later(self) -> None:
        """Let every lease and look be over; cards and caps keep their time."""
        self.world.run(
            "UPDATE replenish.attempt SET next_at = now() - interval '1 second',"
            " nudge_at = now() - interval '1 second'"
        )
        self.world.run("UPDATE replenish.account SET not_before = NULL")
        self.world.run("UPDATE replenish.job SET busy_until = NULL")
        self.world.run(
            "UPDATE replenish.batch SET opened_at = opened_at - interval '1 minute'"
            " WHERE closed_at IS NULL"
        )

    def age(self, span: str) -> None:
        """Let everything that has happened so far be longer ago."""
        with self.world.engine.begin() as connection:
            connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
            for table, columns in AGED.items():
                moved = ", ".join(f"{c} = {c} - interval '{span}'" for c in columns)
                connection.exec_driver_sql(f"UPDATE {table} SET {moved}")  # noqa: S608

    # --------------------------------------------------------------------- asking

    def check(self, *, quiet: bool = True) -> None:
        """Ask the checker.

        Raises:
            CaughtError: something is broken.
        """
        self.report = run(
            self.world.engine,
            self.world.engine,
            gateway_ledger=self.sandbox.ledger,
            defaults=DEFAULTS,
            limits=self.services.limits,
            history=self.deeds,
            quiet=quiet,
        )
        found = {f.invariant: f.examples for f in self.report.findings if f.violations}
        if found:
            raise CaughtError(found)


@contextmanager
def failing(seam: str) -> Iterator[None]:
    """Let whoever passes a seam die there."""
    failpoints._actions.update(failpoints.parse(f"{seam}=raise"))  # noqa: SLF001
    try:
        yield
    finally:
        failpoints._actions.clear()  # noqa: SLF001


def at_once(times: int, step: Callable[[], object]) -> None:
    """Take a step in so many threads at the same moment."""
    gate = threading.Barrier(times, timeout=30)

    def go() -> None:
        gate.wait()
        step()

    with ThreadPoolExecutor(times) as pool:
        for turn in [pool.submit(go) for _ in range(times)]:
            turn.result(60)


def with_billing(services: Services, billing: Any) -> Services:  # noqa: ANN401
    """Give the services of a worker who sees the package through other eyes."""
    return replace(services, billing=billing)
