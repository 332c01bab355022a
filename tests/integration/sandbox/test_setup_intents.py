"""Saving a card: SetupIntents, and what may be changed on a saved card."""

import pytest
import stripe
from stripe import StripeClient

from tests.integration.sandbox.makers import charge, make_customer, make_intent
from tests.sandbox_server import SandboxServer

pytestmark = pytest.mark.integration


def test_a_card_is_saved_for_off_session_use(api: StripeClient) -> None:
    """Created, then confirmed with a card: attached, and chargeable."""
    customer, _ = make_customer(api)
    setup = api.v1.setup_intents.create(
        {
            "customer": customer,
            "usage": "off_session",
            "allowed_payment_method_types": ["card"],
        }
    )
    done = api.v1.setup_intents.confirm(setup.id, {"payment_method": "pm_card_visa"})

    assert setup.status == "requires_payment_method"
    assert setup.client_secret
    assert (done.status, done.usage) == ("succeeded", "off_session")
    assert charge(api, str(done.payment_method), customer=customer).status == (
        "succeeded"
    )
    listed = api.v1.setup_intents.list({"customer": customer}).data
    assert [row.id for row in listed] == [setup.id]


def test_a_declined_card_is_not_saved(api: StripeClient) -> None:
    """402 with the setup intent attached; the intent waits for another card."""
    customer, _ = make_customer(api)

    with pytest.raises(stripe.CardError) as caught:
        api.v1.setup_intents.create(
            {
                "customer": customer,
                "payment_method": "pm_card_visa_chargeDeclined",
                "confirm": True,
            }
        )

    assert caught.value.code == "card_declined"
    assert caught.value.error is not None
    intent = caught.value.error.setup_intent
    assert intent is not None
    assert intent.status == "requires_payment_method"
    assert intent.last_setup_error is not None
    assert intent.last_setup_error.decline_code == "generic_decline"


def test_a_setup_intent_ends_once(api: StripeClient) -> None:
    """Cancelled is final, and a confirmation needs a card."""
    setup = api.v1.setup_intents.create({})
    with pytest.raises(stripe.InvalidRequestError) as empty:
        api.v1.setup_intents.confirm(setup.id)
    gone = api.v1.setup_intents.cancel(setup.id, {"cancellation_reason": "abandoned"})
    with pytest.raises(stripe.InvalidRequestError) as twice:
        api.v1.setup_intents.cancel(setup.id)
    with pytest.raises(stripe.InvalidRequestError):
        api.v1.setup_intents.confirm(setup.id)

    assert gone.status == "canceled"
    assert "missing a payment method" in str(empty.value.user_message)
    assert empty.value.code == "setup_intent_unexpected_state"
    assert twice.value.code == "setup_intent_unexpected_state"


def test_a_card_saved_by_a_payment_is_attached(api: StripeClient) -> None:
    """`setup_future_usage` attaches the card once the payment has succeeded."""
    customer, _ = make_customer(api)

    saving = {"customer": customer, "setup_future_usage": "off_session"}
    charge(api, "pm_card_visa", off_session=False, **saving)

    saved = api.v1.customers.payment_methods.list(customer).data
    assert len(saved) == 1
    one = api.v1.customers.payment_methods.retrieve(customer, saved[0].id)
    assert one.id == saved[0].id


def test_a_card_used_without_a_customer_is_spent(api: StripeClient) -> None:
    """What paid once unattached may not pay again."""
    method = api.v1.payment_methods.retrieve("pm_card_visa").id
    charge(api, method)

    with pytest.raises(stripe.InvalidRequestError, match="may not be used again"):
        charge(api, method)


