"""A world for each half of a test, and whether its guard stands."""

from collections.abc import Iterator

import pytest

from replenish.adapters.ledger.session import make_engine
from tests.incidents.guards import Guards
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


@pytest.fixture(params=[True, False], ids=["guarded", "without the guard"])
def guarded(request: pytest.FixtureRequest) -> bool:
    """Say whether the guard stands in this half of the test."""
    return bool(request.param)


@pytest.fixture
def guards(world: World, monkeypatch: pytest.MonkeyPatch) -> Guards:
    """Give the means of taking guards out; they are back after the test."""
    return Guards(world, monkeypatch)
