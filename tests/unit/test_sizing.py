"""How much one charge takes."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest

from replenish.domain.money import Money
from replenish.domain.policy import (
    Reason,
    TopUp,
    Wait,
    decide,
)
from replenish.domain.rule import TopUpKind
from tests.factories import (
    NOW,
    make_account,
    make_card,
    make_history,
    make_limits,
    make_rule,
)
from tests.unit.deciding import decided

TARGET = {"kind": TopUpKind.TARGET, "top_up": Decimal(50)}


def _sized(available: str, given: Mapping[str, Any]) -> str:
    """Give the amount that is charged, or the reason why none is."""
    changes = dict(given)
    history = {
        name: changes.pop(name)
        for name in ("spent_day", "spent_month")
        if name in changes
    }
    decision = decided(
        available, rule=make_rule(**changes), history=make_history(**history)
    )
    if isinstance(decision, TopUp):
        return str(decision.amount.amount)
    return decision.reason.value


@pytest.mark.parametrize(
    ("available", "amount"),
    [
        ("10", "25.00"),
        ("-14.99", "25.00"),
        ("-15", "50.00"),  # 25 would land at the threshold, not above it
        ("-60", "75.00"),
        ("-64.999999", "75.00"),
        ("-65", "100.00"),
    ],
)
def test_a_fixed_top_up_closes_the_whole_gap_at_once(
    available: str, amount: str
) -> None:
    """The first multiple that lands above the threshold, in one charge."""
    assert _sized(available, {}) == amount


@pytest.mark.parametrize(
    ("available", "amount"),
    [
        ("10", "40.00"),
        ("5.00", "45.00"),
        ("9.99999", "40.01"),
        ("-30", "80.00"),
        ("-49.999999", "100.00"),
        ("-400", "100.00"),
    ],
)
def test_a_target_is_reached_exactly_but_for_a_cent(
    available: str, amount: str
) -> None:
    """The gap is rounded up to whole cents, and clipped at the cap per charge."""
    assert _sized(available, TARGET) == amount


def test_currencies_without_cents_are_charged_in_whole_units() -> None:
    """A gap of 4 000.5 yen is charged as 4 001."""
    rule = make_rule(
        currency="JPY",
        kind=TopUpKind.TARGET,
        threshold=Decimal(1000),
        top_up=Decimal(5000),
        cap_charge=Decimal("10000.9"),
        cap_day=Decimal(20000),
        cap_month=Decimal(90000),
    )
    for available, amount in (("999.5", 4001), ("-99999", 10000)):
        account = make_account(available=Money(Decimal(available), "JPY"))

        found = decide(account, rule, make_history(), NOW, limits=make_limits())

        assert found == TopUp(Money(Decimal(amount), "JPY"), make_card())


@pytest.mark.parametrize(
    ("changes", "result"),
    [
        ({"cap_charge": Decimal("60.005")}, "60.00"),
        ({"spent_day": Decimal(40)}, "60.00"),
        ({"spent_day": Decimal(75)}, "25.00"),
        ({"spent_day": Decimal("75.01")}, "cap_day"),
        ({"spent_day": Decimal(100)}, "cap_day"),
        ({"spent_day": Decimal(900)}, "cap_day"),
        ({"spent_month": Decimal("449.99")}, "50.01"),
        ({"spent_month": Decimal(475)}, "25.00"),
        ({"spent_month": Decimal("475.01")}, "cap_month"),
        ({**TARGET, "spent_day": Decimal(60)}, "40.00"),
        ({**TARGET, "spent_day": Decimal("60.01")}, "cap_day"),
        ({**TARGET, "cap_charge": Decimal(30)}, "30.00"),
        ({**TARGET, "cap_charge": Decimal(30), "spent_day": Decimal(71)}, "cap_day"),
        ({"cap_charge": Decimal("0.009")}, "amount_not_allowed"),
        ({"top_up": Decimal(0)}, "amount_not_allowed"),
        ({"top_up": Decimal(-25)}, "amount_not_allowed"),
        ({"top_up": Decimal("25.005")}, "amount_not_allowed"),
        ({**TARGET, "threshold": Decimal(50)}, "amount_not_allowed"),
    ],
)
def test_the_caps_clip_a_charge_but_never_below_one_top_up(
    changes: dict[str, Any], result: str
) -> None:
    """A gap of 100 is clipped to what is left; less than one top-up waits instead."""
    assert _sized("-90", {"floor": Decimal(-100), **changes}) == result


def test_a_full_cap_waits_for_the_end_of_its_own_period() -> None:
    """The day's for the day, the month's for the month; the later when both are."""
    history = make_history(spent_day=Decimal(90), spent_month=Decimal(90))
    both = make_history(spent_day=Decimal(90), spent_month=Decimal(490))

    assert decided(history=history) == Wait(history.day_ends, Reason.CAP_DAY)
    assert decided(history=both) == Wait(both.month_ends, Reason.CAP_MONTH)


def test_the_last_of_a_month_is_not_mistaken_for_the_last_of_a_day() -> None:
    """With 5 left today and 20 left this month, tomorrow would not help."""
    history = make_history(spent_day=Decimal(95), spent_month=Decimal(480))

    assert decided(history=history) == Wait(history.month_ends, Reason.CAP_MONTH)
