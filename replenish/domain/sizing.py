"""How much one charge takes: the whole gap at once, within every cap."""

from decimal import Decimal

from replenish.domain.account import Account
from replenish.domain.decision import History, Obstacle, Reason
from replenish.domain.money import round_down, round_up
from replenish.domain.rule import Rule, TopUpKind


def size(account: Account, rule: Rule, history: History) -> Decimal | Obstacle:
    """Size one charge that closes the whole gap, within the caps.

    A smaller one is better than none only if it still lifts the account by a
    whole top-up; otherwise the caps have been reached and it waits for the one
    that makes room last.
    """
    least = rule.least_charge
    if least <= 0:
        return Obstacle(Reason.AMOUNT_NOT_ALLOWED, detail="the rule allows no charge")
    month = rule.cap_month - history.spent_month
    if month < least:
        return Obstacle(Reason.CAP_MONTH, history.month_ends)
    day = rule.cap_day - history.spent_day
    if day < least:
        return Obstacle(Reason.CAP_DAY, history.day_ends)
    return round_down(min(_wanted(account, rule), room(rule, history)), rule.currency)


def room(rule: Rule, history: History) -> Decimal:
    """Give what the caps leave for one charge; may be negative."""
    return min(
        rule.cap_charge,
        rule.cap_day - history.spent_day,
        rule.cap_month - history.spent_month,
    )


def _wanted(account: Account, rule: Rule) -> Decimal:
    available = account.available.amount
    if rule.kind is TopUpKind.TARGET:
        return round_up(rule.top_up - available, rule.currency)
    gap = rule.threshold - available
    times = gap // rule.top_up + 1  # the first multiple that lands above the threshold
    return rule.top_up * times
