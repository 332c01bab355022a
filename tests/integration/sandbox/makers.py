"""Small factories for the objects the sandbox tests need."""

from collections.abc import Callable
from typing import Any

import pytest
import stripe
from stripe import StripeClient


def make_customer(api: StripeClient, card: str | None = None) -> tuple[str, str]:
    """Return a customer's id and, if `card` is given, its attached card's id."""
    customer = api.v1.customers.create({"name": "Ada"})
    if card is None:
        return customer.id, ""
    method = api.v1.payment_methods.attach(card, {"customer": customer.id})
    return customer.id, method.id


def make_intent(
    api: StripeClient, card: str | None = "pm_card_visa", **changes: object
) -> stripe.PaymentIntent:
    """Create an unconfirmed intent of 25.00 USD with a saved card."""
    customer, method = make_customer(api, card)
    params: Any = {
        "amount": 2500,
        "currency": "usd",
        "customer": customer,
        "allowed_payment_method_types": ["card"],
        **({"payment_method": method} if method else {}),
        **changes,
    }
    return api.v1.payment_intents.create(params)


def confirm(
    api: StripeClient, intent: str, *, key: str | None = None, **params: object
) -> stripe.PaymentIntent:
    """Confirm off-session, as an automatic top-up does."""
    wanted: Any = {"off_session": True, "error_on_requires_action": True, **params}
    return api.v1.payment_intents.confirm(
        intent, wanted, {"idempotency_key": key} if key else {}
    )


def charge(api: StripeClient, card: str, **changes: object) -> stripe.PaymentIntent:
    """Charge a test card id directly, as Stripe's own decline cards need it."""
    params: Any = {
        "amount": 2500,
        "currency": "usd",
        "payment_method": card,
        "confirm": True,
        "off_session": True,
        "allowed_payment_method_types": ["card"],
        **changes,
    }
    return api.v1.payment_intents.create(params)


def refused(
    call: Callable[[], object], *, status: int = 400
) -> stripe.InvalidRequestError:
    """Return the refusal of a call."""
    with pytest.raises(stripe.InvalidRequestError) as caught:
        call()
    assert caught.value.http_status == status
    return caught.value
