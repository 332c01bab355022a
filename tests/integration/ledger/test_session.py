"""The ledger's database away, slow, locked or strange: a sentence, and on it goes."""

import threading
import traceback
import uuid
from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from replenish.adapters.ledger.session import make_engine, transaction
from replenish.errors import ConfigurationError, LedgerUnavailable
from tests import ledgers
from tests.postgres import MakeDatabase

pytestmark = pytest.mark.integration

SELECT = sa.text("SELECT 1")
STOP = sa.text("INSERT INTO replenish.stop (id, reason) VALUES (1, 'x')")


@pytest.fixture
def url(make_database: MakeDatabase) -> str:
    """A database with the ledger's schema."""
    return make_database(ledgers.prepare)


@pytest.fixture
def engine(url: str) -> Iterator[sa.Engine]:
    """An engine that waits a tenth of a second at most."""
    engine = make_engine(url, statement_timeout_ms=200, lock_timeout_ms=100)
    yield engine
    engine.dispose()


def works(engine: sa.Engine) -> bool:
    """Use it."""
    with transaction(engine) as connection:
        return bool(connection.execute(SELECT).scalar_one() == 1)


def test_a_database_that_is_away_is_told_without_its_password() -> None:
    """Nothing listens there."""
    engine = make_engine(
        "postgresql+psycopg2://me:secret@127.0.0.1:1/ledger",
        statement_timeout_ms=200,
        lock_timeout_ms=100,
    )
    with pytest.raises(LedgerUnavailable, match="nothing is lost") as away:
        works(engine)

    assert "secret" not in str(away.value)


def test_a_slow_statement_is_ended(engine: sa.Engine) -> None:
    """The step is repeated; a worker never hangs."""
    with (
        pytest.raises(LedgerUnavailable, match="statement timeout"),
        transaction(engine) as connection,
    ):
        connection.execute(sa.text("SELECT pg_sleep(5)"))

    assert works(engine)


def test_a_lock_is_not_waited_for_long(engine: sa.Engine, url: str) -> None:
    """Somebody holds the row."""
    with ledgers.engine_of(url) as other, other.begin() as held:
        held.execute(sa.text("LOCK TABLE replenish.stop"))
        with (
            pytest.raises(LedgerUnavailable, match="lock timeout"),
            transaction(engine) as connection,
        ):
            connection.execute(sa.text("SELECT * FROM replenish.stop"))

    assert works(engine)


def test_a_connection_that_was_ended_is_replaced(engine: sa.Engine, url: str) -> None:
    """The first use after it fails, the next one works."""
    with transaction(engine) as connection:
        pid = connection.execute(sa.text("SELECT pg_backend_pid()")).scalar_one()
    with ledgers.engine_of(url) as other:
        ledgers.run(other, "SELECT pg_terminate_backend(:pid, 5000)", pid=pid)

    with pytest.raises(LedgerUnavailable):
        works(engine)
    assert works(engine)


def test_a_connection_that_ends_in_the_middle_leaves_nothing(
    engine: sa.Engine, url: str
) -> None:
    """What was done in the transaction is undone, and the step may be repeated."""

    def dies() -> None:
        with transaction(engine) as connection:
            connection.execute(STOP)
            pid = connection.execute(sa.text("SELECT pg_backend_pid()")).scalar_one()
            with ledgers.engine_of(url) as other:
                ledgers.run(other, "SELECT pg_terminate_backend(:pid, 5000)", pid=pid)
            connection.execute(SELECT)

    with pytest.raises(LedgerUnavailable, match="nothing is lost"):
        dies()

    assert ledgers.ask(engine, "SELECT * FROM replenish.stop") == []


def test_an_error_of_the_caller_s_undoes_the_transaction(engine: sa.Engine) -> None:
    """It is raised as it is."""

    def fails() -> None:
        with transaction(engine) as connection:
            connection.execute(STOP)
            raise KeyError

    with pytest.raises(KeyError):
        fails()

    assert ledgers.ask(engine, "SELECT * FROM replenish.stop") == []


def test_what_a_statement_was_given_is_in_no_message(engine: sa.Engine) -> None:
    """Not in ours and not in the driver's under it."""
    statement = sa.text("SELECT pg_sleep(5), CAST(:given AS text)")
    given = uuid.uuid4().hex
    with pytest.raises(LedgerUnavailable) as slow, transaction(engine) as connection:
        connection.execute(statement, {"given": given})

    whole = "".join(traceback.format_exception(slow.value))
    assert "statement timeout" in whole
    assert given not in whole


def test_a_pool_that_is_used_up_says_which_setting(
    engine: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More threads than connections."""
    monkeypatch.setattr(engine.pool, "_timeout", 0.1)
    release = threading.Event()
    ready = threading.Barrier(4)

    def hold() -> None:
        with transaction(engine):
            ready.wait()
            release.wait()

    holders = [threading.Thread(target=hold) for _ in range(3)]
    for holder in holders:
        holder.start()
    ready.wait()
    try:
        with pytest.raises(LedgerUnavailable, match="DB_POOL_SIZE"):
            works(engine)
    finally:
        release.set()
        for holder in holders:
            holder.join()
    assert works(engine)


def test_a_missing_schema_says_what_to_run(make_database: MakeDatabase) -> None:
    """Before the first `replenish db upgrade`."""
    with (
        ledgers.engine_of(make_database()) as engine,
        pytest.raises(ConfigurationError, match="replenish db upgrade"),
        transaction(engine) as connection,
    ):
        connection.execute(sa.text("SELECT * FROM replenish.attempt"))


def test_a_missing_grant_says_what_is_refused(engine: sa.Engine) -> None:
    """The role may connect and nothing else."""
    ledgers.run(engine, "CREATE ROLE nobody_at_all")
    try:
        with (
            pytest.raises(ConfigurationError, match=r"refuses us: .*permission denied"),
            transaction(engine) as connection,
        ):
            connection.exec_driver_sql(
                "SET LOCAL ROLE nobody_at_all; SELECT * FROM replenish.attempt"
            )
    finally:
        ledgers.run(engine, "DROP ROLE nobody_at_all")


def test_a_database_that_is_not_there_is_named(url: str) -> None:
    """It may be on its way, as in a new installation; the step is repeated."""
    other = url.replace("/test_", "/nowhere_")
    engine = make_engine(other, statement_timeout_ms=200, lock_timeout_ms=100)

    with pytest.raises(LedgerUnavailable, match="does not exist"):
        works(engine)


@pytest.mark.parametrize(
    ("statement", "error"),
    [
        ("SELECT 1 / 0", sa.exc.DataError),
        ("SELEKT", sa.exc.ProgrammingError),
    ],
)
def test_a_bug_of_ours_is_not_taken_for_trouble(
    engine: sa.Engine, statement: str, error: type[Exception]
) -> None:
    """It is raised as it is, and not repeated for ever."""
    with pytest.raises(error), transaction(engine) as connection:
        connection.execute(sa.text(statement))
