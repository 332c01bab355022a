"""Whether a credit still stands in its balance."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replenish.domain.trail import Lost, Sound, Trail, Unclear, judge, suspicious

CENTS = st.integers(1, 100_000).map(lambda n: Decimal(n) / 100)
CALLS = st.lists(st.integers(0, 5_000).map(lambda n: Decimal(n) / 1000), max_size=6)


def trail(missing: str, *, credited: str = "20", around: str = "0") -> Trail:
    """Give a credit of which so much is missing."""
    return Trail(
        credited=Decimal(credited),
        after=Decimal(30),
        moved=Decimal(-5),
        around=Decimal(around),
        available=Decimal(25) - Decimal(missing),
    )


@pytest.mark.parametrize("missing", ["0", "0.00001", "9.99999", "-300"])
def test_a_credit_of_which_little_is_missing_stands(missing: str) -> None:
    """Fees that nobody recorded, and money that came from elsewhere."""
    assert judge(trail(missing)) == Sound()


@pytest.mark.parametrize(
    ("missing", "around", "put_right"),
    [
        ("20", "0", "20"),
        ("19.99", "0", "19.99"),  # records of calls may be floats
        ("20.01", "0", "20"),  # never more than the credit
        ("17", "3", "17"),  # the old balance was from before three units of calls
        ("22", "3", "20"),  # calls recorded before the credit and debited after it
        ("10", "40", "10"),
    ],
)
def test_what_is_missing_by_the_credit_was_overwritten(
    missing: str, around: str, put_right: str
) -> None:
    """Put right is what is missing, and never more than the credit."""
    assert judge(trail(missing, around=around)) == Lost(Decimal(put_right))


@pytest.mark.parametrize(
    ("missing", "around"), [("15", "0"), ("21", "0"), ("70", "3"), ("16.9", "3")]
)
def test_any_other_sum_is_for_a_person(missing: str, around: str) -> None:
    """Nobody guesses with money."""
    assert judge(trail(missing, around=around)) == Unclear(Decimal(missing))


@given(credit=CENTS, before=CENTS, stale=CALLS, later=CALLS)
def test_an_overwritten_credit_is_put_right_to_what_the_records_say(
    credit: Decimal, before: Decimal, stale: list[Decimal], later: list[Decimal]
) -> None:
    """Calls between the old balance and its saving are forgotten with the credit."""
    forgotten = min(sum(stale, Decimal()), credit / 2)
    spent = sum(later, Decimal())
    found = Trail(
        credited=credit,
        after=before + credit,
        moved=-forgotten - spent,
        around=forgotten + spent,
        available=before - spent,
    )

    verdict = judge(found)

    assert verdict == Lost(credit - forgotten)
    assert found.available + verdict.amount == before + credit - forgotten - spent


@given(credit=CENTS, before=CENTS, calls=CALLS)
def test_a_credit_that_was_spent_is_never_put_right(
    credit: Decimal, before: Decimal, calls: list[Decimal]
) -> None:
    """However fast."""
    spent = sum(calls, Decimal())
    found = Trail(credit, before + credit, -spent, spent, before + credit - spent)

    assert judge(found) == Sound()


def test_only_a_fallen_balance_is_worth_adding_up() -> None:
    """By half of the credit or more."""
    assert not suspicious(
        credited=Decimal(20), after=Decimal(30), available=Decimal("20.01")
    )
    assert suspicious(credited=Decimal(20), after=Decimal(30), available=Decimal(20))
