"""The simulation sees: each planted defect is caught, and by an invariant named for it.

A defect that none of so many seeds shows would be a hole in the checker.
"""

from itertools import islice

import pytest

from tests.simulation.planted import DEFECTS, planted
from tests.simulation.play import play

pytestmark = [pytest.mark.faults, pytest.mark.deep]

SEEDS = 60
ENOUGH = 3  # seeds with a violation, among which one must be named for the defect


@pytest.mark.parametrize("name", DEFECTS)
def test_a_planted_defect_is_caught(name: str) -> None:
    """By the invariant that says what is wrong."""
    with planted(name):
        played = (play(seed, steps=200).violation for seed in range(SEEDS))
        found = {violation[0] for violation in islice(filter(None, played), ENOUGH)}

    assert found & DEFECTS[name].caught_by, found
