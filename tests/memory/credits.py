"""Whether credits still stand, in memory; `replenish.ports.Credits`."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from replenish.ports import Break, Credited, Settled
from tests.memory.rows import AttemptRow, BreakRow, Store

LONG_AGO = datetime.min.replace(tzinfo=UTC)


@dataclass
class MemoryCredits:
    """Credits after they were made."""

    store: Store

    def settled(self, *, after: str | None, age: float, limit: int) -> Settled:
        """Page the credits at least so many seconds old, from the oldest on."""
        until = self.store.now() - timedelta(seconds=age)
        place = (LONG_AGO, "")
        if after:
            moment, _, attempt = after.partition("|")
            place = datetime.fromisoformat(moment), attempt
        rows = [
            (at, row.id, row)
            for row in self.store.settled
            if (at := row.settled_at or LONG_AGO) <= until and (at, row.id) > place
        ]
        found = [_credited(row) for _, _, row in sorted(rows)[:limit]]
        if not found:
            return Settled((), after)
        last = found[-1]
        return Settled(found, f"{last.settled_at.isoformat()}|{last.attempt}")

    def latest(self, account: str, *, within: float) -> Credited | None:
        """Give the last credit of an account, if it is not older than so long."""
        since = self.store.now() - timedelta(seconds=within)
        rows = [
            row
            for row in self.store.settled
            if row.account == account and row.settled_at and row.settled_at > since
        ]
        return _credited(max(rows, key=lambda row: row.claimed_at)) if rows else None

    def unfinished(self, *, limit: int) -> Sequence[Credited]:
        """List those written down as broken that are to be put right and are not."""
        rows = [
            _credited(row.attempt)
            for row in self.store.breaks.values()
            if row.amount is not None and not row.put_right
        ]
        return rows[:limit]

    def broken(
        self, credit: Credited, *, missing: Decimal, amount: Decimal | None
    ) -> Break:
        """Write down that a credit is missing; the first row of an attempt stands."""
        store, found = self.store, self.store.breaks.get(credit.attempt)
        new = found is None and not self._busy(credit.account)
        if new:
            attempt = store.attempts[credit.attempt]
            found = BreakRow(attempt, missing, amount, store.now())
            store.breaks[credit.attempt] = found
            store.record(credit.account, "credit_missing", attempt=credit.attempt)
        if found is None:
            return Break(None, put_right=False, new=False)
        return Break(found.amount, put_right=found.put_right, new=new)

    def _busy(self, account: str) -> bool:
        """Say whether another credit of the account is being put right."""
        return any(
            row.amount is not None and not row.put_right and not row.again
            for row in self.store.breaks.values()
            if row.attempt.account == account
        )

    def put_right(self, credit: Credited, *, how: str) -> None:
        """Take note that a broken credit is in its balance again."""
        found = self.store.breaks.get(credit.attempt)
        if found is not None and not found.put_right:
            found.put_right = True
            self.store.record(
                credit.account,
                "credit_put_right",
                attempt=credit.attempt,
                detail={"how": how},
            )

    def broken_again(self, credit: Credited, *, reason: str) -> bool:
        """Hold the account for a person; False if that was done before."""
        store, found = self.store, self.store.breaks.get(credit.attempt)
        if found is None or found.again:
            return False
        found.again = True
        account = store.accounts[found.attempt.account]
        if account.paused_at is None:
            account.paused_at, account.pause_reason = store.now(), reason
            store.record(account.id, "paused", detail={"reason": reason})
        return True


def _credited(row: AttemptRow) -> Credited:
    return Credited(
        row.id,
        row.account,
        row.amount,
        Decimal(str(row.evidence["available"])),
        row.settled_at or LONG_AGO,
    )
