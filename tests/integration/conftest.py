"""Fixtures of the integration tests."""

from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from tests import bundled
from tests.postgres import MakeDatabase


@pytest.fixture
def billing_url(make_database: MakeDatabase) -> str:
    """A database with the bundled package's empty schema."""
    return make_database(bundled.prepare)


@pytest.fixture
def billing(billing_url: str) -> Iterator[sa.Engine]:
    """An engine on the bundled package's empty schema."""
    with bundled.engine_of(billing_url, pool_size=8) as engine:
        yield engine
