"""A world for each test."""

from collections.abc import Iterator

import pytest

from replenish.adapters.ledger.session import make_engine
from tests.postgres import MakeDatabase
from tests.world import World, prepare


@pytest.fixture
def world(make_database: MakeDatabase) -> Iterator[World]:
    """Give an empty installation whose gateway is scripted."""
    engine = make_engine(
        make_database(prepare),
        statement_timeout_ms=9_000,
        lock_timeout_ms=3_000,
        pool_size=4,
    )
    yield World(engine)
    engine.dispose()
