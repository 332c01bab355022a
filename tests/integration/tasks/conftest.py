"""Tasks that run here, over a world of the test's own; Redis is away."""

import os
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from replenish import bootstrap
from replenish.adapters.ledger.session import make_engine
from tasks.app import app
from tests.integration.cli.commands import NOWHERE
from tests.postgres import MakeDatabase
from tests.world import World, prepare


@pytest.fixture
def world(
    make_database: MakeDatabase, monkeypatch: pytest.MonkeyPatch
) -> Iterator[World]:
    """Give an empty installation that the tasks of this process work on."""
    url = make_database(prepare)
    for name in ("DATABASE_URL", "BILLING_DATABASE_URL"):
        monkeypatch.setenv(name, url)
    monkeypatch.setenv("REDIS_URL", NOWHERE)
    engine = make_engine(url, statement_timeout_ms=9_000, lock_timeout_ms=3_000)
    world = World(engine)
    wired = {os.getpid(): SimpleNamespace(services=world.services)}
    monkeypatch.setattr(bootstrap, "_applications", wired)
    for task in app.tasks.values():  # nothing to store a failure in
        monkeypatch.setattr(task, "store_errors_even_if_ignored", False)
    yield world
    engine.dispose()
