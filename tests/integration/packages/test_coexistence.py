"""The package's own statements and ours, as fast as both can, on the same accounts."""

import pytest

from benchmarks.coexistence import coexist, lay
from replenish.demo.packages import writes_of
from tests.contract.package_sites import tried
from tests.postgres import Databases

pytestmark = pytest.mark.integration

SECONDS = 3.0  # `python -m benchmarks.coexistence` runs for a minute each


@pytest.mark.parametrize("name", tried())
def test_neither_fails_nor_loses_anything_because_of_the_other(
    request: pytest.FixtureRequest, databases: Databases, name: str
) -> None:
    """From several processes, each under its own role; to the last decimal."""
    if writes_of(name).dialect == "mysql":
        server = request.getfixturevalue("mariadb").url
    else:
        server = databases.url("postgres")

    figures = coexist(lay(server, name), name, seconds=SECONDS)

    assert figures.clean, figures
    assert figures.statements
    assert figures.credits
