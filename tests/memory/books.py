"""Batches, jobs, cut-offs and the stop in memory; four small ports."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

from replenish.adapters.ledger.statements.stops import WOKEN
from replenish.domain.attempt import OPEN, State
from replenish.domain.policy import CutOff
from replenish.ports import KEY_REFUSED, Summary
from tests.memory.rows import BatchRow, CutRow, JobRow, Store


@dataclass
class MemoryBooks:
    """Batches, jobs and who is low."""

    store: Store

    def close_batch(self, batch: str, *, by: str) -> Summary | None:
        """Count from the rows; None while attempts of the batch are open."""
        row = self.store.batches.get(batch)
        if row is None:
            return None
        if row.closed_at is None and _closable(row):
            self._close(row, by)
        if row.closed_at is None:
            return None
        return Summary(
            batch, row.selected, row.counts, row.skipped, row.amounts, row.cut_off
        )

    def _close(self, row: BatchRow, by: str) -> None:
        store = self.store
        row.closed_at, row.closed_by = store.now(), by
        row.counts = dict(Counter(str(attempt.state) for attempt in row.attempts))
        for attempt in row.attempts:
            if attempt.state is State.SETTLED:
                code = attempt.amount.currency
                sum_ = row.amounts.get(code, Decimal()) + attempt.amount.amount
                row.amounts[code] = sum_
        whose = {attempt.account for attempt in row.attempts}
        whose |= {ref for ref, skip in store.skips.items() if skip.batch == row.id}
        row.cut_off = sum(
            cut.begun_at >= row.opened_at and cut.account in whose for cut in store.cuts
        )
        del store.unclosed[row.id]

    def unclosed(self, *, older_than: float) -> Sequence[str]:
        """List batches older than so many seconds that could be closed."""
        before = self.store.now() - timedelta(seconds=older_than)
        return [
            row.id
            for row in self.store.unclosed.values()
            if row.opened_at < before and _closable(row)
        ]

    def low_of(self, available: Mapping[str, Decimal]) -> Sequence[str]:
        """Of these accounts, give the enrolled ones at or below their threshold."""
        accounts = self.store.accounts
        return sorted(
            ref
            for ref, amount in available.items()
            if ref in accounts and amount <= accounts[ref].rule.threshold
        )

    def recovered(self, available: Mapping[str, Decimal]) -> None:
        """Take note that these are funded, where they are above their threshold."""
        for ref, amount in available.items():
            row = self.store.accounts.get(ref)
            if row is None or row.low_since is None or amount <= row.rule.threshold:
                continue
            if row.open is not None:
                continue
            row.low_since = row.not_before = None
            row.episode_at = self.store.now()
            self.store.skips.pop(ref, None)

    def due(self, *, after: str, limit: int) -> Sequence[str]:
        """Page the accounts seen low whose wait is over and that nobody has claimed."""
        now = self.store.now()
        return sorted(
            ref
            for ref, row in self.store.accounts.items()
            if row.low_since is not None
            and ref > after
            and (row.not_before is None or row.not_before <= now)
            and row.open is None
        )[:limit]

    def begin(self, job: str, *, seconds: float) -> datetime | None:
        """Take a job's turn for so long; None: somebody else has it."""
        now = self.store.now()
        row = self.store.jobs.setdefault(job, JobRow())
        if row.busy_until is not None and row.busy_until > now:
            return None
        row.begun, row.busy_until = now, now + timedelta(seconds=seconds)
        return now

    def extend(
        self, job: str, begun: datetime, *, seconds: float, cursor: str | None
    ) -> None:
        """Keep the turn that began then for so long from now, if it still is ours."""
        row = self.store.jobs[job]
        if row.begun == begun:
            row.busy_until = self.store.now() + timedelta(seconds=seconds)
            row.cursor = row.cursor if cursor is None else cursor

    def end(
        self, job: str, begun: datetime, *, detail: str = "", cursor: str | None = None
    ) -> None:
        """Give back the turn that began then, if it still is ours."""
        row = self.store.jobs[job]
        if row.begun != begun:
            return
        row.busy_until, row.detail = None, detail
        row.cursor = row.cursor if cursor is None else cursor

    def cursor(self, job: str) -> str | None:
        """Read how far a job came."""
        row = self.store.jobs.get(job)
        return row.cursor if row else None


