"""The policy's reason codes and times as people read them."""

from datetime import datetime

from replenish.domain.breaker import Breaker
from replenish.domain.decision import Reason

WORDS: dict[Reason, str] = {
    Reason.HEALTHY: "enough is available",
    Reason.OPEN_ATTEMPT: "a top-up is under way",
    Reason.PAUSED: "the account is paused",
    Reason.QUARANTINED: "its turns kept losing their workers, a person must look",
    Reason.CHARGER_STOPPED: "all charging is stopped",
    Reason.NO_CONSENT: "the customer has not agreed to automatic charges",
    Reason.NO_CARD: "no card is on file",
    Reason.CARD_DEAD: "the card has been refused for good",
    Reason.CARD_EXPIRED: "the card has expired",
    Reason.WAITING_RETRY: "the card was declined and is not tried again yet",
    Reason.COOLDOWN: "the last charge or try is too recent",
    Reason.CAP_DAY: "the cap per day is reached",
    Reason.CAP_MONTH: "the cap per month is reached",
    Reason.COUNT_DAY: "the number of charges per day is reached",
    Reason.DECLINES_EPISODE: "too many declines in a row, a person must look",
    Reason.CARD_DECLINES_24H: "the card was declined too often in 24 hours",
    Reason.CARD_DECLINES_30D: "the card was declined too often in 30 days",
    Reason.CARD_IN_FLIGHT: "other charges of the card number have no answer yet",
    Reason.CARD_SHARED: "the card number is on too many accounts, a person must look",
    Reason.CARD_COUNTRY: "cards of its country are not charged automatically",
    Reason.CAP_NEW: "the lower cap of a new account or card is reached",
    Reason.UNUSUAL_AMOUNT: "far more than it ever paid at once, a person must look",
    Reason.CHARGE_RATE: "so many charges a minute have been started, of all accounts",
    Reason.DECLINE_SHARE: "too many cards were declined, of all accounts",
    Reason.GATEWAY_DOWN: "the card gateway does not answer",
    Reason.OTHER_CURRENCY: "the billing package keeps it in another currency",
    Reason.NOT_OURS: "the operator has ended its service",
    Reason.PAST_HARD_FLOOR: "the balance is past the hard floor",
    Reason.AMOUNT_NOT_ALLOWED: "the caps allow no such amount",
    Reason.CARD_CHANGED: "the card on file has changed",
    Reason.ACCOUNT_GONE: "the account is gone from the billing package",
    Reason.CLAIM_TOO_OLD: "the claim is older than the gateway remembers",
    Reason.UNREADABLE: "the billing package's row makes no sense",
    Reason.ALREADY_CLAIMED: "another top-up was quicker",
}


def why(reason: str, detail: str = "", until: datetime | None = None) -> str:
    """Put a reason's code into words; an unknown code is shown as it is."""
    known = reason in Reason.__members__.values()
    words = WORDS[Reason(reason)] if known else reason.replace("_", " ")
    if detail:
        words += f" ({detail})"
    if until:
        words += f", until {moment(until)}"
    return words


def goes_on(breaker: Breaker) -> str:
    """Say how charging goes on after a breaker."""
    if breaker.by_hand:
        return "go on with `replenish charger resume`"
    if breaker.until is None:
        return "it goes on when the gateway answers"
    return f"it goes on by itself at {moment(breaker.until)}"


def moment(at: datetime) -> str:
    """Write an aware time as people read it, in UTC to the second."""
    return at.strftime("%Y-%m-%d %H:%M:%S UTC")
