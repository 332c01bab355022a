"""PaymentIntents: create, change, confirm, capture, cancel, list and search.

requires_payment_method → requires_confirmation → requires_action | processing |
requires_capture | succeeded, or back to requires_payment_method after a decline;
`cancel` ends every state but processing, succeeded and canceled
(docs.stripe.com/payments/paymentintents/lifecycle). Stripe's sentence names
`processing` among the states that may be canceled; that is so for some bank debits
only, so the sandbox says the sentence and still refuses: cards are all it has.
"""

from replenish.sandbox import bank, charges, disputes, lists, metadata
from replenish.sandbox import intent_settings as parts
from replenish.sandbox.charges import note
from replenish.sandbox.currencies import check_amount, check_currency
from replenish.sandbox.errors import ApiError, Json, invalid, wrong_state
from replenish.sandbox.search import search as search_for
from replenish.sandbox.shapes import INTENT
from replenish.sandbox.world import Call

_MONEY = frozenset({"amount", "currency", "customer", "payment_method"})
_REASONS = ("duplicate", "fraudulent", "requested_by_customer", "abandoned")
_CAPTURE = frozenset(
    {
        "amount_to_capture", "application_fee_amount", "final_capture", "metadata",
        "statement_descriptor", "statement_descriptor_suffix",
    }
)  # fmt: skip
_CANCELABLE = (
    "requires_payment_method", "requires_capture", "requires_confirmation",
    "requires_action",
)  # fmt: skip
_SAID_CANCELABLE = (
    "requires_payment_method, requires_capture, requires_reauthorization, "
    "requires_confirmation, requires_action, expired, processing"
)
_RELEASED = (
    "The remaining amount on this PaymentIntent could not be captured because the "
    "remainder of the authorized amount has been released."
)
_TOO_MUCH = (
    "The payment could not be captured because the requested capture amount is greater "
    "than the amount you can capture for this charge. Contact us via "
    "https://support.stripe.com/contact/ for help."
)


def create(call: Call) -> bytes:
    """`POST /v1/payment_intents`, with `confirm=true` in one step."""
    parts.only(call, parts.CREATE)
    amount = parts.amount_of(call)
    currency = parts.currency_of(call)
    check_amount(amount, currency)
    confirm = call.flag("confirm") or False
    if not confirm:
        parts.refuse_attempt_flags(call)
    id_ = call.world.ids.long("pi_3")
    intent: Json = {
        **INTENT,
        "id": id_,
        "amount": amount,
        "client_secret": call.world.ids.secret(id_),
        "created": call.now,
        "currency": currency,
    }
    parts.apply(call, intent)
    parts.apply_types(call, intent)
    method = parts.take_method(call, intent)
    if confirm:
        method = parts.check_confirmable(call, intent, method)
    call.save(intent)
    note(call, "intent.created", intent, method)
    call.emit("payment_intent.created", intent)
    if confirm and method is not None:
        intent = bank.attempt(call, intent, method, absent=parts.is_absent(call))
    return call.answer(intent)


def retrieve(call: Call) -> bytes:
    """`GET /v1/payment_intents/{id}`."""
    call.only(frozenset({"client_secret"}))
    if call.world.due:
        bank.settle_due(call)
    return call.answer(call.here("payment_intent", param="intent"))


def update(call: Call) -> bytes:
    """`POST /v1/payment_intents/{id}`."""
    parts.only(call, parts.UPDATE)
    intent = dict(call.here("payment_intent", param="intent"))
    known = dict(intent)
    touched = _MONEY.intersection(call.params)
    if touched and intent["status"] not in parts.OPEN:
        raise parts.not_now(intent, min(touched))
    if touched & {"amount", "currency"}:
        currency = check_currency(call.text("currency") or intent["currency"])
        amount = call.integer("amount")
        amount = intent["amount"] if amount is None else amount
        check_amount(amount, currency)
        intent |= {"amount": amount, "currency": currency}
    parts.apply(call, intent)
    parts.apply_types(call, intent)
    parts.take_method(call, intent, known)
    return call.answer(call.save(intent))


