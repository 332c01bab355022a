"""The bundled package when its database is locked, slow, away or not its own."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from decimal import Decimal

import pytest
import sqlalchemy as sa

from replenish.adapters.billing.bundled import BundledBilling
from replenish.billing import schema
from replenish.billing.database import make_engine, statements
from replenish.errors import BillingUnavailable, ConfigurationError
from tests.bundled import (
    add_account,
    add_rate,
    balance,
    call,
    credit,
    engine_of,
    run,
)
from tests.postgres import MakeDatabase

pytestmark = pytest.mark.integration


@contextmanager
def holding(engine: sa.Engine, statement: str) -> Iterator[sa.Connection]:
    """Keep a transaction open after a statement, and roll it back."""
    with engine.connect() as connection:
        connection.execute(sa.text(statement))
        yield connection
        connection.rollback()


def test_a_locked_account_is_given_up_in_time(
    billing: sa.Engine, billing_url: str
) -> None:
    """Another's lock ends in a sentence after our timeout; nothing has changed."""
    add_account(billing)
    add_account(billing, "1002")
    add_rate(billing)
    lock = "SELECT 1 FROM billing.account WHERE number = '1001' FOR UPDATE"
    with (
        engine_of(billing_url, lock_timeout_ms=100) as impatient,
        holding(billing, lock),
    ):
        started = time.monotonic()
        with pytest.raises(BillingUnavailable, match="locked by somebody else"):
            credit(impatient)
        with pytest.raises(BillingUnavailable, match="locked"):
            BundledBilling(impatient).suspend("1001", at_most=Decimal(99))
        assert time.monotonic() - started < 2
        # neither reading nor the others wait
        assert BundledBilling(impatient).balances(["1001"])
        call(impatient, "1002")

    assert not credit(billing).already_applied
    assert balance(billing) == Decimal(35)


def test_a_slow_statement_is_ended(billing_url: str) -> None:
    """The statement timeout becomes a sentence."""
    with (
        engine_of(billing_url, statement_timeout_ms=50) as impatient,
        pytest.raises(BillingUnavailable, match="took too long"),
        statements(impatient) as connection,
    ):
        connection.execute(sa.text("SELECT pg_sleep(5)"))


def test_a_database_that_is_away_is_said_to_be(billing_url: str) -> None:
    """No driver's error gets out, and `check` says it too."""
    away = make_engine("postgresql+psycopg2://x@127.0.0.1:1/x")

    with pytest.raises(BillingUnavailable, match="refused"):
        BundledBilling(away).balances(["1001"])
    with pytest.raises(BillingUnavailable, match="check BILLING_DATABASE_URL"):
        BundledBilling(away).check()
    assert billing_url


def test_no_free_connection_is_said_so(billing_url: str) -> None:
    """A pool that is used up is busy, not broken."""
    engine = sa.create_engine(billing_url, pool_size=1, max_overflow=0, pool_timeout=0)
    with (
        engine.connect(),
        pytest.raises(BillingUnavailable, match="busy"),
        statements(engine),
    ):
        pass
    engine.dispose()


def test_a_mistake_of_ours_is_not_dressed_up(billing: sa.Engine) -> None:
    """A statement that is wrong stays the driver's error."""
    with pytest.raises(sa.exc.ProgrammingError), statements(billing) as connection:
        connection.execute(sa.text("SELEC 1"))


def test_a_database_without_the_schema_is_named(make_database: MakeDatabase) -> None:
    """Both `check` and use say what to run."""
    with engine_of(make_database()) as engine:
        package = BundledBilling(engine)

        assert "no billing schema" in package.check()[0]
        with pytest.raises(ConfigurationError, match="missing"):
            package.accounts()


def test_creating_the_schema_twice_and_at_once_is_harmless(
    make_database: MakeDatabase,
) -> None:
    """Four at once, and once more after."""
    url = make_database()
    with engine_of(url, pool_size=4) as engine, ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: schema.create(engine), range(4)))
        add_account(engine)
        schema.create(engine)

        assert list(BundledBilling(engine).check()) == []
        assert balance(engine) == Decimal(10)


@pytest.mark.parametrize(("version", "word"), [(0, "too old"), (99, "too new")])
def test_another_version_is_refused(
    billing: sa.Engine, version: int, word: str
) -> None:
    """Neither older nor newer tables are written to, and the sentence says which."""
    run(billing, "UPDATE billing.meta SET version = :version", version=version)

    assert word in BundledBilling(billing).check()[0]
    with pytest.raises(ConfigurationError, match=word):
        schema.create(billing)


def test_missing_grants_and_a_missing_index_are_listed(
    billing: sa.Engine, billing_url: str
) -> None:
    """Each with the grant that would mend it."""
    run(billing, "DROP INDEX billing.account_low")
    run(billing, "DROP ROLE IF EXISTS onlooker")
    run(billing, "CREATE ROLE onlooker LOGIN")
    run(billing, "GRANT USAGE ON SCHEMA billing TO onlooker")
    run(billing, "GRANT SELECT ON billing.meta TO onlooker")
    with engine_of(billing_url.replace("postgres@", "onlooker@")) as engine:
        sentences = BundledBilling(engine).check()
        with pytest.raises(ConfigurationError, match="permission denied"):
            BundledBilling(engine).accounts()
    run(billing, "DROP OWNED BY onlooker")
    run(billing, "DROP ROLE onlooker")

    assert [sentence.split(";")[0].split(",")[0] for sentence in sentences] == [
        "Our role may not read the billing tables",
        "Our role may not credit or suspend",
        "Our role may not book refills",
        "The index billing.account_low is missing",
    ]


@pytest.mark.parametrize(
    "values",
    [
        {"balance": "NaN"},
        {"credit_limit": "5"},
        {"kind": "postpaid"},
        {"currency": "usd"},
        {"state": "gone"},
        {"number": "10 01"},
        {"low_mark": "NaN"},
    ],
)
def test_the_tables_refuse_nonsense(
    billing: sa.Engine, values: dict[str, object]
) -> None:
    """What no adapter should have to read cannot be written."""
    with pytest.raises(sa.exc.IntegrityError):
        add_account(billing, **values)  # type: ignore[arg-type]  # columns


def test_a_line_that_breaks_as_its_connection_goes_back_is_told_and_replaced(
    billing: sa.Engine, billing_url: str
) -> None:
    """The answer is in hand, but the pool cannot take the connection: try again.

    However often that happens, the pool has connections left: it once counted each of
    them as lent for ever, and after three nothing but a restart helped.
    """
    pid = sa.text("SELECT pg_backend_pid()")

    def breaks(engine: sa.Engine) -> None:
        with statements(engine) as connection:
            found = connection.execute(pid).scalar_one()
            end = f"PERFORM pg_terminate_backend({found}, 5000)"
            run(billing, f"DO $$BEGIN {end}; END$$")

    with engine_of(billing_url) as other:
        for _ in range(4):
            with statements(other) as connection:
                connection.execute(pid)  # from its second use on, going back asks
            with pytest.raises(BillingUnavailable, match="the billing database broke"):
                breaks(other)
