"""Charges at the gateway that our rows do not explain, e.g. after a restore.

One without a row is taken into the books; one whose attempt we hold for closed without
a charge, or of an account that is not ours, is written down for a person.
"""

import uuid
from collections.abc import Sequence

import sqlalchemy as sa

from replenish.adapters.ledger.session import transaction
from replenish.adapters.ledger.statements import recovery
from replenish.domain.attempt import SPENT, State
from replenish.domain.outcome import SeenIntent
from replenish.ports import Adoption

WAITING = "another attempt of the account is open"
STRANGER = "the account is not enrolled in that currency"
FORGED = "the attempt in its metadata is none of ours"


def adopt(engine: sa.Engine, seen: Sequence[SeenIntent]) -> Adoption:
    """Compare charges with our rows, in one transaction; safe to repeat."""
    ids = {intent.attempt for intent in seen if _is_uuid(intent.attempt)}
    adopted, waiting, unsettled = [], [], {}
    with transaction(engine) as connection:
        rows = connection.execute(recovery.KNOWN, {"ids": sorted(ids)})
        known = {str(row.id): State(row.state) for row in rows}
        for intent in seen:
            if known.get(intent.attempt) in SPENT:
                continue
            note = _settle(connection, intent, known.get(intent.attempt))
            told = _remember(connection, intent, note)
            if not note:
                adopted.append(intent.account)
            elif note == WAITING:
                waiting.append(intent.account)
            elif not told:
                unsettled[intent.account] = _sentence(intent, note)
    return Adoption(adopted, waiting, unsettled)


def _settle(connection: sa.Connection, intent: SeenIntent, state: State | None) -> str:
    """Adopt it, or say why not."""
    if state is not None:
        return f"its attempt is {state}"
    if not _is_uuid(intent.attempt):
        return FORGED
    values = {
        "id": intent.attempt,
        "account": intent.account,
        "amount": intent.amount.amount,
        "currency": intent.amount.currency,
        "intent": intent.intent,
    }
    found = connection.execute(recovery.ADOPT, values).one()
    if found.adopted:
        return ""
    return WAITING if found.enrolled else STRANGER


def _remember(connection: sa.Connection, intent: SeenIntent, note: str) -> bool:
    values = {
        "intent": intent.intent,
        "attempt": intent.attempt,
        "account": intent.account,
        "amount": intent.amount.amount,
        "currency": intent.amount.currency,
        "adopted": not note,
        "note": note,
    }
    return bool(connection.execute(recovery.ORPHAN, values).scalar_one())


def _sentence(intent: SeenIntent, note: str) -> str:
    return (
        f"The gateway took {intent.amount} from account {intent.account}"
        f" ({intent.intent}), but {note}; refund it, or credit it by hand."
    )


def _is_uuid(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False
