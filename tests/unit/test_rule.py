"""A rule that could never work is refused in one sentence."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from replenish.domain.breaker import Tolerance
from replenish.domain.rule import Limits, TopUpKind
from replenish.errors import BadInput
from tests.factories import make_rule

TARGET = {"kind": TopUpKind.TARGET, "top_up": Decimal(50)}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        TARGET,
        {**TARGET, "cap_charge": Decimal(30), "cap_day": Decimal(30)},
        {**TARGET, "cap_charge": Decimal(45), "cap_day": Decimal(42)},
        {"floor": Decimal(10)},
        {"floor": Decimal(-20)},
        {"threshold": Decimal(0)},
        {"grace": Decimal(0), "cooldown": timedelta(0), "count_day": 1},
        {"cap_charge": Decimal(25), "cap_day": Decimal(25), "cap_month": Decimal(25)},
        {"currency": "JPY", "top_up": Decimal(2500), "cap_charge": Decimal(2500)}
        | {"cap_day": Decimal(2500), "cap_month": Decimal(2500)},
        {"time_zone": "Asia/Kathmandu"},
    ],
)
def test_a_rule_that_can_work_passes(changes: dict[str, Any]) -> None:
    """The limits of what is allowed are inside of it."""
    make_rule(**changes).check()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"currency": "usd"}, "'usd' is no currency"),
        ({"threshold": Decimal(-1)}, "the threshold -1 is negative"),
        ({"top_up": Decimal(0)}, "the top-up 0 is not above zero"),
        ({"top_up": Decimal(-25)}, "the top-up -25 is not above zero"),
        (
            {"top_up": Decimal("25.005")},
            "the top-up 25.005 is no multiple of 0.01 USD",
        ),
        (
            {"currency": "JPY", "top_up": Decimal("25.50")},
            "the top-up 25.50 is no multiple of 1.00 JPY",
        ),
        ({"grace": Decimal(-1)}, "the grace -1 is negative"),
        ({"count_day": 0}, "the count per day 0 allows none"),
        ({"cooldown": timedelta(-1)}, "is negative or longer than a year"),
        ({"cooldown": timedelta(367)}, "is negative or longer than a year"),
        ({"time_zone": "Mars/Olympus"}, "'Mars/Olympus' is no time zone"),
        ({"time_zone": "../etc/passwd"}, "is no time zone"),
        ({"time_zone": ""}, "'' is no time zone"),
        ({"time_zone": "America"}, "'America' is no time zone"),
        (
            {"kind": TopUpKind.TARGET, "top_up": Decimal(10)},
            "the target 10 is not above the threshold 10",
        ),
        (
            {"cap_charge": Decimal(20)},
            "the cap per charge 20 is below the top-up 25",
        ),
        ({**TARGET, "cap_charge": Decimal("0.001")}, "0.001 allows no charge"),
        (
            {"cap_day": Decimal(24)},
            "the cap per day 24 is below one top-up of 25",
        ),
        (
            {**TARGET, "cap_charge": Decimal(45), "cap_day": Decimal(39)},
            "the cap per day 39 is below one top-up of 40",
        ),
        (
            {**TARGET, "cap_charge": Decimal(30), "cap_day": Decimal(29)},
            "the cap per day 29 is below one top-up of 30",
        ),
        (
            {"cap_month": Decimal(99)},
            "the cap per month 99 is below the cap per day 100",
        ),
        ({"floor": Decimal(11)}, "the floor 11 is above the threshold 10"),
    ],
)
def test_a_rule_that_cannot_work_says_why(changes: dict[str, Any], words: str) -> None:
    """The sentence names the value, what it is, and what it clashes with."""
    with pytest.raises(BadInput) as refused:
        make_rule(**changes).check()

    assert str(refused.value).startswith("The rule cannot work: ")
    assert words in str(refused.value)
    assert str(refused.value).endswith(".")
    assert refused.value.subject == "rule"


@pytest.mark.parametrize(
    ("field", "name"),
    [
        ("threshold", "threshold"),
        ("top_up", "top-up"),
        ("cap_charge", "cap per charge"),
        ("cap_day", "cap per day"),
        ("cap_month", "cap per month"),
        ("floor", "floor"),
        ("grace", "grace"),
    ],
)
@pytest.mark.parametrize("value", ["NaN", "sNaN", "Infinity", "-1E+12", "1E-13"])
def test_what_is_no_amount_is_named_and_nothing_else_is_said(
    field: str, name: str, value: str
) -> None:
    """A NaN is reported as itself, not as whatever it fails to compare with."""
    with pytest.raises(BadInput) as refused:
        make_rule(**{field: Decimal(value)}).check()

    words = f"The rule cannot work: the {name} {value} is not an amount."
    assert str(refused.value) == words


def test_all_that_is_wrong_is_said_at_once() -> None:
    """Nobody has to correct a rule five times to learn of five faults."""
    rule = make_rule(threshold=Decimal(-1), count_day=0, cap_month=Decimal(1))

    with pytest.raises(BadInput, match=r"allows none; .*negative; .*per month"):
        rule.check()


def test_the_hard_floor_is_the_grace_below_the_floor() -> None:
    """With a floor of 0 and a grace of 5, the last stop is -5."""
    assert make_rule(floor=Decimal(0), grace=Decimal(5)).hard_floor == Decimal(-5)


@pytest.mark.parametrize(
    ("changes", "least"),
    [
        ({}, "25"),
        ({"cap_charge": Decimal("20.009")}, "20"),
        ({"top_up": Decimal("25.005")}, "0"),
        (TARGET, "40"),
        ({**TARGET, "threshold": Decimal("9.995")}, "40.01"),
        ({**TARGET, "cap_charge": Decimal(30)}, "30"),
        ({**TARGET, "threshold": Decimal(60)}, "-10"),
    ],
)
def test_the_least_charge_is_one_top_up_within_the_cap(
    changes: dict[str, Any], least: str
) -> None:
    """It is what must still fit into the caps of the day and the month."""
    assert make_rule(**changes).least_charge == Decimal(least)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"declines_per_episode": 0}, "no card could ever be charged"),
        ({"card_declines_24h": 0}, "no card could ever be charged"),
        ({"card_declines_30d": -1}, "no card could ever be charged"),
        ({"soft_waits": ()}, "missing or negative"),
        ({"soft_waits": (timedelta(hours=1), timedelta(-1))}, "missing or negative"),
        ({"transient_wait": timedelta(-1)}, "missing or negative"),
        ({"charges_per_minute": 0}, "nothing could ever be charged"),
        ({"card_accounts": 0}, "nothing could ever be charged"),
        ({"unusual_after": 0}, "nothing could ever be charged"),
        ({"new_for": timedelta(-1)}, "no negative time"),
        ({"new_percent": 0}, "1 to 100 %"),
        ({"new_percent": 101}, "1 to 100 %"),
        ({"unusual_times": 0}, "at least 1 time"),
    ],
)
def test_limits_that_make_no_sense_are_refused(
    changes: dict[str, Any], words: str
) -> None:
    """An installation does not start with limits that could not be meant."""
    with pytest.raises(BadInput, match=words):
        Limits(**changes)


def test_limits_are_within_the_rules_of_the_card_schemes() -> None:
    """Stripe advises 8 retries, Mastercard 10 a day, Visa 15 in 30 days at the least.

    https://docs.stripe.com/declines/card#retrying
    """
    limits = Limits()

    assert limits.declines_per_episode <= 8
    assert limits.card_declines_24h <= 10
    assert limits.card_declines_30d <= 15
    assert list(limits.soft_waits) == sorted(limits.soft_waits)
    assert limits.transient_wait < limits.soft_waits[0]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"decline_percent": 0}, "1 to 100 percent"),
        ({"decline_percent": 101}, "1 to 100 percent"),
        ({"decline_count": 0}, "at least one decline"),
        ({"gateway_failures": 0}, "at least one decline or failure"),
        ({"decline_window": timedelta(0)}, "above zero"),
    ],
)
def test_breakers_that_make_no_sense_are_refused(
    changes: dict[str, Any], words: str
) -> None:
    """They would trip for nothing, or never."""
    with pytest.raises(BadInput, match=words):
        Tolerance(**changes)
