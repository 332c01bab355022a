"""What somebody else's database server is, and whether we can work on it safely."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import sqlalchemy as sa

MYSQL = """
    SHOW SESSION VARIABLES WHERE Variable_name IN ('version', 'version_comment',
      'read_only', 'log_bin', 'binlog_format', 'sql_mode', 'transaction_isolation',
      'tx_isolation', 'lock_wait_timeout', 'time_zone', 'system_time_zone')
"""
SHIFTS = """
    SELECT UNIX_TIMESTAMP('2026-07-01 12:00:00') - UNIX_TIMESTAMP('2026-01-01 12:00:00')
             <> 181 * 86400
"""
ENGINES = """
    SELECT LOWER(table_name) AS named, engine AS held
    FROM information_schema.tables
    WHERE table_schema = DATABASE() AND engine IS NOT NULL
"""
POSTGRESQL = """
    SELECT current_setting('server_version') AS version,
           current_setting('TimeZone') AS zone,
           current_setting('lock_timeout') AS lock_timeout,
           current_setting('statement_timeout') AS statement_timeout,
           current_setting('default_transaction_read_only') AS read_only,
           CASE WHEN pg_is_in_recovery() THEN 'on' ELSE 'off' END AS replica,
           array_to_string(current_schemas(false), ', ') AS schemas
"""
OURS_AN_HOUR = 3600  # seconds; ours is a few, a server's own is a day or a year

READ_ONLY = (
    "The server is read-only (a replica, or a primary that is being moved);"
    " BILLING_DATABASE_URL must be the one that takes writes."
)


@dataclass(frozen=True, slots=True)
class Server:
    """What the server told.

    Attributes:
        values: its settings, as our own session sees them.
        engines: table → engine; none in PostgreSQL.
        shifts: whether its clock has daylight saving.
    """

    values: Mapping[str, str]
    engines: Mapping[str, str]
    shifts: bool = False


def read(connection: sa.Connection) -> Server:
    """Ask the server about itself."""
    if connection.dialect.name != "mysql":
        row = connection.execute(sa.text(POSTGRESQL)).mappings().one()
        return Server({name: str(value) for name, value in row.items()}, {})
    rows = connection.execute(sa.text(MYSQL)).all()
    tables = connection.execute(sa.text(ENGINES))
    return Server(
        {str(name).lower(): str(value) for name, value in rows},
        {row.named: row.held for row in tables},
        shifts=bool(connection.execute(sa.text(SHIFTS)).scalar()),
    )


def faults(server: Server) -> Iterator[str]:
    """Give a sentence for each setting under which we cannot work safely."""
    if "schemas" in server.values:
        yield from _postgresql_faults(server.values)
    else:
        yield from _mysql_faults(server.values)


def _postgresql_faults(values: Mapping[str, str]) -> Iterator[str]:
    if "on" in (values["read_only"], values["replica"]):
        yield READ_ONLY
    if "0" in (values["lock_timeout"], values["statement_timeout"]):
        yield (
            "The session does not keep our time limits: something between us and the"
            " server, such as PgBouncer, drops them. Let it pass `options` on."
        )


def _mysql_faults(values: Mapping[str, str]) -> Iterator[str]:
    if values.get("read_only", "OFF") not in ("OFF", "0"):
        yield READ_ONLY
    if values.get("log_bin") == "ON" and values.get("binlog_format") == "STATEMENT":
        yield (
            "The server's binlog_format is STATEMENT, under which InnoDB refuses our"
            " credits; set it to MIXED or ROW."
        )
    dropped = list(_dropped(values))
    if dropped:
        yield (
            f"The session does not keep our {', '.join(dropped)}: something between us"
            " and the server, such as a proxy, drops them. Let it pass SET on."
        )


def _dropped(values: Mapping[str, str]) -> Iterator[str]:
    """Name what we have set on connecting and do not find again."""
    old = values.get("tx_isolation", "")  # MariaDB's name, until 11.1
    if values.get("transaction_isolation", old) != "READ-COMMITTED":
        yield "isolation"
    if "STRICT_ALL_TABLES" not in values.get("sql_mode", ""):
        yield "sql_mode"
    if int(values.get("lock_wait_timeout", "0")) >= OURS_AN_HOUR:
        yield "lock wait timeouts"


def without_transactions(
    server: Server, tables: tuple[str, ...], *, name: str
) -> Iterator[str]:
    """Name the tables whose engine would leave half a credit behind."""
    for table in tables:
        engine = server.engines.get(table, "InnoDB")
        if engine != "InnoDB":
            yield (
                f"The table {table} is {engine}, which has no transactions; as"
                f" {name} installs it, it is InnoDB: ALTER TABLE {table} ENGINE=InnoDB."
            )


def told(server: Server, tables: tuple[str, ...]) -> str:
    """Say in a line what it is."""
    values = server.values
    if "schemas" in values:
        return (
            f"PostgreSQL {values['version']}, schema {values['schemas']}, time zone"
            f" {values['zone']}"
        )
    about = f"{values['version']} {values.get('version_comment', '')}"
    maker = "MariaDB" if "mariadb" in about.lower() else "MySQL"
    engines = sorted(
        {server.engines[each] for each in tables if each in server.engines}
    )
    return (
        f"{maker} {values['version']}, tables {' and '.join(engines)}, time zone"
        f" {_zone(values)}{' with daylight saving' if server.shifts else ''}"
    )


def _zone(values: Mapping[str, str]) -> str:
    if values["time_zone"] == "SYSTEM":
        return f"SYSTEM ({values['system_time_zone']})"
    return values["time_zone"]
