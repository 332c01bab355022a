"""A real PostgreSQL for the tests: one server a worker, one database a test.

`make_database` gives the URL of an empty database; `make_database(prepare)` one that
`prepare(url)` has filled. A preparation runs once a worker: what it leaves becomes
a template that is cloned in milliseconds.
"""

import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count

import psycopg2
import pytest
import sqlalchemy as sa
from psycopg2 import sql

from replenish.embedded import places
from replenish.embedded import postgres as embedded
from tests import scratch

Prepare = Callable[[str], object]
MakeDatabase = Callable[..., str]

QUICK = (  # a test's data need not outlive the machine
    "ALTER SYSTEM SET fsync = off",
    "ALTER SYSTEM SET synchronous_commit = off",
    "SELECT pg_reload_conf()",
)


class Databases:
    """The databases of one server, by name; `address` is that of any of them."""

    def __init__(self, address: str) -> None:
        self._address = sa.make_url(address)
        self._numbers = count(1)
        self._templates: dict[Prepare, str] = {}

    def url(self, name: str) -> str:
        """Give the SQLAlchemy URL of a database."""
        return str(self._address.set(database=name))

    def run(self, *statements: str | sql.Composable) -> None:
        """Run statements as superuser, outside of a transaction."""
        url = self._address.set(drivername="postgresql", database="postgres")
        connection = psycopg2.connect(str(url))
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


@contextmanager
def own_server() -> Iterator[Databases]:
    """Start a server of our own; what it holds is thrown away.

    It is the embedded one, which root runs as a user that every machine has: several
    at once may start on a machine that has never run any.
    """
    home = scratch.folder("replenish-pg-")
    process, address = embedded.start(places.make_home(home))
    try:
        databases = Databases(address)
        databases.run(*QUICK)
        yield databases
    finally:
        os.kill(process.pid, signal.SIGINT)
        while process.alive:
            time.sleep(0.01)
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="session")
def databases() -> Iterator[Databases]:
    """The databases of this worker's own server, which ends with the session."""
    with own_server() as databases:
        yield databases


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
