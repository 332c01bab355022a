"""What came from Stripe instead of an object, as plain data, and its sentences.

No stripe import: `replenish.adapters.stripe` fills a `Refusal` in from the SDK's
exceptions, and everything above reads it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from replenish import card_number
from replenish.errors import GatewayKeyRefused, GatewayMisuse, GatewayUnavailable
from replenish.ports import Order

Json = Mapping[str, Any]

TIMEOUT = "timeout"
CONNECTION_LOST = "connection_lost"
SERVER_ERROR = "server_error"
GARBLED = "garbled"
IN_USE = "in_use"

WRONG_STATE = "payment_intent_unexpected_state"
MISSING = "resource_missing"

REFUSED, PAYMENT_REQUIRED, NOT_FOUND, BROKEN = 400, 402, 404, 500
"""HTTP statuses."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """What came instead of an object, as plain data.

    Attributes:
        lost: why nobody knows whether the request ran, or empty if it is known
            that it was refused.
        status: the HTTP status, or 0 when there was no answer.
        error: Stripe's error object, empty where there is none.
        request: Stripe's id of the request, for its support.
        replayed: whether the answer was stored under the key before.
    """

    lost: str = ""
    status: int = 0
    error: Json = field(default_factory=dict)
    request: str = ""
    replayed: bool = False

    @property
    def code(self) -> str:
        """The error's code, or empty."""
        return text(self.error, "code")

    @property
    def is_duplicate_key(self) -> bool:
        """Whether the key was used with other parameters before."""
        return text(self.error, "type") == "idempotency_error"

    @property
    def blames_card(self) -> bool:
        """Whether the card or its customer is gone, detached or another's."""
        param, code = text(self.error, "param"), self.code
        if self.status not in (REFUSED, NOT_FOUND) or code.startswith("parameter_"):
            return False
        if "may not be used again" in text(self.error, "message"):
            return True  # a detached card: Stripe names neither code nor parameter
        return param == "payment_method" or (param == "customer" and code == MISSING)

    @property
    def blames_mode(self) -> bool:
        """Whether the object exists, but in the other of live and test mode."""
        said = text(self.error, "message")
        return self.code == "livemode_mismatch" or "similar object exists in" in said

    def __str__(self) -> str:
        """Say it in words, with what Stripe's support asks for; never a body."""
        said = self.lost.replace("_", " ") or message(self.error)
        said = said or "no reason given"
        marks = [f"HTTP {self.status}"] if self.status else []
        marks += [mark for mark in (self.code, self.request) if mark]
        return f"{said.rstrip('.')} [{', '.join(marks)}]" if marks else said


def text(found: Json, name: str) -> str:
    """Give a field if it is text, else nothing."""
    value = found.get(name)
    return value if isinstance(value, str) else ""


def message(error: Json) -> str:
    """Give the words of an error object, without a card number if they hold one."""
    return card_number.blotted(text(error, "message"))


def inner(found: Json, name: str) -> Json:
    """Give a field if it is an object, else an empty one."""
    value = found.get(name)
    return value if isinstance(value, Mapping) else {}


def unanswered(
    what: str, order: Order, refusal: Refusal
) -> GatewayUnavailable | GatewayMisuse:
    """Make the error for a request that was lost, or refused as wrong."""
    of = f"{what} for account {order.account} (attempt {order.attempt})"
    if refusal.lost:
        msg = f"Stripe did not {of}: {refusal}. It is asked again."
        return GatewayUnavailable(msg, subject=order.account)
    if refusal.is_duplicate_key:
        msg = (
            f"Stripe refused to {of}: its key was used for another charge ({refusal})."
            " Nothing was charged by this request; look for the attempt in Stripe's"
            " dashboard."
        )
    else:
        msg = f"Stripe refused to {of}: {refusal}. Look at the account and its card."
    return GatewayMisuse(msg, subject=order.account)


def stranger(order: Order, refusal: Refusal) -> GatewayMisuse:
    """Make the error for a customer that our key does not know, not even as deleted."""
    msg = (
        f"Stripe does not know the customer {order.customer} of account"
        f" {order.account}: {refusal}. Look whether STRIPE_API_KEY is of another Stripe"
        " account, or give the account the customer that it has there."
    )
    return GatewayMisuse(msg, subject=order.account)


def key_refused(refusal: Refusal) -> GatewayKeyRefused:
    """Make the error that stops charging; Stripe's own text is left out of it."""
    known = {401: "does not accept STRIPE_API_KEY", 403: "does not let it do this"}
    said = known.get(refusal.status, "knows these ids in the other of test and live")
    marks = [f"HTTP {refusal.status}", refusal.code, refusal.request]
    msg = (
        f"Stripe {said} [{', '.join(mark for mark in marks if mark)}]; charging stops"
        " until a working key of the right account and mode is set."
    )
    return GatewayKeyRefused(msg, subject="STRIPE_API_KEY")


Answer = Json | Refusal
"""What a request ends in: Stripe's JSON, or what came instead."""


def page_of(answer: Answer) -> Json:
    """Give a page of a list.

    Raises:
        GatewayUnavailable: the answer was lost.
        GatewayMisuse: Stripe refused to list.
    """
    if isinstance(answer, Refusal) and not answer.lost:
        msg = f"Stripe refused to list the intents: {answer}. Report this as a defect."
        raise GatewayMisuse(msg, subject="list")
    why = no_list(answer)
    if why or isinstance(answer, Refusal):
        msg = f"Stripe did not list the intents ({why}); it is asked again."
        raise GatewayUnavailable(msg, subject="list")
    return answer


def no_list(answer: Answer) -> str:
    """Say why an answer is no list, or nothing if it is one."""
    if isinstance(answer, Refusal):
        return str(answer)
    return "" if isinstance(answer.get("data"), list) else "the answer is no list"
