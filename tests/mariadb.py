"""A MariaDB of the tests' own: one server a worker, one database a test."""

import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
import sqlalchemy as sa

from replenish.demo.packages import site
from replenish.embedded import mariadb as embedded
from tests import scratch

MakeMariaDB = Callable[[str], str]

# A test's data need not last; little is written, so the log may be small.
QUICK = ("--innodb-flush-log-at-trx-commit=0",)


class MariaDB:
    """One running server; `url` is the address of its root."""

    def __init__(self, folder: Path) -> None:
        server = embedded.start(folder, *QUICK)
        self.url = server.url
        self._process = server.process
        self._numbers = count(1)

    def make(self, tables: str) -> str:
        """Make a database of these statements; its SQLAlchemy URL."""
        name = f"test_{next(self._numbers)}"
        engine = sa.create_engine(self.url, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.exec_driver_sql(
                f"CREATE DATABASE {name} DEFAULT CHARACTER SET utf8mb4"
            )
        engine.dispose()
        url = sa.make_url(self.url).set(database=name)
        site.load(url, tables)
        return url.render_as_string(hide_password=False)

    def stop(self) -> None:
        """End the server; what it holds is thrown away."""
        os.kill(self._process.pid, signal.SIGKILL)
        while self._process.alive:
            time.sleep(0.01)


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariaDB]:
    """This worker's own server, which ends with the session."""
    folder = scratch.folder("rmdb-")
    server = MariaDB(folder)
    try:
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def make_mariadb(request: pytest.FixtureRequest) -> MakeMariaDB:
    """Make databases of this test's own: `make_mariadb(tables) -> url`."""

    def make(tables: str) -> str:
        server: MariaDB = request.getfixturevalue("mariadb")
        return server.make(tables)

    return make


def pytest_report_header() -> str:
    """Say in one line what cannot be tried here."""
    if embedded.installed():
        return f"MariaDB: {embedded.program('mariadbd')}"
    return (
        "MariaDB: not installed, so A2Billing, MagnusBilling and ASTPP are not tried"
        " (on Debian: apt-get install mariadb-server)"
    )
