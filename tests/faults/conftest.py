"""An installation for many cases."""

from collections.abc import Iterator

import pytest

from replenish.adapters.ledger.session import make_engine
from tests.contract.package_sites import package_site
from tests.faults.matrix import Matrix
from tests.mariadb import MakeMariaDB
from tests.postgres import MakeDatabase
from tests.world import World, prepare


@pytest.fixture
def matrix(make_database: MakeDatabase, make_mariadb: MakeMariaDB) -> Iterator[Matrix]:
    """Give an empty installation with PyFreeBilling."""
    engine = make_engine(
        make_database(prepare),
        statement_timeout_ms=9_000,
        lock_timeout_ms=3_000,
        pool_size=4,
    )
    with package_site("pyfreebilling")(make_database, make_mariadb) as site:
        matrix = Matrix(World(engine), site)
        yield matrix
        matrix.close()
    engine.dispose()
