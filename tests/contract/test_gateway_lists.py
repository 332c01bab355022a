"""What the gateway shows: lists of charges, saved cards, amounts."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from replenish.adapters.stripe import StripeGateway
from replenish.errors import BadInput, CardNotFound
from tests.contract.gateway_site import (
    bare_intent,
    created,
    intents,
    make_gateway,
    make_order,
    unavailable,
)
from tests.factories import usd
from tests.sandbox_server import SandboxServer


def test_the_list_shows_our_charges_only(
    sandbox: SandboxServer, gateway: StripeGateway
) -> None:
    """Other installations', other people's and refunded charges are told apart."""
    since = datetime.fromtimestamp(sandbox.tool.advance(3600), UTC)
    charged, refunded, waiting = (make_order(sandbox) for _ in range(3))
    for order in (charged, refunded):
        gateway.confirm(order, created(gateway, order), number=1)
    back = intents(sandbox, refunded)[0]
    sandbox.client().v1.refunds.create({"payment_intent": back})
    created(gateway, waiting)
    live = make_gateway(sandbox.url, environment="production")
    created(live, make_order(sandbox))
    bare_intent(sandbox, charged, metadata={"order": "7"})
    seen = {one.attempt: one for one in gateway.list_since(since)}

    assert {
        charged.attempt: True,
        refunded.attempt: False,
        waiting.attempt: False,
    } == {attempt: one.charged for attempt, one in seen.items()}
    assert seen[charged.attempt].amount == usd("25.00")
    assert seen[charged.attempt].account == "1001"


def test_a_long_list_is_read_to_its_end(sandbox: SandboxServer) -> None:
    """Pages follow each other, each through the rate limit, none twice."""
    order = make_order(sandbox)
    asked: list[str] = []

    class Counting:
        def acquire(self, endpoint: str) -> None:
            asked.append(endpoint)

    made = {
        bare_intent(sandbox, replace(order, attempt=f"{order.attempt}-{n}"))
        for n in range(205)
    }
    counting = make_gateway(sandbox.url, limiter=Counting())
    since = datetime.now(UTC) - timedelta(minutes=1)
    found = [one.intent for one in counting.list_since(since)]

    assert made <= set(found)
    assert len(found) == len(set(found))
    assert len(asked) >= 3


def test_a_saved_card_is_read(sandbox: SandboxServer, gateway: StripeGateway) -> None:
    """Brand, digits, expiry, fingerprint and country; never a number."""
    order = make_order(sandbox, "pm_card_gb")
    card = gateway.card(order.customer, order.payment_method)
    again = gateway.card(order.customer, order.payment_method)

    assert card == again
    assert (card.id, card.brand, card.last4, card.country) == ("", "visa", "0000", "GB")
    assert card.fingerprint
    assert 1 <= card.exp_month <= 12
    assert card.exp_year >= 2026


def test_a_card_of_another_customer_is_not_found(
    sandbox: SandboxServer, gateway: StripeGateway
) -> None:
    """A card that is not attached to the customer, or nowhere, is refused."""
    order, other = make_order(sandbox), make_order(sandbox)
    with pytest.raises(CardNotFound, match="not attached"):
        gateway.card(order.customer, other.payment_method)
    with pytest.raises(CardNotFound, match="pm_gone"):
        gateway.card(order.customer, "pm_gone")


def test_a_card_that_cannot_be_read_now_is_unavailable(
    sandbox: SandboxServer, gateway: StripeGateway
) -> None:
    """An outage is not a missing card."""
    order = make_order(sandbox)
    sandbox.tool.fault("503", match={"path": "payment_methods"}, times=1)

    assert "Try again" in unavailable(
        lambda: gateway.card(order.customer, order.payment_method)
    )


def test_an_amount_that_could_never_be_charged_is_refused(
    gateway: StripeGateway,
) -> None:
    """The gateway knows Stripe's limits before Stripe is asked."""
    gateway.check_amount(usd("0.50"))
    with pytest.raises(BadInput):
        gateway.check_amount(usd("0.49"))


def test_two_installations_on_one_account_do_not_see_each_other(
    sandbox: SandboxServer,
) -> None:
    """Or each would credit its own account 1001 for the other's charge."""
    since = datetime.fromtimestamp(sandbox.tool.advance(3600), UTC)
    first = make_gateway(sandbox.url, installation=lambda: "first")
    second = make_gateway(sandbox.url, installation=lambda: "second")
    order = make_order(sandbox)
    first.confirm(order, created(first, order), number=1)

    assert [seen.attempt for seen in first.list_since(since)] == [order.attempt]
    assert list(second.list_since(since)) == []
