"""Disputes: a bank takes a captured charge back, or asks about it first.

A chargeback withdraws the money and a fee at once and bars refunds; an inquiry
(`warning_…`) withdraws nothing and leaves the charge refundable. The dispute is
born with the money: when a charge is captured, never while it is only held.
"""

from replenish.sandbox import cards, lists
from replenish.sandbox.charges import DAY, book, note
from replenish.sandbox.errors import Json
from replenish.sandbox.shapes import DISPUTE
from replenish.sandbox.world import Call

FEE = 1500  # minor units, kept whoever wins
#: What a card's bank does after the charge: reason, status.
BY_CARD = {
    cards.DISPUTE: ("fraudulent", "needs_response"),
    "dispute_product_not_received": ("product_not_received", "needs_response"),
    "dispute_inquiry": ("fraudulent", "warning_needs_response"),
}
_VISA_REASONS = {"fraudulent": "10.4", "product_not_received": "13.1"}


def follow(call: Call, charge: Json, outcome: str) -> None:
    """Open the dispute that this card's bank has in store, if any."""
    if outcome in BY_CARD:
        reason, status = BY_CARD[outcome]
        dispute(call, charge, reason=reason, status=status)


def dispute(call: Call, charge: Json, *, reason: str, status: str) -> Json:
    """Open a dispute over a charge: the event comes after the charge's own."""
    inquiry = status.startswith("warning")
    case: Json = {
        **DISPUTE,
        "id": call.world.ids.long("du_1"),
        "amount": charge["amount_captured"],
        "charge": charge["id"],
        "created": call.now,
        "currency": charge["currency"],
        "evidence": {**DISPUTE["evidence"], **_known(call, charge)},
        "evidence_details": {
            "due_by": (call.now // DAY + 9) * DAY - 1, "enhanced_eligibility": {},
            "has_evidence": False, "past_due": False, "submission_count": 0,
            "submission_method": "not_submitted",
        },
        "is_charge_refundable": inquiry,
        "payment_intent": charge["payment_intent"],
        "payment_method_details": {
            "card": _card(charge, reason=reason, inquiry=inquiry), "type": "card",
        },
        "reason": reason,
        "status": status,
    }  # fmt: skip
    if not inquiry:
        case |= _withdraw(call, case)
    call.save(case)
    call.save({**charge, "disputed": True, "dispute": case["id"]})
    call.emit("charge.dispute.created", case)
    if not inquiry:
        call.emit("charge.dispute.funds_withdrawn", case)
    intent = call.store.objects[charge["payment_intent"]]
    note(
        call, "dispute.created", intent, None,
        charge=charge["id"], dispute=case["id"], reason=reason,
    )  # fmt: skip
    return case


def retrieve(call: Call) -> bytes:
    """`GET /v1/disputes/{id}`."""
    call.only(frozenset())
    return call.answer(call.here("dispute", param="dispute"))


def listed(call: Call) -> bytes:
    """`GET /v1/disputes`."""
    return lists.listing(call, "dispute", by=("charge", "payment_intent"))


def _withdraw(call: Call, case: Json) -> Json:
    """Book what the bank takes; it is gone at once."""
    booked = book(
        call, case["id"], -case["amount"], case["currency"], kind="adjustment",
        description=f"Chargeback withdrawal for {case['charge']}",
        fee=FEE, fee_for="Dispute fee",
    )  # fmt: skip
    booked |= {
        "available_on": call.now,
        "reporting_category": "dispute",
        "status": "available",
    }
    call.save(booked)
    return {"balance_transaction": booked["id"], "balance_transactions": [booked]}


def _known(call: Call, charge: Json) -> Json:
    """Return the evidence that Stripe fills in by itself."""
    customer = call.store.objects.get(charge["customer"] or "", {})
    return {
        "customer_email_address": customer.get("email"),
        "customer_name": customer.get("name") or customer.get("description"),
        "product_description": charge["description"],
    }


def _card(charge: Json, *, reason: str, inquiry: bool) -> Json:
    brand = charge["payment_method_details"]["card"]["brand"]
    return {
        "brand": brand,
        "case_type": "inquiry" if inquiry else "chargeback",
        "network": brand,
        "network_reason_code": "10" if inquiry else _VISA_REASONS.get(reason, "10.4"),
    }
