"""Money is exact, of one currency, and written as people write it."""

from decimal import Decimal, Inexact, localcontext

import pytest

from replenish.domain.money import (
    LARGEST,
    WHOLE_UNITS,
    Money,
    parse,
    plain,
    round_down,
    round_up,
    step,
)
from replenish.errors import BadInput
from tests.factories import usd


@pytest.mark.parametrize(
    "amount",
    ["NaN", "sNaN", "Infinity", "-Infinity", "1E+12", "-1E+12", "1E+999999", "1E-13"],
)
def test_what_is_no_amount_is_refused(amount: str) -> None:
    """NaN, infinity and the absurdly large or fine never become money."""
    with pytest.raises(BadInput, match="is not an amount of money") as refused:
        Money(Decimal(amount), "USD")

    assert refused.value.subject == amount


def test_the_largest_and_the_finest_amounts_are_exact() -> None:
    """At both ends of what is accepted, no digit is lost."""
    with localcontext() as context:
        context.traps[Inexact] = True
        largest = Money(LARGEST - Decimal("1E-12"), "USD")
        total = largest + Money(Decimal("1E-12"), "USD")

    assert total == Money(LARGEST, "USD")


@pytest.mark.parametrize("currency", ["", "usd", "US", "USDT", "US1", "ÜSD", "USD\n"])
def test_what_is_no_currency_code_is_refused(currency: str) -> None:
    """A currency is three capital letters and nothing else."""
    with pytest.raises(BadInput, match="is no currency") as refused:
        Money(Decimal(1), currency)

    assert refused.value.subject == currency


def test_amounts_of_one_currency_add_and_compare() -> None:
    """Money behaves as its amount does."""
    five, seven = usd("5"), usd("7")

    assert five + seven == usd("12.00")
    assert five - seven == usd("-2")
    assert five < seven
    assert seven > five
    assert five <= usd("5.000")
    assert seven >= five


def test_a_sum_too_large_to_keep_is_refused() -> None:
    """Arithmetic leads to the same refusal as input does."""
    with pytest.raises(BadInput):
        Money(LARGEST, "USD") + usd("0.01")


def test_two_currencies_never_mix() -> None:
    """Adding, subtracting and comparing across currencies is refused."""
    dollar, euro = usd("1"), Money(Decimal(1), "EUR")

    for mix in (
        lambda: dollar + euro,
        lambda: dollar - euro,
        lambda: dollar < euro,
        lambda: dollar <= euro,
    ):
        with pytest.raises(BadInput, match=r"1\.00 USD and 1\.00 EUR"):
            mix()
    assert dollar != euro


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("0", "0.00"),
        ("-0", "0.00"),
        ("-0.000", "0.00"),
        ("0E+3", "0.00"),
        ("1E+3", "1000.00"),
        ("-3.5", "-3.50"),
        ("25.000000", "25.00"),
        ("0.00305", "0.00305"),
        ("1E-6", "0.000001"),
        ("100", "100.00"),
        (
            "123456789012.123456789012345678901234",
            "123456789012.123456789012345678901234",
        ),
    ],
)
def test_amounts_are_written_in_full(amount: str, text: str) -> None:
    """No exponent, no lost digit, no negative zero, two places or more."""
    assert plain(Decimal(amount)) == text


def test_money_is_written_with_its_currency() -> None:
    """Whole-unit currencies show no cents that they do not have."""
    assert str(usd("25")) == "25.00 USD"
    assert str(Money(Decimal(2500), "JPY")) == "2500 JPY"
    assert str(Money(Decimal("-0.5"), "JPY")) == "-0.5 JPY"


def test_cards_are_charged_in_whole_steps() -> None:
    """Yen go by one; cents, and thirds of a dinar whose third digit is 0, by 0.01."""
    assert step("JPY") == Decimal(1)
    assert step("ISK") == Decimal(1)
    assert step("USD") == Decimal("0.01")
    assert step("KWD") == Decimal("0.01")
    assert len(WHOLE_UNITS) == 17


@pytest.mark.parametrize(
    ("amount", "currency", "up", "down"),
    [
        ("10.001", "USD", "10.01", "10.00"),
        ("10.01", "USD", "10.01", "10.01"),
        ("-10.001", "USD", "-10.00", "-10.01"),
        ("1E+3", "USD", "1000", "1000"),
        ("10.5", "JPY", "11", "10"),
        ("-0.5", "JPY", "0", "-1"),
        ("999999999998.999999999999", "USD", "999999999999", "999999999998.99"),
    ],
)
def test_rounding_goes_the_way_it_says(
    amount: str, currency: str, up: str, down: str
) -> None:
    """Up is never below the amount and down never above, below zero too."""
    assert round_up(Decimal(amount), currency) == Decimal(up)
    assert round_down(Decimal(amount), currency) == Decimal(down)


@pytest.mark.parametrize(
    ("text", "amount"),
    [("25", "25"), (" 25.00 ", "25"), ("-3.5", "-3.5"), ("+7.", "7"), (".5", "0.5")],
)
def test_amounts_are_read_as_people_write_them(text: str, amount: str) -> None:
    """Spaces around, a sign and a bare point are all fine."""
    assert parse(text, what="The top-up") == Decimal(amount)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ten",
        "NaN",
        "inf",
        "1,000",
        "1_000",
        "1e3",
        "25 USD",
        "２５",  # noqa: RUF001 full-width digits, as some keyboards give them
        "1000000000000",
        "0." + "0" * 12 + "1",
        "--1",
        ".",
    ],
)
def test_what_is_not_an_amount_is_named_and_refused(text: str) -> None:
    """The sentence says which value it is and what to give instead."""
    with pytest.raises(BadInput, match=r"The top-up is .*give a number") as refused:
        parse(text, what="The top-up")

    assert refused.value.subject == "The top-up"


def test_an_endless_amount_makes_a_short_sentence() -> None:
    """A cell of a hundred thousand digits is not repeated in full."""
    with pytest.raises(BadInput) as refused:
        parse("9" * 100_000, what="The top-up")

    assert len(str(refused.value)) < 150
