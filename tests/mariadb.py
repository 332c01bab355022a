"""A MariaDB of the tests' own: one server a worker, one database a test.

`pytest --mysql mysql+pymysql://root@HOST/` tries another server instead, such as a
MySQL of the version that an operator has (with `-n 0`: its roles are of the whole
server); databases are made there and dropped again.
"""

import os
import secrets
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import sqlalchemy as sa

from replenish.demo.packages import site
from replenish.embedded import mariadb as embedded
from tests import scratch

MakeMariaDB = Callable[[str], str]

# A test's data need not last; little is written, so the log may be small.
QUICK = ("--innodb-flush-log-at-trx-commit=0",)


class MariaDB:
    """The databases of one running server; `url` is the address of its root."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._prefix = f"test_{secrets.token_hex(4)}"  # others may be at work there
        self._made: list[str] = []

    def make(self, tables: str) -> str:
        """Make a database of these statements; its SQLAlchemy URL."""
        name = f"{self._prefix}_{len(self._made)}"
        self._run(f"CREATE DATABASE {name} DEFAULT CHARACTER SET utf8mb4")
        self._made.append(name)
        url = sa.make_url(self.url).set(database=name)
        site.load(url, tables)
        return url.render_as_string(hide_password=False)

    def drop(self) -> None:
        """Drop the databases that were made."""
        self._run(*(f"DROP DATABASE {name}" for name in self._made))

    def _run(self, *statements: str) -> None:
        engine = sa.create_engine(self.url, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)
        engine.dispose()


@pytest.fixture(scope="session")
def mariadb(request: pytest.FixtureRequest) -> Iterator[MariaDB]:
    """This worker's own server, or the one that was asked for."""
    address = request.config.getoption("--mysql")
    if address:
        theirs = MariaDB(address)
        yield theirs
        theirs.drop()
        return
    with _own_server() as own:
        yield own


@contextmanager
def _own_server() -> Iterator[MariaDB]:
    """Start a server that ends with the session; what it holds is thrown away."""
    folder = scratch.folder("rmdb-")
    process, url = embedded.start(folder, *QUICK)
    try:
        yield MariaDB(url)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        while process.alive:
            time.sleep(0.01)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def make_mariadb(request: pytest.FixtureRequest) -> MakeMariaDB:
    """Make databases of this test's own: `make_mariadb(tables) -> url`."""

    def make(tables: str) -> str:
        server: MariaDB = request.getfixturevalue("mariadb")
        return server.make(tables)

    return make


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let another server be tried."""
    parser.addoption(
        "--mysql",
        metavar="URL",
        help="try the packages on this MySQL or MariaDB, as its root, not on our own",
    )


def pytest_report_header(config: pytest.Config) -> str:
    """Say in one line what cannot be tried here."""
    address = config.getoption("--mysql")
    if address:
        return f"MySQL: {sa.make_url(address)!r}"
    if embedded.installed():
        return f"MariaDB: {embedded.program('mariadbd')}"
    return (
        "MariaDB: not installed, so A2Billing, MagnusBilling and ASTPP are not tried"
        " (on Debian: apt-get install mariadb-server)"
    )
