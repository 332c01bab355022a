"""How an enrolled account is shown."""

from collections.abc import Iterator, Mapping, Sequence

import click

from replenish.cli.output import as_data, print_facts, print_json, text
from replenish.domain.account import Card
from replenish.domain.enrolment import Enrolled
from replenish.domain.money import Money
from replenish.domain.rule import Rule, TopUpKind


def print_account(
    enrolled: Enrolled,
    cards: Sequence[Card],
    *,
    as_json: bool,
    available: Money | None = None,
) -> None:
    """Print an account with its terms, its cards, and what follows from them."""
    notes = [*_notes(enrolled, cards), *_too_small(enrolled.rule, available)]
    if as_json:
        found = {**as_data(enrolled), "cards": as_data(cards), "notes": notes}
        print_json({**found, "available": as_data(available)})
        return
    print_facts(_facts(enrolled, available))
    for card in cards:
        click.echo(
            f"Card {card.brand} {card.last4} ({card.payment_method}){_ill(card)}"
        )
    for note in notes:
        click.echo(note)


def _facts(enrolled: Enrolled, available: Money | None) -> Mapping[str, object]:
    rule, own = enrolled.rule, enrolled.overrides.given()
    values = {
        "threshold": Money(rule.threshold, rule.currency),
        "top_up": top_up_of(rule),
        "cap_charge": rule.cap_charge,
        "cap_day": rule.cap_day,
        "cap_month": rule.cap_month,
        "count_day": rule.count_day,
        "cooldown": rule.cooldown,
        "floor": rule.floor,
        "grace": rule.grace,
        "time_zone": rule.time_zone,
    }
    shown = {
        name.replace("_", " "): text(value) + ("" if name in own else "  (default)")
        for name, value in values.items()
    }
    state = {"account": enrolled.ref, "state": state_of(enrolled)}
    if available:
        state["available"] = str(available)
    consent = enrolled.consent
    agreed = f"{text(consent.at)}, {consent.text}, {consent.source}" if consent else "-"
    return {**state, **shown, "consent": agreed, "enrolled": enrolled.enrolled_at}


def _notes(enrolled: Enrolled, cards: Sequence[Card]) -> list[str]:
    notes = []
    if enrolled.consent is None:
        notes.append(
            "No consent: it is never charged, and cut off when it is exhausted; see"
            " `replenish account change --help`."
        )
    if not any(card.dead_reason is None for card in cards):
        notes.append(
            "No card that works: it is cut off when it is exhausted; see"
            f" `replenish card add {enrolled.ref} --help`."
        )
    return notes


def _too_small(rule: Rule, available: Money | None) -> Iterator[str]:
    """Tell of a threshold that is out of reach of one top-up: a slip of the hand."""
    if available is None or rule.kind is TopUpKind.TARGET:
        return
    reached = available.amount + rule.top_up
    if reached <= rule.threshold:
        yield (
            f"With {available} available, one top-up of {rule.top_up} leaves it at"
            f" {text(reached)}, still not above its threshold {rule.threshold}: it is"
            " charged again after every cooldown, up to its caps. Is the threshold"
            " meant so high?"
        )


def state_of(enrolled: Enrolled) -> str:
    """Say in a few words whether anything is the matter with an account."""
    found = [
        enrolled.cut_off is not None and f"cut off ({enrolled.cut_off})",
        enrolled.paused is not None and f"paused ({enrolled.paused})",
        enrolled.low_since is not None and "low",
    ]
    return ", ".join(each for each in found if each) or "fine"


def top_up_of(rule: Rule) -> str:
    """Say by how much, or to what, an account is topped up."""
    aim = "to " if rule.kind is TopUpKind.TARGET else ""
    return f"{aim}{text(rule.top_up)}"


def _ill(card: Card) -> str:
    return f", refused for good: {card.dead_reason}" if card.dead_reason else ""
