"""Lower caps for what is new, and a person's eye on what is shared or unusual."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from replenish.domain.decision import CardHistory, Obstacle, Reason
from replenish.domain.money import Money
from replenish.domain.newcomer import caps, lowered, new_until
from replenish.domain.policy import CutOff, Leave, TopUp, Wait, decide, justified
from replenish.domain.rule import Limits, TopUpKind
from tests.factories import (
    DAY,
    MINUTE,
    NOW,
    make_account,
    make_card,
    make_card_history,
    make_history,
    make_limits,
    make_rule,
    usd,
)
from tests.unit.deciding import decided

RULE = make_rule(cap_day=Decimal(200), cap_month=Decimal(1000))
DAY_ENDS = make_history().day_ends
MONTH_ENDS = make_history().month_ends
YESTERDAY = make_history(enrolled_at=NOW - DAY)


@pytest.mark.parametrize(
    ("account", "card", "until"),
    [
        (None, None, None),
        (NOW, None, NOW + 7 * DAY),
        (None, NOW, NOW + 7 * DAY),
        (NOW - DAY, NOW - 300 * DAY, NOW + 6 * DAY),
        (NOW - 300 * DAY, NOW - 2 * DAY, NOW + 5 * DAY),
    ],
)
def test_the_newer_of_account_and_card_counts(
    account: Any,  # noqa: ANN401 a time, or None
    card: Any,  # noqa: ANN401
    until: Any,  # noqa: ANN401
) -> None:
    """Seven days each, from the enrolment and from the card's first day there."""
    history = make_history(enrolled_at=account, cards=(make_card_history(since=card),))

    assert new_until(history, make_card(), limits=make_limits()) == until


@pytest.mark.parametrize(
    ("days", "held"), [(0, True), (6.99, True), (7, False), (300, False)]
)
def test_the_lower_caps_end_to_the_second(days: float, *, held: bool) -> None:
    """100 of 200 a day, 500 of 1000 a month, and then all of it."""
    history = make_history(enrolled_at=NOW - timedelta(days=days))

    found = caps(RULE, history, make_card(), NOW, limits=make_limits())

    allowed = (Decimal(100), Decimal(500)) if held else (Decimal(200), Decimal(1000))
    assert (found.cap_day, found.cap_month) == allowed


@pytest.mark.parametrize(
    ("changes", "percent", "day", "month"),
    [
        ({}, 50, "100", "500"),
        ({}, 100, "200", "1000"),
        ({}, 1, "25", "25"),  # one top-up always fits
        ({"cap_month": Decimal(200)}, 50, "100", "100"),
        ({"cap_day": Decimal(25), "cap_month": Decimal(40)}, 50, "25", "25"),
        ({"cap_day": Decimal("99.99")}, 33, "32.9967", "330"),
        ({"kind": TopUpKind.TARGET, "top_up": Decimal(50)}, 1, "40", "40"),
        ({"cap_day": Decimal(20)}, 50, "20", "500"),  # a rule that passed no check
    ],
)
def test_the_lower_caps_never_raise_one_nor_forbid_a_top_up(
    changes: dict[str, Any], percent: int, day: str, month: str
) -> None:
    """A part of the caps, at least one top-up, never above the caps themselves."""
    rule = make_rule(**{"cap_day": Decimal(200), "cap_month": Decimal(1000), **changes})

    lower = lowered(rule, limits=make_limits(new_percent=percent))

    assert (lower.cap_day, lower.cap_month) == (Decimal(day), Decimal(month))


@pytest.mark.parametrize(
    ("spent", "until"),
    [
        ({"spent_day": Decimal(80)}, DAY_ENDS),
        ({"spent_month": Decimal(480)}, NOW + 6 * DAY),
    ],
)
@pytest.mark.security("S18")
def test_a_newcomer_waits_where_others_would_be_charged(
    spent: dict[str, Any],
    until: Any,  # noqa: ANN401
) -> None:
    """Until the day or month is over, or until it is no newcomer any more."""
    history = make_history(enrolled_at=NOW - DAY, **spent)

    found = decided(rule=RULE, history=history)

    assert found == Wait(until, Reason.CAP_NEW, "100.00 a day, 500.00 a month")
    of_years = make_history(**spent)
    assert isinstance(decided(rule=RULE, history=of_years), TopUp)


