"""What the pipeline needs from the world: one page of promises.

Implementations live in `replenish.adapters`; `replenish.bootstrap` picks them.
Every method may raise the `Transient` error of its service, having changed
nothing, unless it says otherwise; every method may be repeated.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Protocol

from replenish.domain.account import Account, Card
from replenish.domain.attempt import Attempt, State
from replenish.domain.breaker import Breaker
from replenish.domain.money import Money
from replenish.domain.outcome import (
    ActionRequired,
    Cancelled,
    Charged,
    Declined,
    Evidence,
    Outcome,
    SeenIntent,
)
from replenish.domain.policy import CutOff, History, Leave, Reason, TopUp, Wait
from replenish.domain.rule import Rule
from replenish.domain.trail import Trail


class Clock(Protocol):
    """Aware UTC for display and for the rules; leases go by the database's clock."""

    def __call__(self) -> datetime:
        """Give the time, aware UTC."""


# ---------------------------------------------------------------- billing package


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a credit did: balances as available amounts, and whether it was new."""

    reference: str
    amount: Money
    available_after: Decimal
    already_applied: bool


@dataclass(frozen=True, slots=True)
class Page:
    """One page of accounts in primary-key order; `after` is None on the last.

    Attributes:
        unreadable: rows that make no sense, by account ref and why; they never
            stop the others.
        stale: read from a copy that may be behind; nobody is taken for funded by it.
    """

    accounts: Sequence[Account]
    after: str | None
    unreadable: Mapping[str, str] = field(default_factory=dict)
    stale: bool = False


@dataclass(frozen=True, slots=True)
class Calls:
    """Accounts debited since a cursor, and the cursor to go on from."""

    accounts: Sequence[str]
    cursor: str


class BillingPackage(Protocol):
    """Somebody else's billing package, through its own tables only.

    `knows_low` says that `accounts(low=True)` answers from an index, so that the
    hot sweep need not read call records.
    """

    knows_low: bool

    def check(self) -> Sequence[str]:
        """List what is wrong, a sentence each; empty when all is well.

        Raises:
            BillingUnavailable: it cannot be asked.
        """

    def remarks(self) -> Sequence[str]:
        """Tell what is worth knowing and no fault: version, engine, what is assumed."""

    def accounts(
        self, *, after: str | None = None, limit: int = 500, low: bool = False
    ) -> Page:
        """Read a page by primary key; `low` only where `knows_low`."""

    def balances(self, refs: Sequence[str]) -> Mapping[str, Account]:
        """Read these accounts now; those that do not exist are left out."""

    def calls_since(self, cursor: str | None, *, limit: int = 5000) -> Calls:
        """List the accounts debited after the cursor; None starts at the end.

        Raises:
            ReplicaBehind: they are read from a copy, and it stands still.
        """

    def watch(self, thresholds: Mapping[str, Decimal | None]) -> None:
        """Tell a package that knows who is low below what an account is low.

        None ends the watch. Packages without such a mark do nothing.
        """

    def apply_credit(
        self, ref: str, amount: Money, *, reference: str, note: str, at: datetime
    ) -> Receipt:
        """Credit exactly once per `reference`, with the rows its reports need.

        Raises:
            AccountNotFound: the account is gone; nothing was credited.
            BadInput: the amount is not exact in the package's scale, or another
                currency; or `reference` was used for another account or amount.
        """

    def find_credit(self, ref: str, *, reference: str) -> Receipt | None:
        """Look a credit up by its reference; the amount of a refund is negative."""

    def verify_credit(self, ref: str, *, reference: str) -> Trail | None:
        """Read what became of a credit, in one moment; `domain.trail.judge` it.

        None: no credit of this account has that reference. A look may take longer
        than others, since it adds up calls; ask only where a balance is suspicious.
        """

    def correct_credit(
        self, ref: str, amount: Money, *, reference: str, note: str, at: datetime
    ) -> Receipt:
        """Raise a balance that the package has overwritten; nobody paid for this.

        Once per `reference`, which is not that of the credit; raises as
        `apply_credit` does.
        """

    def reverse_credit(
        self, ref: str, amount: Money, *, reference: str, note: str, at: datetime
    ) -> Receipt:
        """Take off the balance what the card was paid back, by a refund or dispute.

        `amount` is above zero. Once per `reference`, which is not that of the
        credit; raises as `apply_credit` does. The balance may fall below zero.
        """

    def suspend(self, ref: str, *, at_most: Decimal) -> bool:
        """End service if it is active and at most `at_most` is available.

        One compare-and-set, so that a credit in between is never overlooked.
        Returns whether this call changed it.
        """

    def restore(self, ref: str) -> bool:
        """Give service back if it is in the state that `suspend` sets."""


# ----------------------------------------------------------------- card gateway


@dataclass(frozen=True, slots=True)
class Order:
    """All a charge may be made of; frozen in the attempt before the first call."""

    attempt: str
    account: str
    amount: Money
    customer: str
    payment_method: str


class CardGateway(Protocol):
    """The card gateway. A lost answer is `Unknown`, never an exception.

    Raises, from every method:
        GatewayUnavailable: certainly nothing happened; repeat later.
        GatewayKeyRefused: our key; stop charging.
        GatewayMisuse: our request; a person must look.
    """

    def create(self, order: Order) -> str | Declined:
        """Create the unconfirmed intent, at most one per attempt; give its id.

        A card that is detached or gone is a hard `Declined`. A lost answer is
        `GatewayUnavailable`: no money can have moved, and the repeat finds the
        same intent by its key.
        """

    def confirm(self, order: Order, intent: str, *, number: int) -> Outcome:
        """Confirm off-session; `number` (from 1) tells repeats from new tries."""

    def look_up(self, order: Order, intent: str) -> Evidence:
        """Ask what became of the intent; `Unknown` when it cannot be told."""

    def cancel(
        self, order: Order, intent: str
    ) -> Cancelled | Charged | Declined | ActionRequired:
        """Make sure that it never charges, or learn that it has.

        Raises:
            GatewayUnavailable: also when the answer was lost; ask again.
        """

    def list_since(self, since: datetime) -> Iterable[SeenIntent]:
        """List the intents created since (aware UTC), by time; never by search."""

    def card(self, customer: str, payment_method: str) -> Card:
        """Read a saved card for enrolment.

        Raises:
            CardNotFound: not attached to that customer, or not a card.
        """

    def check_amount(self, amount: Money) -> None:
        """Refuse an amount that could never be charged.

        Raises:
            BadInput: below the currency's minimum, above the maximum, not in
                whole steps, or a currency the gateway does not take.
        """

    def check(self) -> Sequence[str]:
        """List what is wrong with the key or the answers, a sentence each.

        Raises:
            GatewayUnavailable: it cannot be asked.
        """


# ----------------------------------------------------------------------- ledger


@dataclass(frozen=True, slots=True)
class Subject:
    """An enrolled account as our ledger knows it; `now` is the database's clock."""

    account: str
    rule: Rule
    history: History
    now: datetime


