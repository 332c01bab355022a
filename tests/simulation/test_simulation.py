"""A small part of the simulation, as it is run by `make faults` in full."""

import os

import pytest

from tests.simulation.play import play
from tests.simulation.run import play_all, score

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]

ALL = os.environ.get("FAULTS") == "all"
SEEDS, STEPS = (500, 200) if ALL else (40, 200)


def test_what_must_hold_holds_whatever_breaks() -> None:
    """At least one step in twelve has a fault; `make faults` plays thousands."""
    total = score(play_all(range(SEEDS), steps=STEPS))

    assert not total.violations, total.violations[:3]
    assert total.steps == SEEDS * STEPS
    assert not list(total.too_little())


def test_a_seed_always_plays_the_same() -> None:
    """Fifty seeds played twice: every call, row and balance in the same order."""
    seeds = range(1000, 1050)

    first = [play(seed, steps=STEPS if ALL else 40).digest for seed in seeds]
    again = [play(seed, steps=STEPS if ALL else 40).digest for seed in seeds]

    assert first == again
    assert len(set(first)) == len(seeds)
