"""A site for each test that asks for one."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.site import Site


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """Give an installation without workers; the test starts what it needs."""
    opened = Site.open(tmp_path / "home")
    try:
        yield opened
    finally:
        opened.close()
