"""Cards that ask, wait, change their mind, or are disputed afterwards."""

import pytest
from stripe import CardError, InvalidRequestError, StripeClient

from tests.integration.sandbox.makers import charge, confirm, make_customer, make_intent
from tests.sandbox_server import SandboxServer

pytestmark = pytest.mark.integration


@pytest.mark.parametrize(
    "card", ["pm_card_authenticationRequired", "pm_card_authenticationRequiredOnSetup"]
)
def test_authentication_off_session_is_a_decline(api: StripeClient, card: str) -> None:
    """Off-session nobody can authenticate: 402, and the same intent may go on."""
    intent = make_intent(api, card)

    with pytest.raises(CardError) as caught:
        confirm(api, intent.id)

    error = caught.value
    assert error.code == "authentication_required"
    assert error.error is not None
    assert error.error.decline_code == "authentication_required"
    assert error.error.message == (
        "Your card was declined. This transaction requires authentication."
    )
    assert error.error.payment_intent is not None
    assert error.error.payment_intent.status == "requires_payment_method"


def test_authentication_on_session_asks_and_then_charges(shared: SandboxServer) -> None:
    """On-session the intent waits in requires_action until the cardholder agrees."""
    api = shared.client()
    intent = make_intent(api, "pm_card_authenticationRequired")

    asked = api.v1.payment_intents.confirm(intent.id)
    shared.tool.authenticate(intent.id)

    assert asked.status == "requires_action"
    assert asked.next_action is not None
    assert asked.client_secret
    assert api.v1.payment_intents.retrieve(intent.id).status == "succeeded"


def test_a_card_set_up_once_needs_no_second_authentication(
    shared: SandboxServer,
) -> None:
    """3155 authenticates while it is saved; off-session charges then succeed."""
    api = shared.client()
    customer, _ = make_customer(api)
    setup = api.v1.setup_intents.create(
        {
            "customer": customer,
            "payment_method": "pm_card_authenticationRequiredOnSetup",
            "confirm": True,
        }
    )
    shared.tool.authenticate(setup.id)
    method = api.v1.customers.payment_methods.list(customer).data[0]

    intent = charge(api, method.id, customer=customer)

    assert setup.status == "requires_action"
    assert api.v1.setup_intents.retrieve(setup.id).status == "succeeded"
    assert intent.status == "succeeded"


def test_a_chain_of_outcomes_plays_in_order(api: StripeClient) -> None:
    """Decline twice, then succeed: the last outcome stays."""
    name = "pm_sandbox_chain_insufficient_funds-do_not_honor-succeed"
    intent = make_intent(api, name)
    method = str(intent.payment_method)
    seen = []
    for _ in range(2):
        with pytest.raises(CardError) as caught:
            confirm(api, intent.id, payment_method=method)
        assert caught.value.error is not None
        seen.append(caught.value.error.decline_code)

    first = confirm(api, intent.id, payment_method=method)

    assert seen == ["insufficient_funds", "do_not_honor"]
    assert first.status == "succeeded"
    again = charge(api, method, customer=str(intent.customer))
    assert again.status == "succeeded"


def test_a_bank_can_change_its_mind(shared: SandboxServer) -> None:
    """The control port fixes a dead card, as a bank or a card updater would."""
    api = shared.client()
    intent = make_intent(api, "pm_sandbox_decline_expired_card")
    method, customer = str(intent.payment_method), str(intent.customer)
    with pytest.raises(CardError):
        confirm(api, intent.id)

    shared.tool.set_card(method, "succeed")
    assert confirm(api, intent.id, payment_method=method).status == "succeeded"
    assert shared.tool.set_customer_cards(customer, "lost_card") == 1
    with pytest.raises(CardError):
        charge(api, method, customer=customer)


def test_processing_stays_until_it_is_settled(shared: SandboxServer) -> None:
    """A pending payment can neither be confirmed nor cancelled."""
    api = shared.client()
    intent = make_intent(api, "pm_sandbox_processing")

    pending = confirm(api, intent.id)
    with pytest.raises(InvalidRequestError) as caught:
        api.v1.payment_intents.cancel(intent.id)
    shared.tool.settle(intent.id)

    assert pending.status == "processing"
    assert caught.value.code == "payment_intent_unexpected_state"
    assert api.v1.payment_intents.retrieve(intent.id).status == "succeeded"


def test_an_indian_card_settles_a_day_later(own: SandboxServer) -> None:
    """Off-session, a card issued in India is debited 26 hours after the notice."""
    api = own.client()
    intent = make_intent(api, "pm_sandbox_visa_in")

    pending = confirm(api, intent.id)
    own.tool.advance(25 * 3600)
    before = api.v1.payment_intents.retrieve(intent.id).status
    own.tool.advance(2 * 3600)

    assert (pending.status, before) == ("processing", "processing")
    assert api.v1.payment_intents.retrieve(intent.id).status == "succeeded"


def test_a_disputed_card_opens_a_dispute(api: StripeClient) -> None:
    """0259 succeeds and is then disputed as fraudulent."""
    intent = confirm(api, make_intent(api, "pm_card_createDispute").id)

    disputes = api.v1.disputes.list({"payment_intent": intent.id}).data

    assert intent.status == "succeeded"
    assert [(d.reason, d.status, d.amount) for d in disputes] == [
        ("fraudulent", "needs_response", 2500)
    ]
