"""When an account is low, and what stands against charging it."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from replenish.domain.account import Kind
from replenish.domain.money import Money
from replenish.domain.policy import (
    Leave,
    Reason,
    TopUp,
    Wait,
    decide,
)
from tests.factories import (
    MINUTE,
    NOW,
    make_account,
    make_card,
    make_history,
    make_limits,
    make_rule,
    usd,
)
from tests.unit.deciding import decided


def test_a_healthy_account_is_left_alone() -> None:
    """Above the threshold by the smallest bit is healthy."""
    assert decided("10.000001") == Leave(Reason.HEALTHY)


def test_an_account_that_falls_to_its_threshold_is_topped_up() -> None:
    """At the threshold counts as low: it is the number people watch for."""
    assert decided("10.00") == TopUp(usd("25.00"), make_card())


def test_a_credit_limit_counts_as_available() -> None:
    """A real-time paid account is judged by what it may still spend, like any other."""
    account = make_account(kind=Kind.REAL_TIME, available=usd("10"))

    decision = decide(account, make_rule(), make_history(), NOW, limits=make_limits())

    assert isinstance(decision, TopUp)


def test_an_account_in_another_currency_is_left_alone() -> None:
    """Its numbers cannot be compared with the rule's; a person must look."""
    account = make_account(available=Money(Decimal(1), "EUR"))

    found = decide(account, make_rule(), make_history(), NOW, limits=make_limits())

    assert found == Leave(Reason.OTHER_CURRENCY, "EUR")


@pytest.mark.parametrize("field", ["threshold", "top_up", "cap_month", "floor"])
def test_a_stored_rule_with_nan_stops_only_its_own_account(field: str) -> None:
    """A row spoilt by hand is left alone with its reason; deciding never fails."""
    found = decided("-100", rule=make_rule(**{field: Decimal("NaN")}))

    assert isinstance(found, Leave)
    assert found.reason is Reason.AMOUNT_NOT_ALLOWED
    assert found.detail.endswith("NaN is not an amount")


@pytest.mark.parametrize(
    ("changes", "reason", "detail"),
    [
        ({"open_attempt": True}, Reason.OPEN_ATTEMPT, ""),
        ({"paused": "fraud review"}, Reason.PAUSED, "fraud review"),
        ({"paused": ""}, Reason.PAUSED, ""),
        ({"consent": False}, Reason.NO_CONSENT, ""),
        ({"stopped": "wrong key"}, Reason.CHARGER_STOPPED, "wrong key"),
        ({"episode_declines": 8}, Reason.DECLINES_EPISODE, ""),
        ({"cards": ()}, Reason.NO_CARD, ""),
    ],
)
def test_what_does_not_end_by_itself_leaves_the_account_alone(
    changes: dict[str, Any], reason: Reason, detail: str
) -> None:
    """Each has its reason, and nothing is charged however low the account is."""
    assert decided(history=make_history(**changes)) == Leave(reason, detail)


def test_limits_are_reached_at_their_number_and_not_before() -> None:
    """Seven declines of eight and two charges of three leave one more of each."""
    for changes in ({"episode_declines": 7}, {"count_day": 2}):
        assert isinstance(decided(history=make_history(**changes)), TopUp)


def test_the_charges_of_a_day_are_counted() -> None:
    """The fourth charge waits for the account's midnight."""
    history = make_history(count_day=3)

    assert decided(history=history) == Wait(history.day_ends, Reason.COUNT_DAY)


def test_an_account_cools_down_after_a_charge() -> None:
    """Ten minutes after the last charge was claimed, to the second."""
    history = make_history(charged_at=NOW - 10 * MINUTE + timedelta(seconds=1))
    cooled = make_history(charged_at=NOW - 10 * MINUTE)

    assert decided(history=history) == Wait(NOW + timedelta(seconds=1), Reason.COOLDOWN)
    assert isinstance(decided(history=cooled), TopUp)


def test_the_wait_lasts_until_nothing_else_stands_against_a_charge() -> None:
    """Just before midnight the cooldown outlasts the day's count, and is named."""
    late = datetime(2026, 3, 18, 3, 59, tzinfo=UTC)
    history = make_history(count_day=3, charged_at=late)

    found = decided(history=history, now=late)

    assert found == Wait(late + 10 * MINUTE, Reason.COOLDOWN)


def test_an_account_paused_while_charging_shows_the_charge_first() -> None:
    """A charge in flight may still land; the pause speaks when it has ended."""
    history = make_history(open_attempt=True, paused="by hand")

    assert decided(history=history) == Leave(Reason.OPEN_ATTEMPT)
