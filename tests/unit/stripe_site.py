"""A gateway for a scripted server, one order, and what Stripe would answer it."""

import socket
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from replenish.adapters.rate_limit import RateLimit
from replenish.adapters.stripe import StripeGateway
from replenish.ports import Order
from tests.factories import usd
from tests.scripted_http import answer

ORDER = Order("attempt-1", "1001", usd("25.00"), "cus_1", "pm_1")
CALLS: dict[str, Callable[[StripeGateway], object]] = {
    "create": lambda gateway: gateway.create(ORDER),
    "confirm": lambda gateway: gateway.confirm(ORDER, "pi_1", number=1),
    "look_up": lambda gateway: gateway.look_up(ORDER, "pi_1"),
    "cancel": lambda gateway: gateway.cancel(ORDER, "pi_1"),
    "list_since": lambda gateway: list(gateway.list_since(datetime.now(UTC))),
    "card": lambda gateway: gateway.card("cus_1", "pm_1"),
}


def make_gateway(url: str, **changes: Any) -> StripeGateway:  # noqa: ANN401
    """A gateway that waits half a second."""
    settings: dict[str, Any] = {
        "api_base": url,
        "api_version": "2026-10-28.endive",
        "timeout": (0.5, 0.5),
        "limiter": RateLimit("100000/second", None),
        "environment": "test",
    }
    return StripeGateway("sk_test_hidden", **(settings | changes))


def intent(**changes: object) -> dict[str, object]:
    """The intent of `ORDER`, charged."""
    plain: dict[str, object] = {
        "id": "pi_1",
        "object": "payment_intent",
        "amount": 2500,
        "amount_received": 2500,
        "currency": "usd",
        "customer": "cus_1",
        "metadata": {"attempt": "attempt-1"},
        "status": "succeeded",
        "latest_charge": "ch_1",
    }
    return plain | changes


def error(status: int, *headers: str, **fields: object) -> bytes:
    """An error of Stripe's."""
    return answer(status, {"error": {"type": "card_error", **fields}}, *headers)


def closed_port() -> str:
    """An address where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as gone:
        return f"http://127.0.0.1:{gone.getsockname()[1]}"
