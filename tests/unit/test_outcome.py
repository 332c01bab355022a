"""When a declined card may be tried again, by the class of its decline."""

from datetime import timedelta
from typing import get_args

import pytest

from replenish.domain.outcome import (
    ActionRequired,
    Cancelled,
    Charged,
    DeclineClass,
    Declined,
    Evidence,
    Outcome,
    Unconfirmed,
    Unknown,
)
from replenish.domain.policy import next_try
from tests.factories import HOUR, MINUTE, NOW, make_limits

NEVER_BY_ITSELF = {
    DeclineClass.HARD,
    DeclineClass.AUTHENTICATION,
    DeclineClass.FRAUD,
}
SPACED = {DeclineClass.SOFT, DeclineClass.TRANSIENT}


def _wait(
    kind: DeclineClass, *, earlier: int = 0, wait_hours: int | None = None
) -> timedelta | None:
    declined = Declined("pi_1", kind, "some_code", wait_hours=wait_hours)
    found = next_try(declined, earlier=earlier, now=NOW, limits=make_limits())
    return None if found is None else found - NOW


def test_every_class_of_decline_is_known_to_the_policy() -> None:
    """A new class must be put on one side or the other before it is used."""
    assert set(DeclineClass) == NEVER_BY_ITSELF | SPACED


@pytest.mark.parametrize("kind", sorted(NEVER_BY_ITSELF))
def test_only_a_change_brings_a_card_back_from_a_final_decline(
    kind: DeclineClass,
) -> None:
    """Hard, fraud and authentication have no next try, whatever the scheme says."""
    assert _wait(kind) is None
    assert _wait(kind, earlier=3, wait_hours=24) is None


@pytest.mark.parametrize(
    ("earlier", "hours"), [(0, 1), (1, 6), (2, 24), (3, 24), (100, 24)]
)
def test_soft_declines_are_spaced_further_and_further(earlier: int, hours: int) -> None:
    """The more declines an episode has seen, the longer the wait; the last repeats."""
    assert _wait(DeclineClass.SOFT, earlier=earlier) == timedelta(hours=hours)


def test_a_fault_of_the_network_is_tried_again_early_once() -> None:
    """The first is worth an early try; after that it is a soft decline."""
    assert _wait(DeclineClass.TRANSIENT) == 5 * MINUTE
    assert _wait(DeclineClass.TRANSIENT, earlier=1) == 6 * HOUR


@pytest.mark.parametrize("kind", sorted(SPACED))
@pytest.mark.parametrize(
    ("earlier", "wait_hours", "hours"), [(0, 240, 240), (2, 1, 24), (2, 0, 24)]
)
def test_the_card_schemes_own_wait_is_the_least(
    kind: DeclineClass, *, earlier: int, wait_hours: int, hours: int
) -> None:
    """Mastercard's advice may lengthen a wait and never shortens one."""
    found = _wait(kind, earlier=earlier, wait_hours=wait_hours)

    assert found == timedelta(hours=hours)


def test_a_confirmation_has_four_ends_and_a_look_up_two_more() -> None:
    """Whoever matches on an answer matches on these."""
    assert set(get_args(Outcome)) == {Charged, Declined, ActionRequired, Unknown}
    assert set(get_args(Evidence)) == {
        *get_args(Outcome),
        Unconfirmed,
        Cancelled,
    }
