"""What Stripe's objects prove, read from plain JSON: evidence, cards, list rows.

Pure: no calls, no stripe import. Whatever does not fit our order word for word is
`Unknown("mismatch")`: it may be true, but it is not evidence about this attempt.
"""

from collections.abc import Mapping

from replenish import card_number
from replenish.adapters.stripe_amounts import from_minor, to_minor
from replenish.adapters.stripe_declines import Signs, meaning
from replenish.adapters.stripe_refusal import (
    MISSING,
    Json,
    Refusal,
    inner,
    message,
    text,
)
from replenish.domain.account import Card
from replenish.domain.outcome import (
    CUSTOMER_MISSING,
    PAYMENT_METHOD_MISSING,
    REQUIRES_ACTION,
    ActionRequired,
    Cancelled,
    Charged,
    DeclineClass,
    Declined,
    Evidence,
    SeenIntent,
    Unconfirmed,
    Unknown,
)
from replenish.errors import BadInput, CardNotFound
from replenish.ports import Order

ATTEMPT, ACCOUNT = "attempt", "account"
ENVIRONMENT, INSTALLATION = "environment", "installation"
"""The names in the metadata of our intents."""


def evidence(order: Order, intent: str, found: Json) -> Evidence:
    """Say what an intent's state proves about the order."""
    wrong = mismatch(order, intent, found)
    if wrong:
        return Unknown(intent, "mismatch", wrong)
    status = text(found, "status")
    refused = inner(found, "last_payment_error")
    if status == "succeeded":
        return _charged(intent, found)
    if refused and status in ("requires_payment_method", "canceled"):
        return declined(intent, refused, inner(found, "latest_charge"))
    return _uncharged(intent, status)


def _uncharged(intent: str, status: str) -> Evidence:
    match status:
        case "requires_payment_method" | "requires_confirmation":
            return Unconfirmed(intent)
        case "canceled":
            return Cancelled(intent)
        case "requires_action":
            return ActionRequired(intent, REQUIRES_ACTION)
        case "processing":
            return Unknown(intent, "processing", "Stripe is still at it")
        case _:
            return Unknown(intent, "mismatch", f"the status is {status or 'missing'}")


def mismatch(order: Order, intent: str, found: Json) -> str:
    """Name the first thing in which an intent is not our order's, or nothing."""
    ours = {
        "id": intent,
        "amount": to_minor(order.amount),
        "currency": order.amount.currency.lower(),
        "customer": order.customer,
    }
    for name, wanted in ours.items():
        if found.get(name) != wanted or isinstance(found.get(name), bool):
            return f"the {name} is {found.get(name)!r}, not {wanted!r}"
    attempt = inner(found, "metadata").get(ATTEMPT)
    if attempt != order.attempt:
        return f"the intent is of attempt {attempt!r}, not {order.attempt!r}"
    return ""


def _charged(intent: str, found: Json) -> Charged | Cancelled | Unknown:
    received = found.get("amount_received")
    if received != found["amount"]:
        detail = f"{received!r} of {found['amount']!r} minor units were received"
        return Unknown(intent, "mismatch", detail)
    charge = _id_of(found.get("latest_charge"))
    given_back = inner(found, "latest_charge").get("amount_refunded")
    if charge and given_back == received:
        return Cancelled(intent, refunded=charge)
    if given_back:
        return Unknown(intent, "refunded", "charged, and given back in part")
    return Charged(intent, charge)


def declined(
    intent: str, error: Json, charge: Json | None = None
) -> Declined | ActionRequired:
    """Read a decline from an error object, and its charge where that was seen."""
    code = text(error, "decline_code") or text(error, "code") or text(error, "type")
    outcome = inner(charge or {}, "outcome")
    means = meaning(
        Signs(
            code or "no_code",
            text(error, "advice_code") or text(outcome, "advice_code"),
            text(error, "network_advice_code") or text(outcome, "network_advice_code"),
            text(outcome, "reason"),
        )
    )
    if means.kind is DeclineClass.AUTHENTICATION:
        return ActionRequired(intent, means.code)
    return Declined(
        intent,
        means.kind,
        means.code,
        message(error),
        text(error, "charge") or text(charge or {}, "id"),
        means.wait_hours,
    )


def card_gone(intent: str, refusal: Refusal) -> Declined:
    """Read a hard decline from a refusal that blames the card."""
    customer = text(refusal.error, "param") == "customer"
    missing = CUSTOMER_MISSING if customer else PAYMENT_METHOD_MISSING
    code = missing if refusal.code in ("", MISSING) else refusal.code
    return Declined(intent, DeclineClass.HARD, code, message(refusal.error))


def card(found: Json, *, customer: str, payment_method: str) -> Card:
    """Read a saved card.

    Raises:
        CardNotFound: not attached to that customer, or not a card.
    """
    if _id_of(found.get("customer")) != customer:
        msg = (
            f"{payment_method} is not attached to customer {customer} at Stripe; attach"
            " it, or give the customer that it belongs to."
        )
        raise CardNotFound(msg, subject=payment_method)
    details = inner(found, "card")
    if text(found, "type") != "card" or not details:
        kind = text(found, "type") or "thing without a type"
        msg = (
            f"{payment_method} is a {kind}, not a card; only cards can be charged"
            " automatically."
        )
        raise CardNotFound(msg, subject=payment_method)
    return Card(
        id="",
        customer=customer,
        payment_method=payment_method,
        brand=text(details, "brand"),
        last4=text(details, "last4"),
        exp_month=int(details.get("exp_month") or 0),
        exp_year=int(details.get("exp_year") or 0),
        fingerprint=text(details, "fingerprint") or payment_method,
        country=text(details, "country").upper(),
    )


def marks(environment: str, installation: str) -> Mapping[str, str]:
    """Give what tells our intents from all others on the same Stripe account."""
    told = {ENVIRONMENT: environment, INSTALLATION: installation}
    return {name: value for name, value in told.items() if value}


def seen(found: Json, *, marks: Mapping[str, str]) -> SeenIntent | None:
    """Read one row of a list; None if it is not this installation's.

    Charged means taken and kept: what was given back, even in part, has been in a
    person's hands already.
    """
    metadata = inner(found, "metadata")
    attempt = text(metadata, ATTEMPT)
    account = card_number.blotted(text(metadata, ACCOUNT))
    amount = found.get("amount")
    ours = all(text(metadata, name) == value for name, value in marks.items())
    if not attempt or not account or not ours:
        return None
    try:
        money = from_minor(int(amount or 0), text(found, "currency"))
    except (BadInput, TypeError, ValueError):
        return None
    kept = not inner(found, "latest_charge").get("amount_refunded")
    took = text(found, "status") == "succeeded" and found["amount_received"] == amount
    return SeenIntent(text(found, "id"), attempt, account, money, took and kept)


def _id_of(value: object) -> str:
    """Give the id of an object that is there whole or by its id."""
    if isinstance(value, Mapping):
        return text(value, "id")
    return value if isinstance(value, str) else ""
