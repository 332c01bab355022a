"""The breakers in memory; see `replenish.adapters.ledger.breakers`."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

from replenish.adapters.ledger.breakers import NO_GATEWAY
from replenish.domain.attempt import State
from replenish.domain.breaker import GATEWAY_QUIET, Breaker, Tolerance
from replenish.domain.decision import Reason
from tests.memory.reading import MINUTE, NO, TOOK
from tests.memory.rows import Store

Found = tuple[Reason, timedelta | None, str]


@dataclass
class MemoryBreakers:
    """What stops all charging, by the store's clock."""

    store: Store
    tolerance: Tolerance = field(default_factory=Tolerance)

    def look(self) -> Sequence[Breaker]:
        """End what has stood long enough, trip what must be."""
        store, now = self.store, self.store.now()
        ended = [
            replace(each, ended_by="by itself")
            for each in store.breakers.values()
            if each.until is not None and each.until <= now
        ]
        for each in ended:
            del store.breakers[each.reason]
            store.last_breaker_end[each.reason] = each.until or now
        tripped = []
        for reason, lasts, detail in self._found():
            if reason not in store.breakers:
                by_hand = self.tolerance.by_hand
                until = None if by_hand or lasts is None else now + lasts
                breaker = Breaker(reason, now, until, by_hand, detail)
                store.breakers[reason] = breaker
                tripped.append(breaker)
        return [*ended, *tripped]

    def standing(self, *, at_least: timedelta = timedelta(0)) -> Sequence[Breaker]:
        """List the breakers that stand, for so long already."""
        now = self.store.now()
        return [
            each
            for each in self.store.breakers.values()
            if (each.until is None or each.until > now) and each.since <= now - at_least
        ]

    def lift(self, reason: Reason, *, by: str) -> bool:
        """Lift a breaker, and let what waited for it go on."""
        del by
        store, now = self.store, self.store.now()
        if store.breakers.pop(reason, None) is None:
            return False
        store.last_breaker_end[reason] = now
        for ref, skip in store.skips.items():
            if skip.reason == reason and ref in store.accounts:
                store.accounts[ref].not_before = None
        for row in store.open.values():
            waits = row.lease is None and row.reason in NO_GATEWAY
            if reason is Reason.GATEWAY_DOWN and waits:
                row.next_at = row.nudge_at = now
        return True

    def _found(self) -> Iterator[Found]:
        store, now, tolerance = self.store, self.store.now(), self.tolerance
        if store.claimed_within(now - MINUTE, now) >= store.limits.charges_per_minute:
            yield Reason.CHARGE_RATE, MINUTE, "too many in a minute"
        since = now - tolerance.decline_window
        since = max(since, store.last_breaker_end.get(Reason.DECLINE_SHARE, since))
        answers = [
            row.state
            for row in store.attempts.values()
            if row.state in TOOK | NO and row.changed_at > since
        ]
        no = sum(state in NO for state in answers)
        enough = len(answers) >= tolerance.decline_count
        if enough and no * 100 >= len(answers) * tolerance.decline_percent:
            yield Reason.DECLINE_SHARE, tolerance.decline_window, "too many declines"
        waiting = sum(
            row.state is not State.CHARGED and row.reason in NO_GATEWAY
            for row in store.open.values()
        )
        quiet = not any(
            row.state in TOOK | NO and row.changed_at > now - GATEWAY_QUIET
            for row in store.attempts.values()
        )
        if waiting >= tolerance.gateway_failures and quiet:
            yield Reason.GATEWAY_DOWN, None, "no answer"