def confirm(call: Call) -> bytes:
    """`POST /v1/payment_intents/{id}/confirm`."""
    parts.only(call, parts.CONFIRM)
    if call.world.due:
        bank.settle_due(call)
    intent = dict(call.here("payment_intent", param="intent"))
    parts.refuse_ended(call, intent)
    known = dict(intent)
    parts.apply(call, intent)
    parts.apply_types(call, intent)
    method = parts.take_method(call, intent, known)
    method = parts.check_confirmable(call, intent, method, known)
    intent = bank.attempt(call, intent, method, absent=parts.is_absent(call))
    return call.answer(intent)


def cancel(call: Call) -> bytes:
    """`POST /v1/payment_intents/{id}/cancel`: proof that it will never charge."""
    call.only(frozenset({"cancellation_reason"}))
    reason = call.choice("cancellation_reason", _REASONS)
    intent = dict(call.here("payment_intent", param="intent"))
    if intent["status"] not in _CANCELABLE:
        message = (
            "You cannot cancel this PaymentIntent because it has a status of "
            f"{intent['status']}. Only a PaymentIntent with one of the following "
            f"statuses may be canceled: {_SAID_CANCELABLE}."
        )
        raise wrong_state(message, intent)
    intent |= {
        "status": "canceled",
        "amount_capturable": 0,
        "canceled_at": call.now,
        "cancellation_reason": reason,
        "next_action": None,
    }
    call.save(intent)
    note(call, "intent.canceled", intent, None, reason=reason)
    call.emit("payment_intent.canceled", intent)
    return call.answer(intent)


def capture(call: Call) -> bytes:
    """`POST /v1/payment_intents/{id}/capture` of a manual authorisation.

    What is not captured is released: the charge shows it as never taken, not as
    refunded.
    """
    call.only(_CAPTURE)
    amount = call.integer("amount_to_capture")
    intent = dict(call.here("payment_intent", param="intent"))
    _check_capture(intent, amount)
    amount = intent["amount_capturable"] if amount is None else amount
    charge = dict(call.store.objects[intent["latest_charge"]])
    charges.take_money(call, charge, amount)
    call.save(charge)
    intent |= {"status": "succeeded", "amount_received": amount, "amount_capturable": 0}
    intent["metadata"] = metadata.merged(call, intent["metadata"])
    call.save(intent)
    method = call.store.objects[charge["payment_method"]]
    note(call, "charge.captured", intent, method, charge=charge["id"], captured=amount)
    call.emit("charge.captured", charge)
    disputes.follow(call, charge, call.card_of(method["id"]).outcomes[-1])
    call.emit("payment_intent.succeeded", intent)
    return call.answer(intent)


def _check_capture(intent: Json, amount: int | None) -> None:
    """Refuse to capture what is not held, or another amount than is."""
    if intent["status"] == "succeeded":
        raise wrong_state(_RELEASED, intent)
    if intent["status"] != "requires_capture":
        message = (
            "This PaymentIntent could not be captured because it has a status of "
            f"{intent['status']}. Only a PaymentIntent with one of the following "
            "statuses may be captured: requires_capture."
        )
        raise wrong_state(message, intent)
    if amount is None or 0 < amount <= intent["amount_capturable"]:
        return
    if amount > 0:
        error = ApiError(400, _TOO_MUCH, code="amount_too_large", stored=True)
    elif amount:
        message = "Invalid non-negative integer"
        error = invalid(message, "amount_to_capture")
    else:
        message = "This value must be greater than or equal to 1."
        error = invalid(message, "amount", code="parameter_invalid_integer")
    error.fields["payment_intent"] = dict(intent)
    raise error


def listed(call: Call) -> bytes:
    """`GET /v1/payment_intents`: read-after-write."""
    return lists.listing(call, "payment_intent", by=("customer",))


def search(call: Call) -> bytes:
    """`GET /v1/payment_intents/search`: may lag behind writes."""
    return search_for(call, "payment_intent")