@pytest.mark.parametrize(
    ("spent", "until"),
    [
        ({"spent_day": Decimal(180)}, DAY_ENDS),
        ({"spent_day": Decimal(180), "spent_month": Decimal(480)}, NOW + 6 * DAY),
        ({"spent_month": Decimal(990)}, MONTH_ENDS),
    ],
)
def test_a_newcomer_at_the_caps_of_all_is_told_those(
    spent: dict[str, Any],
    until: Any,  # noqa: ANN401
) -> None:
    """With the first time at which it could be charged under either caps."""
    history = make_history(enrolled_at=NOW - DAY, **spent)

    found = decided(rule=RULE, history=history)

    assert isinstance(found, Wait)
    assert found.reason in (Reason.CAP_DAY, Reason.CAP_MONTH)
    assert found.until == until


def test_a_newcomer_that_no_rule_can_charge_is_told_so() -> None:
    """An impossible rule is not the newness's fault."""
    rule = make_rule(top_up=Decimal("25.005"))

    found = decided(rule=rule, history=YESTERDAY)

    assert found == Leave(Reason.AMOUNT_NOT_ALLOWED, "the rule allows no charge")


def test_a_newcomer_s_charge_is_clipped_to_its_caps() -> None:
    """Less than the gap, but no less than one top-up."""
    history = make_history(enrolled_at=NOW, spent_day=Decimal(40))

    found = decided("-100", rule=RULE, history=history)

    assert isinstance(found, TopUp)
    assert found.amount == usd("60")


def test_a_claim_of_more_than_a_newcomer_may_is_given_up() -> None:
    """Also when it was claimed in good faith, before the card was known to be new."""
    claimed = TopUp(usd("150"), make_card())
    account = make_account(available=usd("-130"))

    def again(**changes: Any) -> object:  # noqa: ANN401
        return justified(
            claimed,
            account,
            make_rule(cap_charge=Decimal(150), cap_day=Decimal(200)),
            make_history(**changes),
            NOW,
            limits=make_limits(),
        )

    assert again() is None
    obstacle = again(enrolled_at=NOW)
    assert obstacle is not None
    assert obstacle.reason is Reason.AMOUNT_NOT_ALLOWED  # type: ignore[attr-defined]


# ------------------------------------------------------------------- unusual


@pytest.mark.parametrize(
    ("history", "charged"),
    [
        ({}, "100"),  # it has no past yet
        ({"settled": 2, "largest": Decimal(1)}, "100"),
        ({"settled": 3, "largest": Decimal(25)}, "100"),  # 4 times 25
        ({"settled": 3, "largest": Decimal("24.99")}, "99.96"),
        ({"settled": 3, "largest": Decimal(5), "released": Decimal(99)}, "99"),
        ({"settled": 3, "largest": Decimal(5), "released": Decimal("50.019")}, "50.01"),
        ({"settled": 3, "largest": Decimal(5), "released": Decimal(100)}, "100"),
        ({"settled": 3, "largest": Decimal("6.25")}, "25"),  # one top-up
    ],
)
def test_no_charge_is_far_above_all_that_the_account_ever_paid(
    history: dict[str, Any], charged: str
) -> None:
    """Four times the largest of at least three, or what a person has released."""
    found = decided("-85", history=make_history(**history))

    assert isinstance(found, TopUp)
    assert found.amount == usd(charged)


@pytest.mark.parametrize(
    ("history", "detail"),
    [
        ({"largest": Decimal("6.24")}, "up to 24.96 is usual"),
        ({"largest": Decimal(1), "released": Decimal(24)}, "up to 24.00 is usual"),
    ],
)
def test_an_account_of_which_one_top_up_is_unusual_waits_for_a_person(
    history: dict[str, Any], detail: str
) -> None:
    """Its rule asks for far more than it ever paid."""
    found = decided("-85", history=make_history(settled=3, **history))

    assert found == CutOff(Reason.UNUSUAL_AMOUNT, detail)


def test_what_was_claimed_is_released_if_it_is_unusual_by_now() -> None:
    """Though a smaller charge would do."""
    found = decided("-85")
    assert isinstance(found, TopUp)
    history = make_history(settled=3, largest=Decimal(10))

    left = justified(
        found,
        make_account(available=usd("-85")),
        make_rule(),
        history,
        NOW,
        limits=make_limits(),
    )

    assert left == Obstacle(Reason.UNUSUAL_AMOUNT, detail="up to 40.00 is usual")


