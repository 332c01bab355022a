"""An attempt: the only thing that moves money, and the ways it may go.

    claimed ──► charging ──► charged ──► settled
       │            ├──► declined
       │            ├──► action_required
       │            ├──► cancelled
       └► released  └──► unknown ──► charging | charged | declined | …

`unknown` is left on the gateway's evidence only, never by a timer.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from replenish.domain.account import Card
from replenish.domain.money import Money


class State(StrEnum):
    """Where an attempt stands."""

    CLAIMED = "claimed"  # the account is ours to charge; no intent is known yet
    CHARGING = "charging"  # the intent's id is stored; it may be confirmed any time
    UNKNOWN = "unknown"  # the gateway could not say; ask until it can
    CHARGED = "charged"  # money taken, the account not yet known to be credited
    SETTLED = "settled"  # charged and credited
    DECLINED = "declined"
    ACTION_REQUIRED = "action_required"
    CANCELLED = "cancelled"  # the gateway has proved that it keeps no money
    RELEASED = "released"  # given up before any intent could be confirmed


OPEN = frozenset({State.CLAIMED, State.CHARGING, State.UNKNOWN, State.CHARGED})
"""At most one attempt of an account is in one of these; the database sees to it."""

SPENT = OPEN | {State.SETTLED}
"""What counts against the caps: in-flight money counts as spent."""

LOST_WORKERS = 3
"""So many workers lost in a row in one account's turn, and it is quarantined."""

_GATEWAY_ANSWERS = {
    State.CHARGED,
    State.DECLINED,
    State.ACTION_REQUIRED,
    State.CANCELLED,
}

TRANSITIONS: dict[State, frozenset[State]] = {
    State.CLAIMED: frozenset({State.CHARGING, State.RELEASED}),
    State.CHARGING: frozenset({State.UNKNOWN} | _GATEWAY_ANSWERS),
    State.UNKNOWN: frozenset({State.CHARGING} | _GATEWAY_ANSWERS),
    State.CHARGED: frozenset({State.SETTLED}),
    State.SETTLED: frozenset(),
    State.DECLINED: frozenset(),
    State.ACTION_REQUIRED: frozenset(),
    State.CANCELLED: frozenset(),
    State.RELEASED: frozenset(),
}
"""Every permitted step; the ledger's own table of them is checked against this."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt, read at one moment; account, card and amount never change.

    Attributes:
        id: a UUID as text: the gateway's idempotency key and the billing
            package's reference.
        confirms: how many confirmations have been started; part of their keys.
        lease: the token under which this process may change the row, or None
            when it was only looked at.
        takes: how often it has been taken on; waits grow with it.
        lost: how many workers in a row were lost at it before this one took it on.
        claimed_at: aware UTC, the database's clock.
    """

    id: str
    account: str
    card: Card
    amount: Money
    state: State
    claimed_at: datetime
    intent: str | None = None
    confirms: int = 0
    batch: str | None = None
    lease: str | None = None
    takes: int = 0
    lost: int = 0

    @property
    def suspect(self) -> bool:
        """Whether one more lost worker would quarantine the account."""
        return self.lost >= LOST_WORKERS - 1

    @property
    def open(self) -> bool:
        """Whether it still stands between the account and another attempt."""
        return self.state in OPEN
