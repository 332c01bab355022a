"""What Stripe's objects prove, down to fields that are missing or strange."""

from collections.abc import Mapping

import pytest

from replenish.adapters import stripe_reading
from replenish.domain.outcome import (
    Cancelled,
    Charged,
    DeclineClass,
    Declined,
    Unconfirmed,
    Unknown,
)
from replenish.errors import CardNotFound
from replenish.ports import Order
from tests.factories import usd

ORDER = Order("attempt-1", "1001", usd("25.00"), "cus_1", "pm_1")
REFUSED = {"code": "card_declined", "decline_code": "insufficient_funds"}


def intent(**changes: object) -> dict[str, object]:
    """The intent of `ORDER`, not confirmed."""
    plain: dict[str, object] = {
        "id": "pi_1",
        "amount": 2500,
        "amount_received": 0,
        "currency": "usd",
        "customer": "cus_1",
        "metadata": {"attempt": "attempt-1", "account": "1001", "environment": "test"},
        "status": "requires_confirmation",
        "last_payment_error": None,
        "latest_charge": None,
    }
    return plain | changes


def charged(**changes: object) -> dict[str, object]:
    """The same, charged."""
    return intent(status="succeeded", amount_received=2500, latest_charge="ch_1") | (
        changes
    )


@pytest.mark.parametrize(
    ("found", "kind"),
    [
        (charged(), Charged),
        (charged(latest_charge={"id": "ch_1", "amount_refunded": 0}), Charged),
        (charged(latest_charge={"id": "ch_1", "amount_refunded": 1}), Unknown),
        (charged(latest_charge={"id": "ch_1", "amount_refunded": 2499}), Unknown),
        (charged(latest_charge={"id": "ch_1", "amount_refunded": 2500}), Cancelled),
        (charged(latest_charge={"amount_refunded": 2500}), Unknown),
        (intent(), Unconfirmed),
        (intent(status="requires_payment_method"), Unconfirmed),
        (intent(status="canceled"), Cancelled),
        (
            intent(status="requires_payment_method", last_payment_error=REFUSED),
            Declined,
        ),
        (intent(status="canceled", last_payment_error=REFUSED), Declined),
        (charged(last_payment_error=REFUSED), Charged),
        (charged(amount=2501, amount_received=2501), Unknown),
        (charged(amount=True), Unknown),
        (charged(customer=None), Unknown),
        (charged(currency="USD"), Unknown),
    ],
)
def test_an_intents_state_is_evidence(
    found: Mapping[str, object], kind: type[object]
) -> None:
    """Each state proves one thing, and a strange one nothing."""
    assert isinstance(stripe_reading.evidence(ORDER, "pi_1", found), kind)


def test_the_charges_outcome_adds_to_the_error() -> None:
    """Advice that the error leaves out is taken from the charge."""
    outcome = {"advice_code": "do_not_try_again", "network_advice_code": "24"}
    charge = {"id": "ch_1", "outcome": outcome}
    found = stripe_reading.declined("pi_1", REFUSED, charge)

    assert isinstance(found, Declined)
    assert (found.kind, found.charge) == (DeclineClass.HARD, "ch_1")


def test_mastercards_wait_reaches_the_policy() -> None:
    """The scheme's hours stand on the decline."""
    found = stripe_reading.declined("pi_1", REFUSED | {"network_advice_code": "26"})

    assert isinstance(found, Declined)
    assert found.wait_hours == 48


def test_a_decline_without_any_code_is_soft() -> None:
    """A decline that says nothing still is a known no."""
    found = stripe_reading.declined("pi_1", {})

    assert isinstance(found, Declined)
    assert (found.kind, found.code) == (DeclineClass.SOFT, "no_code")


MARKS = {"environment": "test"}


@pytest.mark.parametrize(
    "changes",
    [
        {"metadata": {}},
        {"metadata": None},
        {"metadata": {"attempt": "a", "environment": "test"}},
        {"metadata": {"attempt": "a", "account": "1", "environment": "production"}},
        {"currency": "zzz"},
        {"amount": "many"},
        {"amount": [1]},
    ],
)
def test_strange_rows_of_a_list_are_left_out(changes: dict[str, object]) -> None:
    """A list may hold anybody's intents; none of them stops the others."""
    assert stripe_reading.seen(charged(**changes), marks=MARKS) is None


@pytest.mark.parametrize(
    ("found", "kept"),
    [
        (charged(), True),
        (charged(latest_charge={"id": "ch_1", "amount_refunded": 0}), True),
        (charged(latest_charge={"id": "ch_1", "amount_refunded": 1}), False),
        (charged(amount_received=1), False),
        (charged(amount_received=None), False),
        (intent(), False),
    ],
)
def test_charged_in_a_list_means_taken_and_kept(
    found: Mapping[str, object], *, kept: bool
) -> None:
    """What was given back is not adopted."""
    seen = stripe_reading.seen(found, marks=MARKS)

    assert seen is not None
    assert seen.charged is kept


def saved(**changes: object) -> dict[str, object]:
    """A saved card."""
    details = {
        "brand": "visa",
        "last4": "4242",
        "exp_month": 4,
        "exp_year": 2030,
        "fingerprint": "f",
        "country": "us",
    }
    return {"type": "card", "customer": "cus_1", "card": details} | changes


def test_a_card_without_a_fingerprint_is_known_by_its_id() -> None:
    """Two cards without fingerprints are never taken for one."""
    found = stripe_reading.card(
        saved(card={"brand": "visa", "last4": "4242"}),
        customer="cus_1",
        payment_method="pm_1",
    )

    assert (found.fingerprint, found.country) == ("pm_1", "")
    assert (found.exp_month, found.exp_year) == (0, 0)


def test_an_expanded_customer_is_the_same_customer() -> None:
    """Whole or by its id, the owner is read."""
    found = stripe_reading.card(
        saved(customer={"id": "cus_1"}), customer="cus_1", payment_method="pm_1"
    )

    assert (found.brand, found.country) == ("visa", "US")


@pytest.mark.parametrize(
    "found", [saved(customer=None), saved(type="link"), saved(card=None), {}]
)
def test_what_is_no_card_of_the_customer_is_refused(found: dict[str, object]) -> None:
    """Wallets, accounts and cards of nobody cannot be charged automatically."""
    with pytest.raises(CardNotFound):
        stripe_reading.card(found, customer="cus_1", payment_method="pm_1")
