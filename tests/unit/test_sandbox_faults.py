"""The sandbox's dice: repeatable by seed, and what they decide for one call."""

from statistics import median

import pytest

from replenish.sandbox.faults import Faults, Plan

Json = dict[str, object]


def plans(faults: Faults, count: int, **facts: object) -> list[Plan]:
    """Return what is planned for so many calls of one kind."""
    return [faults.plan(lambda: facts) for _ in range(count)]


def test_the_same_seed_throws_the_same_dice() -> None:
    """A run with faults can be repeated; another seed is another run."""

    def hits(seed: int) -> list[bool]:
        faults = Faults(seed)
        faults.add({"kind": "503", "probability": 0.3})
        return [plan.fault is not None for plan in plans(faults, 200)]

    assert hits(7) == hits(7)
    assert hits(7) != hits(8)
    assert 30 < sum(hits(7)) < 90


def test_lognormal_waits_lie_around_their_median() -> None:
    """Most are near it, a few far above, none below nothing; repeatable too."""

    def waits(seed: int) -> list[float]:
        faults = Faults(seed)
        faults.add({"kind": "latency", "median_ms": 200, "sigma": 0.6})
        return [plan.wait for plan in plans(faults, 500)]

    assert waits(1) == waits(1)
    assert median(waits(1)) == pytest.approx(0.2, rel=0.15)
    assert min(waits(1)) > 0
    assert max(waits(1)) > 0.6


def test_a_fault_is_used_up_only_by_calls_it_matches() -> None:
    """`times` counts hits, not calls; then it is gone."""
    faults = Faults(0)
    faults.add(
        {"kind": "409", "times": 2, "match": {"amount": 500, "path": "confirm$"}}
    )

    missed = plans(faults, 3, amount="500", path="/v1/payment_intents")
    hit = plans(faults, 3, amount="500", path="/v1/payment_intents/pi_1/confirm")

    assert [plan.fault for plan in missed] == [None] * 3
    assert [plan.fault is not None for plan in hit] == [True, True, False]
    assert faults.active == []


def test_waits_add_up_beside_one_other_fault() -> None:
    """Of two faults that both answer, the first one set wins."""
    faults = Faults(0)
    for spec in ({"kind": "latency", "ms": 100}, {"kind": "503"}, {"kind": "409"}):
        faults.add(spec)
    faults.add({"kind": "latency", "ms": 50, "effect": "last"})

    (plan,) = plans(faults, 1)

    assert plan.wait == pytest.approx(0.15)
    assert plan.effect_last
    assert plan.fault is not None
    assert plan.fault.kind == "503"


@pytest.mark.parametrize(
    "spec",
    [
        {"kind": "explode"},
        {"kind": "503", "times": 0},
        {"kind": "503", "probability": 0},
    ],
)
def test_a_mistaken_fault_is_refused(spec: Json) -> None:
    """Before any call meets it."""
    with pytest.raises(ValueError, match=r"choose one|at least once|more than 0"):
        Faults(0).add(spec)
