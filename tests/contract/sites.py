"""What a test may do to a billing package behind the adapter's back.

One site for each package; a new package joins the suite by one class and one line
in `SITES`.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from decimal import Decimal
from itertools import count
from typing import Protocol

import sqlalchemy as sa

from replenish.adapters.billing.bundled import BundledBilling
from replenish.domain.account import Kind, Service
from replenish.ports import BillingPackage
from tests import bundled
from tests.contract.package_sites import package_site, tried
from tests.fakes import FakeBilling
from tests.postgres import MakeDatabase


class Site(Protocol):
    """A running package and its operator's hands."""

    package: BillingPackage
    knows_low: bool
    one_purse_per_reference: bool  # a reference is looked for in all accounts
    settles: bool  # accounts are listed again for a while
    step: Decimal  # the finest amount that it takes
    services: Sequence[Service]  # what its states can tell apart
    can_spoil: bool

    def add(
        self,
        ref: str,
        available: str,
        *,
        currency: str = "USD",
        service: Service = Service.ACTIVE,
    ) -> None:
        """Open a prepaid account."""

    def add_real_time(self, ref: str, balance: str, *, credit_limit: str) -> None:
        """Open a real-time paid account."""

    def debit(self, ref: str, amount: str) -> None:
        """Let a call cost so much."""

    def spoil(self, ref: str) -> None:
        """Make a row senseless."""

    def overwrite(self, ref: str, balance: str) -> None:
        """Save an old balance over whatever is there, as whole-row saves do."""

    def report(self) -> list[tuple[str, Decimal, str]]:
        """Read the package's own report: account, amount, reference."""


class FakeSite:
    """The fake in memory."""

    knows_low = True
    one_purse_per_reference = True
    settles = False
    step = Decimal("0.00001")
    services: Sequence[Service] = tuple(Service)
    can_spoil = True

    def __init__(self) -> None:
        self.fake = FakeBilling()
        self.package: BillingPackage = self.fake

    def add(
        self,
        ref: str,
        available: str,
        *,
        currency: str = "USD",
        service: Service = Service.ACTIVE,
    ) -> None:
        """Open a prepaid account."""
        self.fake.add(ref, available, currency=currency, service=service)

    def add_real_time(self, ref: str, balance: str, *, credit_limit: str) -> None:
        """Open a real-time paid account."""
        available = Decimal(balance) + Decimal(credit_limit)
        self.fake.add(ref, available, kind=Kind.REAL_TIME)

    def debit(self, ref: str, amount: str) -> None:
        """Let a call cost so much."""
        self.fake.debit(ref, amount)

    def spoil(self, ref: str) -> None:
        """Make a row senseless."""
        self.fake.broken.add(ref)

    def overwrite(self, ref: str, balance: str) -> None:
        """Save an old balance."""
        self.fake.overwrite(ref, balance)

    def report(self) -> list[tuple[str, Decimal, str]]:
        """Read the report."""
        return [
            (account, receipt.amount.amount, reference)
            for reference, (account, receipt) in self.fake.credits.items()
        ]


class BundledSite:
    """The bundled package on PostgreSQL."""

    knows_low = True
    one_purse_per_reference = True
    settles = False
    step = Decimal("0.00001")
    services: Sequence[Service] = tuple(Service)
    can_spoil = True

    STATES = {  # noqa: RUF012 a constant
        Service.ACTIVE: "active",
        Service.SUSPENDED: "suspended",
        Service.OTHER: "blocked",
    }

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._calls = count(1)
        self.package: BillingPackage = BundledBilling(engine)
        # a second to 44 costs 0.0001
        bundled.add_rate(engine, per_minute="0.006", initial=1, subsequent=1)

    def add(
        self,
        ref: str,
        available: str,
        *,
        currency: str = "USD",
        service: Service = Service.ACTIVE,
    ) -> None:
        """Open a prepaid account."""
        bundled.add_account(
            self._engine,
            ref,
            available,
            currency=currency,
            state=self.STATES[service],
            name=f"Customer {ref}",
        )

    def add_real_time(self, ref: str, balance: str, *, credit_limit: str) -> None:
        """Open a real-time paid account."""
        bundled.add_account(
            self._engine, ref, balance, kind="real_time", credit_limit=credit_limit
        )

    def debit(self, ref: str, amount: str) -> None:
        """Let a real call cost so much, at 0.0001 a second."""
        seconds = int(Decimal(amount) * 10_000)
        bundled.call(
            self._engine, ref, seconds=seconds, call_id=f"site-{next(self._calls)}"
        )

    def spoil(self, ref: str) -> None:
        """Write NaN, as a column without our check would take."""
        bundled.run(
            self._engine, "ALTER TABLE billing.account DROP CONSTRAINT account_balance"
        )
        bundled.run(
            self._engine,
            "UPDATE billing.account SET balance = 'NaN' WHERE number = :ref",
            ref=ref,
        )

    def overwrite(self, ref: str, balance: str) -> None:
        """Save an old balance."""
        bundled.run(
            self._engine,
            "UPDATE billing.account SET balance = :balance WHERE number = :ref",
            ref=ref,
            balance=Decimal(balance),
        )

    def report(self) -> list[tuple[str, Decimal, str]]:
        """Read the report view."""
        rows = bundled.ask(
            self._engine, "SELECT account, amount, reference FROM billing.refill_report"
        )
        return [(str(a), Decimal(str(m)), str(r)) for a, m, r in rows]


@contextmanager
def fake_site(*_: object) -> Iterator[Site]:
    """Lend the fake."""
    yield FakeSite()


@contextmanager
def bundled_site(make_database: MakeDatabase, *_: object) -> Iterator[Site]:
    """Lend the bundled package on a database of its own."""
    url = make_database(bundled.prepare)
    with bundled.engine_of(url, pool_size=4) as engine:
        yield BundledSite(engine)


SITES: dict[str, Callable[..., AbstractContextManager[Site]]] = {
    "fake": fake_site,
    "bundled": bundled_site,
    **{name: package_site(name) for name in tried()},
}
