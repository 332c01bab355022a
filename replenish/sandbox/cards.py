"""The test cards: Stripe's own by id, token and number, and ours beside them.

Stripe's: docs.stripe.com/testing. Its decline cards cannot be attached to a
customer (only 4000000000000341 can), so a saved card that declines in a given
way does not exist there. Ours, all named `pm_sandbox_…` and all attachable:

- `pm_sandbox_decline_<name>`: declines with any name of `declines.DECLINES`;
- `pm_sandbox_chain_<a>-<b>-succeed`: one outcome after the other, the last stays;
- `pm_sandbox_processing`: the intent stays `processing` until the control port
  settles it;
- `pm_sandbox_visa_in`: issued in India; off-session it stays `processing` for
  26 hours of sandbox time (docs.stripe.com/india-recurring-payments);
- `pm_sandbox_visa`, `pm_sandbox_authenticate`, `pm_sandbox_dispute`.

`_no<digits>` behind any of ours makes it another piece of plastic: the same
behaviour under another number and fingerprint (`pm_sandbox_visa_no17`).
"""

import hashlib
import re
from dataclasses import dataclass, replace

from replenish.sandbox.declines import DECLINES

SUCCEED = "succeed"
PROCESSING = "processing"
INDIA = "india"
AUTHENTICATE = "authenticate"
AUTHENTICATE_ONCE = "authenticate_unless_set_up"
DISPUTE = "dispute_fraudulent"
OUTCOMES = frozenset(
    {
        SUCCEED, PROCESSING, INDIA, AUTHENTICATE, AUTHENTICATE_ONCE, DISPUTE,
        "dispute_product_not_received", "dispute_inquiry",
    }
) | DECLINES.keys()  # fmt: skip


@dataclass(frozen=True, slots=True)
class Plastic:
    """One card number and how its bank answers, in order; the last one stays."""

    number: str
    outcomes: tuple[str, ...] = (SUCCEED,)
    brand: str = "visa"
    funding: str = "credit"
    country: str = "US"
    attachable: bool = True
    set_up: bool = False  # already authenticated for off-session use

    @property
    def last4(self) -> str:
        """The four digits that may be shown."""
        return self.number[-4:]

    @property
    def fingerprint(self) -> str:
        """The same for every PaymentMethod made from this number."""
        digest = hashlib.sha256(b"replenish sandbox " + self.number.encode())
        return digest.hexdigest()[:16]


def _refused(number: str, outcome: str) -> Plastic:
    return Plastic(number, (outcome,), attachable=False)


