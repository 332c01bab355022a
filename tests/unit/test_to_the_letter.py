"""Edges and tables of the rules, to the letter: what a small slip would change.

Each test here was written because a changed line went unnoticed (`tests.mutation`), or
because mutation testing does not change tables, which are data.
"""

import logging
import re
from collections import defaultdict
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from replenish.adapters.stripe_declines import DECLINES, Signs, meaning
from replenish.domain.attempt import TRANSITIONS
from replenish.domain.breaker import Tolerance
from replenish.domain.decision import Leave, Obstacle, Reason, TopUp, Wait
from replenish.domain.money import Money, parse
from replenish.domain.newcomer import sized
from replenish.domain.outcome import DeclineClass
from replenish.domain.policy import decide, justified
from replenish.domain.rule import LONGEST_COOLDOWN, Limits, TopUpKind
from replenish.domain.sizing import size
from replenish.domain.trail import Lost, Trail, judge
from replenish.errors import BadInput
from replenish.verify.invariants import INVARIANTS
from tests.factories import (
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

# https://docs.stripe.com/declines/codes, by what its column "Next steps" says
ANOTHER_CARD = """
card_not_supported currency_not_supported do_not_try_again expired_card
incorrect_address incorrect_cvc incorrect_number incorrect_pin incorrect_zip
invalid_account invalid_amount invalid_cvc invalid_expiry_month invalid_expiry_year
invalid_number invalid_pin new_account_information_available not_permitted
offline_pin_required online_or_offline_pin_required pin_try_exceeded restricted_card
revocation_of_all_authorizations revocation_of_authorization security_violation
service_not_allowed stop_payment_order testmode_decline transaction_not_allowed
"""
NOT_FOR_THE_CUSTOMER = "fraudulent lost_card merchant_blacklist pickup_card stolen_card"
THE_CUSTOMER_MUST_ACT = """
authentication_not_handled authentication_required
mobile_device_authentication_required
"""
AT_ONCE = "approve_with_id issuer_not_available processing_error reenter_transaction"
LATER = """
call_issuer card_velocity_exceeded do_not_honor duplicate_transaction generic_decline
insufficient_funds no_action_taken try_again_later withdrawal_count_limit_exceeded
"""
PUBLISHED = {
    **dict.fromkeys(ANOTHER_CARD.split(), DeclineClass.HARD),
    **dict.fromkeys(NOT_FOR_THE_CUSTOMER.split(), DeclineClass.FRAUD),
    **dict.fromkeys(THE_CUSTOMER_MUST_ACT.split(), DeclineClass.AUTHENTICATION),
    **dict.fromkeys(AT_ONCE.split(), DeclineClass.TRANSIENT),
    **dict.fromkeys(LATER.split(), DeclineClass.SOFT),
}


def test_the_steps_of_an_attempt_are_those_that_the_checker_knows() -> None:
    """Two tables written apart, in the domain and in invariant I11, are the same."""
    (i11,) = [each for each in INVARIANTS if each.name == "I11"]
    steps = defaultdict(set)
    for before, after in re.findall(r"\('(\w+)', '(\w+)'\)", i11.broken_by):
        steps[before].add(after)

    assert {state.value: set(after) for state, after in TRANSITIONS.items()} == {
        state.value: steps[state.value] for state in TRANSITIONS
    }


def test_published_declines_mean_what_stripe_says() -> None:
    """Every code of Stripe's page, by the class that its text asks for."""
    assert {code: DECLINES[code] for code in PUBLISHED} == PUBLISHED


def test_an_unknown_code_is_logged_with_what_to_do(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The sentence names the file."""
    with caplog.at_level(logging.WARNING):
        meaning(Signs("brand_new_code"))

    (said,) = caplog.messages
    assert said == (
        "Stripe's decline code 'brand_new_code' is unclassified and treated as soft;"
        " add it to replenish/adapters/stripe_declines.py."
    )


def test_a_cooldown_of_just_the_longest_is_allowed() -> None:
    """A year and a day is no slip yet."""
    make_rule(cooldown=LONGEST_COOLDOWN).check()

    with pytest.raises(BadInput, match="longer than a year"):
        make_rule(cooldown=LONGEST_COOLDOWN + timedelta(seconds=1)).check()


def test_a_cap_below_the_currency_s_own_step_allows_no_charge() -> None:
    """Half a yen is none."""
    rule = make_rule(
        currency="JPY",
        kind=TopUpKind.TARGET,
        cap_charge=Decimal("0.5"),
        time_zone="Asia/Tokyo",
    )

    with pytest.raises(BadInput, match=r"cap per charge 0\.5 allows no charge"):
        rule.check()


def test_no_amount_is_below_itself() -> None:
    """Less is less, and not as much."""
    assert not usd("5") < usd("5")
    assert usd("5") <= usd("5")


def test_mixed_currencies_are_refused_by_the_other_one_s_name() -> None:
    """The error's subject is what did not fit."""
    with pytest.raises(BadInput) as refused:
        assert usd("5") + Money(Decimal(5), "EUR")

    assert refused.value.subject == "EUR"


def test_a_bad_amount_is_shown_up_to_forty_characters() -> None:
    """So that the sentence can still be read."""
    with pytest.raises(BadInput) as refused:
        parse("x" * 50, what="The top-up")

    assert str(refused.value) == (
        f"The top-up is '{'x' * 40}', which is not an amount; give a number like"
        " 25.00, of at most 12 digits."
    )


def test_a_rule_that_allows_nothing_says_so() -> None:
    """It stands in the reason that operators read."""
    rule = replace(make_rule(), cap_charge=Decimal("0.001"))

    assert size(make_account(), rule, make_history()) == Obstacle(
        Reason.AMOUNT_NOT_ALLOWED, detail="the rule allows no charge"
    )


def test_a_loss_at_the_edge_of_what_calls_explain_is_a_lost_credit() -> None:
    """Off by just the slack still fits."""
    trail = Trail(
        credited=Decimal(20),
        after=Decimal(30),
        moved=Decimal(0),
        around=Decimal(3),
        available=Decimal("13.02"),
    )

    assert judge(trail) == Lost(Decimal("16.98"))


BELOW = "A limit of declines is below 1, so no card could ever be charged."
WAITS = (
    "The waits after a decline are missing or negative; give at least one, such as 1 h."
)
CHARGES = "A limit of charges is below 1, so nothing could ever be charged."
NEW = "What is new has no negative time, and from 1 to 100 % of its caps."
UNUSUAL = "An unusual charge is at least 1 time the largest so far."


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"declines_per_episode": 0}, BELOW),
        ({"card_declines_24h": 0}, BELOW),
        ({"card_declines_30d": 0}, BELOW),
        ({"soft_waits": ()}, WAITS),
        ({"transient_wait": timedelta(-1)}, WAITS),
        ({"charges_per_minute": 0}, CHARGES),
        ({"card_accounts": 0}, CHARGES),
        ({"unusual_after": 0}, CHARGES),
        ({"new_for": timedelta(-1)}, NEW),
        ({"new_percent": 0}, NEW),
        ({"new_percent": 101}, NEW),
        ({"unusual_times": Decimal("0.99")}, UNUSUAL),
    ],
)
def test_limits_are_refused_in_a_sentence(
    changes: dict[str, Any], sentence: str
) -> None:
    """Each says what cannot be meant, of the same subject."""
    with pytest.raises(BadInput) as refused:
        Limits(**changes)

    assert (str(refused.value), refused.value.subject) == (sentence, "limits")


