"""What the gateway refuses: cards that are gone, wrong orders, wrong keys."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from replenish.adapters.stripe import StripeGateway
from replenish.domain.outcome import ActionRequired, Declined, Unknown
from replenish.errors import GatewayKeyRefused, GatewayMisuse
from tests.contract.gateway_site import (
    HARD,
    bare_intent,
    captures,
    created,
    make_gateway,
    make_order,
)
from tests.factories import usd
from tests.sandbox_server import SandboxServer


def test_a_card_that_is_gone_is_a_hard_decline(
    sandbox: SandboxServer, gateway: StripeGateway
) -> None:
    """Unknown card, deleted customer, another's card: each kills the card."""
    order, other, left = (make_order(sandbox) for _ in range(3))
    sandbox.client().v1.customers.delete(left.customer)
    cases = {
        "payment_method_missing": replace(order, payment_method="pm_gone"),
        "customer_missing": left,
    }
    strange = replace(order, payment_method=other.payment_method, attempt=str(uuid4()))
    for code, case in [*cases.items(), ("payment_method_missing", strange)]:
        said = gateway.create(case)
        assert isinstance(said, Declined)
        assert (HARD, code, "") == (said.kind, said.code, said.intent)


def test_a_customer_that_our_key_has_never_seen_is_for_a_person(
    sandbox: SandboxServer, gateway: StripeGateway
) -> None:
    """With another Stripe account's key that is everybody; no card is dead for it."""
    order = replace(make_order(sandbox), customer="cus_of_another_account")

    with pytest.raises(GatewayMisuse, match="of another Stripe account") as refused:
        gateway.create(order)

    assert refused.value.subject == order.account


def test_a_card_detached_after_creating_is_a_hard_decline(
    sandbox: SandboxServer, gateway: StripeGateway
) -> None:
    """A card taken away between the two calls is declined, nothing is charged."""
    order = make_order(sandbox)
    intent = created(gateway, order)
    gateway.create(order)
    sandbox.client().v1.payment_methods.detach(order.payment_method)
    said = gateway.confirm(order, intent, number=1)
    again = gateway.create(replace(order, attempt=str(uuid4())))

    assert isinstance(said, Declined)
    assert isinstance(again, Declined)
    assert said.kind is again.kind is HARD
    assert said.code == again.code == "payment_method_missing"
    assert captures(sandbox, order) == 0


def test_an_intent_without_a_card_is_a_hard_decline(
    sandbox: SandboxServer, gateway: StripeGateway
) -> None:
    """An intent that has lost its card cannot be confirmed, and that is known."""
    order = make_order(sandbox)
    intent = bare_intent(sandbox, order)
    said = gateway.confirm(order, intent, number=1)

    assert isinstance(said, Declined)
    assert (said.kind, said.code) == (HARD, "payment_method_missing")


def test_an_intent_that_waits_for_its_customer_is_action_required(
    sandbox: SandboxServer, gateway: StripeGateway
) -> None:
    """`requires_action` is never taken for a success."""
    order = make_order(sandbox, "pm_card_authenticationRequired")
    intent = created(gateway, order)
    sandbox.client().v1.payment_intents.confirm(intent)  # on-session, by somebody else

    assert ActionRequired(intent, "requires_action") == gateway.look_up(order, intent)


def test_an_intent_that_is_not_there_proves_nothing(
    sandbox: SandboxServer, gateway: StripeGateway
) -> None:
    """Missing is unknown: the key may be of another account."""
    order = make_order(sandbox)
    seen = gateway.look_up(order, "pi_gone")

    assert isinstance(seen, Unknown)
    assert seen.reason == "missing"
    with pytest.raises(GatewayMisuse, match=order.attempt):
        gateway.cancel(order, "pi_gone")
    with pytest.raises(GatewayMisuse, match=order.attempt):
        gateway.confirm(order, "pi_gone", number=1)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"customer": "cus_else"}, "customer"),
        ({"amount": usd("26.00")}, "amount"),
        ({"attempt": "another"}, "attempt"),
    ],
)
def test_a_charge_that_is_not_ours_is_never_taken_for_ours(
    sandbox: SandboxServer, gateway: StripeGateway, change: dict[str, Any], word: str
) -> None:
    """Another amount, customer or attempt is a mismatch, charged or not."""
    order = make_order(sandbox)
    intent = created(gateway, order)
    gateway.confirm(order, intent, number=1)
    seen = gateway.look_up(replace(order, **change), intent)

    assert isinstance(seen, Unknown)
    assert seen.reason == "mismatch"
    assert word in seen.detail


def test_a_key_used_for_another_charge_is_for_a_person(
    sandbox: SandboxServer, gateway: StripeGateway
) -> None:
    """The same attempt with another amount is our own defect."""
    order = make_order(sandbox)
    created(gateway, order)
    with pytest.raises(GatewayMisuse, match="key was used for another charge"):
        gateway.create(replace(order, amount=usd("26.00")))


def test_a_refused_amount_is_for_a_person(
    sandbox: SandboxServer, gateway: StripeGateway
) -> None:
    """What Stripe's minimum forbids is told with Stripe's own words."""
    order = make_order(sandbox, amount=usd("0.10"))
    with pytest.raises(GatewayMisuse, match="amount_too_small"):
        gateway.create(order)


@pytest.mark.security("S3")
def test_a_refused_key_stops_everything(sandbox: SandboxServer) -> None:
    """Every call says that the key is refused, and does not show it."""
    bad = make_gateway(sandbox.url, "sk_live_somebody_elses_secret")
    order = make_order(sandbox)
    calls: list[Callable[[], object]] = [
        lambda: bad.create(order),
        lambda: bad.confirm(order, "pi_1", number=1),
        lambda: bad.look_up(order, "pi_1"),
        lambda: bad.cancel(order, "pi_1"),
        lambda: list(bad.list_since(datetime.now(UTC))),
        lambda: bad.card(order.customer, order.payment_method),
    ]
    for call in calls:
        with pytest.raises(GatewayKeyRefused, match="STRIPE_API_KEY") as caught:
            call()
        assert "secret" not in str(caught.value)
    assert "STRIPE_API_KEY" in bad.check()[0]


@pytest.mark.security("S3")
def test_a_key_without_the_right_is_refused(sandbox: SandboxServer) -> None:
    """A restricted key that may only read stops the charger."""
    key = f"rk_test_{uuid4().hex}"
    scopes = ["payment_intents:read", "customers:read"]
    sandbox.control("POST", "keys", {"scopes": {key: scopes}})
    limited = make_gateway(sandbox.url, key)

    assert limited.check() == []
    with pytest.raises(GatewayKeyRefused, match="HTTP 403"):
        limited.create(make_order(sandbox))


def test_an_unknown_version_is_named(sandbox: SandboxServer) -> None:
    """The check tells which setting is wrong."""
    old = make_gateway(sandbox.url, api_version="yesterday")

    assert "STRIPE_API_VERSION" in old.check()[0]
    with pytest.raises(GatewayMisuse):
        list(old.list_since(datetime.now(UTC)))


def test_a_working_gateway_has_nothing_to_report(gateway: StripeGateway) -> None:
    """All is well."""
    assert gateway.check() == []


@pytest.mark.security("S3")
def test_a_key_that_may_not_read_customers_is_told(sandbox: SandboxServer) -> None:
    """Before the first card that is gone, at which it would stop all charging."""
    key = f"rk_test_{uuid4().hex}"
    sandbox.control("POST", "keys", {"scopes": {key: ["payment_intents:write"]}})

    (told,) = make_gateway(sandbox.url, key).check()

    assert "does not let it do this" in told
