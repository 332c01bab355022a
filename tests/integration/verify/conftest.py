"""Healthy books for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from replenish.adapters.ledger.session import make_engine
from tests.integration.verify.books import Books, healthy
from tests.postgres import MakeDatabase
from tests.world import World, prepare


@pytest.fixture
def books(make_database: MakeDatabase, tmp_path: Path) -> Iterator[Books]:
    """Give a history in which nothing is wrong."""
    engine = make_engine(
        make_database(prepare), statement_timeout_ms=9_000, lock_timeout_ms=3_000
    )
    yield healthy(World(engine), tmp_path / "gateway.jsonl")
    engine.dispose()