#: Test PaymentMethod id -> card (docs.stripe.com/testing).
STRIPE_CARDS: dict[str, Plastic] = {
    "pm_card_visa": Plastic("4242424242424242"),
    "pm_card_visa_debit": Plastic("4000056655665556", funding="debit"),
    "pm_card_mastercard": Plastic("5555555555554444", brand="mastercard"),
    "pm_card_mastercard_debit": Plastic(
        "5200828282828210", brand="mastercard", funding="debit"
    ),
    "pm_card_mastercard_prepaid": Plastic(
        "5105105105105100", brand="mastercard", funding="prepaid"
    ),
    "pm_card_amex": Plastic("378282246310005", brand="amex"),
    "pm_card_discover": Plastic("6011111111111117", brand="discover"),
    "pm_card_diners": Plastic("3056930009020004", brand="diners"),
    "pm_card_jcb": Plastic("3566002020360505", brand="jcb"),
    "pm_card_unionpay": Plastic("6200000000000005", brand="unionpay"),
    "pm_card_us": Plastic("4242424242424242"),
    "pm_card_gb": Plastic("4000008260000000", country="GB"),
    "pm_card_de": Plastic("4000002760000016", country="DE"),
    "pm_card_fr": Plastic("4000002500000003", country="FR"),
    "pm_card_in": Plastic("4000003560000008", country="IN"),
    "pm_card_visa_chargeDeclined": _refused("4000000000000002", "generic_decline"),
    "pm_card_chargeDeclined": _refused("4000000000000002", "generic_decline"),
    "pm_card_visa_chargeDeclinedInsufficientFunds": _refused(
        "4000000000009995", "insufficient_funds"
    ),
    "pm_card_chargeDeclinedInsufficientFunds": _refused(
        "4000000000009995", "insufficient_funds"
    ),
    "pm_card_visa_chargeDeclinedLostCard": _refused("4000000000009987", "lost_card"),
    "pm_card_visa_chargeDeclinedStolenCard": _refused(
        "4000000000009979", "stolen_card"
    ),
    "pm_card_visa_chargeDeclinedVelocityLimitExceeded": _refused(
        "4000000000006975", "card_velocity_exceeded"
    ),
    "pm_card_chargeDeclinedExpiredCard": _refused("4000000000000069", "expired_card"),
    "pm_card_chargeDeclinedIncorrectCvc": _refused("4000000000000127", "incorrect_cvc"),
    "pm_card_chargeDeclinedProcessingError": _refused(
        "4000000000000119", "processing_error"
    ),
    "pm_card_chargeCustomerFail": Plastic("4000000000000341", ("generic_decline",)),
    "pm_card_visa_chargeCustomerFail": Plastic(
        "4000000000000341", ("generic_decline",)
    ),
    "pm_card_radarBlock": _refused("4100000000000019", "fraudulent"),
    "pm_card_riskLevelHighest": _refused("4000000000004954", "highest_risk_level"),
    "pm_card_authenticationRequired": Plastic(
        "4000002760003184", (AUTHENTICATE,), country="DE"
    ),
    "pm_card_threeDSecure2Required": Plastic(
        "4000000000003220", (AUTHENTICATE,), country="IE"
    ),
    "pm_card_threeDSecureRequired": Plastic("4000000000003063", (AUTHENTICATE,)),
    "pm_card_threeDSecureOptional": Plastic("4000000000003055"),
    "pm_card_threeDSecureRequiredChargeDeclined": Plastic(
        "4000008400001629", (AUTHENTICATE, "generic_decline")
    ),
    "pm_card_authenticationRequiredOnSetup": Plastic(
        "4000002500003155", (AUTHENTICATE_ONCE,), country="FR"
    ),
    "pm_card_authenticationRequiredSetupForOffSession": Plastic(
        "4000003800000446", (AUTHENTICATE_ONCE,), country="IT", set_up=True
    ),
    "pm_card_authenticationRequiredChargeDeclinedInsufficientFunds": Plastic(
        "4000008260003178", ("insufficient_funds",), country="GB"
    ),
    "pm_card_createDispute": Plastic("4000000000000259", (DISPUTE,)),
    "pm_card_createDisputeProductNotReceived": Plastic(
        "4000000000002685", ("dispute_product_not_received",)
    ),
    "pm_card_createDisputeInquiry": Plastic("4000000000001976", ("dispute_inquiry",)),
}

#: Card numbers that no test id above has (docs.stripe.com/testing).
_MORE_NUMBERS = (
    Plastic("4012888888881881"),
    Plastic("4111111111111111"),
    Plastic("2223003122003222", brand="mastercard"),
    Plastic("371449635398431", brand="amex"),
)
NUMBERS: dict[str, Plastic] = {
    card.number: card for card in (*_MORE_NUMBERS, *STRIPE_CARDS.values())
}

_OURS = {
    "visa": (SUCCEED,),
    "processing": (PROCESSING,),
    "authenticate": (AUTHENTICATE,),
    "dispute": (DISPUTE,),
}
_PLASTIC_NUMBER = re.compile(r"_no\d+$")


def find(name: str) -> Plastic | None:
    """Return the card behind a test id (`pm_card_…`, `tok_…`, `pm_sandbox_…`)."""
    if name.startswith("tok_"):
        return STRIPE_CARDS.get("pm_card_" + name.removeprefix("tok_"))
    if name.startswith("pm_sandbox_"):
        return _ours(name)
    return STRIPE_CARDS.get(name)


def _ours(name: str) -> Plastic | None:
    kind = _PLASTIC_NUMBER.sub("", name.removeprefix("pm_sandbox_"))
    if kind == "visa_in":
        return replace(STRIPE_CARDS["pm_card_in"], outcomes=(INDIA,))
    outcomes = _OURS.get(kind) or _named_outcomes(kind)
    if not outcomes or not OUTCOMES.issuperset(outcomes):
        return None
    return Plastic(_own_number(name), outcomes)


def _named_outcomes(kind: str) -> tuple[str, ...]:
    if kind.startswith("decline_"):
        return (kind.removeprefix("decline_"),)
    if kind.startswith("chain_"):
        return tuple(kind.removeprefix("chain_").split("-"))
    return ()


def _own_number(name: str) -> str:
    """Return a valid 16-digit number of our own range (400099…) for `name`."""
    digest = int(hashlib.sha256(name.encode()).hexdigest(), 16)
    body = f"400099{digest % 10**9:09d}"
    return body + luhn_digit(body)


def luhn_digit(body: str) -> str:
    """Return the check digit that completes `body`."""
    total = 0
    for place, digit in enumerate(reversed(body)):
        value = int(digit) * (1 if place % 2 else 2)
        total += value - 9 if value > 9 else value  # noqa: PLR2004 - Luhn's rule
    return str(-total % 10)
