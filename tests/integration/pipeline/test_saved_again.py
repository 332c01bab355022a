"""A card that its customer saves again, at the real sandbox and in the real ledger.

The gateway gives the same plastic another `pm_…` each time. What it then says of the
old one must not keep the new one from being charged, unless the bank has said that
the card itself is lost.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest
import stripe

from replenish.adapters.stripe import StripeGateway
from replenish.domain.enrolment import Overrides
from replenish.domain.outcome import ActionRequired, DeclineClass, Declined
from replenish.errors import BadInput
from replenish.pipeline import enrol
from tests.contract.gateway_site import make_gateway
from tests.sandbox_server import SandboxServer
from tests.world import DEFAULTS, World

VISA = "pm_sandbox_visa"
ASKS_ONCE = "pm_card_authenticationRequiredOnSetup"
STOLEN = "pm_sandbox_decline_stolen_card"
OFTEN = Overrides(cooldown=timedelta(0))


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxServer]:
    """One sandbox for the module; every test makes its own customers."""
    with SandboxServer(tmp_path_factory.mktemp("again") / "ledger.jsonl") as server:
        yield server


@dataclass
class Shop:
    """An installation at the sandbox, and the hands of a customer there."""

    world: World
    sandbox: SandboxServer
    gateway: StripeGateway

    @property
    def api(self) -> stripe.StripeClient:
        """The customer's side of the gateway."""
        return self.sandbox.client()

    def customer(self) -> str:
        """Make a customer."""
        return self.api.v1.customers.create().id

    def save(self, customer: str, card: str) -> str:
        """Save a card as it is; give its new id."""
        return self.api.v1.payment_methods.attach(card, {"customer": customer}).id

    def save_present(self, customer: str, card: str) -> str:
        """Save a card whose customer authenticates it; give its new id."""
        setup = self.api.v1.setup_intents.create(
            {
                "customer": customer,
                "usage": "off_session",
                "payment_method": card,
                "confirm": True,
                "allowed_payment_method_types": ["card"],
            }
        )
        assert setup.status == "requires_action"
        self.sandbox.tool.authenticate(setup.id)
        return str(setup.payment_method)

    def detach(self, method: str) -> None:
        """Remove a card in a portal."""
        self.api.v1.payment_methods.detach(method)

    def add(self, customer: str, method: str, ref: str = "1001") -> None:
        """Put a card on file, by what `replenish card add` does."""
        desk = Desk(self.world, self.gateway)
        enrol.add_card(
            desk, ref, customer=customer, payment_method=method, actor="test"
        )
        self.world.of_years(ref)

    def charge(self) -> list[str]:
        """Let a sweep and a worker go once; give the states of the attempts."""
        self.world.run("UPDATE replenish.account SET not_before = NULL")
        for ref in self.world.sweep():
            self.world.replenish(ref)
        rows = self.world.ask("SELECT state FROM replenish.attempt ORDER BY claimed_at")
        return [str(state) for (state,) in rows]

    def on_file(self) -> list[tuple[str, str | None]]:
        """Give the cards on file and why they are dead."""
        cards = self.world.register.cards("1001")
        return [(card.payment_method, card.dead_reason) for card in cards]


class Desk:
    """What enrolling needs, of a world and a gateway."""

    def __init__(self, world: World, gateway: StripeGateway) -> None:
        self.register = world.register
        self.billing = world.services.billing
        self.clock = world.services.clock
        self.gateway = gateway
        self.defaults = DEFAULTS


@pytest.fixture
def shop(world: World, sandbox: SandboxServer) -> Shop:
    """An installation with a low account 1001 that has no card."""
    gateway = make_gateway(sandbox.url)
    world.services = replace(world.services, gateway=gateway)
    world.enrol(card=False, overrides=OFTEN)
    return Shop(world, sandbox, gateway)


@pytest.mark.parametrize("remove", [False, True], ids=["left", "taken off"])
def test_a_detached_card_that_is_saved_again_is_charged(
    shop: Shop, *, remove: bool
) -> None:
    """Under its new id, whether the old one was taken off file by hand or not."""
    customer = shop.customer()
    old = shop.save(customer, VISA)
    shop.add(customer, old)
    shop.detach(old)

    assert shop.charge() == ["released"]
    assert shop.on_file() == [(old, "payment_method_missing")]

    if remove:
        shop.world.register.remove_card("1001", old, actor="test")
    new = shop.save(customer, VISA)
    shop.add(customer, new)

    assert shop.charge() == ["released", "settled"]
    assert shop.on_file() == [(new, None)]


