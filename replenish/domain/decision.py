"""What may be decided about an account, and what the decision is made from.

Values only; the rules that turn one into the other are in `replenish.domain.policy`.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from replenish.domain.account import Card
from replenish.domain.money import Money


class Reason(StrEnum):
    """Why an account is not charged now; each is counted and can be listed."""

    HEALTHY = "healthy"
    OPEN_ATTEMPT = "open_attempt"
    PAUSED = "paused"
    QUARANTINED = "quarantined"  # its turns kept losing their workers
    CHARGER_STOPPED = "charger_stopped"
    NO_CONSENT = "no_consent"
    NO_CARD = "no_card"
    CARD_DEAD = "card_dead"
    CARD_EXPIRED = "card_expired"
    WAITING_RETRY = "waiting_retry"
    COOLDOWN = "cooldown"
    CAP_DAY = "cap_day"
    CAP_MONTH = "cap_month"
    COUNT_DAY = "count_day"
    DECLINES_EPISODE = "declines_episode"
    CARD_DECLINES_24H = "card_declines_24h"
    CARD_DECLINES_30D = "card_declines_30d"
    CARD_IN_FLIGHT = "card_in_flight"  # its charges elsewhere may all be declined
    CARD_SHARED = "card_shared"  # on too many accounts, a person must look
    CARD_COUNTRY = "card_country"  # its issuer's country allows no such charge
    CAP_NEW = "cap_new"  # the lower caps of a new account or card
    UNUSUAL_AMOUNT = "unusual_amount"  # far above what it ever paid, for a person
    CHARGE_RATE = "charge_rate"  # so many charges a minute, over all accounts
    DECLINE_SHARE = "decline_share"  # too many declines, over all accounts
    GATEWAY_DOWN = "gateway_down"  # the gateway does not answer
    OTHER_CURRENCY = "other_currency"
    NOT_OURS = "not_ours"  # suspended, closed or blocked by the operator
    AMOUNT_NOT_ALLOWED = "amount_not_allowed"
    PAST_HARD_FLOOR = "past_hard_floor"  # cut off although a charge is under way
    # Found by the steps around the decision, not by `decide` itself:
    CARD_CHANGED = "card_changed"
    ACCOUNT_GONE = "account_gone"
    CLAIM_TOO_OLD = "claim_too_old"  # from a backup: the gateway forgets what it was
    UNREADABLE = "unreadable"  # a row of the billing package that makes no sense
    ALREADY_CLAIMED = "already_claimed"


@dataclass(frozen=True, slots=True)
class TopUp:
    """Charge this card with this amount."""

    amount: Money
    card: Card


@dataclass(frozen=True, slots=True)
class CutOff:
    """Nothing can save the account now: end its service."""

    reason: Reason
    detail: str = ""
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Wait:
    """Ask again at `until` (aware UTC)."""

    until: datetime
    reason: Reason
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Leave:
    """Nothing to do until something about the account changes."""

    reason: Reason
    detail: str = ""


Decision = TopUp | CutOff | Wait | Leave


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why no charge may start, and when that ends by itself, if it does."""

    reason: Reason
    until: datetime | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class CardHistory:
    """A card on file and how it has fared.

    Attributes:
        tried_at: the last attempt with this card, aware UTC.
        declines_24h: declines of its fingerprint, on any account.
        declines_30d: the same over 30 days.
        in_flight: attempts with its fingerprint that may still be declined.
        since: when this account first had this number, or None for long ago.
        place: this account's place among those with the number, the first is 1.
        cleared: a person has let this account use a number of many accounts.
        dead_elsewhere: why the number is dead, where another account found out.
    """

    card: Card
    tried_at: datetime | None = None
    declines_24h: int = 0
    declines_30d: int = 0
    in_flight: int = 0
    since: datetime | None = None
    place: int = 1
    cleared: bool = False
    dead_elsewhere: str | None = None


@dataclass(frozen=True, slots=True)
class History:
    """What our ledger knows about an enrolled account, read at one moment.

    Amounts are in the account's currency and include open attempts, but never
    the attempt on whose behalf the question is asked.

    Attributes:
        paused: why a person or a fraud decline holds it, or None.
        quarantined: it is paused because its turns kept losing their workers.
        stopped: why no account may be charged at present, or None.
        day_ends, month_ends: the next local midnight and month, aware UTC.
        charged_at: when the last charge was claimed that took money.
        episode_declines: declines since it was last funded or got a card.
        cut_off: its service is ended, by us.
        cards: on file, in any order; the lowest priority is tried first.
        enrolled_at: since when it may be charged, or None for long ago.
        settled: its settled top-ups, counted no further than is asked for.
        largest: the largest of them.
        released: a person has released charges up to this amount.
        charges_minute: claims of the last minute, over all accounts.
        breaker: the breaker that stands, if one does; see `domain.breaker`.
    """

    consent: bool
    day_ends: datetime
    month_ends: datetime
    paused: str | None = None
    quarantined: bool = False
    stopped: str | None = None
    open_attempt: bool = False
    cut_off: bool = False
    spent_day: Decimal = Decimal(0)
    spent_month: Decimal = Decimal(0)
    count_day: int = 0
    charged_at: datetime | None = None
    episode_declines: int = 0
    cards: tuple[CardHistory, ...] = ()
    enrolled_at: datetime | None = None
    settled: int = 0
    largest: Decimal = Decimal(0)
    released: Decimal = Decimal(0)
    charges_minute: int = 0
    breaker: Obstacle | None = None
