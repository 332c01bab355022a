"""SetupIntents: save a card for later, authenticated where its bank wants that."""

from replenish.sandbox import bank, cards, forms, lists, metadata
from replenish.sandbox.declines import DECLINES, Decline
from replenish.sandbox.errors import ApiError, Json
from replenish.sandbox.payment_methods import (
    attach_to,
    check_owner,
    refused_by_bank,
    resolve,
)
from replenish.sandbox.shapes import SETUP_INTENT, card_error, checked
from replenish.sandbox.world import Call

_UPDATE = frozenset(
    {
        "allowed_payment_method_types", "payment_method_types", "customer",
        "description", "metadata", "payment_method", "payment_method_options",
    }
)  # fmt: skip
_CREATE = _UPDATE | {
    "automatic_payment_methods", "confirm", "mandate_data", "return_url", "single_use",
    "usage", "use_stripe_sdk",
}  # fmt: skip
_CONFIRM = frozenset(
    {
        "payment_method", "payment_method_options", "return_url", "mandate_data",
        "use_stripe_sdk",
    }
)  # fmt: skip
_NEW_TYPES_SINCE = "2026-10-28"
_USAGES = ("on_session", "off_session")
_REASONS = ("abandoned", "requested_by_customer", "duplicate")
_ASKS = frozenset({cards.AUTHENTICATE, cards.AUTHENTICATE_ONCE})
_NO_METHOD = (
    "You cannot confirm this SetupIntent because it's missing a payment method. You "
    "can either update the SetupIntent with a payment method and then confirm it "
    "again, or confirm it again directly with a payment method or ConfirmationToken."
)


def create(call: Call) -> bytes:
    """`POST /v1/setup_intents`.

    Recorded: whatever `usage` asks for, the intent says `off_session`.
    """
    _only(call, _CREATE)
    call.choice("usage", _USAGES)
    id_ = call.world.ids.long("seti_1")
    intent: Json = {
        **SETUP_INTENT,
        "id": id_,
        "client_secret": call.world.ids.secret(id_, length=31),
        "created": call.now,
    }
    _apply(call, intent)
    method = _take_method(call, intent)
    confirming = call.flag("confirm")
    if confirming and method is None:
        raise _unexpected(_NO_METHOD, intent)
    call.save(intent)
    call.emit("setup_intent.created", intent)
    if confirming and method is not None:
        intent = _confirm(call, intent, method)
    return call.answer(intent)


def retrieve(call: Call) -> bytes:
    """`GET /v1/setup_intents/{id}`."""
    call.only(frozenset({"client_secret"}))
    return call.answer(call.here("setup_intent", param="intent"))


def update(call: Call) -> bytes:
    """`POST /v1/setup_intents/{id}`; once ended, only its words may change."""
    _only(call, _UPDATE)
    old = call.here("setup_intent", param="intent")
    if {"payment_method", "customer"} & set(call.params):
        _refuse_ended(old, "update")
    intent = dict(old)
    _apply(call, intent)
    _take_method(call, intent, known=old)
    return call.answer(call.save(intent))


def confirm(call: Call) -> bytes:
    """`POST /v1/setup_intents/{id}/confirm`."""
    call.only(_CONFIRM)
    old = call.here("setup_intent", param="intent")
    _refuse_ended(old, "confirm")
    intent = dict(old)
    method = _take_method(call, intent, known=old)
    if method is None:
        raise _unexpected(_NO_METHOD, old)
    return call.answer(_confirm(call, intent, method))


def cancel(call: Call) -> bytes:
    """`POST /v1/setup_intents/{id}/cancel`."""
    call.only(frozenset({"cancellation_reason"}))
    reason = call.choice("cancellation_reason", _REASONS)
    intent = dict(call.here("setup_intent", param="intent"))
    if intent["status"] == "canceled":
        message = "You cannot cancel this SetupIntent because it is already canceled."
        raise _unexpected(message, intent)
    if intent["status"] == "succeeded":
        message = (
            "You cannot cancel this SetupIntent because it has a status of succeeded. "
            "Only a SetupIntent with one of the following statuses may be canceled: "
            "`requires_payment_method`, `requires_confirmation`, or `requires_action`."
        )
        raise _unexpected(message, intent)
    intent |= {
        "status": "canceled", "cancellation_reason": reason, "next_action": None,
    }  # fmt: skip
    call.save(intent)
    call.emit("setup_intent.canceled", intent)
    return call.answer(intent)


