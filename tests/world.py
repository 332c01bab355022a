"""A small installation for the pipeline's tests: all real but the card gateway."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import sqlalchemy as sa

from replenish.adapters.billing.bundled import BundledBilling
from replenish.adapters.ledger import migrations
from replenish.adapters.ledger.attempts import PostgresLedger
from replenish.adapters.ledger.books import PostgresBooks
from replenish.adapters.ledger.breakers import PostgresBreakers
from replenish.adapters.ledger.credits import PostgresCredits
from replenish.adapters.ledger.cut_offs import PostgresCutOffs, PostgresStops
from replenish.adapters.ledger.register import Register
from replenish.adapters.ledger.session import make_engine
from replenish.adapters.ledger.turns import PostgresTurns
from replenish.billing import schema
from replenish.domain.account import Card
from replenish.domain.breaker import Tolerance
from replenish.domain.enrolment import Consent, NewAccount, Overrides
from replenish.domain.rule import Limits
from replenish.pipeline.cutoff import cutoff
from replenish.pipeline.reconcile import reconcile
from replenish.pipeline.replenish import Result, replenish
from replenish.pipeline.services import Services
from replenish.pipeline.sweep import Kind, Sweep
from tests.bundled import add_account
from tests.factories import make_card, make_limits, make_rule
from tests.fake_gateway import FakeGateway

DEFAULTS = make_rule(
    threshold=Decimal(10),
    top_up=Decimal(25),
    cap_charge=Decimal(100),
    cap_day=Decimal(200),
    cap_month=Decimal(1000),
    count_day=3,
    cooldown=timedelta(minutes=10),
    floor=Decimal(0),
    grace=Decimal(5),
)


def prepare(url: str) -> None:
    """Make both schemas; to be given to `make_database`."""
    engine = make_engine(url, statement_timeout_ms=9_000, lock_timeout_ms=3_000)
    migrations.upgrade(engine)
    schema.create(engine)
    engine.dispose()


@dataclass
class World:
    """Services over one database, and the hands of an operator."""

    engine: sa.Engine
    gateway: FakeGateway = field(default_factory=FakeGateway)
    notices: list[tuple[str, str, str]] = field(default_factory=list)
    now: datetime | None = None
    limits: Limits = field(
        default_factory=lambda: make_limits(charges_per_minute=100_000)
    )
    tolerance: Tolerance = field(default_factory=Tolerance)

    def __post_init__(self) -> None:
        self.register = Register(self.engine, DEFAULTS)
        self.services = Services(
            billing=BundledBilling(self.engine),
            gateway=self.gateway,
            ledger=PostgresLedger(
                self.engine,
                defaults=DEFAULTS,
                lease=20.0,
                actor="test",
                limits=self.limits,
            ),
            books=PostgresBooks(self.engine, threshold=DEFAULTS.threshold),
            cut_offs=PostgresCutOffs(self.engine, actor="test"),
            credits=PostgresCredits(self.engine, actor="test"),
            stops=PostgresStops(self.engine),
            breakers=PostgresBreakers(
                self.engine, limits=self.limits, tolerance=self.tolerance
            ),
            turns=PostgresTurns(self.engine, actor="test"),
            notify=self._notify,
            clock=lambda: self.now or datetime.now(UTC),
            limits=self.limits,
            worker="worker",
            page=3,
            pause=0.0,
        )

    def enrol(
        self,
        ref: str = "1001",
        balance: str = "5",
        *,
        overrides: Overrides | None = None,
        card: bool = True,
        consent: bool = True,
        new: bool = False,
        **account: object,
    ) -> str:
        """Open an account at the package and enrol it, with a good card.

        It is a customer of years, unless it is new.
        """
        add_account(self.engine, ref, balance, **account)
        agreed = Consent(datetime(2026, 1, 1, tzinfo=UTC), "v1", "form")
        self.register.enrol(
            NewAccount(
                ref=ref,
                currency=str(account.get("currency", "USD")),
                overrides=overrides or Overrides(),
                consent=agreed if consent else None,
                card=self.card(ref) if card else None,
            ),
            actor="test",
        )
        if not new:
            self.of_years(ref)
        self.services.billing.watch({ref: DEFAULTS.threshold})
        return ref

    def of_years(self, ref: str) -> None:
        """Let an account, and the cards it has now, be a year old."""
        for column, table, key in (
            ("enrolled_at", "account", "id"),
            ("added_at", "card", "account_id"),
        ):
            self.run(
                f"UPDATE replenish.{table} SET {column} = now() - interval '1 year'"  # noqa: S608 ours
                f" WHERE {key} = :ref",
                ref=ref,
            )

    def card(self, ref: str, suffix: str = "") -> Card:
        """Give a card of an account's own."""
        return replace(
            make_card(),
            id="",
            customer=f"cus_{ref}",
            payment_method=f"pm_{ref}{suffix}",
            fingerprint=f"print_{ref}{suffix}",
        )

    def replenish(self, ref: str = "1001") -> Result:
        """Take one account through the protocol."""
        return replenish(ref, self.services)

    def sweep(self, kind: Kind = Kind.HOT) -> list[str]:
        """Sweep once; give the claimed accounts."""
        return [
            a.account for claims in Sweep(kind, self.services) for a in claims.attempts
        ]

    def settle_all(self) -> None:
        """Do what beat and the workers do, a few rounds."""
        for _ in range(4):
            for ref in [*self.sweep(), *reconcile(self.services).accounts]:
                self.replenish(ref)
            cutoff(None, self.services)

    def set_balance(self, balance: str, ref: str = "1001") -> None:
        """Let the package's balance be so much, by a row of its own in its books."""
        self.run(
            "WITH moved AS (UPDATE billing.account a SET balance = given.balance"
            "  FROM (SELECT id, balance AS old, CAST(:balance AS numeric) AS balance"
            "        FROM billing.account WHERE number = :ref) AS given"
            "  WHERE a.id = given.id AND given.old <> given.balance"
            "  RETURNING a.id, given.balance - given.old AS amount, given.balance)"
            " INSERT INTO billing.refill (reference, account_id, amount,"
            "  balance_after, available_after, source, at)"
            " SELECT gen_random_uuid()::text, id, amount, balance, balance, 'cash',"
            "  now() FROM moved",
            balance=balance,
            ref=ref,
        )

    def overwrite(self, balance: str, ref: str = "1001") -> None:
        """Save an old balance over whatever is there, as whole-row saves do."""
        self.run(
            "UPDATE billing.account SET balance = CAST(:balance AS numeric)"
            " WHERE number = :ref",
            balance=balance,
            ref=ref,
        )

    def balance(self, ref: str = "1001") -> Decimal:
        """Give what is available."""
        return self.services.billing.balances([ref])[ref].available.amount

    def state(self, ref: str = "1001") -> str:
        """Give the state of the account's last attempt."""
        rows = self.ask(
            "SELECT state FROM replenish.attempt WHERE account_id = :ref"
            " ORDER BY claimed_at DESC, id LIMIT 1",
            ref=ref,
        )
        return str(rows[0][0]) if rows else "none"

    def service(self, ref: str = "1001") -> str:
        """Give the service's state at the package."""
        rows = self.ask("SELECT state FROM billing.account WHERE number = :r", r=ref)
        return str(rows[0][0])

    def later(self) -> None:
        """Let every lease, nudge and wait of the rows be over."""
        self.run(
            "UPDATE replenish.attempt SET next_at = now() - interval '1 second',"
            " nudge_at = now() - interval '1 second'"
        )
        self.run("UPDATE replenish.account SET not_before = NULL")
        self.run("UPDATE replenish.job SET busy_until = NULL")

    def age(self, span: str) -> None:
        """Let all claims be so much older; the trigger keeps their time otherwise."""
        self.run("ALTER TABLE replenish.attempt DISABLE TRIGGER journal_step")
        self.run(
            "UPDATE replenish.attempt"
            " SET claimed_at = claimed_at - CAST(:span AS interval)",
            span=span,
        )
        self.run("ALTER TABLE replenish.attempt ENABLE TRIGGER journal_step")

    def credits(self) -> int:
        """Count our credits at the package."""
        count = "SELECT count(*) FROM billing.refill WHERE source = 'card'"
        return int(str(self.ask(count)[0][0]))

    def run(self, statement: str, **values: object) -> None:
        """Run SQL."""
        with self.engine.begin() as connection:
            connection.execute(sa.text(statement), values)

    def ask(self, query: str, **values: object) -> Sequence[Sequence[object]]:
        """Give the rows of a query."""
        with self.engine.connect() as connection:
            return connection.execute(sa.text(query), values).all()

    def told(self) -> list[str]:
        """Give the names of the notices so far."""
        return [event for event, _, _ in self.notices]

    def _notify(self, event: str, *, account: str, text: str) -> None:
        self.notices.append((event, account, text))