def test_what_was_claimed_stays_up_to_the_last_cent_that_is_usual() -> None:
    """Four times 25 is 100."""
    found = decided("-85")
    assert isinstance(found, TopUp)
    assert found.amount == usd("100")

    left = justified(
        found,
        make_account(available=usd("-85")),
        make_rule(),
        make_history(settled=3, largest=Decimal(25)),
        NOW,
        limits=make_limits(),
    )

    assert left is None


def test_what_is_usual_is_rounded_down_to_what_the_currency_has() -> None:
    """A yen has no parts."""
    rule = make_rule(currency="JPY", cap_charge=Decimal(100))
    history = make_history(settled=3, largest=Decimal("24.9"))

    found = decide(
        make_account(available=Money(Decimal(-85), "JPY")),
        rule,
        history,
        NOW,
        limits=make_limits(),
    )

    assert isinstance(found, TopUp)
    assert found.amount == Money(Decimal(99), "JPY")


# -------------------------------------------------------------------- shared


@pytest.mark.parametrize(
    ("seen", "held"),
    [
        ({"place": 5}, False),
        ({"place": 6}, True),
        ({"place": 6, "cleared": True}, False),
    ],
)
@pytest.mark.security("S18")
def test_the_sixth_account_with_a_number_waits_for_a_person(
    seen: dict[str, Any], *, held: bool
) -> None:
    """The five that had it first go on."""
    found = decided(history=make_history(cards=(make_card_history(**seen),)))

    if held:
        detail = "account 6 with it, 5 may use it"
        assert found == Leave(Reason.CARD_SHARED, detail)
    else:
        assert isinstance(found, TopUp)


def test_another_card_is_charged_where_one_is_held() -> None:
    """Only the shared number waits."""
    shared = make_card_history(place=9)
    own = CardHistory(make_card(id="2", priority=1))

    found = decided(history=make_history(cards=(shared, own)))

    assert isinstance(found, TopUp)
    assert found.card == own.card


@pytest.mark.parametrize(
    ("seen", "reason"),
    [
        ({"declines_24h": 9}, None),
        ({"in_flight": 9}, None),
        ({"in_flight": 10}, Reason.CARD_IN_FLIGHT),
        ({"declines_24h": 4, "in_flight": 6}, Reason.CARD_IN_FLIGHT),
        ({"declines_30d": 14, "in_flight": 1}, Reason.CARD_IN_FLIGHT),
        ({"declines_24h": 10, "in_flight": 1}, Reason.CARD_DECLINES_24H),
    ],
)
def test_what_is_in_flight_counts_as_a_decline_until_it_is_answered(
    seen: dict[str, Any], reason: Reason | None
) -> None:
    """10 a day and 15 in 30 days hold also when all answers are still to come."""
    found = decided(history=make_history(cards=(make_card_history(**seen),)))

    if reason is None:
        assert isinstance(found, TopUp)
    else:
        assert isinstance(found, Wait)
        assert found.reason is reason
        assert found.until >= NOW + MINUTE


def test_a_card_that_another_account_found_dead_is_dead() -> None:
    """A stolen card is not tried once on every account."""
    seen = make_card_history(dead_elsewhere="stolen_card")

    found = decided(history=make_history(cards=(seen,)))

    assert found == Leave(Reason.CARD_DEAD, "stolen_card, on another account")


def test_an_indian_card_is_left_alone_with_the_reason() -> None:
    """Wherever its country was learnt."""
    seen = make_card_history(card=make_card(country="IN"))

    found = decided(history=make_history(cards=(seen,)))

    assert found == Leave(Reason.CARD_COUNTRY, "IN")


def test_the_defaults_trip_no_small_operator() -> None:
    """With the default rule, a good customer meets none of them in their first week."""
    limits = Limits()
    rule = make_rule(cap_day=Decimal(200), cap_month=Decimal(1000), count_day=3)

    week = lowered(rule, limits=limits)
    assert week.cap_day >= rule.count_day * rule.top_up
    assert rule.cap_charge <= limits.unusual_times * rule.top_up
