"""One installation on which case after case is played, an account each.

The package is PyFreeBilling, whose credit is a transaction of several statements on
PostgreSQL; the gateway keeps the ledger that the checker compares with ours.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from replenish import failpoints
from replenish.demo.packages.hands import Opening
from replenish.domain.attempt import OPEN, State
from replenish.domain.enrolment import Consent, NewAccount, Overrides
from replenish.domain.outcome import ActionRequired, DeclineClass, Declined, Unknown
from replenish.errors import GatewayUnavailable, Transient
from replenish.failpoints import InjectedFaultError
from replenish.pipeline.replenish import replenish
from replenish.pipeline.services import Services
from replenish.verify import run, sources
from tests import checker
from tests.contract.package_sites import PackageSite
from tests.fake_gateway import Scripted
from tests.faults import gateway_file
from tests.faults.recording import RecordingGateway
from tests.world import DEFAULTS, World

SEAMS = (
    "before_claim",
    "claim_uncommitted",
    "claim_commit_sent",
    "after_claim",
    "after_recheck",
    "before_create",
    "after_create",
    "pi_uncommitted",
    "before_confirm",
    "after_confirm",
    "record_uncommitted",
    "after_record",
    "before_credit",
    "credit_uncommitted",
    "credit_commit_sent",
    "after_credit",
    "done_uncommitted",
    "after_done",
    "before_ack",
)
ANSWERS: dict[str, dict[str, tuple[Scripted, ...]]] = {
    "charged": {},
    "request lost": {"confirm": ("lost before",)},
    "answer lost": {"confirm": ("lost after",)},
    "hard decline": {"confirm": (Declined("pi", DeclineClass.HARD, "lost_card"),)},
    "soft decline": {
        "confirm": (Declined("pi", DeclineClass.SOFT, "insufficient_funds"),)
    },
    "action required": {"confirm": (ActionRequired("pi"),)},
    "away at create": {"create": (GatewayUnavailable("The gateway is away."),)},
    "away at confirm": {"confirm": (GatewayUnavailable("The gateway is away."),)},
    "card gone": {"create": (Declined("", DeclineClass.HARD, "card_gone"),)},
    "processing": {
        "confirm": ("lost after",),
        "look_up": (Unknown("pi", "processing"), Unknown("pi", "processing")),
    },
}
LATER = sa.text("""
    UPDATE replenish.attempt SET next_at = now() - interval '1 second'
    WHERE account_id = :ref RETURNING state
""")
PATIENCE = 8  # takes after the last crash until everything must be closed


@dataclass
class Matrix:
    """The installation.

    Attributes:
        records: what the gateway has seen.
        hits: how often each seam was crashed at.
        cases: account → its gateway, and what was done to it.
    """

    world: World
    site: PackageSite
    cases: dict[str, tuple[RecordingGateway, object]] = field(default_factory=dict)
    records: list[dict[str, Any]] = field(default_factory=list)
    hits: Counter[str] = field(default_factory=Counter)
    numbers: Iterator[int] = field(default_factory=lambda: count(1001))
    _hand: sa.Connection | None = None

    def play(self, ref: str, answer: str, *crashes: str) -> None:
        """Let an account be charged with these crashes, and then in peace."""
        gateway = self.gateway(answer)
        services = self.services(gateway)
        for seam in crashes:
            self._crash(ref, seam, services)
        self.recover(ref, services)
        self.cases[ref] = gateway, (answer, *crashes)

    def gateway(self, answer: str = "charged") -> RecordingGateway:
        """Give a gateway that will answer so."""
        gateway = RecordingGateway(records=self.records)
        for verb, said in ANSWERS[answer].items():
            gateway.says(verb, *said)
        return gateway

    def services(self, gateway: RecordingGateway) -> Services:
        """Give the services of one worker."""
        return replace(self.world.services, billing=self.site.package, gateway=gateway)

    def holds(self, ref: str, gateway: RecordingGateway, case: object) -> None:
        """Assert that the account was charged once at most, and credited for it."""
        self.cases[ref] = gateway, case
        self.hold(ref)

    def hold(self, *refs: str) -> None:
        """Assert the same of these accounts, or of all that were played."""
        balances = self.site.package.balances(refs or list(self.cases))
        for ref, account in balances.items():
            gateway, case = self.cases[ref]
            taken = sum(gateway.captures.values())
            assert taken <= 1, case
            assert account.available.amount == Decimal(5) + 25 * taken, case

    def enrol(self) -> str:
        """Open an account that is low, with a good card, and enrol it."""
        return self.enrol_many(1)[0]

    def enrol_many(self, number: int) -> Sequence[str]:
        """Open so many, in one go each at the package and at ours."""
        refs = [str(next(self.numbers)) for _ in range(number)]
        with self.site.hands() as theirs:
            theirs.sign_up([Opening(int(ref), Decimal(5)) for ref in refs])
        self.world.register.enrol_many(
            [
                NewAccount(
                    ref=ref,
                    currency="USD",
                    overrides=Overrides(),
                    consent=Consent(datetime(2026, 1, 1, tzinfo=UTC), "v1", "form"),
                    card=self.world.card(ref),
                )
                for ref in refs
            ],
            actor="test",
        )
        return refs

    def _crash(self, ref: str, seam: str, services: Services) -> None:
        """Die at a seam, if it is on the way; otherwise go all the way."""
        failpoints._actions.update(failpoints.parse(f"{seam}=raise"))  # noqa: SLF001
        try:
            for _ in range(PATIENCE):
                try:
                    replenish(ref, services)
                except InjectedFaultError:
                    self.hits[seam] += 1
                    self.later(ref)
                    return
                except Transient:
                    pass
                if self.later(ref):
                    return
        finally:
            failpoints._actions.clear()  # noqa: SLF001

    def recover(self, ref: str, services: Services) -> None:
        """Take the account on until its attempt is closed."""
        for _ in range(PATIENCE):
            with suppress(Transient):
                replenish(ref, services)
            if self.later(ref):
                return
        pytest.fail(f"account {ref} is not closed after {PATIENCE} takes")

    def later(self, ref: str) -> bool:
        """Let the account's lease and waits be over; say whether all is closed."""
        self._hand = self._hand or self.world.engine.connect().execution_options(
            isolation_level="AUTOCOMMIT"
        )
        try:
            states = self._hand.execute(LATER, {"ref": ref}).scalars().all()
        except sa.exc.DBAPIError:
            self._hand = None
            raise
        return bool(states) and not any(State(state) in OPEN for state in states)

    def close(self) -> None:
        """Give the connection back."""
        if self._hand is not None:
            self._hand.close()

    def check(self, path: Path) -> None:
        """Compare the three books."""
        self.hold()
        gateway_file.write(path, self.records)
        for batch in self.world.services.books.unclosed(older_than=-1):
            self.world.services.books.close_batch(batch, by="test")
        read = partial(sources.read_package, profile=self.site.profile, currency="USD")
        report = run(
            self.world.engine,
            self.site.engine,
            read=read,
            gateway_ledger=path,
            defaults=DEFAULTS,
            quiet=False,
        )
        checker.holds(report)
        assert report.charges
