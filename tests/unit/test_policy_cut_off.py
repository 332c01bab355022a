"""When an account loses its service, and when it does not."""

from decimal import Decimal
from typing import Any

import pytest

from replenish.domain.account import Service
from replenish.domain.policy import (
    CardHistory,
    CutOff,
    Leave,
    Obstacle,
    Reason,
    TopUp,
    exhausted,
    past_hard_floor,
)
from tests.factories import (
    MINUTE,
    NOW,
    make_account,
    make_card,
    make_card_history,
    make_history,
    make_rule,
    usd,
)
from tests.unit.deciding import decided


@pytest.mark.parametrize(
    ("available", "at_floor", "at_hard_floor"),
    [
        ("0.000001", False, False),
        ("0", True, False),
        ("-4.999999", True, False),
        ("-5", True, True),
        ("-400", True, True),
    ],
)
def test_a_floor_is_reached_at_its_amount(
    available: str, *, at_floor: bool, at_hard_floor: bool
) -> None:
    """The floor is 0 and the grace 5."""
    account = make_account(available=usd(available))

    assert exhausted(account, make_rule()) is at_floor
    assert past_hard_floor(account, make_rule()) is at_hard_floor


@pytest.mark.parametrize(
    ("changes", "cut"),
    [
        ({"paused": "by hand"}, CutOff(Reason.PAUSED, "by hand")),
        ({"consent": False}, CutOff(Reason.NO_CONSENT)),
        ({"cards": ()}, CutOff(Reason.NO_CARD)),
        (
            {"charged_at": NOW},
            CutOff(Reason.COOLDOWN, until=NOW + 10 * MINUTE),
        ),
        (
            {"spent_day": Decimal(100)},
            CutOff(Reason.CAP_DAY, until=make_history().day_ends),
        ),
    ],
)
def test_at_the_floor_what_cannot_be_charged_now_is_cut_off(
    changes: dict[str, Any], cut: CutOff
) -> None:
    """With the reason, and with the time at which it may be charged again, if any."""
    history = make_history(**changes)

    assert decided("0.00", history=history) == cut
    assert not isinstance(decided("0.01", history=history), CutOff)


STOPS: list[tuple[dict[str, Any], Obstacle]] = [
    ({"stopped": "wrong key"}, Obstacle(Reason.CHARGER_STOPPED, detail="wrong key")),
    (
        {"charges_minute": 600},
        Obstacle(Reason.CHARGE_RATE, NOW + MINUTE, "600 a minute"),
    ),
    *(
        ({"breaker": stands}, stands)
        for stands in (
            Obstacle(Reason.GATEWAY_DOWN),
            Obstacle(Reason.DECLINE_SHARE, NOW + 15 * MINUTE, "18 of 20"),
        )
    ),
    (
        {"cards": (make_card_history(declines_24h=9, in_flight=1),)},
        Obstacle(Reason.CARD_IN_FLIGHT, NOW + MINUTE),
    ),
]


@pytest.mark.parametrize(("changes", "stop"), STOPS)
def test_what_is_not_the_customer_s_doing_leaves_them_their_grace(
    changes: dict[str, Any], stop: Obstacle
) -> None:
    """A stop of all charging is like a charge under way; at the hard floor it ends."""
    history = make_history(**changes)

    for within in ("0.01", "0", "-4.99"):
        found = decided(within, history=history)
        assert not isinstance(found, CutOff | TopUp)
        assert found.reason is stop.reason
    cut = CutOff(stop.reason, stop.detail, stop.until)
    assert decided("-5", history=history) == cut


@pytest.mark.parametrize(("changes", "stop"), STOPS)
def test_a_stop_saves_nobody_who_could_not_be_charged_without_it(
    changes: dict[str, Any], stop: Obstacle
) -> None:
    """No consent, no money left in the caps, held: cut off at the floor as ever."""
    for own in (
        {"consent": False},
        {"paused": "by hand"},
        {"spent_day": Decimal(100)},
        {"charged_at": NOW},
    ):
        history = make_history(**changes, **own)
        assert isinstance(decided("0", history=history), CutOff), stop


def test_a_stop_saves_nobody_without_a_card_that_works() -> None:
    """Whoever waits for the stop to end would still have nothing to pay with."""
    for card in (make_card(dead_reason="lost_card"), make_card(country="IN")):
        history = make_history(stopped="by hand", cards=(CardHistory(card),))
        assert isinstance(decided("0", history=history), CutOff)


def test_an_account_that_can_be_charged_is_charged_and_not_cut_off() -> None:
    """Also below the hard floor: service is the caller's to end meanwhile."""
    assert isinstance(decided("-3"), TopUp)
    assert isinstance(decided("-50"), TopUp)


def test_a_charge_under_way_saves_the_account_within_its_grace() -> None:
    """Between floor and hard floor the answer is waited for."""
    history = make_history(open_attempt=True)

    assert decided("-4.99", history=history) == Leave(Reason.OPEN_ATTEMPT)


def test_past_the_hard_floor_nothing_is_waited_for() -> None:
    """The operator's exposure ends there, whatever the card may still answer."""
    history = make_history(open_attempt=True)

    assert decided("-5.00", history=history) == CutOff(Reason.PAST_HARD_FLOOR)


def test_without_grace_a_charge_under_way_saves_nothing() -> None:
    """With a grace of 0 both floors are one."""
    found = decided(
        "0", rule=make_rule(grace=Decimal(0)), history=make_history(open_attempt=True)
    )

    assert found == CutOff(Reason.PAST_HARD_FLOOR)


@pytest.mark.parametrize("available", ["0", "-100"])
@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"cards": ()}, Reason.NO_CARD),
        ({"open_attempt": True}, Reason.OPEN_ATTEMPT),
    ],
)
def test_an_account_is_cut_off_once(
    available: str, changes: dict[str, Any], reason: Reason
) -> None:
    """An account that we cut off waits, or is left alone, like any other."""
    history = make_history(cut_off=True, **changes)

    found = decided(available, history=history, service=Service.SUSPENDED)

    assert found == Leave(reason)


def test_an_account_that_we_cut_off_is_charged_when_it_can_be() -> None:
    """A new card brings its service back."""
    history = make_history(cut_off=True)

    found = decided("-5", history=history, service=Service.SUSPENDED)

    assert isinstance(found, TopUp)


@pytest.mark.parametrize(
    ("service", "cut_off"),
    [(Service.SUSPENDED, False), (Service.OTHER, False), (Service.OTHER, True)],
)
@pytest.mark.parametrize("available", ["5", "-100"])
def test_what_the_operator_suspended_or_closed_is_left_alone(
    available: str, service: Service, *, cut_off: bool
) -> None:
    """Neither charged nor cut off: it is not ours to touch."""
    history = make_history(cut_off=cut_off)

    found = decided(available, history=history, service=service)

    assert found == Leave(Reason.NOT_OURS, service.value)
