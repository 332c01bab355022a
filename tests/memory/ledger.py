"""The arbiter of attempts in memory; see `replenish.adapters.ledger.attempts`."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

from replenish.adapters.ledger.attempts import CREDIT_LEASE, NUDGE, UNCOMMITTED
from replenish.adapters.ledger.pages import RECHECK, WORDS
from replenish.domain.account import Card
from replenish.domain.attempt import OPEN, TRANSITIONS, Attempt, State
from replenish.domain.outcome import SeenIntent
from replenish.domain.policy import CutOff, Leave
from replenish.errors import LeaseLost
from replenish.failpoints import failpoint
from replenish.ports import (
    MISUSE,
    Adoption,
    Claims,
    Proposal,
    Standing,
    Subject,
    Verdict,
)
from tests.memory import adoption
from tests.memory.claiming import fits, fresh, within_limits
from tests.memory.reading import NO, breaker, subject
from tests.memory.rows import AttemptRow, BatchRow, IllegalStepError, SkipRow, Store


def _seconds(seconds: float) -> timedelta:
    return timedelta(seconds=seconds)


@dataclass
class MemoryLedger:
    """Attempts, by the store's clock; `lease` in seconds."""

    store: Store
    lease: float = 20.0

    def subjects(
        self, accounts: Sequence[str], *, due: bool = False, without: str | None = None
    ) -> Sequence[Subject]:
        """Read enrolled accounts, in the order of their refs."""
        store, now = self.store, self.store.now()
        found = []
        for ref in sorted(set(accounts)):
            row = store.accounts.get(ref)
            if row is None:
                continue
            waits = row.not_before is not None and row.not_before > now
            if due and (waits or row.open is not None):
                continue
            found.append(subject(store, row, now, without))
        return found

    def claim(
        self,
        proposals: Sequence[Proposal],
        *,
        kind: str,
        standings: Sequence[Standing] = (),
    ) -> Claims:
        """Open the attempts of one page, with its batch and its skips."""
        if not proposals and not standings:
            return Claims(None, ())
        store, now = self.store, self.store.now()
        skipped = Counter(str(standing.decision.reason) for standing in standings)
        batch = BatchRow(
            store.new_id(), kind, now, len(proposals) + len(standings), 0, skipped
        )
        fitting = (proposal for proposal in proposals if fits(store, proposal, now))
        ordered = sorted(fitting, key=lambda proposal: proposal.subject.account)
        taken = within_limits(store, ordered, now)
        failpoint("claim_uncommitted")
        store.batches[batch.id] = store.unclosed[batch.id] = batch
        claimed = tuple(self._insert(proposal, batch, now) for proposal in taken)
        batch.claimed = len(claimed)
        store.claims.append((now, batch.claimed))
        lost = len(proposals) - len(claimed)
        if lost:
            batch.skipped["already_claimed"] = lost
        for standing in standings:
            self._note(standing, batch, now)
        failpoint("claim_commit_sent")
        cut = any(isinstance(standing.decision, CutOff) for standing in standings)
        return Claims(batch.id, claimed, exhausted=cut)

    def _insert(self, proposal: Proposal, batch: BatchRow, now: datetime) -> Attempt:
        row = fresh(self.store, proposal, now)
        row.batch, row.nudge_at = batch.id, now + _seconds(NUDGE * self.lease)
        batch.attempts.append(row)
        account = self.store.accounts[row.account]
        account.low_since = account.low_since or now
        return replace(read(row), card=proposal.top_up.card)

    def _note(self, standing: Standing, batch: BatchRow, now: datetime) -> None:
        store, decision = self.store, standing.decision
        account = store.accounts.get(standing.account)
        until = None if isinstance(decision, Leave) else decision.until
        word = WORDS[type(decision)]
        new = SkipRow(
            word,
            str(decision.reason),
            decision.detail,
            until,
            standing.available,
            batch.id,
            now,
            now,
        )
        old = store.skips.get(standing.account)
        if old is not None:
            new.times = old.times + 1
            if (old.reason, old.detail) == (new.reason, new.detail):
                new.first_at = old.first_at
        store.skips[standing.account] = new
        if account is not None:
            account.low_since = account.low_since or now
            latest = now + _seconds(RECHECK)
            account.not_before = min(until or latest, latest)
        told = old and (old.decision, old.reason, old.detail)
        if told != (new.decision, new.reason, new.detail):
            store.record(standing.account, "skipped", detail={"reason": new.reason})

    def take(self, account: str, *, worker: str, alone: bool = False) -> Attempt | None:
        """Lease the account's open attempt."""
        del worker, alone
        store, now = self.store, self.store.now()
        row = store.open.get(account)
        if row is None or row.next_at > now:
            return None
        row.lease, row.takes = store.new_id(), row.takes + 1
        row.next_at = row.nudge_at = now + _seconds(self.lease)
        return read(row)

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
        """Take a step under the lease, with all that follows from it."""
        store, now = self.store, self.store.now()
        row = store.attempts.get(attempt.id)
        held = row is not None and row.lease is not None and row.lease == attempt.lease
        if row is None or not held or row.state is not attempt.state:
            raise LeaseLost("It is in other hands now.", subject=attempt.id)
        if to is not row.state and to not in TRANSITIONS[row.state]:
            raise IllegalStepError(row.state, to)
        failpoint(UNCOMMITTED.get(to, "record_uncommitted"))
        old, row.state = row.state, to
        row.reason, row.evidence = reason, dict(evidence or {})
        row.intent = row.intent or intent
        row.confirms += to is State.CHARGING
        seconds = CREDIT_LEASE if to is State.CHARGED else self.lease
        row.nudge_at = now + _seconds(seconds)
        if to is not State.CHARGING or row.next_at > now:
            row.next_at = row.nudge_at
        if to not in OPEN:
            row.lease = None
        if to is not old:
            self._journal(row, old, now)
        self._follow(row, to, verdict, now)
        return read(row)

    def _journal(self, row: AttemptRow, old: State, now: datetime) -> None:
        store = self.store
        row.changed_at = now
        store.record(
            row.account,
            "attempt",
            attempt=row.id,
            from_state=old,
            to_state=row.state,
            detail={**row.evidence, "reason": row.reason},
        )
        if row.state in NO:
            store.declines.setdefault(row.card.fingerprint, []).append(row)
        if row.state is State.SETTLED:
            row.settled_at = now
            store.accounts[row.account].settled.append(row.amount.amount)
            if "available" in row.evidence:
                store.settled.append(row)

    def _follow(
        self, row: AttemptRow, to: State, verdict: Verdict | None, now: datetime
    ) -> None:
        store, account = self.store, self.store.accounts[row.account]
        if to is State.SETTLED:
            store.skips.pop(row.account, None)
            left = row.evidence.get("now", row.evidence.get("available", "Infinity"))
            available = Decimal(left)
            low = available <= account.rule.threshold
            account.episode_at = now
            account.low_since = (account.low_since or now) if low else None
        if to not in OPEN:
            account.not_before, account.open = None, None
            del store.open[row.account]
        if verdict is None:
            return
        if row.card_id is not None:
            _mark(store, row.card_id, verdict, now)
        said = (account.pause_reason or "") if account.paused_at else ""
        if verdict.pause and verdict.pause not in said:
            account.paused_at = account.paused_at or now
            account.pause_reason = f"{said}; {verdict.pause}".removeprefix("; ")
            store.record(row.account, "paused", detail={"reason": verdict.pause})

    def put_back(self, attempt: Attempt, *, seconds: float, reason: str) -> None:
        """Give the lease back; nobody takes the attempt for so long."""
        row = self.store.attempts.get(attempt.id)
        if row is None or row.lease is None or row.lease != attempt.lease:
            return
        row.lease, row.reason = None, reason
        row.next_at = row.nudge_at = self.store.now() + _seconds(seconds)

    def holds(self, attempt: Attempt) -> bool:
        """Say whether the lease stands and nothing has stopped the charge since."""
        row = self.store.attempts.get(attempt.id)
        if row is None or row.lease is None or row.lease != attempt.lease:
            return False
        store, now = self.store, self.store.now()
        paused = store.accounts[row.account].paused_at is not None
        stopped = store.stop is not None or breaker(store, now) is not None
        return row.next_at > now and not paused and not stopped

    def came_late(self, attempt: Attempt) -> None:
        """Count nothing: this one does not lose workers."""

    def uncredited(self, reasons: Sequence[str], *, limit: int) -> int:
        """Count charged attempts that wait for one of these reasons."""
        waiting = sum(
            row.state is State.CHARGED and row.reason in reasons
            for row in self.store.open.values()
        )
        return min(waiting, limit)

    def misused(self, *, limit: int) -> int:
        """Count accounts held for `MISUSE` of late, and since the last charge."""
        since = self.store.now() - timedelta(minutes=15)
        for row in self.store.attempts.values():
            if row.state in (State.CHARGED, State.SETTLED):
                since = max(since, row.changed_at)
        held = sum(
            (row.pause_reason or "").startswith(MISUSE)
            and row.paused_at is not None
            and row.paused_at > since
            for row in self.store.accounts.values()
        )
        return min(held, limit)

    def waiting(self, reason: str) -> str | None:
        """Give an account whose attempt, not charged, waits for this; None: nobody."""
        waiting = self._waiting(reason)
        return waiting[0].account if waiting else None

    def wake(self, reason: str) -> None:
        """Let attempts that wait for this go on at once; the charged need it not."""
        for row in self._waiting(reason):
            row.next_at = row.nudge_at = self.store.now()

    def _waiting(self, reason: str) -> list[AttemptRow]:
        now = self.store.now()
        rows = [
            row
            for row in self.store.open.values()
            if row.state is not State.CHARGED
            and (row.lease, row.reason) == (None, reason)
            and row.next_at > now
        ]
        return sorted(rows, key=lambda row: row.next_at)

    def stranded(self, *, limit: int) -> Sequence[str]:
        """List accounts whose open attempt nobody works on, and push them on."""
        now = self.store.now()
        rows = [
            row
            for row in self.store.open.values()
            if row.nudge_at <= now and row.next_at <= now
        ]
        rows.sort(key=lambda row: (row.state is not State.CHARGED, row.nudge_at))
        for row in rows[:limit]:
            row.nudge_at = now + _seconds(NUDGE * self.lease)
        return [row.account for row in rows[:limit]]

    def adopt(self, seen: Sequence[SeenIntent]) -> Adoption:
        """Compare charges with our rows, and take those without one into the books."""
        return adoption.adopt(self.store, seen)


def read(row: AttemptRow) -> Attempt:
    """Read a row; of the card, only what the gateway is told."""
    return Attempt(
        row.id,
        row.account,
        row.card,
        row.amount,
        row.state,
        row.claimed_at,
        row.intent,
        row.confirms,
        row.batch,
        row.lease,
        row.takes,
    )


def _mark(store: Store, card_id: int, verdict: Verdict, now: datetime) -> None:
    _, row = store.cards[card_id]
    card: Card = row.card
    if verdict.dead and card.dead_reason is None:
        row.dead_at = now
    row.card = replace(
        card,
        dead_reason=card.dead_reason or verdict.dead,
        retry_at=verdict.retry_at or card.retry_at,
    )