def test_a_card_saved_again_before_the_old_one_was_missed_is_charged(
    shop: Shop,
) -> None:
    """That one id is gone says nothing of another id of the same card."""
    customer = shop.customer()
    old, new = shop.save(customer, VISA), shop.save(customer, VISA)
    shop.add(customer, old)
    shop.add(customer, new)
    shop.detach(old)

    assert shop.charge() == ["released"]
    assert shop.charge() == ["released", "settled"]
    assert shop.on_file() == [(old, "payment_method_missing"), (new, None)]


def test_a_card_of_a_deleted_customer_is_charged_under_another(shop: Shop) -> None:
    """Its customer was deleted at the gateway, and made and saved anew."""
    gone, customer = shop.customer(), shop.customer()
    old = shop.save(gone, VISA)
    shop.add(gone, old)
    shop.api.v1.customers.delete(gone)

    assert shop.charge() == ["released"]
    [(_, reason)] = shop.on_file()
    assert reason in ("customer_missing", "payment_method_missing")

    new = shop.save(customer, VISA)
    shop.add(customer, new)

    assert shop.charge() == ["released", "settled"]
    assert shop.on_file() == [(new, None)]


def test_a_card_that_its_customer_authenticates_is_charged(shop: Shop) -> None:
    """The bank wanted its customer, who came and saved the card in their presence."""
    customer = shop.customer()
    old = shop.save(customer, ASKS_ONCE)
    shop.add(customer, old)

    assert shop.charge() == ["action_required"]
    assert shop.on_file() == [(old, "authentication_required")]

    new = shop.save_present(customer, ASKS_ONCE)
    shop.add(customer, new)

    assert shop.charge() == ["action_required", "settled"]
    assert shop.on_file() == [(new, None)]
    told = shop.world.ask(
        "SELECT detail ->> 'payment_method' FROM replenish.event"
        " WHERE kind = 'card_removed'"
    )
    assert told == [(old,)]


@pytest.mark.parametrize("remove", [False, True], ids=["left", "taken off"])
def test_a_stolen_card_that_is_saved_again_stays_refused(
    shop: Shop, *, remove: bool
) -> None:
    """On its account it is not taken, on another's it is never charged."""
    customer = shop.customer()
    old = shop.save(customer, STOLEN)
    shop.add(customer, old)

    assert shop.charge() == ["declined"]

    shop.world.register.resume("1001", actor="test")
    if remove:
        shop.world.register.remove_card("1001", old, actor="test")
    new = shop.save(customer, STOLEN)
    with pytest.raises(BadInput, match=r"refused for good \(stolen_card\)"):
        shop.add(customer, new)

    shop.world.enrol("1002", card=False, overrides=OFTEN)
    shop.add(customer, new, "1002")

    assert shop.charge() == ["declined"]
    skipped = shop.world.ask(
        "SELECT reason, detail FROM replenish.skip WHERE account_id = '1002'"
    )
    assert skipped == [("card_dead", "stolen_card, on another account")]


def test_a_card_saved_again_waits_as_long_as_it_would_have(world: World) -> None:
    """What it was tried under its old id counts, for the policy as for the claim."""
    world.enrol()
    asks = ActionRequired("pi", "authentication_required")
    world.gateway.says("confirm", asks)
    assert world.replenish().outcome == "action_required"

    world.register.add_card(
        "1001", replace(world.card("1001"), payment_method="pm_again"), actor="test"
    )

    assert world.sweep() == []
    assert world.ask("SELECT reason FROM replenish.skip") == [("cooldown",)]


def test_a_stolen_card_has_no_other_id(world: World) -> None:
    """Entered twice, and the refused one taken off file: the other stays dead."""
    world.enrol()
    twin = replace(world.card("1001"), payment_method="pm_twin")
    world.register.add_card("1001", twin, actor="test")
    stolen = Declined("pi", DeclineClass.FRAUD, "stolen_card")
    world.gateway.says("confirm", stolen)
    assert world.replenish().outcome == "declined"

    world.register.remove_card("1001", "pm_1001", actor="test")
    world.register.resume("1001", actor="test")
    world.age("1 hour")

    assert world.sweep() == []
    assert world.ask("SELECT reason FROM replenish.skip") == [("card_dead",)]
