"""The card gateway under every fault of the sandbox, call by call.

Whatever happens, no customer is charged twice, and nothing but the gateway's own
word says that one was.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from replenish.adapters.stripe import StripeGateway
from replenish.domain.outcome import Cancelled, Charged, Declined, Unconfirmed, Unknown
from replenish.errors import GatewayMisuse, GatewayUnavailable
from replenish.ports import Order
from tests.contract.gateway_site import (
    bare_intent,
    captures,
    created,
    intents,
    make_order,
    unavailable,
)
from tests.sandbox_server import SandboxServer

AT_ONCE = {"times": 1}
STALL = {"seconds": 5, "times": 1}
FAULTS: dict[str, tuple[str, dict[str, Any], str, bool]] = {
    # name: kind, options, reason of `Unknown` ("": it is unavailable), whether it ran
    "rate limit": ("429_rate", AT_ONCE, "", False),
    "lock": ("429_lock", AT_ONCE, "", False),
    "key in use": ("409", AT_ONCE, "in_use", False),
    "outage before": ("503", AT_ONCE, "server_error", False),
    "outage after": ("503", AT_ONCE | {"after": True}, "server_error", True),
    "bad gateway before": ("html_502", AT_ONCE, "server_error", False),
    "bad gateway after": ("html_502", AT_ONCE | {"after": True}, "server_error", True),
    "500 before": ("500_before", AT_ONCE, "server_error", False),
    "500 after": ("500_after", AT_ONCE, "server_error", True),
    "reset before": ("reset_before", AT_ONCE, "connection_lost", False),
    "reset after": ("reset_after", AT_ONCE, "connection_lost", True),
    "closed before": ("close_without_answer", AT_ONCE, "connection_lost", False),
    "closed after": (
        "close_without_answer",
        AT_ONCE | {"after": True},
        "connection_lost",
        True,
    ),
    "cut short": ("truncated_after", AT_ONCE, "garbled", True),
    "stalled before": ("stall", STALL, "timeout", False),
    "stalled after": ("stall", STALL | {"after": True}, "timeout", True),
    "wrong amount": ("wrong_amount", AT_ONCE, "mismatch", True),
    "wrong currency": (
        "wrong_amount",
        AT_ONCE | {"currency": "eur"},
        "mismatch",
        True,
    ),
    "wrong customer": (
        "wrong_amount",
        AT_ONCE | {"customer": "cus_other"},
        "mismatch",
        True,
    ),
    "said to be processing": ("wrong_status", AT_ONCE, "processing", True),
    "garbage": ("garbage", AT_ONCE, "garbled", True),
}

each_fault = pytest.mark.parametrize("name", FAULTS)


def set_fault(sandbox: SandboxServer, order: Order, name: str, path: str) -> str:
    """Let the next call of this order on `path` meet a fault; give its reason."""
    kind, options, reason, _ = FAULTS[name]
    match = {"customer": order.customer, "path": path}
    sandbox.tool.fault(kind, match=match, **options)
    return reason


@each_fault
def test_creating_survives(
    sandbox: SandboxServer, gateway: StripeGateway, name: str
) -> None:
    """A lost creation is unavailable or found; repeated, it ends in one intent."""
    order = make_order(sandbox)
    set_fault(sandbox, order, name, "payment_intents$")
    with_patience(lambda: gateway.create(order))
    intent = created(gateway, order)

    assert intents(sandbox, order) == [intent]
    assert Unconfirmed(intent) == gateway.look_up(order, intent)
    assert captures(sandbox, order) == 0


@each_fault
def test_confirming_survives(
    sandbox: SandboxServer, gateway: StripeGateway, name: str
) -> None:
    """A lost confirmation is unknown; the state settles it, and it charges once."""
    order = make_order(sandbox)
    intent = created(gateway, order)
    reason = set_fault(sandbox, order, name, "/confirm$")
    if reason:
        said = gateway.confirm(order, intent, number=1)
        assert isinstance(said, Unknown)
        assert said.reason == reason
    else:
        unavailable(lambda: gateway.confirm(order, intent, number=1))
    seen = gateway.look_up(order, intent)
    assert isinstance(seen, Charged if FAULTS[name][3] else Unconfirmed)

    if isinstance(seen, Unconfirmed):
        seen = gateway.confirm(order, intent, number=2)
    assert isinstance(seen, Charged)
    assert seen == gateway.look_up(order, intent)
    assert captures(sandbox, order) == 1


@each_fault
def test_a_lost_confirmation_of_a_bad_card_is_a_decline_in_the_end(
    sandbox: SandboxServer, gateway: StripeGateway, name: str
) -> None:
    """Whatever happened to the answer, the decline is found and nothing charged."""
    order = make_order(sandbox, "pm_sandbox_decline_insufficient_funds")
    intent = created(gateway, order)
    set_fault(sandbox, order, name, "/confirm$")
    with_patience(lambda: gateway.confirm(order, intent, number=1))
    seen = gateway.look_up(order, intent)
    if isinstance(seen, Unconfirmed):
        seen = gateway.confirm(order, intent, number=2)

    assert isinstance(seen, Declined)
    assert seen.code == "insufficient_funds"
    assert captures(sandbox, order) == 0


@each_fault
def test_looking_up_survives(
    sandbox: SandboxServer, gateway: StripeGateway, name: str
) -> None:
    """A lost look-up knows nothing; it never says that nothing happened."""
    order = make_order(sandbox)
    intent = created(gateway, order)
    gateway.confirm(order, intent, number=1)
    reason = set_fault(sandbox, order, name, f"/{intent}$")
    if reason:
        seen = gateway.look_up(order, intent)
        assert isinstance(seen, Unknown)
        assert seen.reason == reason
    else:
        unavailable(lambda: gateway.look_up(order, intent))

    assert isinstance(gateway.look_up(order, intent), Charged)


@each_fault
def test_cancelling_survives(
    sandbox: SandboxServer, gateway: StripeGateway, name: str
) -> None:
    """A lost cancellation is unavailable; repeated, it is proof."""
    order = make_order(sandbox)
    intent = created(gateway, order)
    set_fault(sandbox, order, name, "/cancel$")
    unavailable(lambda: gateway.cancel(order, intent))

    assert Cancelled(intent) == gateway.cancel(order, intent)
    assert captures(sandbox, order) == 0


@each_fault
def test_listing_survives(
    sandbox: SandboxServer, gateway: StripeGateway, name: str
) -> None:
    """A lost list is unavailable, not empty."""
    kind, options, _, _ = FAULTS[name]
    order = make_order(sandbox)
    created(gateway, order)
    path = {"method": "GET", "path": "payment_intents$"}
    sandbox.tool.fault(kind, match=path, **options)
    since = datetime.now(UTC) - timedelta(minutes=1)
    with_patience(lambda: list(gateway.list_since(since)))
    attempts = {seen.attempt for seen in gateway.list_since(since)}

    assert order.attempt in attempts


def with_patience(act: Callable[[], object]) -> None:
    """Let it be unavailable, this once."""
    try:
        act()
    except GatewayUnavailable:
        return


def test_a_slow_gateway_is_waited_for(
    sandbox: SandboxServer, gateway: StripeGateway
) -> None:
    """Latency below the timeout changes nothing."""
    order = make_order(sandbox)
    sandbox.tool.fault("latency", ms=100, match={"customer": order.customer})
    intent = created(gateway, order)

    assert isinstance(gateway.confirm(order, intent, number=1), Charged)


def test_a_stored_500_is_overcome_with_a_second_key(
    sandbox: SandboxServer, gateway: StripeGateway
) -> None:
    """Stripe replays a 500 for ever; the next key creates the intent after all."""
    order = make_order(sandbox)
    set_fault(sandbox, order, "500 before", "payment_intents$")
    unavailable(lambda: gateway.create(order))
    intent = created(gateway, order)
    keys = sandbox.tool.counters()["keys"]

    assert keys[f"{order.attempt}:create:2"]["executions"] == 1
    assert intents(sandbox, order) == [intent]
    assert intent == created(gateway, order)


def test_a_500_that_made_an_intent_is_found_in_the_list(
    sandbox: SandboxServer, gateway: StripeGateway
) -> None:
    """A 500 after the effect needs no repeat: the list knows the intent."""
    order = make_order(sandbox)
    bare_intent(sandbox, replace(order, attempt="another"))
    set_fault(sandbox, order, "500 after", "payment_intents$")

    assert gateway.create(order) in intents(sandbox, order)
    assert len(intents(sandbox, order)) == 2


def test_creating_does_not_go_on_for_ever(
    sandbox: SandboxServer, gateway: StripeGateway
) -> None:
    """An endless 500 uses up a few keys and no more."""
    order = make_order(sandbox)
    match = {"customer": order.customer, "method": "POST"}
    sandbox.tool.fault("500_before", match=match)
    for _ in range(6):
        unavailable(lambda: gateway.create(order))
    used = [key for key in sandbox.tool.counters()["keys"] if order.attempt in key]

    assert len(used) == 4


def test_a_creation_that_lies_for_good_is_for_a_person(
    sandbox: SandboxServer, gateway: StripeGateway
) -> None:
    """An intent of another amount is never confirmed."""
    order = make_order(sandbox)
    sandbox.tool.fault("wrong_amount", match={"customer": order.customer})
    with pytest.raises(GatewayMisuse, match="not confirmed"):
        gateway.create(order)