def _closable(row: BatchRow) -> bool:
    return not any(attempt.state in OPEN for attempt in row.attempts)


@dataclass
class MemoryCutOffs:
    """Whose service we have ended."""

    store: Store

    def low(self, *, batch: str | None, after: str, limit: int) -> Sequence[str]:
        """Page the accounts last seen low whose service still stands."""
        store = self.store
        refs = sorted(
            ref
            for ref, row in store.accounts.items()
            if row.low_since is not None
            and ref > after
            and ref not in store.standing
            and (batch is None or self._of(batch, ref))
        )
        return refs[:limit]

    def _of(self, batch: str, ref: str) -> bool:
        skip = self.store.skips.get(ref)
        if skip is not None and skip.batch == batch:
            return True
        return any(row.batch == batch for row in self.store.accounts[ref].attempts)

    def begin(self, account: str, cut: CutOff, *, available: Decimal) -> bool:
        """Write a cut-off down before it happens; False if it stands already."""
        store = self.store
        if account in store.standing:
            return False
        row = CutRow(account, str(cut.reason), cut.detail, available, store.now())
        store.standing[account] = row
        store.cuts.append(row)
        store.record(account, "cut_off", detail={"reason": row.reason})
        return True

    def done(self, account: str) -> None:
        """Take note that the package has just ended the service, at our word."""
        store, row = self.store, self.store.standing.get(account)
        if row is None:
            last = [cut for cut in store.cuts if cut.account == account][-1:]
            if not last:
                return
            row = replace(last[0], begun_at=store.now(), restored_at=None)
            store.standing[account] = row
            store.cuts.append(row)
            store.record(account, "cut_off", detail={"reason": row.reason})
        row.done_at = store.now()

    def standing(self, *, after: str, limit: int) -> Sequence[str]:
        """Page the accounts whose service we have ended, or were about to."""
        return sorted(ref for ref in self.store.standing if ref > after)[:limit]

    def is_standing(self, account: str) -> bool:
        """Say whether this account is one of them."""
        return account in self.store.standing

    def restored(
        self, account: str, *, reason: str, seen: datetime | None = None
    ) -> None:
        """Take note that service is back; a repeat is not told twice."""
        row = self.store.standing.get(account)
        if row is None:
            return
        if row.done_at is None or seen is None or row.done_at <= seen:
            del self.store.standing[account]
            row.restored_at = self.store.now()
            self.store.record(account, "restored", detail={"reason": reason})


@dataclass
class MemoryStops:
    """The switch that stops all charging."""

    store: Store

    def stop(self, reason: str) -> None:
        """Stop; the first reason stands, but for one that would end by itself."""
        stands = self.store.stop
        if stands is None or (
            stands.startswith(KEY_REFUSED) and not reason.startswith(KEY_REFUSED)
        ):
            self.store.stop = reason

    def reason(self) -> str | None:
        """Give the reason why all charging is stopped, or None."""
        return self.store.stop

    def resume(self, seen: str | None = None) -> bool:
        """Lift the stop, and let what waited for that go on at once."""
        store = self.store
        if seen is not None and store.stop != seen:
            return False
        lifted = store.stop is not None
        store.stop, now = None, store.now()
        for ref, skip in store.skips.items():
            if skip.reason == "charger_stopped" and ref in store.accounts:
                store.accounts[ref].not_before = None
        for row in store.open.values():
            refused = row.lease is None and row.reason == "gateway_key_refused"
            if refused and row.takes <= WOKEN:
                row.next_at = row.nudge_at = now
        return lifted
