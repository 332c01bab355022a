"""A gateway pointed at the sandbox, and the orders that its contract tests place."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
import stripe

from replenish.adapters.rate_limit import RateLimit
from replenish.adapters.stripe import StripeGateway
from replenish.domain.outcome import DeclineClass
from replenish.errors import GatewayUnavailable
from replenish.ports import Order
from tests.factories import usd
from tests.sandbox_server import KEY, SandboxServer

VERSION = "2026-10-28.endive"
VISA = "pm_sandbox_visa"
HARD, SOFT = DeclineClass.HARD, DeclineClass.SOFT
TRANSIENT, FRAUD = DeclineClass.TRANSIENT, DeclineClass.FRAUD
READ_TIMEOUT = 0.6  # seconds


def make_gateway(url: str, key: str = KEY, **changes: Any) -> StripeGateway:  # noqa: ANN401
    """A gateway with a short temper."""
    settings: dict[str, Any] = {
        "api_base": url,
        "api_version": VERSION,
        "timeout": (0.5, READ_TIMEOUT),
        "limiter": RateLimit("100000/second", None),
        "environment": "test",
    }
    return StripeGateway(key, **(settings | changes))


def make_order(sandbox: SandboxServer, card: str = VISA, **changes: Any) -> Order:  # noqa: ANN401
    """An order of 25 USD on a card of its own customer."""
    api = sandbox.client()
    customer = api.v1.customers.create({"name": "Ada"}).id
    try:
        method = api.v1.payment_methods.attach(card, {"customer": customer}).id
    except stripe.CardError:
        method = card  # Stripe's own decline cards cannot be saved
    order = Order(str(uuid4()), "1001", usd("25.00"), customer, method)
    return replace(order, **changes)


def created(gateway: StripeGateway, order: Order) -> str:
    """Create the intent and insist that there is one."""
    intent = gateway.create(order)
    assert isinstance(intent, str)
    return intent


def captures(sandbox: SandboxServer, order: Order) -> int:
    """Count what the sandbox's bank took for this attempt."""
    keys = sandbox.tool.counters()["keys"].items()
    return sum(tally["captures"] for key, tally in keys if order.attempt in key)


def intents(sandbox: SandboxServer, order: Order) -> list[str]:
    """List the customer's intents."""
    found = sandbox.client().v1.payment_intents.list({"customer": order.customer})
    return [intent.id for intent in found.data]


def unavailable(act: Callable[[], object]) -> str:
    """Insist on `GatewayUnavailable`; give its sentence."""
    with pytest.raises(GatewayUnavailable) as caught:
        act()
    return str(caught.value)


def bare_intent(sandbox: SandboxServer, order: Order, **changes: Any) -> str:  # noqa: ANN401
    """Make an intent with our marks behind the gateway's back."""
    params: Any = {
        "amount": 2500,
        "currency": "usd",
        "customer": order.customer,
        "allowed_payment_method_types": ["card"],
        "metadata": {
            "attempt": order.attempt,
            "account": "1001",
            "environment": "test",
        },
    }
    return sandbox.client().v1.payment_intents.create(params | changes).id
