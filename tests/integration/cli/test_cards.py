"""Cards on file, against the real gateway adapter and a running sandbox."""

import pytest
import stripe

from tests.integration.cli.commands import Terminal
from tests.sandbox_server import SandboxServer


@pytest.fixture
def client(sandbox: SandboxServer) -> stripe.StripeClient:
    """The customer's side of the gateway."""
    return sandbox.client()


def save(client: stripe.StripeClient, card: str = "pm_card_visa") -> tuple[str, ...]:
    """Save a test card with a new customer; give the options that name it."""
    customer = client.v1.customers.create()
    saved = client.v1.payment_methods.attach(card, {"customer": customer.id})
    return "--customer", customer.id, "--payment-method", saved.id


def test_an_account_is_enrolled_with_its_card(
    shop: Terminal, client: stripe.StripeClient
) -> None:
    """The list shows what people recognise it by."""
    enrolled = shop.run("account", "enrol", "1001", *save(client))
    listed = shop.run("card", "list", "1001", "--json").json

    assert enrolled.code == 0, enrolled.err
    assert "Card visa 4242" in enrolled.out
    assert [(card["brand"], card["last4"]) for card in listed] == [("visa", "4242")]


def test_cards_are_added_listed_and_removed(
    shop: Terminal, client: stripe.StripeClient
) -> None:
    """The history tells it; the one that is gone is listed no more."""
    shop.run("account", "enrol", "1001", *save(client))
    second = save(client, "pm_card_mastercard")

    added = shop.run("card", "add", "1001", *second, "--json")
    listed = shop.run("card", "list", "1001")
    removed = shop.run("card", "remove", "1001", second[-1])

    assert added.json["priority"] == 1
    assert listed.out.index("visa 4242") < listed.out.index("mastercard 4444")
    assert removed.code == 0
    assert "mastercard" not in shop.run("card", "list", "1001").out
    told = shop.run("account", "history", "1001").out
    assert "The card mastercard 4444" in told
    assert "was taken off file" in told


@pytest.mark.parametrize("command", [("account", "enrol"), ("card", "add")])
def test_an_indian_card_is_refused(
    shop: Terminal, client: stripe.StripeClient, command: tuple[str, str]
) -> None:
    """When enrolling and later: no charge could ever go through."""
    ref = "1001" if command[0] == "account" else enrolled(shop)

    answer = shop.run(*command, ref, *save(client, "pm_card_in"))

    assert answer.code == 2
    assert "e-mandate" in answer.err


def test_a_detached_card_is_refused(
    shop: Terminal, client: stripe.StripeClient
) -> None:
    """The gateway would refuse every charge with it."""
    card = save(client)
    client.v1.payment_methods.detach(card[-1])

    answer = shop.run("card", "add", enrolled(shop), *card)

    assert answer.code == 1
    assert card[-1] in answer.err


def test_somebody_else_s_card_is_refused(
    shop: Terminal, client: stripe.StripeClient
) -> None:
    """A typing mistake must not charge another customer's card."""
    mine, theirs = save(client), save(client)

    answer = shop.run("card", "add", enrolled(shop), *mine[:3], theirs[-1])

    assert answer.code == 1
    assert theirs[-1] in answer.err


def test_an_amount_that_no_card_can_be_charged_is_refused(shop: Terminal) -> None:
    """The currency's minimum, before the first low balance finds out."""
    answer = shop.run("account", "enrol", "1001", "--top-up", "0.10")

    assert answer.code == 2
    assert "0.10" in answer.err


def test_a_gateway_that_is_away_is_no_bad_card(
    shop: Terminal, client: stripe.StripeClient
) -> None:
    """Exit 3: the same command may work later; nothing is enrolled."""
    away = shop.with_(STRIPE_API_BASE="http://127.0.0.1:1")

    answer = away.run("account", "enrol", "1001", *save(client))

    assert answer.code == 3
    assert shop.run("account", "show", "1001").code == 1


def enrolled(terminal: Terminal) -> str:
    """Enrol 1001 without a card."""
    assert terminal.run("account", "enrol", "1001").code == 0
    return "1001"
