"""One installation of its own for a test: everything real, in a temporary home."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Self

import redis
import sqlalchemy as sa

from replenish import bootstrap, embedded
from replenish.adapters.ledger import migrations
from replenish.billing import schema
from replenish.bootstrap import Application
from replenish.demo.fleet import Fleet, free_port
from replenish.demo.operator import SignUp
from replenish.domain.account import Card
from replenish.domain.enrolment import Consent, NewAccount, Overrides
from replenish.sandbox.control import Control
from replenish.settings import Settings
from replenish.verify import Report, run

QUICK = {
    "STRIPE_API_KEY": "sk_test_sandbox",
    "STRIPE_RATE_LIMIT": "5000/second",
    "CHARGES_PER_MINUTE": "100000",
    "RULE_COOLDOWN_SECONDS": "600",
}
ADDRESSES = ("DATABASE_URL", "REDIS_URL", "BILLING_DATABASE_URL")
WORKER = ("celery", "-A", "replenish", "worker", "--without-mingle")


@dataclass
class Site:
    """An installation; its processes end with the `with` block."""

    home: Path
    app: Application
    fleet: Fleet
    control: Control
    env: Mapping[str, str]
    told_before: dict[str, int] = field(default_factory=dict)

    @classmethod
    def open(cls, home: Path, **settings: str) -> Self:
        """Start PostgreSQL, Redis and the sandbox; no workers yet."""
        port = free_port()
        given = {
            **QUICK,
            "REPLENISH_HOME": str(home),
            "STRIPE_API_BASE": f"http://127.0.0.1:{port}",
            **settings,
        }
        env = {**dict.fromkeys(ADDRESSES, ""), **given}
        fleet = Fleet(env, home / "logs")
        fleet.__enter__()
        ledger = ["--ledger", str(home / "gateway.jsonl")]
        fleet.start("sandbox", ["replenish.sandbox", "--port", str(port), *ledger])
        resolved = embedded.resolve(Settings.from_env(given, dotenv=Path("/dev/null")))
        app = bootstrap.build(resolved)
        migrations.upgrade(app.ledger_engine)
        schema.create(app.billing_engine)
        fleet.wait_for_port(port)
        return cls(home, app, fleet, Control(f"http://127.0.0.1:{port}"), env)

    @classmethod
    def apart(cls, home: Path, *, password: str = "", **settings: str) -> Self:
        """Open one whose servers nobody starts again, with two databases."""
        resolved = embedded.resolve(
            Settings.from_env({"REPLENISH_HOME": str(home)}, dotenv=Path("/dev/null"))
        )
        ours = sa.make_url(resolved.database_url).set(password=password or None)
        engine = sa.create_engine(ours, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(sa.text("CREATE DATABASE billing"))
        engine.dispose()
        theirs = ours.set(database="billing").render_as_string(hide_password=False)
        return cls.open(
            home,
            DATABASE_URL=ours.render_as_string(hide_password=False),
            REDIS_URL=resolved.redis_url,
            BILLING_DATABASE_URL=theirs,
            **settings,
        )

    def close(self) -> None:
        """End everything."""
        self.fleet.stop()
        self.app.ledger_engine.dispose()
        self.app.billing_engine.dispose()
        embedded.release(self.home)

    def worker(self, name: str, *options: str, **env: str) -> None:
        """Start a worker of its own name, with failpoints if given."""
        fleet = Fleet({**self.env, **env}, self.home / "logs")
        fleet._running = self.fleet._running  # noqa: SLF001 one crew, two environments
        fleet.start(name, [*WORKER, "-n", f"{name}@%h", *options])

    def guard(self, name: str = "guard") -> None:
        """Start a guard."""
        self.fleet.start(name, ["replenish", "guard"])

    def pid(self, name: str) -> int:
        """Give the process id of one of the processes."""
        return self.fleet._running[name].pid  # noqa: SLF001 as above

    def end(self, name: str) -> None:
        """End one of the processes in order."""
        process = self.fleet._running.pop(name)  # noqa: SLF001 as above
        process.terminate()
        process.wait(60)

    def beat(self, name: str = "beat") -> None:
        """Start a beat."""
        self.fleet.start(name, ["celery", "-A", "replenish", "beat"])

    def enrol(
        self, count: int, *, balance: Decimal = Decimal(3), first: int = 1001
    ) -> Sequence[str]:
        """Enrol low accounts that share one good card's customer, each its card."""
        refs = [str(number) for number in range(first, first + count)]
        with self.app.billing_engine.begin() as connection:
            connection.execute(
                sa.text(
                    "INSERT INTO billing.account"
                    " (number, kind, currency, balance, opening_balance, name)"
                    " VALUES (:number, 'prepaid', 'USD', :balance, :balance, '')"
                ),
                [{"number": ref, "balance": balance} for ref in refs],
            )
        page = SignUp(self.app.settings.stripe_api_base, "sk_test_sandbox")
        customer = page.customer("everybody")
        now = self.app.clock()
        accounts = []
        for ref in refs:
            method = page.card(customer, "pm_sandbox_visa", number=int(ref))
            accounts.append(
                NewAccount(
                    ref=ref,
                    currency="USD",
                    overrides=Overrides(),
                    consent=Consent(now, "v1", "test"),
                    card=_card(customer, method, ref),
                )
            )
        self.app.register.enrol_many(accounts, actor="test")
        return refs

    def watch(self, refs: Sequence[str]) -> None:
        """Let the billing package tell that they are low; sweeps find them now."""
        threshold = self.app.defaults.threshold
        self.app.billing.watch(dict.fromkeys(refs, threshold))

    def ledger(self, query: str, **values: object) -> list[Mapping[Any, Any]]:
        """Ask the ledger."""
        with self.app.ledger_engine.connect() as connection:
            rows = connection.execute(sa.text(query), values)
            return [dict(row) for row in rows.mappings()]

    def run(self, statement: str, **values: object) -> None:
        """Run SQL at the billing package."""
        with self.app.billing_engine.begin() as connection:
            connection.execute(sa.text(statement), values)

    def service(self, ref: str) -> str:
        """Give the service's state at the billing package."""
        query = "SELECT state FROM billing.account WHERE number = :ref"
        with self.app.billing_engine.connect() as connection:
            return str(connection.execute(sa.text(query), {"ref": ref}).scalar_one())

    def settled(self, *refs: str) -> bool:
        """Say whether all of these have been credited."""
        rows = self.ledger(
            "SELECT DISTINCT account_id FROM replenish.attempt"
            " WHERE state = 'settled' AND account_id = ANY(:refs)",
            refs=list(refs),
        )
        return len(rows) == len(refs)

    def states(self) -> Mapping[str, int]:
        """Count attempts by state."""
        rows = self.ledger(
            "SELECT state, count(*) AS n FROM replenish.attempt GROUP BY state"
        )
        return {row["state"]: row["n"] for row in rows}

    def unclosed(self) -> int:
        """Count batches that are not closed."""
        query = "SELECT count(*) AS n FROM replenish.batch WHERE closed_at IS NULL"
        count: int = self.ledger(query)[0]["n"]
        return count

    def redis(self) -> "redis.Redis":
        """Connect to the site's own Redis."""
        return redis.Redis.from_url(self.app.settings.redis_url)

    def verify(self, *, quiet: bool = True) -> Report:
        """Check every invariant, or only what always holds."""
        return run(
            self.app.ledger_engine,
            self.app.billing_engine,
            gateway_ledger=self.home / "gateway.jsonl",
            defaults=self.app.defaults,
            limits=bootstrap.limits(self.app.settings),
            quiet=quiet,
        )


def until(done: Callable[[], bool], *, seconds: float, what: str) -> float:
    """Wait until it is so; gives how long that took.

    Raises:
        AssertionError: it did not come to pass in time.
    """
    begun = time.monotonic()
    while time.monotonic() - begun < seconds:
        if done():
            return time.monotonic() - begun
        time.sleep(0.1)
    msg = f"Not within {seconds} s: {what}"
    raise AssertionError(msg)


def _card(customer: str, method: str, ref: str) -> Card:
    return Card(
        id="",
        customer=customer,
        payment_method=method,
        brand="visa",
        last4="4242",
        exp_month=12,
        exp_year=2031,
        fingerprint=f"print of {ref}",
    )
