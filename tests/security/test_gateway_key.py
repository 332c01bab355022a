"""S3: a restricted key that may do the least is enough, and may do no more."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import stripe

from replenish.adapters.stripe import StripeGateway
from replenish.domain.outcome import Cancelled, Charged
from tests.contract.gateway_site import created, make_gateway, make_order
from tests.sandbox_server import SandboxServer

pytestmark = [pytest.mark.integration, pytest.mark.security("S3")]

KEY = "rk_test_least"
LEAST = ["payment_intents:write", "customers:read", "payment_methods:read"]


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxServer]:
    """A sandbox that knows the narrow key; cards are saved with another."""
    folder: Path = tmp_path_factory.mktemp("sandbox")
    with SandboxServer(folder / "ledger.jsonl") as server:
        server.control("POST", "keys", {"scopes": {KEY: LEAST}})
        yield server


@pytest.fixture
def gateway(sandbox: SandboxServer) -> StripeGateway:
    """Our gateway with the narrow key."""
    return make_gateway(sandbox.url, KEY)


def test_everything_we_do_works_with_the_least(
    sandbox: SandboxServer, gateway: StripeGateway
) -> None:
    """Checking, reading a card, charging, looking up, cancelling, listing."""
    order, other = make_order(sandbox), make_order(sandbox)
    since = datetime.now(UTC) - timedelta(hours=1)

    assert gateway.check() == []
    assert gateway.card(order.customer, order.payment_method).brand == "visa"
    intent = created(gateway, order)
    assert isinstance(gateway.confirm(order, intent, number=1), Charged)
    assert isinstance(gateway.look_up(order, intent), Charged)
    assert isinstance(gateway.cancel(other, created(gateway, other)), Cancelled)
    assert order.attempt in [each.attempt for each in gateway.list_since(since)]


FORBIDDEN: dict[str, Callable[[stripe.StripeClient], object]] = {
    "give money back": lambda api: api.v1.refunds.create({"payment_intent": "pi_1"}),
    "list refunds": lambda api: api.v1.refunds.list(),
    "make a customer": lambda api: api.v1.customers.create({"name": "x"}),
    "change a customer": lambda api: api.v1.customers.update("cus_1", {"name": "x"}),
    "delete a customer": lambda api: api.v1.customers.delete("cus_1"),
    "make a card": lambda api: api.v1.payment_methods.create({"type": "card"}),
    "attach a card": lambda api: api.v1.payment_methods.attach(
        "pm_1", {"customer": "cus_1"}
    ),
    "detach a card": lambda api: api.v1.payment_methods.detach("pm_1"),
    "save a card": lambda api: api.v1.setup_intents.create({"customer": "cus_1"}),
    "read balances": lambda api: api.v1.balance_transactions.list(),
    "read disputes": lambda api: api.v1.disputes.list(),
    "read events": lambda api: api.v1.events.list(),
    "send events elsewhere": lambda api: api.v1.webhook_endpoints.create(
        {"url": "http://127.0.0.1:1", "enabled_events": ["charge.succeeded"]}
    ),
}


@pytest.mark.parametrize("what", FORBIDDEN)
def test_whoever_steals_the_key_may_not(sandbox: SandboxServer, what: str) -> None:
    """No refund, no card, no webhook: 403, and the key is not shown whole."""
    with pytest.raises(stripe.PermissionError) as caught:
        FORBIDDEN[what](sandbox.client(key=KEY))

    assert caught.value.http_status == 403
    assert KEY not in str(caught.value)
