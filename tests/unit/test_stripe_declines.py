"""Declines: every code of Stripe's has a class, and advice is heeded."""

import logging

import pytest

from replenish.adapters.stripe_declines import (
    BLOCKS,
    DECLINES,
    LATER_ADVICE,
    LATER_NETWORK,
    NEVER_ADVICE,
    NEVER_NETWORK,
    Meaning,
    Signs,
    meaning,
)
from replenish.domain.account import DEAD_FOR_ALL
from replenish.domain.enrolment import REVIVED_BY_ATTACHING
from replenish.domain.outcome import (
    GONE,
    REQUIRES_ACTION,
    WANTS_CUSTOMER,
    DeclineClass,
)
from replenish.sandbox import declines as sandbox
from tests.unit.stripe_codes import (
    NOT_DECLINES,
    PUBLISHED,
    sdk_advice_codes,
    sdk_error_codes,
)

HARD, SOFT = DeclineClass.HARD, DeclineClass.SOFT
TRANSIENT, FRAUD = DeclineClass.TRANSIENT, DeclineClass.FRAUD
AUTHENTICATION = DeclineClass.AUTHENTICATION


def test_every_code_of_the_sdk_is_classified() -> None:
    """A new release of the SDK with a new code asks for a decision."""
    assert set() == sdk_error_codes() - DECLINES.keys() - NOT_DECLINES


def test_no_code_is_both_a_decline_and_none() -> None:
    """What is listed as no decline is not classed as one, and still exists."""
    assert set() == NOT_DECLINES & DECLINES.keys()
    assert sdk_error_codes() >= NOT_DECLINES


def test_every_published_decline_code_is_classified() -> None:
    """Stripe's own list of decline codes is complete in ours."""
    assert set() == PUBLISHED - DECLINES.keys()


def test_every_decline_of_the_sandbox_is_classified() -> None:
    """What the sandbox can answer is never a surprise."""
    codes = {d.decline_code or d.code for d in sandbox.DECLINES.values()}

    assert set() == codes - DECLINES.keys()


def test_every_advice_code_of_the_sdk_is_heeded() -> None:
    """Stripe's advice is either never or later."""
    assert sdk_advice_codes() == NEVER_ADVICE | LATER_ADVICE


def test_a_customer_mends_what_asks_for_them_and_what_is_gone() -> None:
    """Every code that the adapter gives for these is one that saving again revives."""
    asks = {code for code, kind in DECLINES.items() if kind is AUTHENTICATION}

    assert asks == WANTS_CUSTOMER
    assert asks | GONE | {REQUIRES_ACTION} == REVIVED_BY_ATTACHING


def test_nobody_mends_what_the_bank_says_of_the_card_itself() -> None:
    """Lost, stolen and the like stay so, on this account and on all others."""
    known = [*DECLINES.items(), *BLOCKS.items()]
    fraud = {code for code, kind in known if kind is FRAUD}

    assert set() == REVIVED_BY_ATTACHING & (fraud | DEAD_FOR_ALL)


def test_a_network_code_says_one_thing() -> None:
    """No Mastercard code both forbids and postpones."""
    assert not NEVER_NETWORK & LATER_NETWORK.keys()


@pytest.mark.parametrize(
    ("signs", "kind"),
    [
        (Signs("insufficient_funds"), SOFT),
        (Signs("insufficient_funds", "do_not_try_again"), HARD),
        (Signs("do_not_honor", "confirm_card_data"), HARD),
        (Signs("generic_decline", "try_again_later"), SOFT),
        (Signs("processing_error"), TRANSIENT),
        (Signs("processing_error", "try_again_later"), TRANSIENT),
        (Signs("restricted_card"), HARD),
        (Signs("restricted_card", "try_again_later"), SOFT),
        (Signs("restricted_card", "", "24"), SOFT),
        (Signs("insufficient_funds", "", "03"), HARD),
        (Signs("insufficient_funds", "try_again_later", "21"), HARD),
        (Signs("insufficient_funds", "do_not_try_again", "24"), HARD),
        (Signs("lost_card", "try_again_later"), FRAUD),
        (Signs("fraudulent", "do_not_try_again"), FRAUD),
        (Signs("authentication_required", "do_not_try_again"), AUTHENTICATION),
        (Signs("generic_decline", "", "43"), SOFT),
    ],
)
def test_advice_comes_before_the_code(signs: Signs, kind: DeclineClass) -> None:
    """Never beats later, advice beats the code, fraud and the customer beat both."""
    assert Meaning(kind, signs.code) == Meaning(
        meaning(signs).kind, meaning(signs).code
    )


@pytest.mark.parametrize(("network", "hours"), sorted(LATER_NETWORK.items()))
def test_mastercards_waits_are_kept(network: str, hours: int) -> None:
    """A wait that the scheme asks for reaches the policy in hours."""
    assert hours == meaning(Signs("do_not_honor", "", network)).wait_hours


def test_stripes_own_limit_asks_for_a_day() -> None:
    """A card declined too often rests for the day that Stripe names."""
    found = meaning(Signs("card_decline_rate_limit_exceeded"))

    assert Meaning(SOFT, "card_decline_rate_limit_exceeded", 24) == found


def test_the_longest_wait_counts() -> None:
    """Of two waits the longer is kept."""
    found = meaning(Signs("card_decline_rate_limit_exceeded", "", "30"))

    assert found.wait_hours == 240


@pytest.mark.parametrize(("reason", "kind"), sorted(BLOCKS.items()))
def test_a_block_by_stripe_shows_its_reason(reason: str, kind: DeclineClass) -> None:
    """What hides behind a generic decline is told by the charge's outcome."""
    found = meaning(Signs("generic_decline", "try_again_later", "", reason))

    assert Meaning(kind, reason) == found


def test_an_unknown_code_is_soft_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    """A code that nobody has classed is tried again later, and logged."""
    with caplog.at_level(logging.WARNING):
        found = meaning(Signs("brand_new_code"))

    assert Meaning(SOFT, "brand_new_code") == found
    assert "brand_new_code" in caplog.text
