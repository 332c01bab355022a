"""The rows of the ledger in memory, and the place they lie in."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from itertools import count
from typing import Any

from replenish.domain.account import Card
from replenish.domain.attempt import State
from replenish.domain.breaker import Breaker
from replenish.domain.decision import Reason
from replenish.domain.money import Money
from replenish.domain.rule import Limits, Rule


class IllegalStepError(Exception):
    """A step that the state machine does not have; PostgreSQL's trigger refuses it."""


@dataclass(slots=True)
class CardRow:
    """A card on file; `card` holds what is known of it now."""

    id: int
    card: Card
    added_at: datetime
    dead_at: datetime | None = None
    removed_at: datetime | None = None


@dataclass(slots=True)
class AttemptRow:
    """One attempt; the fields are the table's."""

    id: str
    account: str
    card_id: int | None
    card: Card
    amount: Money
    state: State
    claimed_at: datetime
    changed_at: datetime
    next_at: datetime
    nudge_at: datetime
    batch: str | None = None
    available_before: Decimal | None = None
    intent: str | None = None
    confirms: int = 0
    reason: str = ""
    evidence: dict[str, Any] = field(default_factory=dict)
    lease: str | None = None
    takes: int = 0
    settled_at: datetime | None = None


@dataclass(slots=True)
class AccountRow:
    """An enrolled account with its cards and attempts, oldest first."""

    id: str
    rule: Rule
    enrolled_at: datetime
    episode_at: datetime
    consent_at: datetime | None = None
    paused_at: datetime | None = None
    pause_reason: str | None = None
    low_since: datetime | None = None
    not_before: datetime | None = None
    cards: list[CardRow] = field(default_factory=list)
    attempts: list[AttemptRow] = field(default_factory=list)
    open: AttemptRow | None = None
    settled: list[Decimal] = field(default_factory=list)


@dataclass(slots=True)
class BatchRow:
    """One page of a sweep."""

    id: str
    kind: str
    opened_at: datetime
    selected: int
    claimed: int = 0
    skipped: dict[str, int] = field(default_factory=dict)
    attempts: list[AttemptRow] = field(default_factory=list)
    closed_at: datetime | None = None
    closed_by: str | None = None
    counts: dict[str, int] = field(default_factory=dict)
    amounts: dict[str, Decimal] = field(default_factory=dict)
    cut_off: int = 0


@dataclass(slots=True)
class SkipRow:
    """Why an account is left alone."""

    decision: str
    reason: str
    detail: str
    until: datetime | None
    available: Decimal | None
    batch: str
    first_at: datetime
    last_at: datetime
    times: int = 1


@dataclass(slots=True)
class CutRow:
    """A service that we ended."""

    account: str
    reason: str
    detail: str
    available: Decimal
    begun_at: datetime
    done_at: datetime | None = None
    restored_at: datetime | None = None


@dataclass(slots=True)
class JobRow:
    """A periodic job."""

    begun: datetime | None = None
    busy_until: datetime | None = None
    cursor: str | None = None
    detail: str = ""


@dataclass(slots=True)
class BreakRow:
    """A credit that went missing."""

    attempt: AttemptRow
    missing: Decimal
    amount: Decimal | None
    found_at: datetime
    put_right: bool = False
    again: bool = False


@dataclass(frozen=True, slots=True)
class EventRow:
    """One entry of the journal."""

    account: str
    attempt: str | None
    kind: str
    from_state: State | None
    to_state: State | None
    at: datetime
    detail: dict[str, Any]


@dataclass
class Store:
    """All rows of one installation.

    Attributes:
        now: the database's clock, aware UTC.
        touched: accounts whose rows have changed since somebody last asked.
    """

    now: Callable[[], datetime]
    accounts: dict[str, AccountRow] = field(default_factory=dict)
    attempts: dict[str, AttemptRow] = field(default_factory=dict)
    cards: dict[int, tuple[AccountRow, CardRow]] = field(default_factory=dict)
    open: dict[str, AttemptRow] = field(default_factory=dict)
    declines: dict[str, list[AttemptRow]] = field(default_factory=dict)
    settled: list[AttemptRow] = field(default_factory=list)
    batches: dict[str, BatchRow] = field(default_factory=dict)
    unclosed: dict[str, BatchRow] = field(default_factory=dict)
    skips: dict[str, SkipRow] = field(default_factory=dict)
    cuts: list[CutRow] = field(default_factory=list)
    standing: dict[str, CutRow] = field(default_factory=dict)
    jobs: dict[str, JobRow] = field(default_factory=dict)
    breaks: dict[str, BreakRow] = field(default_factory=dict)
    orphans: dict[str, str] = field(default_factory=dict)
    stop: str | None = None
    limits: Limits = field(default_factory=Limits)
    breakers: dict[Reason, Breaker] = field(default_factory=dict)
    last_breaker_end: dict[Reason, datetime] = field(default_factory=dict)
    numbers: dict[str, list[tuple[AccountRow, CardRow]]] = field(default_factory=dict)
    claims: list[tuple[datetime, int]] = field(default_factory=list)
    events: list[EventRow] = field(default_factory=list)
    touched: set[str] = field(default_factory=set)
    prefix: str = "00000000"
    _ids: "count[int]" = field(default_factory=lambda: count(1))

    def claimed_within(self, after: datetime, until: datetime) -> int:
        """Count the claims of a time, from its end back; they lie in order."""
        count = 0
        for at, claimed in reversed(self.claims):
            if at <= after:
                break
            count += claimed if at <= until else 0
        return count

    def new_id(self) -> str:
        """Draw an id in the form of a UUID, the same in every run."""
        return f"{self.prefix}-0000-4000-8000-{next(self._ids):012x}"

    def record(
        self,
        account: str,
        kind: str,
        *,
        attempt: str | None = None,
        from_state: State | None = None,
        to_state: State | None = None,
        detail: dict[str, Any] | None = None,
    ) -> None:
        """Add to the journal."""
        self.touched.add(account)
        self.events.append(
            EventRow(
                account, attempt, kind, from_state, to_state, self.now(), detail or {}
            )
        )
