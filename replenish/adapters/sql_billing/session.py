"""Engines for somebody else's database: bounded in time, gone in milliseconds."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

import sqlalchemy as sa
from sqlalchemy.engine.interfaces import DBAPIConnection
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
NO_RSA = (
    "MySQL 8 sends no password over a plain connection without RSA; run pip install"
    " 'PyMySQL[rsa]', or use TLS by adding ?ssl_ca=FILE to {}."
)

# PostgreSQL's SQLSTATE and MySQL's error numbers, by what they mean for us.
# https://www.postgresql.org/docs/current/errcodes-appendix.html
# https://mariadb.com/docs/server/reference/error-codes
UNDEFINED = {"42P01", "42703", "3F000", "42883", 1146, 1054, 1049, 1109, 1305}
REFUSED = {"42501", "28000", "28P01", "3D000", 1044, 1045, 1142, 1143, 1698}
TOO_LARGE = {"22003", 1264, 1690}
LOCKED = {"55P03", 1205, 1213, "40P01"}
TOO_SLOW = {"57014", 1969, 3024}
READ_ONLY = {"25006", 1290, 1836}
IDLE = 300  # seconds after which a MySQL server ends a session that asks nothing
PASSING = ("08", "25", "40", "53", "55", "57", "58")


def make_engine(
    url: str,
    *,
    statement_timeout_ms: int,
    lock_timeout_ms: int,
    on_connect: tuple[str, ...] = (),
    pool_size: int = 1,
) -> sa.Engine:
    """Make an engine whose every statement and lock wait is bounded.

    It connects on first use, so it may be made before a fork. The session's time
    zone is left as the server has it: packages write local times into columns
    without a zone, and would read ours shifted.

    Raises:
        ConfigurationError: the driver is not installed.
    """
    mysql = url.startswith("mysql")
    if mysql and find_spec("pymysql") is None:
        msg = "The driver for MySQL is missing; run pip install 'replenish[mysql]'."
        raise ConfigurationError(msg, subject=SETTING)
    engine = sa.create_engine(
        url,
        pool_size=pool_size,
        max_overflow=2,
        pool_timeout=10,
        pool_recycle=IDLE // 2,
        pool_pre_ping=True,  # a line that was cut while idle is no outage
        hide_parameters=True,  # numbers and names stay out of tracebacks
        # Not by a SET of ours: SQLAlchemy returns to its own after `statements`.
        **({"isolation_level": "READ COMMITTED"} if mysql else {}),
        connect_args=_mysql(statement_timeout_ms)
        if mysql
        else _postgresql(statement_timeout_ms, lock_timeout_ms),
    )
    limits = _limits(statement_timeout_ms, lock_timeout_ms) if mysql else ()

    @sa.event.listens_for(engine, "connect")
    def _prepare(connection: DBAPIConnection, _record: object) -> None:
        cursor = connection.cursor()
        for statement in (*limits, *on_connect):
            cursor.execute(statement)
        cursor.close()
        connection.commit()

    return engine


def _postgresql(statement_ms: int, lock_ms: int) -> dict[str, object]:
    options = (
        f"-c statement_timeout={statement_ms} -c lock_timeout={lock_ms}"
        " -c idle_in_transaction_session_timeout=10000"
    )
    return {"options": options, "connect_timeout": 5, "application_name": "replenish"}


def _mysql(statement_ms: int) -> dict[str, object]:
    seconds = statement_ms / 1000 + 2  # the server ends it first
    return {
        "charset": "utf8mb4",
        "connect_timeout": 5,
        "read_timeout": seconds,
        "write_timeout": seconds,
    }


def _limits(statement_ms: int, lock_ms: int) -> tuple[str, ...]:
    """Give MariaDB's and MySQL's names of the same; each reads its own comment.

    MySQL ends only what reads by itself; what writes there is bounded by the lock
    waits and by the driver. Strict, so that what does not fit a column is refused and
    never cut.
    """
    lock = max(1, round(lock_ms / 1000))
    return (
        "SET SESSION sql_mode = CONCAT(@@sql_mode, ',STRICT_ALL_TABLES')",
        (
            f"SET SESSION innodb_lock_wait_timeout = {lock}, lock_wait_timeout = {lock}"
            f" /*M! , max_statement_time = {statement_ms / 1000} */"
            f" /*!80000 , max_execution_time = {statement_ms} */"
        ),
        # Who vanishes without a word in the middle holds no row of theirs for hours.
        f"SET SESSION wait_timeout = {IDLE} /*M! , idle_transaction_timeout = 10 */",
    )


@contextmanager
def transaction(engine: sa.Engine, setting: str = SETTING) -> Iterator[sa.Connection]:
    """Lend a connection in one short transaction.

    Args:
        engine: of the database, or of its replica.
        setting: which address that is; refusals name it.

    Raises:
        BillingUnavailable: away, slow, locked, or the answer was lost.
        ConfigurationError: a table, a column or a grant is missing.
        BadInput: an amount outgrew its column.
    """
    with _translated(setting), engine.begin() as connection:
        yield connection


@contextmanager
def statements(engine: sa.Engine) -> Iterator[sa.Connection]:
    """Lend a connection on which every statement stands alone; raises as above."""
    try:
        with _translated(), engine.connect() as connection:
            yield connection.execution_options(isolation_level="AUTOCOMMIT")
    except engine.dialect.loaded_dbapi.Error as error:
        # A line that breaks as the connection goes back to the pool: SQLAlchemy then
        # passes the driver's error on as it is. Whether the statement ran is unknown.
        engine.dispose()  # or the pool would count that connection as lent for ever
        told = str(error).partition("\n")[0]
        raise _unavailable(0, told) from error


@contextmanager
def _translated(setting: str = SETTING) -> Iterator[None]:
    try:
        yield
    except PoolTimeout as error:
        msg = "All connections to the billing database are busy; try again later."
        raise BillingUnavailable(msg, subject=setting) from error
    except DBAPIError as error:
        ours = _sentence(error, setting)
        if ours is None:
            raise
        raise ours from error
    except RuntimeError as error:  # PyMySQL's, before it is connected
        if "cryptography" not in str(error):
            raise
        raise ConfigurationError(NO_RSA.format(setting), subject=setting) from error


def _sentence(error: DBAPIError, setting: str) -> ReplenishError | None:
    code = _code(error)
    told = _first_line(error)
    if code in UNDEFINED:
        msg = (
            f"The billing database lacks what we need ({told}); check {setting} and"
            " BILLING_PACKAGE, then run `replenish check`."
        )
        return ConfigurationError(msg, subject=setting)
    if code in REFUSED:
        msg = (
            f"The billing database refuses us: {told}; check the user, the password and"
            f" the database in {setting}, or grant it."
        )
        return ConfigurationError(msg, subject=setting)
    if code in TOO_LARGE:
        msg = "The amount would take the balance past what its column can hold."
        return BadInput(msg, subject="amount")
    # psycopg2 does not always say OperationalError when a server dies under it.
    lost = error.connection_invalidated
    passing = lost or (isinstance(code, str) and code[:2] in PASSING)
    if passing or isinstance(error, OperationalError | InterfaceError):
        return _unavailable(code, told, setting)
    return None


def _unavailable(
    code: str | int, told: str, setting: str = SETTING
) -> BillingUnavailable:
    kind, why = BillingUnavailable, told
    if code in LOCKED:
        kind, why = AccountLocked, "an account's row is locked by somebody else"
    elif code in TOO_SLOW:
        why = "the statement took too long and was ended"
    elif code in READ_ONLY:
        why = "it is read-only, as a replica is"
    msg = (
        f"The billing database did not do it in time ({why}); it may be tried again."
        f" If it stays so, check {setting}."
    )
    return kind(msg, subject=setting)


def too_slow(error: DBAPIError) -> bool:
    """Tell whether the server ended a statement for its time; the connection stands."""
    return _code(error) in TOO_SLOW


def _code(error: DBAPIError) -> str | int:
    """Give SQLSTATE from PostgreSQL, the error's number from MySQL."""
    state = getattr(error.orig, "pgcode", None)
    if state:
        return str(state)
    number = error.orig.args[0] if error.orig and error.orig.args else 0
    return number if isinstance(number, int) else ""


def _first_line(error: DBAPIError) -> str:
    args = error.orig.args if error.orig else ()
    text = args[1] if len(args) > 1 else str(error.orig)
    return str(text).strip().partition("\n")[0].strip()
