"""When an account is topped up, by how much, and what bounds it."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum
from zoneinfo import ZoneInfo

from replenish.domain.money import CURRENCY, plain, round_down, round_up, sensible, step
from replenish.errors import BadInput

NO_TIME = timedelta(0)
ALL = 100  # percent
LONGEST_COOLDOWN = timedelta(days=366)  # a longer one is a slip in the unit


class TopUpKind(StrEnum):
    """How the size of a top-up is found."""

    FIXED = (
        "fixed"  # `top_up`; a multiple when the gap is larger, or all the caps leave
    )
    TARGET = "target"  # what is missing to `top_up` as the balance afterwards


@dataclass(frozen=True, slots=True)
class Rule:
    """An account's rule, its own values over the installation's defaults.

    All amounts are in units of the account's currency, compared with what is
    available (balance plus credit limit).

    Attributes:
        threshold: at or below it the account is low.
        top_up: the fixed amount, or the target; see `kind`.
        cap_charge: the most one charge may take.
        cap_day: the most per day of `time_zone`, in-flight money included.
        cap_month: the same per month.
        count_day: the most charges per day.
        cooldown: the least time between two charges, and between two tries of
            one card; a failure does not shorten it.
        floor: at or below it, and with nothing to save it, service is cut off.
        grace: how far below the floor an account whose charge is under way may
            go; at `floor - grace`, the hard floor, it is cut off at once.
        time_zone: IANA name; the days and months of the caps are its days.
    """

    currency: str
    threshold: Decimal
    top_up: Decimal
    kind: TopUpKind
    cap_charge: Decimal
    cap_day: Decimal
    cap_month: Decimal
    count_day: int
    cooldown: timedelta
    floor: Decimal
    grace: Decimal
    time_zone: str

    @property
    def hard_floor(self) -> Decimal:
        """The available amount at which nothing is waited for any more."""
        return self.floor - self.grace

    @property
    def least_charge(self) -> Decimal:
        """The smallest charge worth making, in whole steps.

        One top-up, or for a target the way from the threshold up to it; less
        only where the cap per charge is less. Zero or below when the rule could
        never charge anything, which `check` refuses.
        """
        if self.kind is TopUpKind.TARGET:
            least = round_up(self.top_up - self.threshold, self.currency)
        else:
            least = self.top_up
            if least != round_down(least, self.currency):
                return Decimal(0)  # nothing is rounded on the customer's behalf
        return min(least, round_down(self.cap_charge, self.currency))

    def check(self) -> None:
        """Refuse a rule that could never work or could not be meant.

        Raises:
            BadInput: one sentence with everything that is wrong.
        """
        problems = list(self.senseless()) or [
            *self._settings(),
            *self._sizes(),
            *self._order(),
        ]
        if problems:
            msg = "The rule cannot work: " + "; ".join(problems) + "."
            raise BadInput(msg, subject="rule")

    def senseless(self) -> Iterator[str]:
        """Name the values that are no amounts at all, such as NaN."""
        amounts = {
            "threshold": self.threshold,
            "top-up": self.top_up,
            "cap per charge": self.cap_charge,
            "cap per day": self.cap_day,
            "cap per month": self.cap_month,
            "floor": self.floor,
            "grace": self.grace,
        }
        for name, value in amounts.items():
            if not sensible(value):
                yield f"the {name} {value} is not an amount"

    def _settings(self) -> Iterator[str]:
        if not CURRENCY.fullmatch(self.currency):
            yield f"{self.currency!r} is no currency"
        if self.count_day < 1:
            yield f"the count per day {self.count_day} allows none"
        if not NO_TIME <= self.cooldown <= LONGEST_COOLDOWN:
            yield f"the cooldown of {self.cooldown} is negative or longer than a year"
        if not _zone_exists(self.time_zone):
            yield f"{self.time_zone!r} is no time zone"

    def _sizes(self) -> Iterator[str]:
        least = step(self.currency)
        if self.threshold < 0:
            yield f"the threshold {self.threshold} is negative"
        if self.top_up <= 0:
            yield f"the top-up {self.top_up} is not above zero"
        if self.top_up % least != 0:
            yield (
                f"the top-up {self.top_up} is no multiple of {plain(least)}"
                f" {self.currency}"
            )
        if self.grace < 0:
            yield f"the grace {self.grace} is negative"

    def _order(self) -> Iterator[str]:
        to_target = self.kind is TopUpKind.TARGET
        if to_target and self.top_up <= self.threshold:
            yield (
                f"the target {self.top_up} is not above the threshold {self.threshold}"
            )
        if not to_target and self.cap_charge < self.top_up:
            yield (
                f"the cap per charge {self.cap_charge} is below"
                f" the top-up {self.top_up}"
            )
        if self.cap_charge < step(self.currency):
            yield f"the cap per charge {self.cap_charge} allows no charge"
        if self.cap_day < self.least_charge:
            yield (
                f"the cap per day {self.cap_day} is below"
                f" one top-up of {self.least_charge}"
            )
        if self.cap_month < self.cap_day:
            yield (
                f"the cap per month {self.cap_month} is below"
                f" the cap per day {self.cap_day}"
            )
        if self.floor > self.threshold:
            yield f"the floor {self.floor} is above the threshold {self.threshold}"


def _zone_exists(name: str) -> bool:
    """Say whether it is an IANA name; `localtime`, `right/…` are this machine's own."""
    if not name[:1].isupper():
        return False
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return False
    return True


