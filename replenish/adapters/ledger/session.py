"""Engines for PostgreSQL: bounded in time, one small pool a process."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import sqlalchemy as sa
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError, OperationalError, ProgrammingError

from replenish import failpoints
from replenish.errors import ConfigurationError, LedgerUnavailable

UNDEFINED = frozenset({"42P01", "42703", "3F000", "42883"})  # table column schema func
NOT_OURS = frozenset({"42501", "28000", "28P01", "3D000"})  # grants, role, database


def make_engine(
    url: str,
    *,
    statement_timeout_ms: int,
    lock_timeout_ms: int,
    pool_size: int = 1,
    application_name: str = "replenish",
) -> sa.Engine:
    """Make an engine whose every statement and lock wait is bounded.

    It connects on first use, so it may be made before a fork. A connection that
    died while idle fails the step that meets it, which is repeated, and is replaced
    for the next (`pool_pre_ping` is not used: it costs a round trip a checkout).
    """
    options = (
        f"-c statement_timeout={statement_timeout_ms}"
        f" -c lock_timeout={lock_timeout_ms}"
        " -c idle_in_transaction_session_timeout=10000"
        " -c timezone=UTC"
        " -c search_path=pg_catalog"  # what is ours is always named with its schema
    )
    engine = sa.create_engine(
        url,
        pool_size=pool_size,
        max_overflow=max(2, pool_size),
        pool_timeout=10,
        pool_recycle=1800,
        hide_parameters=True,  # parameters stay out of logs and tracebacks
        connect_args={
            "options": options,
            "connect_timeout": 5,
            "application_name": application_name,
        },
    )
    sa.event.listen(engine, "connect", _show)
    return engine


def _show(connection: DBAPIConnection, _record: object) -> None:
    failpoints.shown(cast("failpoints.Connection", connection))


@contextmanager
def transaction(engine: sa.Engine) -> Iterator[sa.Connection]:
    """Open one short transaction; driver errors become ours.

    Raises:
        LedgerUnavailable: away, slow, locked, or the commit's answer was lost.
        ConfigurationError: the schema or a grant is missing.
    """
    try:
        with engine.begin() as connection:
            yield connection
    except ProgrammingError as error:
        raise _configuration(error) from error
    except DBAPIError as error:
        if not _passing(error):
            raise
        msg = (
            f"The ledger's database did not answer ({_first_line(error)});"
            " nothing is lost, it may be tried again. If it stays so, check"
            " DATABASE_URL."
        )
        raise LedgerUnavailable(msg, subject="DATABASE_URL") from error
    except sa.exc.TimeoutError as error:
        msg = "All connections to the ledger's database are busy; raise DB_POOL_SIZE."
        raise LedgerUnavailable(msg, subject="DB_POOL_SIZE") from error


def _passing(error: DBAPIError) -> bool:
    state = getattr(error.orig, "pgcode", None) or ""
    # psycopg2 does not always say OperationalError when a server dies under it.
    lost = error.connection_invalidated or isinstance(error, OperationalError)
    return lost or state[:2] in {"08", "40", "55", "57"}


def _configuration(error: ProgrammingError) -> Exception:
    state = getattr(error.orig, "pgcode", None)
    if state in UNDEFINED:
        text = "The ledger's schema is missing or old; run `replenish db upgrade`."
    elif state in NOT_OURS:
        text = f"The ledger's database refuses us: {_first_line(error)}."
    else:
        return error
    return ConfigurationError(text, subject="DATABASE_URL")


def _first_line(error: DBAPIError) -> str:
    return str(error.orig).strip().partition("\n")[0]
