"""The terms of an account: its own values, its consent and its card."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from replenish.domain.enrolment import Consent, Overrides, check_card, check_ref
from replenish.domain.rule import TopUpKind
from replenish.errors import BadInput
from tests.factories import NOW, make_card, make_rule

CONSENT = Consent(NOW, "terms v3", "https://example.com")


def test_own_values_lie_over_the_defaults() -> None:
    """What an account does not say is the installation's."""
    rule = Overrides(threshold=Decimal(5)).over(make_rule(), currency="USD")

    assert rule == make_rule(threshold=Decimal(5))


def test_a_fixed_amount_of_its_own_beats_a_default_target() -> None:
    """A size without its kind is an amount, never read as somebody's target."""
    defaults = make_rule(kind=TopUpKind.TARGET, top_up=Decimal(50))

    rule = Overrides(top_up=Decimal(25)).over(defaults, currency="USD")

    assert (rule.kind, rule.top_up) == (TopUpKind.FIXED, Decimal(25))


def test_size_and_kind_return_to_the_defaults_together() -> None:
    """Half of the pair would make a target of an amount."""
    own = Overrides(top_up=Decimal(50), kind=TopUpKind.TARGET, floor=Decimal(1))

    assert own.changed(Overrides(), to_default=["top_up"]) == Overrides(
        floor=Decimal(1)
    )


def test_an_amount_that_the_ledger_would_round_is_refused() -> None:
    """Seven places do not fit; nothing is rounded behind anybody's back."""
    with pytest.raises(BadInput, match="more than 6 places"):
        Overrides(threshold=Decimal("1.0000001")).check()


def test_defaults_in_dollars_are_never_read_as_yen() -> None:
    """An account in another currency must bring its own amounts, each named."""
    with pytest.raises(BadInput, match=r"defaults are in USD.*threshold.*cap-month"):
        Overrides(top_up=Decimal(2500)).check_defaults(make_rule(), currency="JPY")


def test_zero_is_zero_in_every_currency() -> None:
    """A default floor of 0 need not be repeated."""
    own = Overrides(
        threshold=Decimal(500),
        top_up=Decimal(2500),
        cap_charge=Decimal(5000),
        cap_day=Decimal(5000),
        cap_month=Decimal(5000),
        grace=Decimal(0),
    )

    own.check_defaults(make_rule(floor=Decimal(0)), currency="JPY")


@pytest.mark.parametrize(
    "consent",
    [
        replace(CONSENT, at=NOW.replace(tzinfo=None)),
        replace(CONSENT, at=NOW + timedelta(seconds=1)),
        replace(CONSENT, text=" "),
        replace(CONSENT, source=""),
    ],
)
def test_a_consent_that_proves_nothing_is_refused(consent: Consent) -> None:
    """When, what and where, and not in the future."""
    with pytest.raises(BadInput, match="consent"):
        consent.check(NOW)


def test_a_whole_consent_is_taken() -> None:
    """All three, now or earlier."""
    CONSENT.check(NOW)


def test_an_expired_card_is_refused() -> None:
    """A card is good to the end of its month."""
    check_card(make_card(exp_month=3, exp_year=2026), NOW)
    with pytest.raises(BadInput, match=r"expired in 02/2026"):
        check_card(make_card(exp_month=2, exp_year=2026), NOW)


def test_an_indian_card_is_refused() -> None:
    """Its issuer would hold every charge for a mandate that we cannot have."""
    with pytest.raises(BadInput, match="e-mandate"):
        check_card(make_card(country="IN"), NOW)


@pytest.mark.parametrize("ref", ["", "a b", "a\n", "x" * 65, "\x00"])
def test_a_ref_that_no_package_has_is_refused(ref: str) -> None:
    """It would only make trouble in logs and messages."""
    with pytest.raises(BadInput, match="is no account"):
        check_ref(ref)