@dataclass(frozen=True, slots=True)
class Proposal:
    """A top-up that the policy wants, with the rule whose caps the claim checks."""

    subject: Subject
    top_up: TopUp
    available: Decimal


@dataclass(frozen=True, slots=True)
class Standing:
    """What the last look at an account decided, when that was not to charge it."""

    account: str
    decision: CutOff | Wait | Leave
    available: Decimal | None


@dataclass(frozen=True, slots=True)
class Claims:
    """A page's batch (None when there was nothing to write) and its attempts.

    `exhausted` says that some account of the page is to be cut off.
    """

    batch: str | None
    attempts: Sequence[Attempt]
    exhausted: bool = False


@dataclass(frozen=True, slots=True)
class Adoption:
    """What comparing the gateway's charges with our rows found, by account.

    Attributes:
        adopted: taken into the books as charged; the ordinary steps credit them.
        waiting: not yet, since another attempt of the account is open.
        unsettled: charges that only a person can settle, and why; each told once.
    """

    adopted: Sequence[str] = ()
    waiting: Sequence[str] = ()
    unsettled: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a decline means for the card and the account beyond this attempt.

    Attributes:
        dead: why the card is never charged again until it changes.
        retry_at: the card is not tried before (aware UTC).
        pause: why a person must look at the account first.
    """

    dead: str | None = None
    retry_at: datetime | None = None
    pause: str | None = None


class Ledger(Protocol):
    """Our own record of enrolled accounts and attempts; the arbiter."""

    def subjects(
        self, accounts: Sequence[str], *, due: bool = False, without: str | None = None
    ) -> Sequence[Subject]:
        """Read enrolled accounts; those not enrolled are left out.

        Args:
            accounts: refs.
            due: leave out those with an open attempt or a wait not yet over.
            without: an attempt to leave out of the history.
        """

    def claim(
        self,
        proposals: Sequence[Proposal],
        *,
        kind: str,
        standings: Sequence[Standing] = (),
    ) -> Claims:
        """Open the attempts of one page, with its batch and its skips; commits.

        One statement claims them all, within caps and cooldown. Proposals that
        lost a race or no longer fit are left out and counted in the batch.
        """

    def take(self, account: str, *, worker: str, alone: bool = False) -> Attempt | None:
        """Lease the account's open attempt, or None if there is none to be had.

        One that has lost too many workers is to be had only by who says that it is
        `alone`: in a process of its own, whose end harms nobody.
        """

    def advance(
        self,
        attempt: Attempt,
        to: State,
        *,
        reason: str = "",
        evidence: Mapping[str, str | int] | None = None,
        intent: str | None = None,
        verdict: Verdict | None = None,
    ) -> Attempt:
        """Move a leased attempt on, record the event, renew the lease; commits.

        Entering `charging` counts one confirmation as started.

        Raises:
            LeaseLost: somebody else has taken it or moved it on.
        """

    def put_back(self, attempt: Attempt, *, seconds: float, reason: str) -> None:
        """Give the lease back; nobody takes it for so long (database's clock)."""

    def holds(self, attempt: Attempt) -> bool:
        """Say whether a card may still be charged on what was looked at.

        Its lease stands, and no stop, breaker or pause has come since.
        """

    def came_late(self, attempt: Attempt) -> None:
        """Take note that whoever lost this lease was slow and is alive."""

    def uncredited(self, reasons: Sequence[str], *, limit: int) -> int:
        """Count charged attempts that wait for one of these reasons, up to a limit."""

    def misused(self, *, limit: int) -> int:
        """Count accounts held for `MISUSE` in the last quarter of an hour.

        Only those since a card was last charged: with one, the gateway works for us.
        """

    def waiting(self, reason: str) -> str | None:
        """Give an account whose attempt, not charged, waits for this; None: nobody."""

    def wake(self, reason: str) -> None:
        """Let attempts that wait for this go on at once; the charged need it not."""

    def stranded(self, *, limit: int) -> Sequence[str]:
        """List accounts whose open attempt nobody holds, and nudge them on.

        Each is listed again only after some seconds, so that handing them out
        twice is rare (and harmless).
        """

    def adopt(self, seen: Sequence[SeenIntent]) -> Adoption:
        """Compare charges with our rows, and take those without one into the books."""


@dataclass(frozen=True, slots=True)
class Summary:
    """A closed batch: `selected` is the sum of `counts` and `skipped`.

    Attributes:
        counts: final state → attempts.
        skipped: reason → accounts left alone.
        amounts: currency → settled amount.
    """

    batch: str
    selected: int
    counts: Mapping[str, int]
    skipped: Mapping[str, int]
    amounts: Mapping[str, Decimal]
    cut_off: int


@dataclass(frozen=True, slots=True)
class LastRun:
    """How a job last ended, by the database's clock.

    Attributes:
        ended_at: aware UTC; None: it never ended.
        age: seconds since.
        busy: somebody has its turn now.
    """

    ended_at: datetime | None
    age: float | None
    busy: bool


class Books(Protocol):
    """Batches, periodic jobs, and who is low."""

    def close_batch(self, batch: str, *, by: str) -> Summary | None:
        """Count from the rows; None while attempts of the batch are open."""

    def unclosed(self, *, older_than: float) -> Sequence[str]:
        """List batches older than so many seconds that could be closed."""

    def low_of(self, available: Mapping[str, Decimal]) -> Sequence[str]:
        """Of these accounts, give the enrolled ones at or below their threshold."""

    def recovered(self, available: Mapping[str, Decimal]) -> None:
        """Take note that these are funded, where they are above their threshold."""

    def due(self, *, after: str, limit: int) -> Sequence[str]:
        """Page the accounts seen low whose wait is over and that nobody has claimed."""

    def begin(self, job: str, *, seconds: float) -> datetime | None:
        """Take a job's turn for so long, from the time given back, which names it.

        None: somebody else has it.
        """

    def extend(
        self, job: str, begun: datetime, *, seconds: float, cursor: str | None
    ) -> None:
        """Keep the turn that began then for so long from now, if it still is ours.

        The cursor is kept as by `end`, should its worker be lost.
        """

    def end(
        self, job: str, begun: datetime, *, detail: str = "", cursor: str | None = None
    ) -> None:
        """Give back the turn that began then, if it still is ours.

        Args:
            job: its name.
            begun: what `begin` gave.
            detail: what was done, for people.
            cursor: how far it came; None leaves it where it was.
        """

    def cursor(self, job: str) -> str | None:
        """Read how far a job came."""

    def last_runs(self) -> Mapping[str, LastRun]:
        """Say of each job when it last ended."""


class CutOffs(Protocol):
    """Whose service we have ended, and why; nothing else is ever restored."""

    def low(self, *, batch: str | None, after: str, limit: int) -> Sequence[str]:
        """Page the accounts last seen low whose service still stands."""

    def begin(self, account: str, cut: CutOff, *, available: Decimal) -> bool:
        """Write a cut-off down before it happens; False if it stands already."""

    def done(self, account: str) -> None:
        """Take note that the package has just ended the service, at our word.

        One that was taken back meanwhile is written down again.
        """

    def standing(self, *, after: str, limit: int) -> Sequence[str]:
        """Page the accounts whose service we have ended, or were about to."""

    def is_standing(self, account: str) -> bool:
        """Say whether this account is one of them."""

    def restored(
        self, account: str, *, reason: str, seen: datetime | None = None
    ) -> None:
        """Take note that service is back; a repeat is not told twice.

        Args:
            account: its ref.
            reason: why, for the history.
            seen: when the account was looked at (the database's clock); a service
                that somebody else has ended since stays written down.
        """


@dataclass(frozen=True, slots=True)
class Credited:
    """A settled attempt: what was credited, when, and what was available then.

    Attributes:
        settled_at: aware UTC, the database's clock.
    """

    attempt: str
    account: str
    amount: Money
    after: Decimal
    settled_at: datetime


@dataclass(frozen=True, slots=True)
class Settled:
    """One page of credits, and where the next one starts."""

    credits: Sequence[Credited]
    after: str | None


@dataclass(frozen=True, slots=True)
class Break:
    """A credit that is missing from its balance, as it was first written down.

    Attributes:
        amount: what is to be put right; None: only a person can say.
        put_right: whether that was done.
        new: whether this call wrote it down.
    """

    amount: Decimal | None
    put_right: bool
    new: bool


class Credits(Protocol):
    """Credits after they were made: whether they still stand, and what was done."""

    def settled(self, *, after: str | None, age: float, limit: int) -> Settled:
        """Page the credits at least so many seconds old, from the oldest on."""

    def latest(self, account: str, *, within: float) -> Credited | None:
        """Give the last credit of an account, if it is not older than so long."""

    def unfinished(self, *, limit: int) -> Sequence[Credited]:
        """List those written down as broken that are to be put right and are not."""

    def broken(
        self, credit: Credited, *, missing: Decimal, amount: Decimal | None
    ) -> Break:
        """Write down that a credit is missing; the first row of an attempt stands.

        Nothing is written while another credit of the account is being put right,
        which may be what was missing; look again later (no amount).
        """

    def put_right(self, credit: Credited, *, how: str) -> None:
        """Take note that a broken credit is in its balance again."""

    def broken_again(self, credit: Credited, *, reason: str) -> bool:
        """Hold the account for a person; False if that was done before."""


@dataclass(frozen=True, slots=True)
class Lost:
    """An account that has just been quarantined, and what it was lost at.

    Attributes:
        state: of its open attempt, or empty.
        workers: how many were lost in a row.
        worker: the last of them.
    """

    account: str
    state: str
    workers: int
    worker: str


class Turns(Protocol):
    """Whose turns lose their workers: counted before the work, held after three.

    A turn on an open attempt is its lease; one without is written down here.
    """

    def begin(self, account: str, *, worker: str) -> bool:
        """Begin a turn without an attempt; False: the account is quarantined."""

    def end(self, account: str, *, worker: str) -> None:
        """End it in order: no worker was lost."""

    def quarantine(self) -> Sequence[Lost]:
        """Hold the accounts that have lost too many workers; each is told once."""

    def alone(self, *, limit: int) -> Sequence[str]:
        """List quarantined accounts whose open attempt may be tried alone again.

        Soon after the quarantine, then after growing waits.
        """


MISUSE = "the gateway refused our request"  # how the reason of such a pause begins
KEY_REFUSED = "gateway key refused"  # how the reason of a stop begins that ends itself


class Stops(Protocol):
    """The switch that stops all charging."""

    def stop(self, reason: str) -> None:
        """Stop; the first reason stands until it is lifted.

        A person's stands instead of `KEY_REFUSED`, which is lifted by itself.
        """

    def reason(self) -> str | None:
        """Give the reason why all charging is stopped, or None."""

    def resume(self, seen: str | None = None) -> bool:
        """Lift the stop; only while that reason stands, if one is given.

        False: it was not there any more.
        """


class Breakers(Protocol):
    """What stops all charging when too much goes wrong; see `domain.breaker`."""

    def look(self) -> Sequence[Breaker]:
        """End what has stood long enough, trip what must be; give both, told once."""

    def standing(self, *, at_least: timedelta = timedelta(0)) -> Sequence[Breaker]:
        """List the breakers that stand, for so long already by the database's clock."""

    def lift(self, reason: Reason, *, by: str) -> bool:
        """Lift a breaker; False if it does not stand."""


class Notifier(Protocol):
    """Tells people; must not raise and must not be waited for."""

    def __call__(self, event: str, *, account: str, text: str) -> None:
        """Tell about an event of an account, in a sentence."""
