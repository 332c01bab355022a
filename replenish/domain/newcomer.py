"""Lower caps while an account or its card is new; what is usual for it later.

A stolen card, or a stolen login, is used in its first days and for much. Nothing
here ever raises a cap, and one top-up always fits, so that nobody loses service for
being new alone.
"""

from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from replenish.domain.account import Account, Card
from replenish.domain.decision import History, Obstacle, Reason
from replenish.domain.money import plain, round_down
from replenish.domain.rule import Limits, Rule
from replenish.domain.sizing import size


def new_until(history: History, card: Card, *, limits: Limits) -> datetime | None:
    """Say until when the account or this card of it is new; None: neither ever was."""
    seen = (each.since for each in history.cards if each.card.id == card.id)
    known = [at for at in (history.enrolled_at, *seen) if at is not None]
    return max(known) + limits.new_for if known else None


def caps(
    rule: Rule, history: History, card: Card, now: datetime, *, limits: Limits
) -> Rule:
    """Give the rule whose caps hold for a charge of this card at `now` (aware UTC)."""
    ends = new_until(history, card, limits=limits)
    return rule if ends is None or ends <= now else lowered(rule, limits=limits)


def lowered(rule: Rule, *, limits: Limits) -> Rule:
    """Give the rule with the caps per day and month of a newcomer."""
    least = rule.least_charge
    day = min(max(_part(rule.cap_day, limits), least), rule.cap_day)
    month = min(max(_part(rule.cap_month, limits), least), rule.cap_month)
    return replace(rule, cap_day=day, cap_month=month)


def sized(
    account: Account,
    rule: Rule,
    history: History,
    card: Card,
    now: datetime,
    *,
    limits: Limits,
) -> Decimal | Obstacle:
    """Size one charge, under lower caps while new, and no larger than is usual.

    It is held for a person only where even one top-up would be unusual: a good card
    serves its account meanwhile.
    """
    found = _within_caps(account, rule, history, card, now, limits=limits)
    if isinstance(found, Obstacle):
        return found
    held = unusual(found, history, limits=limits)
    if held is None:
        return found
    most = round_down(usual(history, limits=limits), rule.currency)
    return most if most >= rule.least_charge else held


def _within_caps(
    account: Account,
    rule: Rule,
    history: History,
    card: Card,
    now: datetime,
    *,
    limits: Limits,
) -> Decimal | Obstacle:
    later = size(account, rule, history)
    ends = new_until(history, card, limits=limits)
    if ends is None or ends <= now:
        return later
    lower = lowered(rule, limits=limits)
    found = size(account, lower, history)
    if not isinstance(found, Obstacle) or found.until is None:
        return found
    if isinstance(later, Obstacle):
        until = max(later.until or ends, ends)
        return replace(later, until=min(found.until, until))
    caps_now = f"{plain(lower.cap_day)} a day, {plain(lower.cap_month)} a month"
    return Obstacle(Reason.CAP_NEW, min(found.until, ends), caps_now)


def unusual(amount: Decimal, history: History, *, limits: Limits) -> Obstacle | None:
    """Hold a charge far above all that the account ever paid, for a person.

    Not before it has paid a few, and not up to what a person has released.
    """
    if history.settled < limits.unusual_after:
        return None
    most = usual(history, limits=limits)
    if amount <= most:
        return None
    return Obstacle(Reason.UNUSUAL_AMOUNT, detail=f"up to {plain(most)} is usual")


def usual(history: History, *, limits: Limits) -> Decimal:
    """Give the largest charge that is usual for an account which has paid a few."""
    return max(history.largest * limits.unusual_times, history.released)


def _part(cap: Decimal, limits: Limits) -> Decimal:
    return (cap * limits.new_percent).scaleb(-2)
