"""What happened to an account, in words: one event, one sentence; pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from replenish.domain.money import plain
from replenish.domain.words import why

TERMS = {
    "threshold": "threshold",
    "kind": "kind of top-up",
    "top_up": "top-up",
    "cap_charge": "cap per charge",
    "cap_day": "cap per day",
    "cap_month": "cap per month",
    "count_day": "charges per day",
    "cooldown": "cooldown",
    "floor": "floor",
    "grace": "grace",
    "time_zone": "time zone",
}
"""The rule's fields in the order in which people think of them."""

CLASSES = {
    "hard": "this card is not tried again",
    "soft": "it is tried again later",
    "transient": "it is tried again soon",
    "authentication": "the customer must act",
    "fraud": "the account is held for a person",
}


@dataclass(frozen=True, slots=True)
class Event:
    """One entry of an account's journal; `at` is aware UTC."""

    at: datetime
    kind: str
    actor: str
    detail: Mapping[str, Any] = field(default_factory=dict)
    attempt: str | None = None
    from_state: str | None = None
    to_state: str | None = None
    seq: int = 0


def tell(event: Event, *, cards: Mapping[str, str] | None = None) -> str:
    """Tell an event in one sentence; a kind it does not know is spelled out.

    Args:
        event: from the journal; a missing detail makes the sentence shorter.
        cards: our card id → what people call it, such as `visa 4242`.
    """
    if event.kind == "attempt":
        state = event.to_state or ""
        if state == "charged" and event.from_state is None:
            state = "adopted"
        teller = ATTEMPT.get(state)
    else:
        teller = OTHERS.get(event.kind)
    if teller is None:
        return _spelled_out(event)
    return teller({**event.detail, "_cards": cards or {}})


def amount(value: object) -> str:
    """Write an amount of an event's detail, whatever JSON made of it."""
    try:
        return plain(Decimal(str(value)))
    except InvalidOperation:
        return str(value)


def _claimed(detail: Mapping[str, Any]) -> str:
    low = "A top-up"
    if detail.get("available") is not None:
        low = f"With {amount(detail['available'])} available, a top-up"
    card = detail["_cards"].get(str(detail.get("card")), "the card on file")
    return f"{low} of {_money(detail)} from {card} was begun."


def _adopted(detail: Mapping[str, Any]) -> str:
    return (
        f"A charge of {_money(detail)} was found at the gateway that the ledger had"
        " lost, and was taken into the books."
    )


def _charging(detail: Mapping[str, Any]) -> str:
    if detail.get("reason"):
        return "The gateway says that nothing was taken yet: the card is tried again."
    return "The gateway was told of the charge."


def _charged(detail: Mapping[str, Any]) -> str:
    return f"The card was charged{_in_brackets(detail.get('charge'))}."


def _settled(detail: Mapping[str, Any]) -> str:
    if detail.get("available") is None:
        return "The account was credited."
    return f"The account was credited: {amount(detail['available'])} is available."


def _declined(detail: Mapping[str, Any]) -> str:
    code = detail.get("code") or detail.get("reason") or "no reason given"
    then = CLASSES.get(str(detail.get("class")))
    return f"The card was declined ({code}){'; ' + then if then else ''}."


def _action_required(detail: Mapping[str, Any]) -> str:
    code = detail.get("code") or detail.get("reason") or "authentication_required"
    return f"The card's issuer wants its customer ({code}); ask them to confirm."


def _unknown(detail: Mapping[str, Any]) -> str:
    unclear = "The gateway could not say whether the card was charged"
    return f"{unclear}{_in_brackets(detail.get('reason'))}; it is asked until it can."


def _cancelled(detail: Mapping[str, Any]) -> str:
    if detail.get("refunded"):
        return "The charge was given back whole at the gateway; it was not credited."
    because = f": {why(str(detail['reason']))}" if detail.get("reason") else ""
    return f"The charge was cancelled for good before it took money{because}."


def _released(detail: Mapping[str, Any]) -> str:
    reason = why(str(detail.get("reason") or "no reason given"), _extra(detail))
    return f"The top-up was given up before the card was touched: {reason}."


def _skipped(detail: Mapping[str, Any]) -> str:
    reason = why(str(detail.get("reason")), _extra(detail), _until(detail))
    had = ""
    if detail.get("available") is not None:
        had = f" with {amount(detail['available'])} available"
    return f"Was not topped up{had}: {reason}."


def _cut_off(detail: Mapping[str, Any]) -> str:
    reason = why(str(detail.get("reason")), _extra(detail))
    return f"Service was ended at {amount(detail.get('available'))}: {reason}."


def _restored(detail: Mapping[str, Any]) -> str:
    return f"Service was given back: {detail.get('reason') or 'funded'}."


