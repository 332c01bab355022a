"""Talking to PostgreSQL: bounded in time, and its errors put into sentences."""

from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from replenish.errors import (
    AccountLocked,
    BadInput,
    BillingUnavailable,
    ConfigurationError,
    ReplenishError,
)

SETTING = "BILLING_DATABASE_URL"

# SQLSTATE codes: https://www.postgresql.org/docs/current/errcodes-appendix.html
UNDEFINED = frozenset({"42P01", "42703", "3F000", "42883"})  # table column schema func
REFUSED = frozenset({"42501", "28000", "28P01", "3D000"})  # grant, role, database
OUT_OF_RANGE = "22003"
LOCKED = "55P03"
TOO_SLOW = "57014"
PASSING = frozenset({"08", "25", "40", "53", "55", "57", "58"})
"""Classes that pass: connection, read-only standby, rollback, resources, locks,
operator intervention, system."""
ALWAYS_PASSING = (OperationalError, InterfaceError)


def make_engine(
    url: str,
    *,
    statement_timeout_ms: int = 5000,
    lock_timeout_ms: int = 2000,
    pool_size: int = 1,
) -> sa.Engine:
    """Make an engine whose statements and lock waits end by themselves.

    It connects on first use, so it may be made before a fork.
    """
    options = (
        f"-c statement_timeout={statement_timeout_ms}"
        f" -c lock_timeout={lock_timeout_ms} -c timezone=UTC"
    )
    return sa.create_engine(
        url,
        pool_size=pool_size,
        max_overflow=2,
        pool_timeout=10,
        pool_pre_ping=True,  # a line that was cut while idle is no outage
        hide_parameters=True,  # numbers and names stay out of tracebacks
        connect_args={
            "options": options,
            "connect_timeout": 5,
            "application_name": "billing",
        },
    )


@contextmanager
def statements(engine: sa.Engine) -> Iterator[sa.Connection]:
    """Lend a connection on which every statement is a transaction of its own.

    That saves the round trips of BEGIN and COMMIT; whatever must happen together
    is written as one statement.

    Raises:
        BillingUnavailable: away, slow, locked, or the answer was lost.
        ConfigurationError: the schema or a grant is missing.
        BadInput: an amount outgrew its column.
    """
    try:
        with translated(), engine.connect() as connection:
            yield connection.execution_options(isolation_level="AUTOCOMMIT")
    except engine.dialect.loaded_dbapi.Error as error:
        # A line that breaks as the connection goes back to the pool: SQLAlchemy then
        # passes the driver's error on as it is. Whether the statement ran is unknown.
        engine.dispose()  # or the pool would count that connection as lent for ever
        said = str(error).partition("\n")[0]
        msg = f"The line to the billing database broke ({said}); it is tried again."
        raise BillingUnavailable(msg, subject=SETTING) from error


@contextmanager
def transaction(engine: sa.Engine) -> Iterator[sa.Connection]:
    """Lend a connection in one transaction; raises as `statements` does."""
    with translated(), engine.begin() as connection:
        yield connection


@contextmanager
def translated() -> Iterator[None]:
    """Turn the driver's errors into ours; those that are bugs pass unchanged."""
    try:
        yield
    except PoolTimeout as error:
        msg = "All connections to the billing database are busy; try again later."
        raise BillingUnavailable(msg, subject=SETTING) from error
    except DBAPIError as error:
        ours = _sentence(error)
        if ours is None:
            raise
        raise ours from error


def _sentence(error: DBAPIError) -> ReplenishError | None:
    state = getattr(error.orig, "pgcode", None) or ""
    if state in UNDEFINED:
        msg = (
            "The billing schema is missing or not of this version;"
            f" check {SETTING}, then run `replenish db upgrade`."
        )
        return ConfigurationError(msg, subject=SETTING)
    if state in REFUSED:
        msg = (
            f"The billing database refuses us: {_first_line(error)}; check the user,"
            f" the password and the database in {SETTING}, or grant it."
        )
        return ConfigurationError(msg, subject=SETTING)
    if state == OUT_OF_RANGE:
        msg = "The amount would take the balance past what its column can hold."
        return BadInput(msg, subject="amount")
    # psycopg2 does not always say OperationalError when a server dies under it.
    lost = error.connection_invalidated
    if lost or state[:2] in PASSING or isinstance(error, ALWAYS_PASSING):
        return _unavailable(error, state)
    return None


def _unavailable(error: DBAPIError, state: str) -> BillingUnavailable:
    kind = AccountLocked if state == LOCKED else BillingUnavailable
    if state == LOCKED:
        why = "an account's row is locked by somebody else"
    elif state == TOO_SLOW:
        why = "the statement took too long and was ended"
    else:
        why = _first_line(error)
    msg = (
        f"The billing database did not do it in time ({why}); it may be tried again."
        f" If it stays so, check {SETTING}."
    )
    return kind(msg, subject=SETTING)


def _first_line(error: DBAPIError) -> str:
    return str(error.orig).strip().partition("\n")[0].strip()
