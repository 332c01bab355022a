"""What happens when a PaymentIntent is confirmed: the card's bank answers.

The outcomes are those of `cards`: success, one of `declines`, a demand for
authentication, or a payment that stays `processing`.
"""

from replenish.sandbox import cards, charges, disputes
from replenish.sandbox.charges import note
from replenish.sandbox.declines import DECLINES, Decline
from replenish.sandbox.errors import ApiError, Json
from replenish.sandbox.payment_methods import attach_to
from replenish.sandbox.shapes import card_error, checked
from replenish.sandbox.world import Call

INDIA_WAIT = 26 * 3600  # seconds between the notice to the cardholder and the debit


def attempt(call: Call, intent: Json, method: Json, *, absent: bool) -> Json:
    """Let the bank answer one confirmation; return the intent as it is now.

    `absent` is true when nobody is there to authenticate (off-session, or
    `error_on_requires_action`).

    Raises:
        ApiError: 402, when the bank declines.
    """
    card = call.card_of(method["id"])
    outcome = card.answer()
    if len(card.outcomes) > 1:
        call.store.keep_card(method["id"], card)
    note(call, "intent.confirmed", intent, method, outcome=outcome)
    if outcome == cards.AUTHENTICATE_ONCE:
        outcome = cards.SUCCEED if card.set_up else cards.AUTHENTICATE
    if outcome == cards.AUTHENTICATE and not absent:
        return _ask(call, intent, method)
    if outcome == cards.AUTHENTICATE:
        outcome = "authentication_required"
    if outcome == cards.PROCESSING or (outcome == cards.INDIA and absent):
        return _wait(call, intent, method, india=outcome == cards.INDIA)
    return conclude(call, intent, method, outcome)


def conclude(call: Call, intent: Json, method: Json, outcome: str) -> Json:
    """End an attempt with a success or a decline.

    Raises:
        ApiError: 402, when the outcome is a decline.
    """
    if decline := DECLINES.get(outcome):
        raise _decline(call, intent, method, decline)
    charge = charges.make(call, intent, method, None)
    manual = intent["capture_method"] == "manual"
    if not manual:
        charges.take_money(call, charge, intent["amount"])
    call.save(charge)
    kind = "charge.authorized" if manual else "charge.succeeded"
    note(call, kind, intent, method, charge=charge["id"])
    call.emit("charge.succeeded", charge)
    if not manual:
        disputes.follow(call, charge, outcome)
    intent |= {
        "status": "requires_capture" if manual else "succeeded",
        "amount_received": 0 if manual else intent["amount"],
        "amount_capturable": intent["amount"] if manual else 0,
        "latest_charge": charge["id"],
        "payment_method": method["id"],
        "next_action": None,
        "last_payment_error": None,
    }
    call.save(intent)
    call.emit(
        "payment_intent.amount_capturable_updated"
        if manual
        else "payment_intent.succeeded",
        intent,
    )
    _remember_card(call, intent, method)
    return intent


def _decline(call: Call, intent: Json, method: Json, decline: Decline) -> ApiError:
    """Book the failed attempt and return the 402; the intent survives it."""
    charge = None
    if decline.code != "authentication_required":
        charge = charges.make(call, intent, method, decline)
        call.save(charge)
    charge_id = charge["id"] if charge else None
    note(
        call, "charge.failed", intent, method, charge=charge_id,
        code=decline.code, decline_code=decline.decline_code,
    )  # fmt: skip
    if charge is not None:
        call.emit("charge.failed", charge)
    if charge is not None:
        method = checked(method)
    error = card_error(decline, method, charge_id)
    intent |= {
        "status": "requires_payment_method",
        "payment_method": None,
        "next_action": None,
        "latest_charge": charge_id or intent["latest_charge"],
        "last_payment_error": error | {"payment_method_type": method["type"]},
    }
    call.save(intent)
    call.emit("payment_intent.payment_failed", intent)
    fields = {name: error[name] for name in error if name not in {"message", "doc_url"}}
    return ApiError(
        402, decline.message, payment_intent=dict(intent), stored=True, **fields
    )


def _ask(call: Call, intent: Json, method: Json) -> Json:
    """Leave the intent waiting for the cardholder to authenticate."""
    intent |= {
        "status": "requires_action",
        "payment_method": method["id"],
        "next_action": next_action(call, intent["id"]),
    }
    call.save(intent)
    note(call, "intent.requires_action", intent, method)
    call.emit("payment_intent.requires_action", intent)
    return intent


def next_action(call: Call, id_: str) -> Json:
    """Return the step the cardholder's browser has to take."""
    if url := call.text("return_url"):
        page = f"https://hooks.stripe.com/3d_secure_2/hosted?merchant=acct&intent={id_}"
        return {
            "redirect_to_url": {"return_url": url, "url": page},
            "type": "redirect_to_url",
        }
    source = call.world.ids.long("src_1")
    return {
        "type": "use_stripe_sdk",
        "use_stripe_sdk": {
            "directory_server_name": "visa",
            "source": source,
            "three_d_secure_2_source": source,
            "type": "stripe_3ds2_fingerprint",
        },
    }


def _wait(call: Call, intent: Json, method: Json, *, india: bool) -> Json:
    """Leave the intent `processing`; an Indian card settles after 26 hours."""
    intent |= {
        "status": "processing",
        "payment_method": method["id"],
        "next_action": None,
    }
    if india:
        until = call.at + INDIA_WAIT
        intent["processing"] = {
            "card": {
                "customer_notification": {
                    "approval_requested": False, "completes_at": int(until),
                },
            },
            "type": "card",
        }  # fmt: skip
        call.world.due.append((until, intent["id"]))
    call.save(intent)
    note(call, "intent.processing", intent, method)
    call.emit("payment_intent.processing", intent)
    return intent


def _remember_card(call: Call, intent: Json, method: Json) -> None:
    """Attach a card saved for later; one used without a customer is spent."""
    card = call.card_of(method["id"])
    if method["customer"] is not None:
        return
    if intent["customer"] and intent["setup_future_usage"]:
        attach_to(call, method, intent["customer"])
        card.set_up = True
    else:
        card.used = True
    call.store.keep_card(method["id"], card)


def settle(call: Call, intent: Json, outcome: str) -> Json:
    """End a `processing` or `requires_action` intent without a request.

    The decline of a settled payment reaches the client by event only.
    """
    method = call.store.objects[intent["payment_method"]]
    intent = {**intent, "processing": None}
    try:
        return conclude(call, intent, method, outcome)
    except ApiError:
        return call.store.objects[intent["id"]]


def settle_due(call: Call) -> None:
    """Settle every pending intent whose time has come by the sandbox clock."""
    due = [entry for entry in call.world.due if entry[0] <= call.at]
    for entry in due:
        call.world.due.remove(entry)
        intent = call.store.objects.get(entry[1])
        if intent is not None and intent["status"] == "processing":
            settle(call, intent, cards.SUCCEED)
