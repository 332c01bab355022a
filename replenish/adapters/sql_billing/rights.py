"""What our role may read and write there: all that we need, and no passwords.

Asked of the server itself, column by column, so that roles, owners and grants on
everything count as they do when we work.
"""

from collections.abc import Iterator, Mapping

import sqlalchemy as sa

from replenish.adapters.sql_billing.profile import Profile

COLUMNS = {
    "mysql": """
        SELECT LOWER(table_name) AS named, LOWER(column_name) AS held,
               LOWER(privileges) AS rights
        FROM information_schema.columns WHERE table_schema = DATABASE()
    """,
    "postgresql": """
        SELECT c.relname AS named, a.attname AS held, concat_ws(',',
                 CASE WHEN has_column_privilege(c.oid, a.attnum, 'SELECT')
                      THEN 'select' END,
                 CASE WHEN has_column_privilege(c.oid, a.attnum, 'INSERT')
                      THEN 'insert' END,
                 CASE WHEN has_column_privilege(c.oid, a.attnum, 'UPDATE')
                      THEN 'update' END) AS rights
        FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
        JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = ANY(current_schemas(false)) AND a.attnum > 0
          AND NOT a.attisdropped AND c.relkind IN ('r', 'p', 'v', 'f')
    """,
}
SEQUENCE = """
    SELECT COALESCE(has_sequence_privilege(to_regclass(:name), 'USAGE, UPDATE'), true)
"""
HOW = "`replenish check --grants ROLE` prints what it needs."

Rights = Mapping[str, Mapping[str, str]]
"""Table → column → `select,insert,update`, as far as they are ours."""


def read(connection: sa.Connection, profile: Profile) -> Rights:
    """Ask what there is and what we may do with it."""
    found: dict[str, dict[str, str]] = {}
    for row in connection.execute(sa.text(COLUMNS[profile.dialect])):
        found.setdefault(row.named, {})[row.held] = row.rights
    return found


def unread(profile: Profile, rights: Rights) -> Iterator[str]:
    """Name what we use and cannot read: not there, or not granted to us."""
    for table, columns in profile.needs.items():
        if table not in rights:
            yield (
                f"The table {table} is missing or not granted to us; BILLING_PACKAGE"
                f" is {profile.name}: is that the database?"
            )
            continue
        lacking = sorted(set(columns) - _with("select", table, rights))
        if lacking:
            yield (
                f"The table {table} lacks {', '.join(lacking)}, or they are not granted"
                f" to us; this release knows {profile.name} with them."
            )


def unwritten(profile: Profile, rights: Rights) -> Iterator[str]:
    """Name the tables that we could not credit or cut off in."""
    for table in profile.inserts:
        if not _with("insert", table, rights):
            yield f"Our role may not INSERT into {table}; {HOW}"
    for table, columns in profile.updates.items():
        lacking = sorted(set(columns) - _with("update", table, rights))
        if lacking:
            yield f"Our role may not UPDATE {', '.join(lacking)} of {table}; {HOW}"


def unnumbered(connection: sa.Connection, profile: Profile) -> Iterator[str]:
    """Name the sequences that would give our rows no number."""
    for name in profile.sequences:
        if not connection.execute(sa.text(SEQUENCE), {"name": name}).scalar_one():
            yield f"Our role may not use the sequence {name}; {HOW}"


def too_wide(profile: Profile, rights: Rights) -> Iterator[str]:
    """Remark on passwords that our role could read."""
    for table, columns in profile.secrets.items():
        open_ = sorted(set(columns) & _with("select", table, rights))
        if open_:
            yield (
                f"Our role may read {', '.join(open_)} of {table}, which it never"
                " needs; `replenish check --grants ROLE` prints the least."
            )


def _with(right: str, table: str, rights: Rights) -> set[str]:
    columns = rights.get(table, {})
    return {column for column, held in columns.items() if right in held.split(",")}
