"""Whether a claim was allowed, by the account's rule and what went before."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from replenish.domain.money import Money
from replenish.domain.rule import Limits, Rule

OPEN = frozenset({"claimed", "charging", "unknown", "charged"})
SPENT = OPEN | {"settled"}
WHOLE = frozenset({"JPY"})


@dataclass(slots=True)
class Claim:
    """An attempt as the harness has seen it.

    Attributes:
        asked: the bank has decided on it.
        read: when the turn that confirmed it had last read the balance.
    """

    account: str
    amount: Money
    method: str
    imprint: tuple[Any, ...]
    seq: int
    at: datetime
    state: str = "claimed"
    asked: bool = False
    read: int = 0
    adopted: bool = False


def as_new(rule: Rule, limits: Limits) -> Rule:
    """Give the rule of a new account: a part of its day's cap, or one top-up."""
    cap = max(rule.cap_day * limits.new_percent / 100, rule.least_charge)
    return replace(rule, cap_day=min(cap, rule.cap_day))


def faults(
    claim: Claim, earlier: Sequence[Claim], rule: Rule
) -> Iterator[tuple[str, str]]:
    """Give what is wrong with a claim, by its invariant."""
    amount = claim.amount.amount
    whole = 1 if claim.amount.currency in WHOLE else Decimal("0.01")
    if amount <= 0 or amount % whole or claim.amount.currency != rule.currency:
        yield "I17", f"{claim.account} is to be charged {claim.amount}"
    yield from _too_soon(claim, earlier, rule)
    yield from _too_much(claim, earlier, rule)


def _too_soon(
    claim: Claim, earlier: Sequence[Claim], rule: Rule
) -> Iterator[tuple[str, str]]:
    """I5: no charge, and no try of a card, so soon after another."""
    for old in earlier:
        tried = old.asked and old.imprint == claim.imprint
        gap = claim.at - old.at
        if (tried or old.state == "settled") and gap < rule.cooldown:
            yield "I5", f"{claim.account} was tried again after {gap}"


def _too_much(
    claim: Claim, earlier: Sequence[Claim], rule: Rule
) -> Iterator[tuple[str, str]]:
    """I4: no cap is exceeded, by the account's own days and months."""
    zone = ZoneInfo(rule.time_zone)
    today = claim.at.astimezone(zone).date()
    day = month = claim.amount.amount
    count = 1
    for old in earlier:
        then = old.at.astimezone(zone).date()
        if old.state not in SPENT or then.replace(day=1) != today.replace(day=1):
            continue
        month += old.amount.amount
        if then == today:
            day, count = day + old.amount.amount, count + 1
    if claim.amount.amount > rule.cap_charge or day > rule.cap_day:
        yield "I4", f"{claim.account}: {day} in a day, cap {rule.cap_day}"
    if month > rule.cap_month or count > rule.count_day:
        yield "I4", f"{claim.account}: {month} in a month, {count} in a day"
