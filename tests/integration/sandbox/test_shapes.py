"""The objects have every field that the SDK's own classes say Stripe always sends."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
import stripe
from stripe import StripeClient, StripeObject

from tests.integration.sandbox.makers import charge, make_customer

pytestmark = pytest.mark.integration

#: Fields that recordings show and the SDK's classes do not name.
RECORDED_BESIDES = {
    "Charge.destination", "Charge.dispute", "Charge.order",
    "Dispute.balance_transaction", "PaymentIntent.shared_payment_granted_token",
    "PaymentMethod.shared_payment_granted_token",
}  # fmt: skip
KINDS: list[type[StripeObject]] = [
    stripe.Customer, stripe.PaymentMethod, stripe.PaymentIntent, stripe.Charge,
    stripe.Refund, stripe.SetupIntent, stripe.Dispute, stripe.Event,
    stripe.BalanceTransaction, stripe.WebhookEndpoint,
]  # fmt: skip
Json = dict[str, Any]


@pytest.fixture(scope="module")
def samples(shared_api: StripeClient) -> dict[str, Json]:
    """One object of each kind, by the name of its class."""
    v1 = shared_api.v1
    customer, method = make_customer(shared_api, "pm_card_visa")
    intent = charge(shared_api, method, customer=customer)
    disputed = charge(shared_api, "pm_card_createDispute")
    objects: list[StripeObject] = [
        v1.customers.retrieve(customer),
        v1.payment_methods.retrieve(method),
        intent,
        v1.charges.retrieve(str(intent.latest_charge)),
        v1.refunds.create({"payment_intent": intent.id, "amount": 100}),
        v1.setup_intents.create({"customer": customer}),
        v1.disputes.list({"payment_intent": disputed.id}).data[0],
        v1.events.list().data[0],
        v1.balance_transactions.list().data[0],
        v1.webhook_endpoints.create(
            {"url": "http://127.0.0.1:9/", "enabled_events": ["charge.expired"]}
        ),
    ]
    return {type(one).__name__: one.to_dict() for one in objects}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: str(kind.__name__))
def test_no_field_that_stripe_always_sends_is_missing(
    samples: dict[str, Json], kind: type[StripeObject]
) -> None:
    """What the class does not mark optional is there, in nested objects too."""
    assert list(_missing(kind, samples[kind.__name__], kind.__name__)) == []


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: str(kind.__name__))
def test_no_field_is_made_up(
    samples: dict[str, Json], kind: type[StripeObject]
) -> None:
    """Every field is one of the class, or one that recordings show."""
    unknown = set(_unknown(kind, samples[kind.__name__], kind.__name__))
    assert unknown <= RECORDED_BESIDES


def _fields(kind: type) -> dict[str, str]:
    """Return the fields of a class and their types, as written."""
    found: Json = {}
    for base in reversed(kind.__mro__):
        found |= getattr(base, "__annotations__", {})
    return {
        name: str(written)
        for name, written in found.items()
        if not name.startswith("_") and "ClassVar" not in str(written)
    }


def _inner(kind: type, data: Json) -> Iterator[tuple[str, type, Json]]:
    """Yield the nested objects that have a class of their own."""
    for name, written in _fields(kind).items():
        value = data.get(name)
        words = re.findall(r"[A-Z][A-Za-z]+", written)
        inner = next((getattr(kind, word) for word in words if hasattr(kind, word)), 0)
        if isinstance(value, dict) and value and isinstance(inner, type):
            yield name, inner, value


def _missing(kind: type, data: Json, path: str) -> Iterator[str]:
    for name, written in _fields(kind).items():
        may_be_absent = "None" in written or "Optional" in written
        if name not in data and not may_be_absent:
            yield f"{path}.{name}"
    for name, inner, value in _inner(kind, data):
        yield from _missing(inner, value, f"{path}.{name}")


def _unknown(kind: type, data: Json, path: str) -> Iterator[str]:
    fields = _fields(kind)
    yield from (f"{path}.{name}" for name in data if name not in fields)
    for name, inner, value in _inner(kind, data):
        yield from _unknown(inner, value, f"{path}.{name}")
