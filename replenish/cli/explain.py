"""`replenish explain`: what the policy would do now, and why; touches nothing."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import assert_never

import click

from replenish.cli import wiring
from replenish.cli.output import json_option, print_facts, print_json, print_table, text
from replenish.domain.account import Account
from replenish.domain.decision import History
from replenish.domain.money import Money
from replenish.domain.newcomer import lowered, new_until, usual
from replenish.domain.policy import (
    CutOff,
    Decision,
    Leave,
    Reason,
    TopUp,
    Wait,
    account_obstacles,
    card_obstacles,
    decide,
)
from replenish.domain.rule import Limits
from replenish.domain.words import moment, why
from replenish.errors import AccountNotFound
from replenish.ports import Subject


@dataclass(frozen=True, slots=True)
class CardView:
    """A card on file, and why it is not usable, or `usable`."""

    card: str
    payment_method: str
    priority: int
    state: str


@dataclass(frozen=True, slots=True)
class View:
    """All that the decision is made from, and the decision in words.

    Attributes:
        were_it_low: for an account that is not low: what would happen if it were.
        obstacles: what keeps every card of the account from being charged.
    """

    account: str
    decision: str
    reason: str
    told: str
    were_it_low: str | None
    numbers: Mapping[str, object]
    obstacles: tuple[str, ...]
    cards: tuple[CardView, ...]


@click.command()
@click.argument("ref", metavar="ACCOUNT")
@json_option
def explain(ref: str, *, as_json: bool) -> None:
    """Say what the policy would do with ACCOUNT now, and why; touches nothing.

    \b
    replenish explain 1001
    replenish explain 1001 --json
    """
    app = wiring.application()
    subjects = app.services.ledger.subjects([ref])
    if not subjects:
        msg = f"Account {ref!r} is not enrolled; see `replenish account enrol --help`."
        raise AccountNotFound(msg, subject=ref)
    account = app.billing.balances([ref]).get(ref)
    if account is None:
        msg = f"Account {ref!r} is gone from the billing package; was it deleted there?"
        raise AccountNotFound(msg, subject=ref)
    view = look(account, subjects[0], limits=app.services.limits)
    if as_json:
        print_json(view)
        return
    click.echo(view.told)
    if view.were_it_low:
        click.echo(f"Were it low: {view.were_it_low}")
    click.echo()
    print_facts(view.numbers)
    click.echo()
    for obstacle in view.obstacles:
        click.echo(f"In the way: {obstacle}.")
    rows = [(c.priority, c.card, c.payment_method, c.state) for c in view.cards]
    columns = ("priority", "card", "payment method", "state")
    print_table(columns, rows, empty="No card is on file.")


def look(account: Account, subject: Subject, *, limits: Limits) -> View:
    """Decide as the sweep would, and spell it out; pure."""
    rule, history, now = subject.rule, subject.history, subject.now
    decision = decide(account, rule, history, now, limits=limits)
    reason = "low" if isinstance(decision, TopUp) else str(decision.reason)
    were_it_low = None
    if reason == Reason.HEALTHY:
        low = replace(account, available=Money(rule.threshold, rule.currency))
        were_it_low = tell(decide(low, rule, history, now, limits=limits))
    obstacles = account_obstacles(rule, history, now, limits=limits)
    return View(
        account=account.ref,
        decision=_name(decision),
        reason=reason,
        told=f"{account.ref} has {account.available} available. {tell(decision)}",
        were_it_low=were_it_low,
        numbers=_numbers(account, subject, limits=limits),
        obstacles=tuple(why(o.reason, o.detail, o.until) for o in obstacles),
        cards=_cards(subject, limits=limits),
    )


def tell(decision: Decision) -> str:
    """Put a decision into words."""
    match decision:
        case TopUp():
            card = f"{decision.card.brand} {decision.card.last4}"
            return f"Top up by {decision.amount} from {card}."
        case CutOff():
            reason = why(decision.reason, decision.detail, decision.until)
            return f"Cut off, since nothing can save it: {reason}."
        case Wait():
            return f"Wait: {why(decision.reason, decision.detail, decision.until)}."
        case Leave():
            return f"Leave alone: {why(decision.reason, decision.detail)}."
        case _:
            assert_never(decision)


def _name(decision: Decision) -> str:
    names = {TopUp: "top_up", CutOff: "cut_off", Wait: "wait", Leave: "leave"}
    return names[type(decision)]


def _numbers(
    account: Account, subject: Subject, *, limits: Limits
) -> Mapping[str, object]:
    rule, history = subject.rule, subject.history
    return {
        "available": account.available,
        "service": f"{account.service}, {account.kind}",
        "threshold": rule.threshold,
        "floor": f"{text(rule.floor)}, at once at {text(rule.hard_floor)}",
        "top-up": f"{rule.kind} {text(rule.top_up)}, at most {text(rule.cap_charge)}",
        "spent today": _of(history.spent_day, rule.cap_day, history.day_ends),
        "spent this month": _of(
            history.spent_month, rule.cap_month, history.month_ends
        ),
        "charges today": f"{history.count_day} of {rule.count_day}",
        "declines in a row": (
            f"{history.episode_declines} of {limits.declines_per_episode}"
        ),
        "usual up to": _usual(history, limits),
        "new until": _new(subject, limits=limits),
        "charges of all": (
            f"{history.charges_minute} of {limits.charges_per_minute} within a minute"
        ),
        "cooldown over": history.charged_at and history.charged_at + rule.cooldown,
        "now": subject.now,
    }


def _usual(history: History, limits: Limits) -> str:
    if history.settled < limits.unusual_after:
        return f"anything, after fewer than {limits.unusual_after} top-ups"
    most = usual(history, limits=limits)
    return f"{text(most)}, the largest so far was {text(history.largest)}"


def _new(subject: Subject, *, limits: Limits) -> str | None:
    """Say until when what caps are lower, for the account or its first card."""
    rule, history, now = subject.rule, subject.history, subject.now
    cards = sorted(history.cards, key=lambda seen: seen.card.priority)
    ends = new_until(history, cards[0].card, limits=limits) if cards else None
    if ends is None or ends <= now:
        return None
    lower = lowered(rule, limits=limits)
    caps = f"{text(lower.cap_day)} a day, {text(lower.cap_month)} a month"
    return f"{moment(ends)}, at most {caps}"


def _cards(subject: Subject, *, limits: Limits) -> tuple[CardView, ...]:
    views = []
    for seen in subject.history.cards:
        found = card_obstacles(seen, subject.rule, subject.now, limits=limits)
        reasons = [why(o.reason, o.detail, o.until) for o in found]
        card = seen.card
        face = f"{card.brand} {card.last4} to {card.exp_month:02d}/{card.exp_year}"
        state = "; ".join(reasons) or "usable"
        views.append(CardView(face, card.payment_method, card.priority, state))
    return tuple(views)


def _of(spent: object, cap: object, ends: datetime) -> str:
    return f"{text(spent)} of {text(cap)}, until {moment(ends)}"
