"""What the gateway may answer, as values; see `replenish.ports.CardGateway`."""

from dataclasses import dataclass
from enum import StrEnum

from replenish.domain.money import Money

PAYMENT_METHOD_MISSING, CUSTOMER_MISSING = "payment_method_missing", "customer_missing"
REQUIRES_ACTION = "requires_action"
"""Codes of our own, for what the gateway tells by an object's state or absence."""

GONE = frozenset({PAYMENT_METHOD_MISSING, CUSTOMER_MISSING, "resource_missing"})
"""Codes of an id that the gateway does not take any more; the card itself may be good.

The first two are what a detached card, a deleted one and a deleted customer end in;
the last is how the gateway itself would say so in a decline.
"""

WANTS_CUSTOMER = frozenset(
    {
        "authentication_not_handled",
        "authentication_required",
        "invoice_payment_intent_requires_action",
        "mobile_device_authentication_required",
        "payment_intent_action_required",
        "payment_intent_authentication_failure",
    }
)
"""The gateway's codes of the class AUTHENTICATION; its adapter classes them by this."""


class DeclineClass(StrEnum):
    """What a decline says about the next try."""

    HARD = "hard"  # this card never again, until it changes
    SOFT = "soft"  # again later, spaced, few times
    TRANSIENT = "transient"  # one early retry, then as soft
    AUTHENTICATION = "authentication"  # the customer must act
    FRAUD = "fraud"  # hold the account for a person; tell the customer nothing


@dataclass(frozen=True, slots=True)
class Charged:
    """The money was taken: the gateway says so, and the amount is ours."""

    intent: str
    charge: str


@dataclass(frozen=True, slots=True)
class Declined:
    """A known no; the card was not charged.

    Attributes:
        kind: what the code means for the next try.
        code: the most telling code the gateway gave, e.g. `insufficient_funds`.
        message: the gateway's own words, for operators; never for customers
            when `kind` is FRAUD.
        wait_hours: the least wait the card scheme asks for, or None.
    """

    intent: str
    kind: DeclineClass
    code: str
    message: str = ""
    charge: str = ""
    wait_hours: int | None = None


@dataclass(frozen=True, slots=True)
class ActionRequired:
    """The issuer wants its customer; not charged until they act."""

    intent: str
    code: str = "authentication_required"


@dataclass(frozen=True, slots=True)
class Unknown:
    """Nobody can say yet whether the card was charged.

    Attributes:
        reason: a short code. Of a lost answer: `timeout`, `connection_lost`,
            `server_error`, `garbled`. Of what the gateway is still at:
            `processing`, `in_use`, `unconfirmed`, `cancelled`. Of what only a
            person can settle: `mismatch`, `missing`, `refunded` (in part),
            `duplicate_transaction`.
        detail: what was seen, for people.
    """

    intent: str
    reason: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Unconfirmed:
    """The intent exists and was never confirmed: no money has moved."""

    intent: str


@dataclass(frozen=True, slots=True)
class Cancelled:
    """Proof that the intent never takes money and keeps it, whoever tries.

    Attributes:
        refunded: the charge, if it was charged and a person has given it back whole;
            empty: it was cancelled before it took money.
    """

    intent: str
    refunded: str = ""


Outcome = Charged | Declined | ActionRequired | Unknown
"""What a confirmation can end in."""

Evidence = Outcome | Unconfirmed | Cancelled
"""What looking an intent up can show."""


@dataclass(frozen=True, slots=True)
class SeenIntent:
    """One intent of the gateway's list, as reconcile compares it with our rows.

    Attributes:
        attempt: our attempt id from its metadata, or empty if it is not ours.
        account: our account ref from its metadata, or empty.
        charged: whether it took (and kept) money.
    """

    intent: str
    attempt: str
    account: str
    amount: Money
    charged: bool
