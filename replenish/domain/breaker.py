"""Breakers: what stops all charging when too much goes wrong at once.

A breaker is tripped by what stands in the rows, by the database's clock, and stands
as a row of its own; whoever claims or goes to the card sees it, whatever worker, and
also when the broker was wiped. It stops new charges, and nothing else.

    charge_rate    so many claims in a minute; the rest wait for the next
    decline_share  so large a part of the last answers were declines
    gateway_down   several charges in a row found no gateway, and none an answer
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from replenish.domain.decision import Reason
from replenish.domain.rule import ALL
from replenish.errors import BadInput

KINDS = (Reason.CHARGE_RATE, Reason.DECLINE_SHARE, Reason.GATEWAY_DOWN)

GATEWAY_QUIET = timedelta(seconds=20)  # a gateway that answered since is not down


@dataclass(frozen=True, slots=True)
class Tolerance:
    """What trips the breakers, and who lifts them.

    Attributes:
        decline_percent: this part of the answers within `decline_window`, of at
            least `decline_count` of them, must be declines.
        decline_window: seconds are enough; it stands for as long as well.
        gateway_failures: so many charges must wait for a gateway at once.
        by_hand: a tripped breaker stands until a person lifts it.

    Raises:
        BadInput: it would trip for nothing, or never.
    """

    decline_percent: int = 80
    decline_count: int = 20
    decline_window: timedelta = timedelta(minutes=15)
    gateway_failures: int = 5
    by_hand: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.decline_percent <= ALL:
            msg = "The share of declines that stops charging is 1 to 100 percent."
            raise BadInput(msg, subject="breakers")
        if min(self.decline_count, self.gateway_failures) < 1:
            msg = "A breaker needs at least one decline or failure to trip."
            raise BadInput(msg, subject="breakers")
        if self.decline_window <= timedelta(0):
            msg = "Declines are counted over a time above zero."
            raise BadInput(msg, subject="breakers")


@dataclass(frozen=True, slots=True)
class Breaker:
    """A tripped breaker; times are aware UTC by the database's clock.

    Attributes:
        until: when it ends by itself, or None.
        by_hand: only a person lifts it.
        detail: what tripped it, with its numbers.
        ended_by: what or who has ended it, or None while it stands.
    """

    reason: Reason
    since: datetime
    until: datetime | None
    by_hand: bool
    detail: str
    ended_by: str | None = None
