"""Amounts: exact minor units in every currency, and Stripe's limits."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replenish.adapters.stripe_amounts import (
    CURRENCIES,
    DIGITS,
    NO_DECIMALS,
    SMALLEST,
    THREE_DECIMALS,
    TWO_ALWAYS_ZERO,
    TWO_DECIMALS,
    check_amount,
    from_minor,
    scale,
    to_minor,
)
from replenish.domain.money import WHOLE_UNITS, Money, step
from replenish.errors import BadInput


@pytest.mark.parametrize(
    ("amount", "currency", "minor"),
    [
        ("25", "USD", 2500),
        ("0.50", "USD", 50),
        ("25.010", "USD", 2501),
        ("500", "JPY", 500),
        ("5", "UGX", 500),
        ("50", "ISK", 5000),
        ("1.23", "KWD", 1230),
        ("999999.99", "EUR", 99999999),
        ("1000000", "IDR", 100000000),
        ("100.25", "HUF", 10025),
    ],
)
def test_minor_units_are_what_stripe_wants(
    amount: str, currency: str, minor: int
) -> None:
    """Each kind of currency is sent in its own way."""
    assert minor == to_minor(Money(Decimal(amount), currency))


@pytest.mark.parametrize(
    ("amount", "currency"),
    [
        ("25.001", "USD"),
        ("0.5", "JPY"),
        ("5.5", "UGX"),
        ("1.50", "ISK"),
        ("1.234", "KWD"),
        ("0", "USD"),
        ("-25", "USD"),
        ("25", "XYZ"),
    ],
)
def test_nothing_is_rounded(amount: str, currency: str) -> None:
    """An amount that a card cannot be charged exactly is refused."""
    with pytest.raises(BadInput):
        to_minor(Money(Decimal(amount), currency))


@given(
    currency=st.sampled_from(sorted(CURRENCIES)),
    steps=st.integers(min_value=1, max_value=10**8),
)
def test_minor_units_go_there_and_back(currency: str, steps: int) -> None:
    """No amount changes on its way through minor units."""
    money = Money(steps * step(currency), currency)

    assert money == from_minor(to_minor(money), currency.lower())


@given(
    currency=st.sampled_from(sorted(CURRENCIES)),
    amount=st.decimals(min_value=0, max_value=10**6, places=6),
)
def test_every_amount_is_exact_or_refused(currency: str, amount: Decimal) -> None:
    """Whatever is sent is worth exactly what was asked for."""
    try:
        minor = to_minor(Money(amount, currency))
    except BadInput:
        assert amount == 0 or amount % step(currency)
    else:
        assert amount == Decimal(minor) / scale(currency)


def test_a_currency_is_of_one_kind_only() -> None:
    """The tables do not contradict each other or the rules' own steps."""
    kinds = [NO_DECIMALS, TWO_ALWAYS_ZERO, THREE_DECIMALS, TWO_DECIMALS]

    assert len(CURRENCIES) == sum(map(len, kinds))
    assert WHOLE_UNITS == NO_DECIMALS | TWO_ALWAYS_ZERO
    assert SMALLEST.keys() | DIGITS.keys() <= CURRENCIES


@pytest.mark.parametrize("currency", sorted(SMALLEST))
def test_the_smallest_charge_is_allowed_and_no_less(currency: str) -> None:
    """Each published minimum is taken to the step."""
    smallest = SMALLEST[currency]
    check_amount(Money(smallest, currency))

    with pytest.raises(BadInput, match="minimum is"):
        check_amount(Money(smallest - step(currency), currency))


@pytest.mark.parametrize(
    ("largest", "currency"),
    [
        ("999999.99", "USD"),
        ("99999999", "JPY"),
        ("999999", "UGX"),
        ("99999.99", "KWD"),
        ("9999999.99", "INR"),
        ("9999999999.99", "IDR"),
    ],
)
def test_the_largest_charge_is_allowed_and_no_more(largest: str, currency: str) -> None:
    """Eight digits, twelve for IDR, nine for INR."""
    check_amount(Money(Decimal(largest), currency))

    with pytest.raises(BadInput, match=f"maximum is {largest} {currency}"):
        check_amount(Money(Decimal(largest) + step(currency), currency))


def test_a_currency_without_a_published_minimum_is_left_to_stripe() -> None:
    """Kenyan shillings have no minimum of their own."""
    check_amount(Money(Decimal("0.01"), "KES"))
