"""Refunds of captured charges, whole or in part, never more than was taken."""

from replenish.sandbox import lists, metadata
from replenish.sandbox.charges import book, note
from replenish.sandbox.currencies import written
from replenish.sandbox.errors import ApiError, Json, invalid
from replenish.sandbox.shapes import REFUND
from replenish.sandbox.world import Call

_CREATE = frozenset({"charge", "payment_intent", "amount", "reason", "metadata"})
_REASONS = ("duplicate", "fraudulent", "requested_by_customer")
_NEITHER = (
    "One of the following params should be provided for this request: payment_intent "
    "or charge."
)


def create(call: Call) -> bytes:
    """`POST /v1/refunds` of a charge, or of a PaymentIntent's charge."""
    call.only(_CREATE)
    reason = call.choice("reason", _REASONS)
    amount = call.integer("amount")
    if not call.text("charge") and not call.text("payment_intent"):
        raise ApiError(400, _NEITHER)
    charge = dict(_charge(call))
    _check_refundable(call, charge)
    left = charge["amount_captured"] - charge["amount_refunded"]
    amount = left if amount is None else amount
    _check(amount, left, charge)
    refund: Json = {
        **REFUND,
        "id": call.world.ids.long("re_3"),
        "amount": amount,
        "charge": charge["id"],
        "created": call.now,
        "currency": charge["currency"],
        "customer": charge["customer"],
        "metadata": metadata.merged(call, {}),
        "payment_intent": charge["payment_intent"],
        "payment_method": charge["payment_method"],
        "reason": reason,
    }
    about = charge["description"]
    booked = book(
        call, refund["id"], -amount, charge["currency"], kind="refund",
        description="REFUND FOR CHARGE" + (f" ({about})" if about else ""),
    )  # fmt: skip
    refund["balance_transaction"] = booked["id"]
    call.save(refund)
    charge["amount_refunded"] += amount
    charge["refunded"] = amount == left
    call.save(charge)
    _record(call, refund, charge)
    return call.answer(refund)


def update(call: Call) -> bytes:
    """`POST /v1/refunds/{id}`: only its metadata."""
    call.only(frozenset({"metadata"}))
    refund = dict(call.here("refund"))
    refund["metadata"] = metadata.merged(call, refund["metadata"])
    call.save(refund)
    call.emit("refund.updated", refund, previous={})
    return call.answer(refund)


def retrieve(call: Call) -> bytes:
    """`GET /v1/refunds/{id}`."""
    call.only(frozenset())
    return call.answer(call.here("refund"))


def listed(call: Call) -> bytes:
    """`GET /v1/refunds`."""
    return lists.listing(call, "refund", by=("charge", "payment_intent"))


def listed_of_charge(call: Call) -> bytes:
    """`GET /v1/charges/{id}/refunds`."""
    charge = call.here("charge")
    return lists.listing(call, "refund", charge=charge["id"])


def _charge(call: Call) -> Json:
    """Return the charge to refund; Stripe answers 404 for one that is not there."""
    if id_ := call.text("charge"):
        return call.find("charge", id_, param="id", status=404)
    id_ = call.required("payment_intent")
    intent = call.find("payment_intent", id_, param="payment_intent")
    charge = call.store.objects.get(intent["latest_charge"] or "")
    if charge is None:
        raise _nothing_to_refund(id_)
    return charge


def _check_refundable(call: Call, charge: Json) -> None:
    """Refuse what took no money, what is only held, and what a bank has back."""
    if charge["status"] != "succeeded":
        raise _nothing_to_refund(charge["payment_intent"])
    if not charge["captured"]:
        message = (
            f"This uncaptured Charge was created by a PaymentIntent "
            f"({charge['payment_intent']}). You must cancel the PaymentIntent to "
            "reverse the authorization instead of refunding the Charge directly. For "
            "more information, see "
            "https://stripe.com/docs/payments/place-a-hold-on-a-payment-method"
        )
        raise ApiError(400, message, stored=True)
    case = call.store.objects.get(charge["dispute"] or "")
    if case is not None and not case["is_charge_refundable"]:
        message = f"Charge {charge['id']} has been charged back; cannot issue a refund."
        raise ApiError(400, message, code="charge_disputed", stored=True)
    if charge["amount_captured"] <= charge["amount_refunded"]:
        message = f"Charge {charge['id']} has already been refunded."
        raise ApiError(400, message, code="charge_already_refunded", stored=True)


def _nothing_to_refund(intent: str) -> ApiError:
    message = (
        f"This PaymentIntent ({intent}) does not have a successful charge to refund."
    )
    return ApiError(400, message, stored=True)


def _check(amount: int, left: int, charge: Json) -> None:
    if amount < 1:
        message = "This value must be greater than or equal to 1."
        raise invalid(message, "amount", code="parameter_invalid_integer")
    if amount <= left:
        return
    currency = charge["currency"]
    whole = left == charge["amount"]
    what = "charge amount" if whole else "unrefunded amount on charge"
    message = (
        f"Refund amount ({written(amount, currency)}) is greater than {what} "
        f"({written(left, currency)})"
    )
    raise ApiError(400, message, param="amount", stored=True)


def _record(call: Call, refund: Json, charge: Json) -> None:
    intent = call.store.objects[charge["payment_intent"]]
    method = call.store.objects[charge["payment_method"]]
    note(
        call, "refund.created", {**intent, "amount": refund["amount"]}, method,
        charge=charge["id"], refund=refund["id"], reason=refund["reason"],
    )  # fmt: skip
    call.emit("refund.created", refund)
    call.emit("charge.refunded", charge)
