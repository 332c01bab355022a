"""Refunds, disputes and charges, as recordings of Stripe's test mode show them."""

import pytest
from stripe import InvalidRequestError, StripeClient

from tests.integration.sandbox.makers import (
    charge,
    confirm,
    make_customer,
    make_intent,
    refused,
)
from tests.sandbox_server import SandboxServer

pytestmark = pytest.mark.integration

DISPUTE_EVENTS = [
    "payment_intent.created", "charge.succeeded", "charge.dispute.created",
    "charge.dispute.funds_withdrawn", "payment_intent.succeeded",
]  # fmt: skip


def kinds(server: SandboxServer) -> list[str]:
    """Return the types of all events, oldest first."""
    return [str(event.type) for event in server.client().v1.events.list().data][::-1]


def test_a_refund_knows_whom_it_pays(api: StripeClient) -> None:
    """Its customer and card, and the booking that takes the money out."""
    customer, method = make_customer(api, "pm_card_visa")
    intent = charge(api, method, customer=customer, description="Top-up")
    refund = api.v1.refunds.create({"payment_intent": intent.id, "reason": "duplicate"})
    raw = refund.to_dict()

    assert (raw["customer"], raw["payment_method"]) == (customer, method)
    assert refund.destination_details is not None
    booked = api.v1.balance_transactions.retrieve(str(refund.balance_transaction))
    assert (booked.amount, booked.fee, booked.type) == (-2500, 0, "refund")
    assert booked.description == "REFUND FOR CHARGE (Top-up)"
    changed = api.v1.refunds.update(refund.id, {"metadata": {"by": "staff"}})
    assert changed.metadata is not None
    assert changed.metadata.to_dict() == {"by": "staff"}


def test_a_refund_needs_money_that_was_taken(api: StripeClient) -> None:
    """Of nothing, of a failed payment, of a hold: each has its own refusal."""
    create = api.v1.refunds.create
    held = confirm(api, make_intent(api, capture_method="manual").id)
    waiting = make_intent(api)
    neither = refused(create)
    unknown = refused(lambda: create({"charge": "ch_none"}), status=404)
    nothing = refused(lambda: create({"payment_intent": waiting.id}))
    uncaptured = refused(lambda: create({"payment_intent": held.id}))
    reason = refused(lambda: create({"charge": "ch_none", "reason": "whim"}))

    assert "payment_intent or charge." in str(neither.user_message)
    assert (unknown.code, unknown.param) == ("resource_missing", "id")
    assert unknown.user_message == "No such charge: 'ch_none'"
    assert f"({waiting.id}) does not have a successful charge to refund." in str(
        nothing.user_message
    )
    assert "You must cancel the PaymentIntent to reverse the authorization" in str(
        uncaptured.user_message
    )
    assert reason.user_message == (
        "Invalid reason: must be one of duplicate, fraudulent, or requested_by_customer"
    )


def test_a_charge_has_a_list_of_its_refunds(api: StripeClient) -> None:
    """Newest first, and counted."""
    intent = charge(api, "pm_card_visa")
    made = [
        api.v1.refunds.create({"payment_intent": intent.id, "amount": amount}).id
        for amount in (100, 200)
    ]

    rows = api.v1.refunds.list({"charge": str(intent.latest_charge)})

    assert [row.id for row in rows.data] == made[::-1]
    assert rows.to_dict()["count"] == 2