def test_a_saved_card_gets_a_new_expiry(api: StripeClient) -> None:
    """Billing details, metadata and expiry change; an unsaved card refuses."""
    _, method = make_customer(api, "pm_card_visa")
    changed = api.v1.payment_methods.update(
        method,
        {
            "billing_details": {"name": "Ada", "address": {"country": "IE"}},
            "metadata": {"slot": "1"},
            "card": {"exp_month": 9, "exp_year": 2040},
        },
    )
    loose = api.v1.payment_methods.retrieve("pm_card_visa").id

    assert changed.card is not None
    assert (changed.card.exp_month, changed.card.exp_year) == (9, 2040)
    assert changed.billing_details.address is not None
    assert changed.billing_details.address.country == "IE"
    with pytest.raises(stripe.InvalidRequestError, match="save this PaymentMethod"):
        api.v1.payment_methods.update(loose, {"metadata": {"a": "b"}})
    with pytest.raises(stripe.InvalidRequestError, match="already been attached"):
        api.v1.payment_methods.attach(method, {"customer": make_customer(api)[0]})
    with pytest.raises(stripe.InvalidRequestError, match="detachment is impossible"):
        api.v1.payment_methods.detach(loose)


@pytest.mark.parametrize(
    ("month", "year", "code"),
    [(13, 2034, "invalid_expiry_month"), (1, 2020, "invalid_expiry_year")],
)
def test_a_wrong_expiry_is_a_card_error(
    api: StripeClient, month: int, year: int, code: str
) -> None:
    """Checked when the card is entered, before any bank is asked."""
    with pytest.raises(stripe.CardError) as caught:
        api.v1.payment_methods.create(
            {
                "type": "card",
                "card": {
                    "number": "4242424242424242",
                    "exp_month": month,
                    "exp_year": year,
                },
            }
        )

    assert caught.value.code == code


def test_webhook_endpoints_are_kept(own: SandboxServer) -> None:
    """Created with a secret, changed, listed, deleted."""
    api = own.client()
    with pytest.raises(stripe.InvalidRequestError, match="explicit scheme"):
        api.v1.webhook_endpoints.create({"url": "nowhere", "enabled_events": ["*"]})
    one = api.v1.webhook_endpoints.create(
        {"url": "http://127.0.0.1:9/a", "enabled_events": ["*"]}
    )
    two = api.v1.webhook_endpoints.update(one.id, {"disabled": True})

    assert str(one.secret).startswith("whsec_")
    assert two.status == "disabled"
    assert [row.id for row in api.v1.webhook_endpoints.list().data] == [one.id]
    assert api.v1.webhook_endpoints.delete(one.id).deleted
    assert not api.v1.webhook_endpoints.list().data


def test_a_dispute_may_come_later(own: SandboxServer) -> None:
    """The control port disputes any charge; its event follows."""
    api = own.client()
    intent = charge(api, "pm_card_visa")
    own.control("POST", "disputes", {"charge": intent.latest_charge})

    dispute = api.v1.disputes.list().data[0]

    assert api.v1.disputes.retrieve(dispute.id).charge == intent.latest_charge
    assert [event.type for event in api.v1.events.list({"limit": 2}).data] == [
        "charge.dispute.funds_withdrawn",
        "charge.dispute.created",
    ]
    assert api.v1.charges.retrieve(str(intent.latest_charge)).disputed
    taken, earned = api.v1.balance_transactions.list().data
    assert api.v1.balance_transactions.retrieve(earned.id).net == 2500 - 103
    assert taken.net == -2500 - 1500  # what the bank takes, and the fee


def test_only_named_keys_when_some_are_named(own: SandboxServer) -> None:
    """The accepted keys can be narrowed, as after a key rotation."""
    own.control("POST", "keys", {"accepted": ["sk_test_new"]})

    assert own.client(key="sk_test_new").v1.customers.list().data == []
    with pytest.raises(stripe.AuthenticationError):
        own.client(key="sk_test_other").v1.customers.list()


def test_an_open_intent_may_change_its_amount(own: SandboxServer) -> None:
    """Until it has succeeded; after that only its words may change."""
    api = own.client()
    customer, method = make_customer(api, "pm_card_visa")
    intent = make_intent(api, None, amount=500, customer=customer)
    changed = api.v1.payment_intents.update(intent.id, {"amount": 700})
    api.v1.payment_intents.confirm(intent.id, {"payment_method": method})

    assert changed.amount == 700
    with pytest.raises(stripe.InvalidRequestError, match="amount could not be updated"):
        api.v1.payment_intents.update(intent.id, {"amount": 800})
    described = api.v1.payment_intents.update(intent.id, {"description": "late"})
    assert described.description == "late"
