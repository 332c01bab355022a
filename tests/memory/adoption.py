"""Charges without a row, in memory; see `replenish.adapters.ledger.adoption`."""

import uuid
from collections.abc import Sequence

from replenish.adapters.ledger.adoption import FORGED, STRANGER, WAITING
from replenish.domain.account import Card
from replenish.domain.attempt import SPENT, State
from replenish.domain.outcome import SeenIntent
from replenish.ports import Adoption
from tests.memory.claiming import enter
from tests.memory.rows import AttemptRow, Store

NO_CARD = Card("", "", "", "", "", 0, 0, "")


def adopt(store: Store, seen: Sequence[SeenIntent]) -> Adoption:
    """Compare charges with our rows, in one transaction; safe to repeat."""
    adopted, waiting, unsettled = [], [], {}
    known = {each.attempt: store.attempts.get(each.attempt) for each in seen}
    states = {ref: row.state if row else None for ref, row in known.items()}
    for intent in seen:
        state = states[intent.attempt]
        if state in SPENT:
            continue
        note = _settle(store, intent, state)
        told = store.orphans.get(intent.intent) == note
        store.orphans[intent.intent] = note
        if not note:
            adopted.append(intent.account)
        elif note == WAITING:
            waiting.append(intent.account)
        elif not told:
            unsettled[intent.account] = note
    return Adoption(adopted, waiting, unsettled)


def _settle(store: Store, intent: SeenIntent, state: State | None) -> str:
    if state is not None:
        return f"its attempt is {state}"
    try:
        ours = str(uuid.UUID(intent.attempt)) == intent.attempt
    except ValueError:
        ours = False
    if not ours:
        return FORGED
    account = store.accounts.get(intent.account)
    if account is None or account.rule.currency != intent.amount.currency:
        return STRANGER
    if account.open is not None:
        return WAITING
    now = store.now()
    row = AttemptRow(
        id=intent.attempt,
        account=account.id,
        card_id=None,
        card=NO_CARD,
        amount=intent.amount,
        state=State.CHARGED,
        claimed_at=now,
        changed_at=now,
        next_at=now,
        nudge_at=now,
        intent=intent.intent,
        reason="orphan_adopted",
    )
    enter(store, account, row)
    account.low_since = account.low_since or now
    return ""
