"""The cards on file, as statements inside the register's transactions."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from replenish.adapters.ledger import models as m
from replenish.domain.account import Card
from replenish.domain.enrolment import REVIVED_BY_ATTACHING
from replenish.errors import BadInput, CardNotFound

_CARD = cast("sa.Table", m.Card.__table__)
_SEEN_AT_GATEWAY = (
    "customer",
    "brand",
    "last4",
    "exp_month",
    "exp_year",
    "fingerprint",
    "country",
)


def put(
    connection: sa.Connection, account: str, card: Card, *, priority: int | None
) -> Card:
    """Add a card, or refresh the one with its payment method; give it as filed.

    A dead card stays dead under whatever id it comes back: only another expiry (the
    issuer has renewed it) or a card that its customer has attached again or
    authenticated lives again. What it was before is left to `take_off_replaced`.

    Raises:
        BadInput: it is on file and dead.
    """
    _refuse_dead(connection, account, card)
    place = priority if priority is not None else _last_place(connection, account, card)
    seen = {name: getattr(card, name) for name in _SEEN_AT_GATEWAY}
    alive = {
        "priority": place,
        "removed_at": None,
        "dead_reason": None,
        "dead_at": None,
        "retry_at": None,
    }
    # A card that comes back is as new as any other.
    since = sa.case(
        (_CARD.c.removed_at.is_(None), _CARD.c.added_at), else_=sa.func.now()
    )
    ids = {"account_id": account, "payment_method": card.payment_method}
    statement = (
        insert(_CARD)
        .values(**ids, **seen, **alive)
        .on_conflict_do_update(
            index_elements=list(ids), set_={**seen, **alive, "added_at": since}
        )
        .returning(_CARD)
    )
    return as_card(connection.execute(statement).mappings().one())


def remove(connection: sa.Connection, account: str, payment_method: str) -> Card:
    """Take a card off file; give what it was.

    Raises:
        CardNotFound: the account has no such card on file.
    """
    statement = (
        sa.update(_CARD)
        .where(
            _CARD.c.account_id == account,
            _CARD.c.payment_method == payment_method,
            _CARD.c.removed_at.is_(None),
        )
        .values(removed_at=sa.func.now())
        .returning(_CARD)
    )
    row = connection.execute(statement).mappings().first()
    if row is None:
        msg = (
            f"Account {account} has no card {payment_method} on file; see"
            f" `replenish card list {account}`."
        )
        raise CardNotFound(msg, subject=payment_method)
    return as_card(row)


def take_off_replaced(
    connection: sa.Connection, account: str, card: Card
) -> Sequence[Card]:
    """Take the dead entries off file that a card just put there stands for; give them.

    Its customer has saved the same card again, and the gateway has given it another
    id. Why the old entry died is over, and must not be held against the new one.
    """
    statement = (
        sa.update(_CARD)
        .where(
            _CARD.c.account_id == account,
            _CARD.c.payment_method != card.payment_method,
            _CARD.c.fingerprint == card.fingerprint,
            _CARD.c.last4 == card.last4,
            _CARD.c.exp_year == card.exp_year,
            _CARD.c.exp_month == card.exp_month,
            _CARD.c.removed_at.is_(None),
            _CARD.c.dead_reason.in_(REVIVED_BY_ATTACHING),
        )
        .values(removed_at=sa.func.now())
        .returning(_CARD)
    )
    return [as_card(row) for row in connection.execute(statement).mappings()]


def on_file(connection: sa.Connection, account: str) -> Sequence[Card]:
    """List the account's cards in the order of trying, dead ones included."""
    query = (
        sa.select(_CARD)
        .where(_CARD.c.account_id == account, _CARD.c.removed_at.is_(None))
        .order_by(_CARD.c.priority, _CARD.c.id)
    )
    return [as_card(row) for row in connection.execute(query).mappings()]


def as_card(row: Mapping[Any, Any]) -> Card:
    """Read a row of `card`."""
    return Card(
        id=str(row["id"]),
        customer=row["customer"],
        payment_method=row["payment_method"],
        brand=row["brand"],
        last4=row["last4"],
        exp_month=row["exp_month"],
        exp_year=row["exp_year"],
        fingerprint=row["fingerprint"],
        country=row["country"],
        priority=row["priority"],
        dead_reason=row["dead_reason"],
        retry_at=row["retry_at"],
    )


def shown(card: Card) -> dict[str, str | int]:
    """Say of a card what an event may hold: ids and the face, nothing else."""
    return {
        "card": card.id,
        "customer": card.customer,
        "payment_method": card.payment_method,
        "brand": card.brand,
        "last4": card.last4,
        "expiry": f"{card.exp_month:02d}/{card.exp_year}",
        "priority": card.priority,
    }


def _refuse_dead(connection: sa.Connection, account: str, card: Card) -> None:
    same = _CARD.c.payment_method == card.payment_method
    if card.fingerprint:
        same |= _CARD.c.fingerprint == card.fingerprint
    query = sa.select(_CARD.c.dead_reason).where(
        _CARD.c.account_id == account,
        same,
        _CARD.c.exp_month == card.exp_month,
        _CARD.c.exp_year == card.exp_year,
        _CARD.c.dead_reason.is_not(None),
        _CARD.c.dead_reason.not_in(REVIVED_BY_ATTACHING),
    )
    reason = connection.execute(query.limit(1)).scalar()
    if reason is not None:
        msg = (
            f"The card {card.payment_method} ({card.brand} {card.last4}) has been"
            f" refused for good ({reason}) on account {account}; ask the customer for"
            " another card."
        )
        raise BadInput(msg, subject=card.payment_method)


def _last_place(connection: sa.Connection, account: str, card: Card) -> int:
    query = sa.select(sa.func.max(_CARD.c.priority) + 1).where(
        _CARD.c.account_id == account,
        _CARD.c.removed_at.is_(None),
        _CARD.c.payment_method != card.payment_method,
    )
    return connection.execute(query).scalar() or 0
