"""A package's database, with the package's own role and ours, which has the least."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import sqlalchemy as sa

from replenish.adapters.sql_billing import grants
from replenish.bootstrap import PROFILES
from replenish.demo.packages.writes import Writes

OUR_ROLE = grants.DROP_IN


@dataclass(frozen=True, slots=True)
class Site:
    """Where a package stands.

    Attributes:
        theirs: the address of the package's own role.
        ours: that of the role with exactly what `replenish check --grants` prints.
    """

    writes: Writes
    theirs: str
    ours: str


def make(server: str, writes: Writes, *, database: str = "", tables: str = "") -> Site:
    """Make a database with the package's tables on an empty server of a demonstration.

    Args:
        server: the address of its superuser.
        writes: the package.
        database: another name than the package's own.
        tables: other statements than the package's own, such as another engine.
    """
    database = database or writes.name
    root = sa.make_url(server)
    make_roles = _mysql if writes.dialect == "mysql" else _postgresql
    with _connected(root) as connection:
        for statement in make_roles(writes.name, database):
            connection.exec_driver_sql(statement)
    within = root.set(database=database)
    theirs = within.set(username=writes.name)
    owner = within if writes.dialect == "mysql" else theirs  # whose the triggers are
    load(owner, tables or writes.tables())
    schema = database if writes.dialect == "mysql" else "public"
    profile = PROFILES[writes.name]
    with _connected(within) as connection:
        for grant in grants.statements(profile, database=schema, role=OUR_ROLE):
            connection.exec_driver_sql(grant)
    return Site(
        writes,
        theirs.render_as_string(hide_password=False),
        within.set(username=OUR_ROLE).render_as_string(hide_password=False),
    )


def load(url: sa.URL, tables: str) -> None:
    """Run the statements that make the tables."""
    mysql = url.get_backend_name() == "mysql"
    with _connected(url) as connection:
        for statement in split(tables) if mysql else (tables,):
            connection.exec_driver_sql(statement)


def split(tables: str) -> Iterable[str]:
    """Take statements apart at a closing `;` on a line's end.

    A trigger's body holds semicolons of its own: it ends at `END;`.
    """
    statements, lines, inside = [], [], False
    for line in tables.splitlines():
        lines.append(line)
        inside = (inside or line.startswith("CREATE TRIGGER")) and line != "END;"
        if line.endswith(";") and not inside:
            statements.append("\n".join(lines))
            lines = []
    return statements


def _mysql(package: str, database: str) -> Iterator[str]:
    yield f"CREATE DATABASE {database} DEFAULT CHARACTER SET utf8mb4"
    yield f"CREATE USER IF NOT EXISTS {package}"
    yield f"GRANT ALL ON {database}.* TO {package}"
    yield f"CREATE USER IF NOT EXISTS {OUR_ROLE}"


def _postgresql(package: str, database: str) -> Iterator[str]:
    for role in (package, OUR_ROLE):
        yield (
            f"DO $$ BEGIN CREATE ROLE {role} LOGIN;"
            " EXCEPTION WHEN duplicate_object THEN NULL; END $$"
        )
    yield f"CREATE DATABASE {database} OWNER {package}"


@contextmanager
def _connected(url: sa.URL) -> Iterator[sa.Connection]:
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()
