"""What to do about one account now: a pure function from facts to a decision.

`decide` is asked three times in an attempt's life: by the sweep before the
claim, by the worker after the claim and before the card (`justified`), and by
`replenish explain`. All three see the same rules because they are here only.
"""

from dataclasses import replace
from datetime import datetime, timedelta

from replenish.domain.account import Account, Service
from replenish.domain.decision import (
    CardHistory,
    CutOff,
    Decision,
    History,
    Leave,
    Obstacle,
    Reason,
    TopUp,
    Wait,
)
from replenish.domain.money import Money
from replenish.domain.newcomer import caps, sized, unusual
from replenish.domain.obstacles import (
    account_obstacles,
    binding,
    card_obstacles,
    choose_card,
)
from replenish.domain.outcome import DeclineClass, Declined
from replenish.domain.rule import Limits, Rule
from replenish.domain.sizing import room

__all__ = [
    "CardHistory",
    "CutOff",
    "Decision",
    "History",
    "Leave",
    "Obstacle",
    "Reason",
    "TopUp",
    "Wait",
    "account_obstacles",
    "card_obstacles",
    "decide",
    "exhausted",
    "justified",
    "next_try",
    "past_hard_floor",
    "saved",
]
"""Callers find the policy's words and its questions in one place."""


def decide(
    account: Account, rule: Rule, history: History, now: datetime, *, limits: Limits
) -> Decision:
    """Decide what one account needs at `now` (aware UTC); total, touches nothing."""
    left_alone = _left_alone(account, rule, history)
    if left_alone:
        return left_alone
    found = _top_up(account, rule, history, now, limits=limits)
    if isinstance(found, TopUp):
        return found
    if exhausted(account, rule) and not history.cut_off:
        hard = past_hard_floor(account, rule)
        if hard and history.open_attempt:
            return CutOff(Reason.PAST_HARD_FLOOR)
        if hard or not saved(account, rule, history, now, limits=limits):
            return CutOff(found.reason, found.detail, found.until)
    if found.until is None:
        return Leave(found.reason, found.detail)
    return Wait(found.until, found.reason, found.detail)


def exhausted(account: Account, rule: Rule) -> bool:
    """Say whether the account is at or below its floor."""
    return account.available.amount <= rule.floor


def past_hard_floor(account: Account, rule: Rule) -> bool:
    """Say whether the account must lose service even while it is being charged."""
    return account.available.amount <= rule.hard_floor


def justified(
    top_up: TopUp,
    account: Account,
    rule: Rule,
    history: History,
    now: datetime,
    *,
    limits: Limits,
) -> Obstacle | None:
    """Ask again, after the claim, whether this very top-up is still right.

    `history` must leave the claimed attempt itself out. A balance read before
    the claim may be minutes old; this is what makes read-then-claim safe. The
    amount was frozen by the claim and stays, also when a smaller one would do by
    now, as long as the account is still low and the caps still hold it.
    """
    decision = decide(account, rule, history, now, limits=limits)
    if isinstance(decision, TopUp):
        held = caps(rule, history, decision.card, now, limits=limits)
        changed = _changed(top_up, decision, held, history)
        return changed or unusual(top_up.amount.amount, history, limits=limits)
    until = None if isinstance(decision, Leave) else decision.until
    return Obstacle(decision.reason, until, decision.detail)


def next_try(
    declined: Declined, *, earlier: int, now: datetime, limits: Limits
) -> datetime | None:
    """Say when a declined card may be tried again; None: never by itself.

    Args:
        declined: what the gateway said.
        earlier: declines of the account in this episode before this one.
        now: aware UTC.
        limits: the installation's waits.
    """
    if declined.kind not in (DeclineClass.SOFT, DeclineClass.TRANSIENT):
        return None
    if declined.kind is DeclineClass.TRANSIENT and earlier == 0:
        wait = limits.transient_wait
    else:
        wait = limits.soft_waits[min(earlier, len(limits.soft_waits) - 1)]
    return now + max(wait, timedelta(hours=declined.wait_hours or 0))


def saved(
    account: Account, rule: Rule, history: History, now: datetime, *, limits: Limits
) -> bool:
    """Say whether a charge is under way, or nothing of its own is in the way of one.

    What stops every account, or is done by others with the same card, is not the
    customer's doing; they have their grace, as while a charge is under way.
    """
    if history.open_attempt:
        return True
    alone = replace(
        history,
        stopped=None,
        breaker=None,
        charges_minute=0,
        cards=tuple(replace(seen, in_flight=0) for seen in history.cards),
    )
    return isinstance(_top_up(account, rule, alone, now, limits=limits), TopUp)


def _changed(
    claimed: TopUp, wanted: TopUp, rule: Rule, history: History
) -> Obstacle | None:
    """Compare what was claimed with what would be claimed now."""
    old, new = claimed.card, wanted.card
    if (old.id, old.customer, old.payment_method) != (
        new.id,
        new.customer,
        new.payment_method,
    ):
        return Obstacle(Reason.CARD_CHANGED)
    if claimed.amount.currency != rule.currency:
        return Obstacle(Reason.OTHER_CURRENCY, detail=claimed.amount.currency)
    if claimed.amount.amount > room(rule, history):
        return Obstacle(Reason.AMOUNT_NOT_ALLOWED)
    return None


def _left_alone(account: Account, rule: Rule, history: History) -> Leave | None:
    if account.available.currency != rule.currency:
        return Leave(Reason.OTHER_CURRENCY, account.available.currency)
    if rule.threshold.is_finite() and account.available.amount > rule.threshold:
        return Leave(Reason.HEALTHY)  # first: of a full sweep, nearly all are
    fault = next(rule.senseless(), None)
    if fault is not None:
        return Leave(Reason.AMOUNT_NOT_ALLOWED, fault)
    if account.service is Service.ACTIVE:
        return None
    if account.service is Service.SUSPENDED and history.cut_off:
        return None
    return Leave(Reason.NOT_OURS, account.service.value)


def _top_up(
    account: Account, rule: Rule, history: History, now: datetime, *, limits: Limits
) -> TopUp | Obstacle:
    obstacle = binding(account_obstacles(rule, history, now, limits=limits))
    if obstacle:
        return obstacle
    card = choose_card(rule, history, now, limits=limits)
    if isinstance(card, Obstacle):
        return card
    amount = sized(account, rule, history, card, now, limits=limits)
    if isinstance(amount, Obstacle):
        return amount
    return TopUp(Money(amount, rule.currency), card)