def _enrolled(detail: Mapping[str, Any]) -> str:
    rule = dict(_items(detail.get("rule")))
    if rule.pop("kind", None) == "target":
        rule["top_up"] = f"to {rule.get('top_up')}"
    own = ", ".join(f"{TERMS[name]} {rule[name]}" for name in TERMS if name in rule)
    agreed = "with" if detail.get("consent") else "without"
    terms = f"with its own {own}" if own else "under the usual rule"
    return f"Was enrolled in {detail.get('currency')} {terms}, {agreed} consent."


def _rule_changed(detail: Mapping[str, Any]) -> str:
    changes = [
        f"{words} {_value(detail[name][0])} → {_value(detail[name][1])}"
        for name, words in TERMS.items()
        if isinstance(detail.get(name), list | tuple)
    ]
    return f"The rule was changed: {', '.join(changes)}."


def _consent_given(detail: Mapping[str, Any]) -> str:
    return (
        f"The customer's consent of {detail.get('at')} was recorded"
        f" ({detail.get('text')}, {detail.get('source')})."
    )


def _card_added(detail: Mapping[str, Any]) -> str:
    return f"The card {_face(detail)} was put on file."


def _card_removed(detail: Mapping[str, Any]) -> str:
    return f"The card {_face(detail)} was taken off file."


def _paused(detail: Mapping[str, Any]) -> str:
    return f"Was paused: {detail.get('reason') or 'no reason given'}."


def _quarantined(detail: Mapping[str, Any]) -> str:
    return (
        f"Was quarantined: {detail.get('lost')} workers in a row were lost in its turn,"
        f" the last of them {detail.get('worker')}, at {detail.get('state')}."
    )


def _resumed(detail: Mapping[str, Any]) -> str:
    paused = detail.get("paused_for")
    return f"Was resumed{f' (it was paused: {paused})' if paused else ''}."


def _card_released(detail: Mapping[str, Any]) -> str:
    return (
        f"A person let it use the card number of {detail.get('payment_method')},"
        " which many accounts have."
    )


def _amount_released(detail: Mapping[str, Any]) -> str:
    return f"A person let charges up to {amount(detail.get('up_to'))} pass as usual."


def _credit_missing(detail: Mapping[str, Any]) -> str:
    if detail.get("amount") is None:
        return (
            f"{amount(detail.get('missing'))} was found missing from the balance, and"
            " only a person can say why."
        )
    return (
        "The billing package had written an old balance over the credit:"
        f" {amount(detail['amount'])} is missing."
    )


def _credit_put_right(detail: Mapping[str, Any]) -> str:
    return f"{amount(detail.get('amount'))} was put right: {detail.get('how')}."


Teller = Callable[[Mapping[str, Any]], str]

ATTEMPT: dict[str, Teller] = {
    "claimed": _claimed,
    "adopted": _adopted,
    "charging": _charging,
    "charged": _charged,
    "settled": _settled,
    "declined": _declined,
    "action_required": _action_required,
    "unknown": _unknown,
    "cancelled": _cancelled,
    "released": _released,
}
"""State entered → its sentence; `adopted` is charged out of nowhere."""

OTHERS: dict[str, Teller] = {
    "skipped": _skipped,
    "cut_off": _cut_off,
    "restored": _restored,
    "enrolled": _enrolled,
    "rule_changed": _rule_changed,
    "consent_given": _consent_given,
    "card_added": _card_added,
    "card_removed": _card_removed,
    "paused": _paused,
    "quarantined": _quarantined,
    "resumed": _resumed,
    "card_released": _card_released,
    "amount_released": _amount_released,
    "credit_missing": _credit_missing,
    "credit_put_right": _credit_put_right,
}


def _spelled_out(event: Event) -> str:
    state = f" to {event.to_state}" if event.to_state else ""
    details = ", ".join(f"{name} {value}" for name, value in event.detail.items())
    return f"{event.kind.replace('_', ' ').capitalize()}{state}{_in_brackets(details)}."


def _money(detail: Mapping[str, Any]) -> str:
    return f"{amount(detail.get('amount'))} {detail.get('currency') or ''}".rstrip()


def _face(detail: Mapping[str, Any]) -> str:
    return (
        f"{detail.get('brand')} {detail.get('last4')}"
        f" ({detail.get('payment_method')}, to {detail.get('expiry')})"
    )


def _in_brackets(text: object) -> str:
    return f" ({text})" if text else ""


def _extra(detail: Mapping[str, Any]) -> str:
    return str(detail.get("detail") or "")


def _until(detail: Mapping[str, Any]) -> datetime | None:
    text = detail.get("until")
    return datetime.fromisoformat(str(text)) if text else None


def _items(found: object) -> list[tuple[str, Any]]:
    return list(found.items()) if isinstance(found, Mapping) else []


def _value(text: object) -> str:
    return "default" if text is None else str(text)