def listed(call: Call) -> bytes:
    """`GET /v1/setup_intents`."""
    return lists.listing(call, "setup_intent", by=("customer", "payment_method"))


def _only(call: Call, allowed: frozenset[str]) -> None:
    newer = call.version[:10] >= _NEW_TYPES_SINCE
    gone = "payment_method_types" if newer else "allowed_payment_method_types"
    call.only(allowed - {gone})


def _apply(call: Call, intent: Json) -> None:
    """Put the plain settings of the call onto the intent."""
    if "description" in call.params:
        intent["description"] = call.text("description")
    intent["metadata"] = metadata.merged(call, intent["metadata"])
    if customer := call.text("customer"):
        intent["customer"] = call.find("customer", customer, param="customer")["id"]
    for name in ("allowed_payment_method_types", "payment_method_types"):
        if types := forms.strings(call.params, name):
            intent |= {
                name: types, "payment_method_types": types,
                "automatic_payment_methods": None,
                "payment_method_configuration_details": None,
            }  # fmt: skip
    automatic = forms.group(call.params, "automatic_payment_methods")
    if intent["automatic_payment_methods"] and "allow_redirects" in automatic:
        redirects = automatic["allow_redirects"]
        intent["automatic_payment_methods"] = {
            "allow_redirects": redirects, "enabled": True,
        }  # fmt: skip


def _take_method(call: Call, intent: Json, known: Json | None = None) -> Json | None:
    """Return the method of the call or the intent; a refusal shows what is `known`."""
    given = call.text("payment_method")
    if given is None:
        id_ = intent["payment_method"]
        return call.store.objects[id_] if id_ else None
    method = resolve(call, given)
    try:
        check_owner(call, method, intent["customer"], on="SetupIntent")
    except ApiError as error:
        if known is not None:
            error.fields["setup_intent"] = dict(known)
        raise
    intent |= {"payment_method": method["id"], "status": "requires_confirmation"}
    return method


def _confirm(call: Call, intent: Json, method: Json) -> Json:
    card = call.card_of(method["id"])
    if not card.attachable:
        outcome = card.outcomes[card.position]
        raise _refuse(call, intent, method, DECLINES[outcome])
    if card.outcomes[card.position] in _ASKS and not card.set_up:
        intent |= {
            "status": "requires_action",
            "next_action": bank.next_action(call, intent["id"]),
        }
        call.save(intent)
        call.emit("setup_intent.requires_action", intent)
        return intent
    return finish(call, intent, method)


def finish(call: Call, intent: Json, method: Json) -> Json:
    """Save the card: it is attached, and set up for off-session use."""
    card = call.card_of(method["id"])
    if intent["customer"] and method["customer"] is None:
        attach_to(call, method, intent["customer"])
    card.set_up = True
    call.store.keep_card(method["id"], card)
    intent |= {
        "status": "succeeded",
        "next_action": None,
        "last_setup_error": None,
        "latest_attempt": call.world.ids.long("setatt_1"),
    }
    call.save(intent)
    call.emit("setup_intent.succeeded", intent)
    return intent


def _refuse(call: Call, intent: Json, method: Json, decline: Decline) -> ApiError:
    """Note the decline on the intent and return the 402."""
    error = card_error(decline, checked(method))
    intent |= {
        "status": "requires_payment_method",
        "payment_method": None,
        "last_setup_error": error,
        "latest_attempt": call.world.ids.long("setatt_1"),
    }
    call.save(intent)
    call.emit("setup_intent.setup_failed", intent)
    return refused_by_bank(error, setup_intent=dict(intent))


def _refuse_ended(intent: Json, what: str) -> None:
    """Refuse to go on with what has succeeded or was canceled."""
    how = {"succeeded": "has already succeeded", "canceled": "has been canceled"}
    if ended := how.get(intent["status"]):
        message = f"You cannot {what} this SetupIntent because it {ended}."
        raise _unexpected(message, intent)


def _unexpected(message: str, intent: Json) -> ApiError:
    code = "setup_intent_unexpected_state"
    return ApiError(400, message, code=code, setup_intent=dict(intent), stored=True)