@pytest.mark.parametrize(
    "changes",
    [
        {"declines_per_episode": 1, "card_declines_24h": 1, "card_declines_30d": 1},
        {"soft_waits": (timedelta(0),), "transient_wait": timedelta(0)},
        {"charges_per_minute": 1, "card_accounts": 1, "unusual_after": 1},
        {"new_for": timedelta(0), "new_percent": 1},
        {"new_percent": 100, "unusual_times": 1},
    ],
)
def test_limits_may_be_as_small_as_they_can_be_meant(changes: dict[str, Any]) -> None:
    """One is a limit, and no wait is a wait."""
    Limits(**changes)


def test_of_two_waits_that_end_together_the_first_is_told() -> None:
    """What the bank asked for stands before what our own limits ask."""
    until = NOW + timedelta(hours=1)
    seen = make_card_history(card=make_card(retry_at=until), declines_24h=10)

    found = decided(history=make_history(cards=(seen,)))

    assert found == Wait(until, Reason.WAITING_RETRY)


def test_a_charge_of_all_the_room_there_is_stands() -> None:
    """As much as the caps allow is allowed."""
    top_up = TopUp(usd("25.00"), make_card())
    rule = make_rule(cap_charge=Decimal(25))
    found = justified(
        top_up, make_account(), rule, make_history(), NOW, limits=make_limits()
    )

    assert found is None


SHARE = "The share of declines that stops charging is 1 to 100 percent."
LEAST = "A breaker needs at least one decline or failure to trip."
WINDOW = "Declines are counted over a time above zero."


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"decline_percent": 0}, SHARE),
        ({"decline_percent": 101}, SHARE),
        ({"decline_count": 0}, LEAST),
        ({"gateway_failures": 0}, LEAST),
        ({"decline_window": timedelta(0)}, WINDOW),
    ],
)
def test_tolerances_are_refused_in_a_sentence(
    changes: dict[str, Any], sentence: str
) -> None:
    """Each says what cannot be meant, of the same subject."""
    with pytest.raises(BadInput) as refused:
        Tolerance(**changes)

    assert (str(refused.value), refused.value.subject) == (sentence, "breakers")


@pytest.mark.parametrize(
    "changes",
    [
        {"decline_percent": 1, "decline_count": 1, "gateway_failures": 1},
        {"decline_percent": 100, "decline_window": timedelta(microseconds=1)},
    ],
)
def test_tolerances_may_be_as_small_as_they_can_be_meant(
    changes: dict[str, Any],
) -> None:
    """One is a count, and all of it a share."""
    Tolerance(**changes)


def test_what_is_new_has_its_whole_caps_from_the_moment_it_is_not() -> None:
    """Just then the larger charge fits that the lower cap would have clipped."""
    limits = make_limits()
    rule = make_rule(cap_charge=Decimal(200), cap_day=Decimal(200))
    history = make_history(enrolled_at=NOW - limits.new_for)
    account = make_account(available=usd("-90"))

    found = sized(account, rule, history, make_card(), NOW, limits=limits)

    assert found == Decimal(125)


def test_others_charges_of_this_minute_cut_nobody_off() -> None:
    """However few a minute are allowed, the exhausted has its grace."""
    found = decide(
        make_account(available=usd("0")),
        make_rule(),
        make_history(charges_minute=5),
        NOW,
        limits=make_limits(charges_per_minute=1),
    )

    assert isinstance(found, Wait)


@pytest.mark.parametrize(
    ("quarantined", "reason"),
    [(True, Reason.QUARANTINED), (False, Reason.PAUSED)],
)
def test_a_quarantine_is_told_from_a_pause(
    reason: Reason, *, quarantined: bool
) -> None:
    """Workers were lost over the one; a person asked for the other."""
    history = make_history(paused="a reason", quarantined=quarantined)

    assert decided(history=history) == Leave(reason, "a reason")