@dataclass(frozen=True, slots=True)
class Limits:
    """What bounds charges and tries of a card, the same for every account.

    Attributes:
        declines_per_episode: declines before an account waits for a person; an
            episode ends when the account is funded or gets another card. Stripe
            advises at most 8 retries of a decline.
        card_declines_24h: declines of one fingerprint in 24 hours; Mastercard
            charges a fee beyond 10.
        card_declines_30d: the same in 30 days; Visa allows 15 to 20.
        soft_waits: the wait after the first, second, … soft decline of an
            episode; the last one repeats.
        transient_wait: the wait after a first decline that blames the network;
            the card's cooldown may make it longer.
        charges_per_minute: claims of all accounts together in a minute.
        card_accounts: the accounts that may use one card number; those that come
            later wait for a person.
        new_for: how long an account, and a card on it, counts as new; 0: never.
        new_percent: what part of its caps per day and month a new one has; never
            less than one top-up.
        unusual_times: no charge is more than so many times the largest that the
            account ever paid; where one top-up is, it waits for a person.
        unusual_after: so many settled top-ups tell what is usual for it.

    Raises:
        BadInput: a limit allows nothing, or there is no wait after a decline.
    """

    declines_per_episode: int = 8
    card_declines_24h: int = 10
    card_declines_30d: int = 15
    soft_waits: tuple[timedelta, ...] = (
        timedelta(hours=1),
        timedelta(hours=6),
        timedelta(hours=24),
    )
    transient_wait: timedelta = timedelta(minutes=5)
    charges_per_minute: int = 600
    card_accounts: int = 5
    new_for: timedelta = timedelta(days=7)
    new_percent: int = 50
    unusual_times: int = 4
    unusual_after: int = 3

    def __post_init__(self) -> None:
        counts = (
            self.declines_per_episode,
            self.card_declines_24h,
            self.card_declines_30d,
        )
        if min(counts) < 1:
            msg = "A limit of declines is below 1, so no card could ever be charged."
            raise BadInput(msg, subject="limits")
        if not self.soft_waits or min(*self.soft_waits, self.transient_wait) < NO_TIME:
            msg = (
                "The waits after a decline are missing or negative;"
                " give at least one, such as 1 h."
            )
            raise BadInput(msg, subject="limits")
        if min(self.charges_per_minute, self.card_accounts, self.unusual_after) < 1:
            msg = "A limit of charges is below 1, so nothing could ever be charged."
            raise BadInput(msg, subject="limits")
        if self.new_for < NO_TIME or not 1 <= self.new_percent <= ALL:
            msg = "What is new has no negative time, and from 1 to 100 % of its caps."
            raise BadInput(msg, subject="limits")
        if self.unusual_times < 1:
            msg = "An unusual charge is at least 1 time the largest so far."
            raise BadInput(msg, subject="limits")
