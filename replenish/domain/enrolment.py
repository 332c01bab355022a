"""What is agreed with an account before it may be charged: its rule and consent."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Self

from replenish import card_number
from replenish.domain.account import NO_CHARGES_OFF_SESSION, Card
from replenish.domain.outcome import GONE, REQUIRES_ACTION, WANTS_CUSTOMER
from replenish.domain.rule import Rule, TopUpKind
from replenish.errors import BadInput

PLACES = 6  # what the ledger's amounts hold; more would be rounded, so it is refused
LONGEST_REF = 64

REVIVED_BY_ATTACHING = GONE | WANTS_CUSTOMER | {REQUIRES_ACTION}
"""Why a card may be dead that its customer can mend: attach or authenticate it."""


@dataclass(frozen=True, slots=True)
class Consent:
    """The customer's agreement to be charged without being asked each time.

    A card number in its words is blotted out of them: it is not kept anywhere.

    Attributes:
        at: when they agreed, aware UTC.
        text: the text they agreed to, or the name of its version.
        source: where they did: an address, a signed form, …
    """

    at: datetime
    text: str
    source: str

    def __post_init__(self) -> None:
        for name in ("text", "source"):
            object.__setattr__(self, name, card_number.blotted(getattr(self, name)))

    def check(self, now: datetime) -> None:
        """Refuse a consent that proves nothing at `now` (aware UTC).

        Raises:
            BadInput: no time zone, in the future, or without text or source.
        """
        if self.at.tzinfo is None:
            msg = f"The consent's time {self.at} has no time zone; add one, such as Z."
        elif self.at > now:
            msg = f"The consent's time {self.at.isoformat()} is in the future."
        elif not self.text.strip() or not self.source.strip():
            msg = (
                "The consent lacks its text or its source; give the time, the text"
                " (or its version) and where the customer agreed."
            )
        else:
            return
        raise BadInput(msg, subject="consent")


@dataclass(frozen=True, slots=True)
class Overrides:
    """An account's own values over the installation's defaults; None takes those.

    The fields are those of `Rule`; `top_up` and `kind` go together.
    """

    threshold: Decimal | None = None
    top_up: Decimal | None = None
    kind: TopUpKind | None = None
    cap_charge: Decimal | None = None
    cap_day: Decimal | None = None
    cap_month: Decimal | None = None
    count_day: int | None = None
    cooldown: timedelta | None = None
    floor: Decimal | None = None
    grace: Decimal | None = None
    time_zone: str | None = None

    def given(self) -> dict[str, Any]:
        """List the values that are not left to the defaults."""
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        return {name: value for name, value in values.items() if value is not None}

    def over(self, defaults: Rule, *, currency: str) -> Rule:
        """Lay these values over the defaults; the result is not checked."""
        values = {item.name: getattr(defaults, item.name) for item in fields(Rule)}
        if self.top_up is not None:
            values["kind"] = TopUpKind.FIXED  # unless given
        return Rule(**{**values, **self.given(), "currency": currency})

    def check(self) -> None:
        """Refuse amounts that the ledger could not hold exactly.

        Raises:
            BadInput: more than six places.
        """
        for name, value in self.given().items():
            if isinstance(value, Decimal) and _places(value) > PLACES:
                msg = (
                    f"The {name.replace('_', '-')} {value} has more than"
                    f" {PLACES} places; give a rounder amount."
                )
                raise BadInput(msg, subject=name)

    def check_defaults(self, defaults: Rule, *, currency: str) -> None:
        """Refuse to read default amounts of one currency as those of another.

        Raises:
            BadInput: the account has another currency than the defaults, and an
                amount other than zero is left to them.
        """
        if currency == defaults.currency:
            return
        missing = [
            item.name.replace("_", "-")
            for item in fields(self)
            if isinstance(getattr(defaults, item.name), Decimal)
            and getattr(defaults, item.name)
            and getattr(self, item.name) is None
        ]
        if missing:
            msg = (
                f"The account is in {currency} but this installation's defaults are in"
                f" {defaults.currency}; give its own {', '.join(missing)}."
            )
            raise BadInput(msg, subject="currency")

    def changed(self, to: "Overrides", *, to_default: Sequence[str] = ()) -> Self:
        """Lay other values over these, after returning `to_default` to None."""
        both = {"top_up", "kind"}
        back = set(to_default) | (both if both & set(to_default) else set())
        return replace(self, **{**dict.fromkeys(back), **to.given()})


@dataclass(frozen=True, slots=True)
class Request:
    """What a person asks for when enrolling; nothing in it has been checked.

    Attributes:
        account: the billing package's ref.
        currency: what they believe the account's currency is, or None.
        customer: the gateway's `cus_…`, with `payment_method`, or None.
    """

    account: str
    overrides: Overrides = Overrides()
    currency: str | None = None
    customer: str | None = None
    payment_method: str | None = None
    consent: Consent | None = None


@dataclass(frozen=True, slots=True)
class NewAccount:
    """A checked enrolment, ready to be written."""

    ref: str
    currency: str
    overrides: Overrides
    consent: Consent | None = None
    card: Card | None = None


@dataclass(frozen=True, slots=True)
class Enrolled:
    """An enrolled account as it stands in the ledger.

    Attributes:
        rule: the defaults with the account's own values over them.
        paused: why it is paused, or None.
        not_before: sweeps leave it alone until then (aware UTC), or None.
        low_since: since when it has been seen low (aware UTC), or None.
        episode_at: declines count against the episode's limit from here on.
        cut_off: why we have ended its service, or None.
    """

    ref: str
    rule: Rule
    overrides: Overrides
    enrolled_at: datetime
    episode_at: datetime
    consent: Consent | None = None
    paused: str | None = None
    paused_at: datetime | None = None
    not_before: datetime | None = None
    low_since: datetime | None = None
    cut_off: str | None = None


def check_ref(ref: str) -> None:
    """Refuse an account ref that no billing package could have.

    Raises:
        BadInput: empty, too long, with spaces or control characters, or with what
            may be a card number; that one is not repeated.
    """
    if card_number.is_in(ref):
        msg = (
            f"{card_number.blotted(ref)[:80]!r} is no account that can be enrolled: it"
            " reads as a payment card's number, which is not kept here. Give what the"
            " billing package calls the account; if that is it, call it otherwise"
            " there."
        )
        raise BadInput(msg, subject="account")
    if not ref or len(ref) > LONGEST_REF or not ref.isprintable() or " " in ref:
        msg = (
            f"{ref[:80]!r} is no account: give what the billing package calls it,"
            f" 1 to {LONGEST_REF} characters without spaces."
        )
        raise BadInput(msg, subject=ref[:80])


def check_saved_card(customer: str, payment_method: str) -> None:
    """Refuse a card that is named by its number instead of by the gateway's ids.

    Raises:
        BadInput: what may be a card number; it is not repeated.
    """
    if card_number.is_in(customer) or card_number.is_in(payment_method):
        msg = (
            "That reads as a card's own number, which must not be given here: save the"
            " card at the gateway and give its ids, cus_… and pm_…."
        )
        raise BadInput(msg, subject="payment_method")


def check_card(card: Card, now: datetime) -> None:
    """Refuse a card that could never be charged at `now` (aware UTC).

    Raises:
        BadInput: expired, or issued where off-session charges are not allowed.
    """
    if card.expired(now):
        msg = (
            f"The card {card.payment_method} ({card.brand} {card.last4}) expired in"
            f" {card.exp_month:02d}/{card.exp_year}; ask the customer for another."
        )
        raise BadInput(msg, subject=card.payment_method)
    if card.country in NO_CHARGES_OFF_SESSION:
        msg = (
            f"The card {card.payment_method} ({card.brand} {card.last4}) was issued in"
            f" {card.country}, whose e-mandate rules do not allow charges that the"
            " customer is not asked for; take another card or let them top up by hand"
            " (https://docs.stripe.com/india-recurring-payments)."
        )
        raise BadInput(msg, subject=card.payment_method)


def _places(value: Decimal) -> int:
    exponent = value.normalize().as_tuple().exponent
    return -exponent if isinstance(exponent, int) else 0
