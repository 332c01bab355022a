"""What a claim asks once more, and what it writes."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from replenish.domain.account import NO_CHARGES_OFF_SESSION
from replenish.domain.attempt import SPENT, State
from replenish.domain.newcomer import caps
from replenish.ports import Proposal
from tests.memory.reading import (
    IN_VAIN,
    MINUTE,
    TOOK,
    breaker,
    in_flight,
    refusals,
    window,
)
from tests.memory.rows import AccountRow, AttemptRow, CardRow, Store


def fits(store: Store, proposal: Proposal, now: datetime) -> bool:
    """Say whether the top-up is still within everything that the claim checks."""
    ref = proposal.subject.account
    account = store.accounts.get(ref)
    found = store.cards.get(int(proposal.top_up.card.id))
    if account is None or found is None or found[0] is not account:
        return False
    card = found[1]
    held = account.paused_at is not None or account.consent_at is None
    stopped = store.stop is not None or breaker(store, now) is not None
    if held or stopped or account.open is not None:
        return False
    if account.rule.currency != proposal.top_up.amount.currency:
        return False
    if card.removed_at is not None or card.card.dead_reason is not None:
        return False
    if card.card.country in NO_CHARGES_OFF_SESSION:
        return False
    return _within_caps(store, account, proposal, now) and not _cooling(
        account, card, now, proposal
    )


def within_limits(
    store: Store, proposals: Sequence[Proposal], now: datetime
) -> Sequence[Proposal]:
    """Leave out what is too much for the minute, or for a card number."""
    limits = store.limits
    room = limits.charges_per_minute - store.claimed_within(now - MINUTE, now)
    tries: Counter[str] = Counter()
    taken = []
    for proposal in proposals[: max(room, 0)]:
        number = proposal.top_up.card.fingerprint
        tries[number] += 1
        day, month = refusals(store, number, now)
        begun = in_flight(store, number, without=None) + tries[number]
        if (
            day + begun <= limits.card_declines_24h
            and month + begun <= limits.card_declines_30d
        ):
            taken.append(proposal)
    return taken


def _within_caps(
    store: Store, account: AccountRow, proposal: Proposal, now: datetime
) -> bool:
    seen, amount = proposal.subject, proposal.top_up.amount.amount
    card, limits = proposal.top_up.card, store.limits
    rule = caps(seen.rule, seen.history, card, seen.now, limits=limits)
    day_from, month_from, _, _ = window(rule.time_zone, now)
    spent = [row for row in account.attempts if row.state in SPENT]
    today = [row.amount.amount for row in spent if row.claimed_at >= day_from]
    month = [row.amount.amount for row in spent if row.claimed_at >= month_from]
    return (
        sum(today, Decimal()) + amount <= rule.cap_day
        and sum(month, Decimal()) + amount <= rule.cap_month
        and len(today) < rule.count_day
    )


def _cooling(
    account: AccountRow, card: CardRow, now: datetime, proposal: Proposal
) -> bool:
    since = now - proposal.subject.rule.cooldown
    twins = {row.id for row in account.cards if row.card.imprint == card.card.imprint}
    return any(
        row.claimed_at > since
        and (row.state in TOOK or (row.state not in IN_VAIN and row.card_id in twins))
        for row in account.attempts
    )


def fresh(store: Store, proposal: Proposal, now: datetime) -> AttemptRow:
    """Write a claimed attempt down."""
    account, card = store.cards[int(proposal.top_up.card.id)]
    told = replace(
        card.card,
        brand="",
        last4="",
        exp_month=0,
        exp_year=0,
        country="",
        priority=0,
        dead_reason=None,
        retry_at=None,
    )
    row = AttemptRow(
        id=store.new_id(),
        account=account.id,
        card_id=card.id,
        card=told,
        amount=proposal.top_up.amount,
        state=State.CLAIMED,
        claimed_at=now,
        changed_at=now,
        next_at=now,
        nudge_at=now,
        available_before=proposal.available,
    )
    enter(store, account, row)
    return row


def enter(store: Store, account: AccountRow, row: AttemptRow) -> None:
    """Put a new open attempt among the rows, and say so in the journal."""
    account.attempts.append(row)
    account.open = store.open[account.id] = store.attempts[row.id] = row
    store.record(account.id, "attempt", attempt=row.id, to_state=row.state)
