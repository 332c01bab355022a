"""The real packages as sites of the contract: written to as each writes itself."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from decimal import Decimal

import sqlalchemy as sa

from replenish.adapters.sql_billing.package import SqlBilling
from replenish.adapters.sql_billing.profile import ByStart, Profile
from replenish.adapters.sql_billing.session import make_engine
from replenish.bootstrap import PROFILES
from replenish.demo.packages import VARIANTS, tables_of, writes_of
from replenish.demo.packages.hands import Hands, Opening
from replenish.demo.packages.site import load
from replenish.demo.packages.writes import Writes
from replenish.domain.account import Service
from replenish.embedded import mariadb
from replenish.ports import BillingPackage
from tests.mariadb import MakeMariaDB
from tests.postgres import MakeDatabase


@dataclass
class PackageSite:
    """One of the packages on a database of the test's own."""

    name: str
    engine: sa.Engine
    writes: Writes
    profile: Profile
    package: BillingPackage
    knows_low: bool = False
    one_purse_per_reference: bool = False

    def __post_init__(self) -> None:
        self.step = Decimal(1).scaleb(-self.profile.scale)
        self.settles = isinstance(self.profile.calls, ByStart)
        self.services: Sequence[Service] = list(self.writes.states)
        self.can_spoil = bool(self.writes.spoil)

    @contextmanager
    def hands(self) -> Iterator[Hands]:
        """Lend the package's own hands."""
        with self.engine.connect() as plain:
            connection = plain.execution_options(isolation_level="AUTOCOMMIT")
            yield Hands(connection, self.writes)

    def add(
        self,
        ref: str,
        available: str,
        *,
        currency: str = "USD",
        service: Service = Service.ACTIVE,
    ) -> None:
        """Open a prepaid account."""
        assert currency == "USD"
        with self.hands() as theirs:
            theirs.sign_up([Opening(int(ref), Decimal(available))])
            theirs.set_state(int(ref), service)

    def add_real_time(self, ref: str, balance: str, *, credit_limit: str) -> None:
        """Open a real-time paid account."""
        opening = Opening(int(ref), Decimal(balance), Decimal(credit_limit))
        with self.hands() as theirs:
            theirs.sign_up([opening])

    def debit(self, ref: str, amount: str) -> None:
        """Let a call run and end, each statement committed as the package does."""
        with self.hands() as theirs:
            theirs.begin(int(ref))
            theirs.end(int(ref), Decimal(amount), seconds=1)

    def spoil(self, ref: str) -> None:
        """Make a row senseless."""
        self._run(self.writes.spoil, id=int(ref))

    def overwrite(self, ref: str, balance: str) -> None:
        """Save an old balance over whatever is there, as whole-row saves do."""
        table, column = self.writes.purse
        self._run(
            f"UPDATE {table} SET {column} = :balance WHERE id = :id",  # noqa: S608 ours
            id=int(ref),
            balance=Decimal(balance),
        )

    def report(self) -> list[tuple[str, Decimal, str]]:
        """Read the package's own report."""
        with self.engine.connect() as connection:
            rows = connection.execute(sa.text(self.writes.report)).all()
        return [(str(a), Decimal(m), str(r)) for a, m, r in rows]

    def _run(self, statement: str, **values: object) -> None:
        with self.engine.begin() as connection:
            connection.execute(sa.text(statement), values)


def profile_of(name: str) -> Profile:
    """Give our profile of the package of a variant."""
    return PROFILES[writes_of(name).name]


def tried() -> list[str]:
    """List the packages whose database can be had on this machine."""
    return [
        name
        for name in VARIANTS
        if writes_of(name).dialect != "mysql" or mariadb.installed()
    ]


def package_site(name: str) -> Callable[..., AbstractContextManager[PackageSite]]:
    """Give what lends a package's site."""
    writes, profile, tables = writes_of(name), profile_of(name), tables_of(name)

    def prepare(url: str) -> None:
        load(sa.make_url(url), tables)

    @contextmanager
    def lend(
        make_database: MakeDatabase, make_mariadb: MakeMariaDB
    ) -> Iterator[PackageSite]:
        mysql = writes.dialect == "mysql"
        engine = make_engine(
            make_mariadb(tables) if mysql else make_database(prepare),
            statement_timeout_ms=5_000,
            lock_timeout_ms=3_000,
            on_connect=profile.on_connect,
            pool_size=16,
        )
        try:
            package = SqlBilling(engine, profile, currency="USD")
            yield PackageSite(name, engine, writes, profile, package)
        finally:
            engine.dispose()

    return lend
