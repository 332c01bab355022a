"""What must hold when the faults have ended and recovery has run."""

from collections.abc import Iterator
from decimal import Decimal

from replenish.domain.account import Service
from tests.simulation.allowed import OPEN
from tests.simulation.checker import Checker


def broken(checker: Checker) -> Iterator[tuple[str, str]]:
    """Give every violation, by its invariant."""
    yield from _money(checker)
    yield from _overwritten(checker)
    yield from _rows(checker)
    yield from _batches(checker)
    yield from _accounts(checker)


def _money(checker: Checker) -> Iterator[tuple[str, str]]:
    store, billing = checker.store, checker.billing
    for intent in checker.gateway.intents.values():
        order = intent.order
        if intent.status != "succeeded":
            continue
        if billing.given[order.attempt] != 1:
            yield "I1b", f"{order.attempt} was charged {order.amount}, not credited"
        if order.attempt not in store.attempts:
            yield "I13", f"{order.attempt} was charged and no row knows of it"
    for ref, account in billing.accounts_by_ref.items():
        if account.available.amount != billing.expected[ref]:
            yield "I9", f"{ref} has {account.available}, not {billing.expected[ref]}"


def _overwritten(checker: Checker) -> Iterator[tuple[str, str]]:
    billing = checker.billing
    for ref, corrected in billing.corrected.items():
        if corrected > billing.lost.get(ref, Decimal(0)):
            yield "I1f", f"{ref} was given back {corrected}, more than it had lost"
    for row in checker.store.breaks.values():
        if row.amount is not None and not (row.put_right or row.again):
            yield "I1g", f"{row.attempt.id} is still missing {row.amount}"


def _rows(checker: Checker) -> Iterator[tuple[str, str]]:
    for row in checker.store.attempts.values():
        if row.state in OPEN:
            yield "I15", f"attempt {row.id} is still {row.state} ({row.reason})"
        if checker.claims[row.id].state != row.state:
            yield "I11", f"attempt {row.id} is {row.state}, the journal differs"
    for ref, attempt in checker.suspected:
        if checker.claims[attempt].state == "settled":
            yield "I7", f"{ref} was cut off while {attempt} was about to save it"


def _batches(checker: Checker) -> Iterator[tuple[str, str]]:
    for batch in checker.store.batches.values():
        if batch.selected != batch.claimed + sum(batch.skipped.values()):
            yield "I16", f"batch {batch.id} does not add up"
        if batch.closed_at is None:
            yield "I16", f"batch {batch.id} was never closed"
        elif sum(batch.counts.values()) != len(batch.attempts):
            yield "I16", f"batch {batch.id} was counted wrongly"


def _accounts(checker: Checker) -> Iterator[tuple[str, str]]:
    store, billing = checker.store, checker.billing
    for ref, row in store.accounts.items():
        account = billing.accounts_by_ref[ref]
        available, service = account.available.amount, account.service
        funded = available > row.rule.floor
        stopped = store.stop is not None or bool(store.breakers)
        spared = stopped and available > row.rule.hard_floor
        if service is Service.ACTIVE and not funded and not spared:
            yield "I22", f"{ref} has {available} and still has service"
        ours = billing.ended_by.get(ref) == "us"
        if service is Service.SUSPENDED and ours and funded:
            yield "I8", f"{ref} has {available} and is still cut off"
        low = available <= row.rule.threshold and service is not Service.OTHER
        if low and ref not in store.skips and row.open is None:
            yield "I15", f"{ref} has {available}, is low, and nothing says why"
