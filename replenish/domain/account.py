"""An account as the billing package shows it, and the card that pays for it."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from replenish.domain.money import Money

NO_CHARGES_OFF_SESSION = frozenset({"IN"})
"""Countries whose cards cannot be charged by a merchant-initiated PaymentIntent.

India's e-mandate rules need a registered mandate with a notice before each debit;
Stripe offers that for subscriptions only, and otherwise leaves the charge in
`processing` for 26 hours: https://docs.stripe.com/india-recurring-payments
"""

DEAD_FOR_ALL = frozenset(
    """
    expired_card fraudulent incorrect_number invalid_account invalid_number
    lost_card merchant_blacklist new_account_information_available pickup_card
    restricted_card revocation_of_all_authorizations security_violation stolen_card
    """.split()  # noqa: SIM905  # a list literal would take 14 lines
)
"""Codes that speak of the card itself: it is dead on every account that has it.

Others speak of this account's order (its currency, its CVC), or of its agreement:
https://docs.stripe.com/declines/codes
"""


class Kind(StrEnum):
    """How an account pays."""

    PREPAID = "prepaid"  # money first
    REAL_TIME = "real_time"  # a credit limit, charged as it is used


class Service(StrEnum):
    """Whether the account may place calls, seen from the billing package."""

    ACTIVE = "active"
    SUSPENDED = "suspended"  # the state that our cut-off sets; operators may set it too
    OTHER = "other"  # cancelled, expired, blocked by an operator: never touched by us


@dataclass(frozen=True, slots=True)
class Account:
    """One account of the billing package, read at one moment.

    Attributes:
        ref: what the package's operators call it; opaque to us.
        available: what may still be spent: the balance, plus the credit limit of a
            real-time paid account. Negative when calls went past it.
        kind: prepaid or real-time paid.
        service: whether calls are allowed.
    """

    ref: str
    available: Money
    kind: Kind
    service: Service
    name: str = ""
    email: str = ""


@dataclass(frozen=True, slots=True)
class Card:
    """A card on file, by the gateway's names; never a card number.

    Attributes:
        id: our id of the row, as text; empty while it is not on file yet.
        customer: the gateway's customer id, `cus_…`.
        payment_method: the gateway's id, `pm_…`, attached to that customer.
        fingerprint: the same for the same card number, whatever its ids; limits
            are kept by it, so that adding a dead card again changes nothing.
        country: ISO 3166 alpha-2 of the issuer, upper case, or empty.
        priority: lowest is tried first.
        dead_reason: why it is never charged again, or None.
        retry_at: not before this (aware UTC) after a soft decline, or None.
    """

    id: str
    customer: str
    payment_method: str
    brand: str
    last4: str
    exp_month: int
    exp_year: int
    fingerprint: str
    country: str = ""
    priority: int = 0
    dead_reason: str | None = None
    retry_at: datetime | None = None

    def expired(self, now: datetime) -> bool:
        """Say whether the month printed on the card is over at `now` (aware UTC)."""
        return (now.year, now.month) > (self.exp_year, self.exp_month)

    @property
    def imprint(self) -> tuple[str, str, int, int]:
        """What tells the same piece of plastic, entered again, from another.

        The same number with a new expiry is another: it is how a card that was
        refused as expired comes back.
        """
        return self.fingerprint, self.last4, self.exp_year, self.exp_month
