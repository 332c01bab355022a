"""What a call costs, in numbers one can check by hand and in rules for all numbers."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replenish.billing.rating import (
    LONGEST_CALL,
    LONGEST_GRANT,
    Rate,
    affordable_seconds,
    billed_seconds,
    cost,
    digits,
    prefixes,
)
from replenish.errors import BadInput

PLACE = Decimal("0.00001")


def make_rate(**changes: object) -> Rate:
    """Make a rate of 0.60 a minute, by the second."""
    values: dict[str, object] = {
        "id": 1,
        "prefix": "44",
        "name": "United Kingdom",
        "per_minute": Decimal("0.60"),
        "connection_fee": Decimal(0),
        "initial": 1,
        "subsequent": 1,
    }
    return Rate(**{**values, **changes})  # type: ignore[arg-type]


rates = st.builds(
    make_rate,
    per_minute=st.decimals(0, 100, places=6),
    connection_fee=st.decimals(0, 5, places=5),
    initial=st.integers(1, 3600),
    subsequent=st.integers(1, 3600),
)
balances = st.decimals(-100, 10_000, places=5)


@pytest.mark.parametrize(
    ("increments", "seconds", "billed"),
    [
        ((60, 60), 1, 60),
        ((60, 60), 60, 60),
        ((60, 60), 61, 120),
        ((6, 6), 1, 6),
        ((6, 6), 7, 12),
        ((1, 1), 7, 7),
        ((30, 6), 1, 30),
        ((30, 6), 30, 30),
        ((30, 6), 31, 36),
        ((30, 6), 37, 42),
        ((60, 60), 0, 0),
    ],
)
def test_seconds_are_billed_in_whole_increments(
    increments: tuple[int, int], seconds: int, billed: int
) -> None:
    """The first increment whole, then whole further ones."""
    initial, subsequent = increments

    assert billed == billed_seconds(
        make_rate(initial=initial, subsequent=subsequent), seconds
    )


@pytest.mark.parametrize(
    ("per_minute", "fee", "seconds", "price"),
    [
        ("0.60", "0", 60, "0.60"),
        ("0.60", "0", 1, "0.01"),
        ("0.01", "0", 1, "0.00017"),  # 0.000166… up
        ("0.000001", "0", 1, "0.00001"),  # never nothing for something
        ("0.60", "0.05", 60, "0.65"),
        ("0", "0.05", 60, "0.05"),
        ("0", "0", 60, "0"),
        ("0.60", "0.05", 0, "0"),  # not answered
        ("10000", "10000", LONGEST_CALL, "100810000"),
    ],
)
def test_a_call_costs(per_minute: str, fee: str, seconds: int, price: str) -> None:
    """Fee and minutes, rounded up to the fifth place."""
    rate = make_rate(per_minute=Decimal(per_minute), connection_fee=Decimal(fee))

    assert cost(rate, seconds) == Decimal(price)


@given(rates, st.integers(1, LONGEST_CALL))
def test_rounding_never_gives_away_and_never_takes_a_place(
    rate: Rate, seconds: int
) -> None:
    """The price is at least the exact one and less than one place above it."""
    minutes = (cost(rate, seconds) - rate.connection_fee) * 60
    exact = rate.per_minute * billed_seconds(rate, seconds)

    assert exact <= minutes < exact + PLACE * 60


@given(rates, st.integers(0, 10_000), st.integers(0, 10_000))
def test_a_longer_call_never_costs_less(rate: Rate, one: int, other: int) -> None:
    """The price rises with the seconds."""
    shorter, longer = sorted([one, other])

    assert cost(rate, shorter) <= cost(rate, longer)


@given(rates, balances)
def test_an_affordable_call_is_paid_and_one_more_increment_is_not(
    rate: Rate, available: Decimal
) -> None:
    """The grant is the longest call the balance covers, and no longer."""
    seconds = affordable_seconds(rate, available)

    assert 0 <= seconds <= LONGEST_GRANT
    if seconds:
        assert cost(rate, seconds) <= max(available, Decimal(0))
    if seconds < LONGEST_GRANT:
        step = rate.subsequent if seconds else 1
        assert cost(rate, seconds + step) > available


def test_a_free_call_needs_no_balance() -> None:
    """What costs nothing is granted to an empty account too."""
    free = make_rate(per_minute=Decimal(0))

    assert affordable_seconds(free, Decimal(-3)) == LONGEST_GRANT


def test_a_fee_alone_must_be_paid() -> None:
    """A flat price is granted from exactly that price on."""
    flat = make_rate(per_minute=Decimal(0), connection_fee=Decimal("0.05"))

    assert affordable_seconds(flat, Decimal("0.04999")) == 0
    assert affordable_seconds(flat, Decimal("0.05")) == LONGEST_GRANT


@pytest.mark.parametrize(
    ("called", "found"), [("+442079460000", "442079460000"), ("112", "112")]
)
def test_a_called_number_is_read_as_digits(called: str, found: str) -> None:
    """A leading plus is dropped."""
    assert digits(called) == found


@pytest.mark.parametrize(
    "called", ["", "+", "anonymous", "++44", "44 20", "\uff14", "1" * 33, "\x00", "-1"]
)
def test_what_is_no_number_is_refused(called: str) -> None:
    """The sentence shows what was given."""
    with pytest.raises(BadInput, match="no number to call"):
        digits(called)


def test_prefixes_stop_at_the_length_of_a_number() -> None:
    """A deck knows no more than fifteen digits."""
    assert prefixes("4420") == ["4", "44", "442", "4420"]
    assert prefixes("1" * 32)[-1] == "1" * 15
