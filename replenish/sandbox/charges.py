"""Charges and their balance transactions.

Charges come into being only by confirming a PaymentIntent. Stripe books a charge
captured at once a second or two later, so its first snapshot may have no
`balance_transaction` there; here it is booked with the charge.
"""

from replenish.sandbox import lists, metadata
from replenish.sandbox.declines import Decline
from replenish.sandbox.errors import ApiError, Json
from replenish.sandbox.shapes import (
    APPROVED,
    BALANCE_TRANSACTION,
    CHARGE,
    card_details,
    declined_outcome,
)
from replenish.sandbox.world import Call

DAY = 86400
HOLD = 7 * DAY  # how long an authorisation waits for its capture
_FEE_PERMILLE, _FEE_FIXED = 29, 30  # Stripe US cards: 2.9 % + 30 cents
_UPDATE = frozenset({"description", "metadata", "receipt_email", "transfer_group"})
_COPIED = (
    "amount", "currency", "customer", "description", "metadata", "receipt_email",
    "shipping", "statement_descriptor", "statement_descriptor_suffix",
    "transfer_group",
)  # fmt: skip


def make(call: Call, intent: Json, method: Json, decline: Decline | None) -> Json:
    """Return the charge of one attempt, approved or declined (not saved yet)."""
    id_ = call.world.ids.long("ch_3")
    approved = decline is None
    asked = decline is None or decline.type != "blocked"
    charge: Json = {**CHARGE, **{name: intent[name] for name in _COPIED}}
    charge |= {
        "id": id_,
        "billing_details": method["billing_details"],
        "created": call.now,
        "outcome": APPROVED if decline is None else declined_outcome(decline),
        "paid": approved,
        "payment_intent": intent["id"],
        "payment_method": method["id"],
        "payment_method_details": card_details(
            method["card"],
            amount=intent["amount"],
            approved=approved,
            auth=f"{int(id_[-6:], 16) % 10**6:06d}" if asked else None,
        ),
        "status": "succeeded" if approved else "failed",
    }
    if decline is not None:
        charge["failure_code"] = decline.code
        charge["failure_message"] = decline.message
    else:
        charge["receipt_url"] = f"https://pay.stripe.com/receipts/payment/{id_}"
    if approved and intent["capture_method"] == "manual":
        charge["payment_method_details"]["card"]["capture_before"] = call.now + HOLD
    return charge


def take_money(call: Call, charge: Json, amount: int) -> None:
    """Mark an approved charge captured and book it (not saved yet)."""
    charge["captured"] = True
    charge["amount_captured"] = amount
    fee = (amount * _FEE_PERMILLE + 500) // 1000 + _FEE_FIXED
    booked = book(
        call, charge["id"], amount, charge["currency"], kind="charge",
        description=charge["description"], fee=fee, fee_for="Stripe processing fees",
    )  # fmt: skip
    charge["balance_transaction"] = booked["id"]
    call.captures += 1


def book(  # noqa: PLR0913 - one column each
    call: Call,
    source: str,
    amount: int,
    currency: str,
    *,
    kind: str,
    description: str | None,
    fee: int = 0,
    fee_for: str = "",
) -> Json:
    """Save a balance transaction and return it; money going out is negative."""
    transaction: Json = {
        **BALANCE_TRANSACTION,
        "id": call.world.ids.long("txn_3"),
        "amount": amount,
        "available_on": (call.now // DAY + 2) * DAY,
        "created": call.now,
        "currency": currency,
        "description": description,
        "fee": fee,
        "net": amount - fee,
        "reporting_category": kind,
        "source": source,
        "type": kind,
    }
    if fee:
        transaction["fee_details"] = [
            {
                "amount": fee, "application": None, "currency": currency,
                "description": fee_for, "type": "stripe_fee",
            }
        ]  # fmt: skip
    return call.save(transaction)


def note(
    call: Call, kind: str, intent: Json, method: Json | None, **more: object
) -> None:
    """Write one money record about an intent into the ledger."""
    call.ledger(
        kind,
        {
            "intent": intent["id"],
            "amount": intent["amount"],
            "currency": intent["currency"],
            "customer": intent["customer"],
            "payment_method": method["id"] if method else intent["payment_method"],
            "fingerprint": method["card"]["fingerprint"] if method else None,
            "metadata": intent["metadata"],
            **more,
        },
    )


def retrieve(call: Call) -> bytes:
    """`GET /v1/charges/{id}`."""
    call.only(frozenset())
    return call.answer(call.here("charge"))


def update(call: Call) -> bytes:
    """`POST /v1/charges/{id}`: its words; what belongs to the intent is refused."""
    call.only(_UPDATE)
    charge = dict(call.here("charge"))
    if "transfer_group" in call.params:
        message = (
            f"This Charge was created by a PaymentIntent ({charge['payment_intent']}). "
            "You must update the `transfer_group` on the PaymentIntent instead of "
            "updating the Charge directly. See "
            "https://stripe.com/docs/api#update_payment_intent"
        )
        raise ApiError(400, message, stored=True)
    for name in ("description", "receipt_email"):
        if name in call.params:
            charge[name] = call.text(name)
    charge["metadata"] = metadata.merged(call, charge["metadata"])
    call.save(charge)
    call.emit("charge.updated", charge, previous={})
    return call.answer(charge)


def listed(call: Call) -> bytes:
    """`GET /v1/charges`."""
    return lists.listing(call, "charge", by=("customer", "payment_intent"))


def retrieve_balance_transaction(call: Call) -> bytes:
    """`GET /v1/balance_transactions/{id}`."""
    call.only(frozenset())
    return call.answer(call.here("balance_transaction"))


def list_balance_transactions(call: Call) -> bytes:
    """`GET /v1/balance_transactions`."""
    by = ("source", "type", "currency")
    return lists.listing(call, "balance_transaction", by=by)
