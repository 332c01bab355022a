"""Two ledgers side by side: PostgreSQL and memory, given the same to do."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from itertools import count
from typing import Any

import sqlalchemy as sa

from replenish.domain.account import Card
from replenish.domain.attempt import Attempt, State
from replenish.domain.enrolment import Consent, NewAccount, Overrides
from replenish.domain.money import Money
from replenish.domain.outcome import SeenIntent
from replenish.domain.policy import TopUp
from replenish.errors import BadInput, CardNotFound, LeaseLost
from replenish.ports import Proposal, Standing, Subject
from tests.memory.books import MemoryBooks, MemoryCutOffs, MemoryStops
from tests.memory.credits import MemoryCredits
from tests.memory.ledger import MemoryLedger
from tests.memory.register import MemoryRegister
from tests.memory.rows import IllegalStepError, Store
from tests.properties.ledger_shift import shift_rows, shift_store
from tests.world import DEFAULTS, World

AGREED = Consent(datetime(2026, 1, 1, tzinfo=UTC), "v1", "form")
Pair = tuple[Any, Any]


@dataclass
class Twins:
    """Both ledgers; each method does the same to both and compares the answers."""

    world: World
    store: Store = field(default_factory=lambda: Store(lambda: datetime.now(UTC)))
    lease: float = 20.0
    numbers: "count[int]" = field(default_factory=lambda: count(1))

    def __post_init__(self) -> None:
        self.register = MemoryRegister(self.store, DEFAULTS)
        self.ledger = MemoryLedger(self.store, self.lease)
        self.books = MemoryBooks(self.store)
        self.cut_offs = MemoryCutOffs(self.store)
        self.credits = MemoryCredits(self.store)
        self.stops = MemoryStops(self.store)

    def enrol(self, overrides: Overrides) -> str:
        """Enrol an account with a card in both."""
        ref = f"a{next(self.numbers):06}"
        account = NewAccount(ref, "USD", overrides, AGREED, self.world.card(ref))
        self.world.register.enrol(account, actor="test")
        self.register.enrol(account)
        return ref

    def both(self, port: str, method: str, *args: object, **how: object) -> Pair:
        """Call a port of both."""
        mine = getattr(self, port)
        theirs = getattr(self.world.services, port)
        return getattr(theirs, method)(*args, **how), getattr(mine, method)(
            *args, **how
        )

    def same(self, port: str, method: str, *args: object, **how: object) -> Any:  # noqa: ANN401
        """Call a port of both, and hold one answer against the other."""
        theirs, mine = self.both(port, method, *args, **how)
        assert plain(mine) == plain(theirs), (port, method, args)
        return theirs

    def end(self, job: str, begun: Pair, **how: Any) -> None:  # noqa: ANN401
        """Give a job's turn back in both, each by the name that it gave."""
        theirs, mine = begun
        self.world.services.books.end(job, theirs, **how)
        self.books.end(job, mine, **how)

    def subjects(self, refs: Sequence[str], **how: Any) -> Pair:  # noqa: ANN401
        """Read accounts from both; what the policy is told must be the same."""
        theirs, mine = self.both("ledger", "subjects", refs, **how)
        assert [told(each) for each in mine] == [told(each) for each in theirs]
        return theirs, mine

    def propose(self, ref: str, amount: int) -> Pair | None:
        """Propose the first card's charge, as each of them knows it."""
        pair = [_proposal(found, amount) for found in self.subjects([ref])]
        return (pair[0], pair[1]) if pair[0] and pair[1] else None

    def claim(
        self, pairs: Sequence[Pair], standings: Sequence[Standing]
    ) -> Sequence[str]:
        """Claim a page; the same accounts must be claimed."""
        ledgers = self.world.services.ledger, self.ledger
        found = [
            ledger.claim(
                [pair[side] for pair in pairs], kind="hot", standings=standings
            )
            for side, ledger in enumerate(ledgers)
        ]
        theirs, mine = ([each.account for each in claims.attempts] for claims in found)
        assert mine == theirs
        assert found[0].exhausted == found[1].exhausted
        return theirs

    def take(self, ref: str) -> Pair | None:
        """Take an account's attempt."""
        theirs, mine = self.both("ledger", "take", ref, worker="w")
        assert (theirs is None) == (mine is None), ref
        return (theirs, mine) if theirs else None

    def advance(self, pair: Pair, to: State, **how: Any) -> Pair | None:  # noqa: ANN401
        """Take a step in both, or be refused by both for the same reason."""
        answers = [
            _tried(lambda: self.world.services.ledger.advance(pair[0], to, **how)),
            _tried(lambda: self.ledger.advance(pair[1], to, **how)),
        ]
        theirs, mine = answers
        assert isinstance(theirs, str) == isinstance(mine, str), (theirs, mine)
        if isinstance(theirs, str):
            assert theirs == mine
            return None
        return theirs, mine

    def adopt(self, ref: str, amount: int) -> None:
        """Find a charge without a row."""
        number = next(self.numbers)
        money = Money(Decimal(amount), "USD")
        attempt = f"3d9c4a52-6a7e-4b2e-9a56-{number:012x}"
        seen = SeenIntent(f"pi_lost_{number}", attempt, ref, money, charged=True)
        theirs, mine = self.both("ledger", "adopt", [seen])
        assert (mine.adopted, mine.waiting) == (theirs.adopted, theirs.waiting)

    def card(self, change: Callable[[Any, Mapping[str, Any]], object]) -> None:
        """Change the cards on file of both, or be refused by both."""
        actor = {"actor": "test"}
        theirs = _tried(lambda: change(self.world.register, actor))
        mine = _tried(lambda: change(self.register, {}))
        assert isinstance(theirs, str) == isinstance(mine, str), (theirs, mine)

    def consent(self, ref: str, *, given: bool) -> None:
        """Let consent be withdrawn, or given."""
        at = datetime.now(UTC) if given else None
        self.world.run(
            "UPDATE replenish.account SET consent_at = :at WHERE id = :ref",
            at=at,
            ref=ref,
        )
        self.store.accounts[ref].consent_at = at

    def let_pass(self, seconds: float) -> None:
        """Let time go by in both."""
        shift_rows(self.world, seconds)
        shift_store(self.store, seconds)

    def close_batches(self) -> None:
        """Close every batch that can be closed; the counts must be the same."""
        theirs, mine = (
            [
                books.close_batch(batch, by="test")
                for batch in books.unclosed(older_than=-1)
            ]
            for books in (self.world.services.books, self.books)
        )
        assert [replace(each, batch="") for each in mine if each] == [
            replace(each, batch="") for each in theirs if each
        ]

    def compare(self, refs: Sequence[str]) -> None:
        """Hold the rows of one against those of the other."""
        self.subjects(refs)
        self.subjects(refs, due=True)
        rows = self.world.ask(
            "SELECT account_id, state, confirms, takes, reason, intent,"
            " lease IS NOT NULL, amount, next_at <= now() FROM replenish.attempt"
            " WHERE account_id = ANY(:refs) ORDER BY account_id, claimed_at, id",
            refs=list(refs),
        )
        now = self.store.now()
        mine = [
            (
                ref,
                row.state,
                row.confirms,
                row.takes,
                row.reason,
                row.intent,
                row.lease is not None,
                row.amount.amount,
                row.next_at <= now,
            )
            for ref in sorted(refs)
            for row in self.store.accounts[ref].attempts
        ]
        assert sorted(map(str, mine)) == sorted(map(str, map(_row, rows)))
        flags = self.world.ask(
            "SELECT id, low_since IS NULL, coalesce(not_before <= now(), true),"
            " paused_at IS NULL FROM replenish.account WHERE id = ANY(:refs)"
            " ORDER BY id",
            refs=list(refs),
        )
        found = [
            (
                row.id,
                row.low_since is None,
                row.not_before is None or row.not_before <= now,
                row.paused_at is None,
            )
            for row in (self.store.accounts[ref] for ref in sorted(refs))
        ]
        assert found == [tuple(row) for row in flags]
        skips = self.world.ask(
            "SELECT account_id, decision, reason, times FROM replenish.skip"
            " WHERE account_id = ANY(:refs) ORDER BY 1",
            refs=list(refs),
        )
        ours = [
            (ref, skip.decision, skip.reason, skip.times)
            for ref, skip in sorted(self.store.skips.items())
            if ref in refs
        ]
        assert ours == [tuple(row) for row in skips]


