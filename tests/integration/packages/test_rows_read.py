"""A sweep reads what it asked for, however much more there is."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal

import pytest
import sqlalchemy as sa

from replenish.adapters.sql_billing.package import SqlBilling
from replenish.adapters.sql_billing.profile import Calls
from replenish.adapters.sql_billing.replica import SETTING, newest
from replenish.adapters.sql_billing.session import make_engine
from replenish.demo.packages.hands import Hands, Opening
from replenish.domain.money import Money
from tests.contract.package_sites import PackageSite, profile_of, tried
from tests.integration.packages.conftest import operate

pytestmark = pytest.mark.integration

ACCOUNTS = 600
CALLS = 400
ASKED = 40
ENOUGH = 5 * ASKED  # rows read; a few tables each, and never all of one

COUNTS = {  # rows of a name and a count each
    "mysql": "SHOW SESSION STATUS LIKE 'Handler_read%'",
    "postgresql": "SELECT relname, seq_tup_read + COALESCE(idx_tup_fetch, 0)"
    " FROM pg_stat_xact_user_tables",
}

KEYED = [name for name in tried() if isinstance(profile_of(name).calls, Calls)]

Counting = Callable[[], int]


@pytest.fixture
def busy(site: PackageSite) -> PackageSite:
    """A package with many accounts and many calls."""
    with site.engine.begin() as connection:
        theirs = Hands(connection, site.writes)
        openings = [Opening(number + 1, Decimal(50)) for number in range(ACCOUNTS)]
        theirs.sign_up(openings)
        for number in range(CALLS):
            theirs.end(number + 1, Decimal("0.01"))
    if site.profile.dialect == "postgresql":
        operate(site, "ANALYZE")  # as autovacuum does soon after
    return site


@contextmanager
def counting(site: PackageSite) -> Iterator[tuple[SqlBilling, Counting]]:
    """Lend the package over one session, and what that session read so far."""
    engine = make_engine(
        site.engine.url.render_as_string(hide_password=False),
        statement_timeout_ms=5_000,
        lock_timeout_ms=3_000,
        on_connect=site.profile.on_connect,
    )
    read: list[int] = []
    count = sa.text(COUNTS[site.profile.dialect])

    @sa.event.listens_for(engine, "commit")
    def _committing(connection: sa.Connection) -> None:
        read.append(sum(int(rows) for _, rows in connection.execute(count)))

    try:
        yield SqlBilling(engine, site.profile, currency="USD"), lambda: read[-1]
    finally:
        engine.dispose()


def test_a_page_of_accounts_reads_a_page(busy: PackageSite) -> None:
    """In the order of the key, and no more than that."""
    with counting(busy) as (package, rows):
        first = package.accounts(limit=ASKED)
        before = rows() if busy.profile.dialect == "mysql" else 0
        second = package.accounts(after=first.after, limit=ASKED)
        read = rows() - before

    assert len(second.accounts) == ASKED
    assert read <= ENOUGH


def test_balances_of_some_read_those(busy: PackageSite) -> None:
    """By their keys."""
    refs = [str(number) for number in range(1, ACCOUNTS, ACCOUNTS // ASKED)]
    with counting(busy) as (package, rows):
        package.balances(refs)
        before = rows() if busy.profile.dialect == "mysql" else 0
        found = package.balances(refs)
        read = rows() - before

    assert set(found) == set(refs)
    assert read <= ENOUGH


@pytest.mark.parametrize("site", KEYED, indirect=True)
def test_new_calls_are_read_without_the_old(busy: PackageSite) -> None:
    """By the cursor."""
    with counting(busy) as (package, rows):
        cursor = package.calls_since(None).cursor
        cursor = package.calls_since(cursor).cursor
        before = rows() if busy.profile.dialect == "mysql" else 0
        busy.debit("7", "0.01")
        found = package.calls_since(cursor)
        read = rows() - before

    assert "7" in found.accounts
    assert read <= ENOUGH


def test_a_replica_is_compared_by_the_end_of_an_index(busy: PackageSite) -> None:
    """Every second, on the database that bills calls."""
    with counting(busy) as (package, rows):
        engine = package._engine  # noqa: SLF001 its one session is counted
        newest(engine, busy.profile, SETTING)
        before = rows() if busy.profile.dialect == "mysql" else 0
        found = newest(engine, busy.profile, SETTING)
        read = rows() - before

    assert found.mark > 0
    assert read <= ENOUGH


@pytest.mark.parametrize("site", KEYED, indirect=True)
def test_calls_that_have_piled_up_are_read_a_page_at_a_time(busy: PackageSite) -> None:
    """After a long stop the first page is as cheap as any."""
    with counting(busy) as (package, rows):
        start = json.loads(package.calls_since(None).cursor) | {"last": 0}
        before = rows() if busy.profile.dialect == "mysql" else 0
        found = package.calls_since(json.dumps(start), limit=ASKED)
        read = rows() - before

    assert len(found.accounts) == ASKED
    assert read <= ENOUGH


@pytest.mark.parametrize(
    "site", [name for name in tried() if name == "astpp"], indirect=True
)
def test_an_invoice_is_numbered_without_reading_everybody_s_under_a_lock(
    site: PackageSite,
) -> None:
    """The table has no index on the issuer, and the account's calls wait for us."""
    site.add("1001", "5")
    site.add("1002", "5")
    rows = ", ".join(["('INV_', 7, 9, 9, NOW(), '')"] * 4000)
    into = (
        "INSERT INTO invoices (prefix, number, accountid, reseller_id, due_date, notes)"
    )
    operate(site, f"{into} VALUES {rows}")
    read: list[int] = []

    def _count(
        connection: sa.Connection, _: object, statement: str, *__: object
    ) -> None:
        if "INTO invoices" in statement:
            cursor = connection.connection.cursor()
            cursor.execute("SHOW SESSION STATUS LIKE 'Handler_read%'")
            read.append(sum(int(value) for _, value in cursor.fetchall()))

    sa.event.listen(site.engine, "before_cursor_execute", _count)
    sa.event.listen(site.engine, "after_cursor_execute", _count)
    for ref in ("1001", "1002"):
        _credit(site, ref)

    assert max(b - a for a, b in zip(read[::2], read[1::2], strict=True)) < 1500
    with site.engine.connect() as connection:
        numbers = connection.exec_driver_sql(
            "SELECT number FROM invoices WHERE reseller_id = 0 ORDER BY id"
        ).scalars()
        assert list(numbers) == ["100", "101"]


def _credit(site: PackageSite, ref: str) -> None:
    site.package.apply_credit(
        ref,
        Money(Decimal(25), "USD"),
        reference=f"att-{ref}",
        note="Automatic top-up",
        at=datetime.now(UTC),
    )
