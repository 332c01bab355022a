"""A server that dies under a statement, as psycopg2 tells it: not always the same way.

Seen when PostgreSQL is stopped at once under load: `DatabaseError` instead of
`OperationalError`, without a code. Every way to a database must take that for trouble
that passes, so that the step is repeated.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager

import psycopg2
import pytest
import sqlalchemy as sa

from replenish.adapters.ledger import session as ledger
from replenish.adapters.sql_billing import session as sql_billing
from replenish.billing import database as bundled
from replenish.errors import Transient
from tests.postgres import MakeDatabase

pytestmark = pytest.mark.integration

Lend = Callable[[sa.Engine], AbstractContextManager[sa.Connection]]
TOLD = "server closed the connection unexpectedly"


@pytest.mark.parametrize(
    "lend",
    [
        ledger.transaction,
        bundled.transaction,
        bundled.statements,
        sql_billing.transaction,
        sql_billing.statements,
    ],
    ids=lambda lend: f"{lend.__module__}.{lend.__name__}",
)
def test_a_server_that_dies_is_trouble_that_passes(
    lend: Lend, make_database: MakeDatabase
) -> None:
    """It is told as such, and the next one who asks gets a new connection."""
    engine = sa.create_engine(make_database())
    dies = iter([True])

    @sa.event.listens_for(engine, "do_execute")
    def _die(*_: object) -> None:
        if next(dies, False):
            raise psycopg2.DatabaseError(TOLD)

    with pytest.raises(Transient, match=TOLD), lend(engine) as connection:
        connection.execute(sa.text("SELECT 1"))

    with lend(engine) as connection:
        assert connection.execute(sa.text("SELECT 1")).scalar_one() == 1
    engine.dispose()


@pytest.mark.parametrize(
    "make",
    [bundled.make_engine, sql_billing.make_engine],
    ids=["bundled", "another package"],
)
def test_a_line_to_the_package_that_was_cut_while_idle_is_no_outage(
    make: Callable[..., sa.Engine], make_database: MakeDatabase
) -> None:
    """By a firewall, a restart, a time limit: whoever asks next gets a new one.

    Found under chaos: three charges met such lines at once, and everybody else waited.
    """
    url = make_database()
    engine = make(url, statement_timeout_ms=5_000, lock_timeout_ms=2_000)
    with engine.connect() as connection:
        pid = connection.execute(sa.text("SELECT pg_backend_pid()")).scalar_one()
    other = sa.create_engine(url)
    with other.connect() as connection:
        end = sa.text("SELECT pg_terminate_backend(:pid, 5000)")
        assert connection.execute(end, {"pid": pid}).scalar_one()
    other.dispose()

    with engine.connect() as connection:
        assert connection.execute(sa.text("SELECT 1")).scalar_one() == 1
    engine.dispose()
