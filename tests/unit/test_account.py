"""An account and its cards, as far as they know themselves."""

from datetime import UTC, datetime

import pytest

from replenish.domain.account import Kind, Service
from tests.factories import make_account, make_card


@pytest.mark.parametrize(
    ("moment", "expired"),
    [
        (datetime(2026, 3, 31, 23, 59, 59, tzinfo=UTC), False),
        (datetime(2026, 4, 1, tzinfo=UTC), True),
        (datetime(2027, 1, 1, tzinfo=UTC), True),
        (datetime(2025, 12, 1, tzinfo=UTC), False),
    ],
)
def test_a_card_is_good_to_the_end_of_its_month(
    moment: datetime, *, expired: bool
) -> None:
    """A card that says 03/26 works throughout March 2026."""
    card = make_card(exp_month=3, exp_year=2026)

    assert card.expired(moment) is expired


def test_the_same_plastic_is_known_again_whatever_its_ids() -> None:
    """Entering a card again, under another payment method, makes no other card."""
    card = make_card(id="1", fingerprint="f", payment_method="pm_old")
    again = make_card(id="2", fingerprint="f", payment_method="pm_new", priority=7)

    assert card.imprint == again.imprint


def test_a_card_with_a_new_expiry_is_another_card() -> None:
    """A renewed card keeps its number; what its old expiry was refused for is over."""
    card = make_card(fingerprint="f", exp_year=2026)
    renewed = make_card(fingerprint="f", exp_year=2030)

    assert card.imprint != renewed.imprint


def test_words_are_stored_as_they_read() -> None:
    """The ledger and the billing adapters store these values; they do not change."""
    assert [kind.value for kind in Kind] == ["prepaid", "real_time"]
    assert [service.value for service in Service] == ["active", "suspended", "other"]


def test_an_account_read_once_does_not_change() -> None:
    """A later balance is another reading, never an edit of this one."""
    account = make_account()

    with pytest.raises(AttributeError):
        account.ref = "1002"  # type: ignore[misc]