def _row(row: Sequence[Any]) -> tuple[Any, ...]:
    return (row[0], State(row[1]), *row[2:7], _trimmed(row[7]), row[8])


def _trimmed(amount: Decimal) -> Decimal:
    return Decimal(int(amount)) if amount == int(amount) else amount


def _proposal(found: Sequence[Subject], amount: int) -> Proposal | None:
    if not found or not found[0].history.cards:
        return None
    card = found[0].history.cards[0].card
    return Proposal(found[0], TopUp(Money(Decimal(amount), "USD"), card), Decimal(5))


def _tried(function: Callable[[], Any]) -> Any:  # noqa: ANN401 whatever it gives
    try:
        return function()
    except LeaseLost:
        return "lease lost"
    except (IllegalStepError, sa.exc.IntegrityError):
        return "no such step"
    except (BadInput, CardNotFound) as error:
        return type(error).__name__


def told(subject: Subject) -> tuple[Any, ...]:
    """Give what the policy is told, without ids and moments."""
    history = subject.history
    cards = [
        (
            _face(each.card),
            each.tried_at is None,
            each.declines_24h,
            each.declines_30d,
            each.in_flight,
            each.place,
            each.dead_elsewhere,
        )
        for each in history.cards
    ]
    return (
        subject.account,
        subject.rule,
        history.consent,
        history.day_ends,
        history.month_ends,
        history.paused,
        history.stopped,
        history.open_attempt,
        history.cut_off,
        history.spent_day,
        history.spent_month,
        history.count_day,
        history.charged_at is None,
        history.episode_declines,
        history.settled,
        history.largest,
        cards,
    )


def _face(card: Card) -> Card:
    return replace(card, id="", retry_at=None)


def plain(answer: object) -> object:
    """Make answers comparable: sequences as lists."""
    return list(answer) if isinstance(answer, list | tuple) else answer


def state_of(pair: Pair) -> State:
    """Give the state that both think an attempt is in."""
    theirs: Attempt = pair[0]
    mine: Attempt = pair[1]
    assert (mine.state, mine.confirms, mine.takes, mine.intent) == (
        theirs.state,
        theirs.confirms,
        theirs.takes,
        theirs.intent,
    )
    return theirs.state