def test_a_chargeback_takes_the_money_at_once(own: SandboxServer) -> None:
    """With a fee, between the charge's event and the intent's; refunds are barred."""
    api = own.client()
    customer = api.v1.customers.create({"name": "Ada", "email": "a@example.com"}).id
    method = api.v1.payment_methods.attach(
        "pm_card_createDispute", {"customer": customer}
    )
    intent = charge(api, method.id, customer=customer)
    case = api.v1.disputes.list({"payment_intent": intent.id}).data[0]
    taken = api.v1.charges.retrieve(str(intent.latest_charge)).to_dict()

    assert kinds(own)[-5:] == DISPUTE_EVENTS
    assert (case.reason, case.status) == ("fraudulent", "needs_response")
    assert not case.is_charge_refundable
    booked = case.balance_transactions[0]
    assert (booked.amount, booked.fee, booked.net) == (-2500, 1500, -4000)
    assert (booked.type, booked.reporting_category) == ("adjustment", "dispute")
    assert case.evidence.customer_email_address == "a@example.com"
    assert case.payment_method_details is not None
    assert case.payment_method_details.card is not None
    assert case.payment_method_details.card.network_reason_code == "10.4"
    assert (taken["disputed"], taken["dispute"]) == (True, case.id)
    barred = refused(lambda: api.v1.refunds.create({"payment_intent": intent.id}))
    assert barred.code == "charge_disputed"


def test_an_inquiry_takes_nothing(own: SandboxServer) -> None:
    """No booking, no withdrawal, and a refund still goes."""
    api = own.client()
    intent = charge(api, "pm_card_createDisputeInquiry")
    case = api.v1.disputes.list().data[0]

    assert (case.status, case.balance_transactions) == ("warning_needs_response", [])
    assert case.is_charge_refundable
    assert "charge.dispute.funds_withdrawn" not in kinds(own)
    assert api.v1.refunds.create({"payment_intent": intent.id}).status == "succeeded"


def test_a_hold_is_disputed_once_it_is_captured(own: SandboxServer) -> None:
    """Never before: no money had moved."""
    api = own.client()
    held = charge(api, "pm_card_createDispute", capture_method="manual")
    assert not api.v1.disputes.list().data

    api.v1.payment_intents.capture(held.id)

    assert [case.payment_intent for case in api.v1.disputes.list().data] == [held.id]
    assert kinds(own)[-4:] == [
        "charge.captured", "charge.dispute.created", "charge.dispute.funds_withdrawn",
        "payment_intent.succeeded",
    ]  # fmt: skip


def test_a_charge_may_be_described_later(api: StripeClient) -> None:
    """Its words change; what belongs to the intent is changed there."""
    charge_id = str(charge(api, "pm_card_visa").latest_charge)
    update = api.v1.charges.update

    changed = update(charge_id, {"description": "late", "metadata": {"a": "b"}})
    group = refused(lambda: update(charge_id, {"transfer_group": "g"}))

    assert (changed.description, changed.metadata.to_dict()) == ("late", {"a": "b"})
    assert "You must update the `transfer_group` on the PaymentIntent" in str(
        group.user_message
    )


def test_a_charge_shows_what_the_bank_said(api: StripeClient) -> None:
    """Approved: an authorisation code and the network's ids; the CVC was checked."""
    customer, method = make_customer(api, "pm_card_visa")
    intent = charge(api, method, customer=customer)
    card = api.v1.charges.retrieve(str(intent.latest_charge)).to_dict()[
        "payment_method_details"
    ]["card"]
    again = charge(api, method, customer=customer)
    other = api.v1.charges.retrieve(str(again.latest_charge)).to_dict()[
        "payment_method_details"
    ]["card"]

    assert len(card["authorization_code"]) == 6
    assert card["checks"]["cvc_check"] == "pass"
    assert card["amount_authorized"] == 2500
    assert card["network_transaction_id"] == other["network_transaction_id"]
    assert api.v1.charges.list({"customer": customer}).data[0].id == again.latest_charge


def test_a_deleted_customer_is_gone_for_good(api: StripeClient) -> None:
    """404 for whoever changes or deletes it; reading it still says so."""
    customer, _ = make_customer(api)
    api.v1.customers.delete(customer)

    again = refused(lambda: api.v1.customers.delete(customer), status=404)
    with pytest.raises(InvalidRequestError) as changed:
        api.v1.customers.update(customer, {"name": "Bob"})

    assert (again.code, again.param) == ("resource_missing", "id")
    assert changed.value.http_status == 404
    assert api.v1.customers.retrieve(customer).to_dict() == {
        "id": customer, "object": "customer", "deleted": True,
    }  # fmt: skip
