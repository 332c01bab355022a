"""What is to be credited, and the parts that both ways of crediting share."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import ROUND_DOWN, Decimal
from enum import Enum
from typing import Any

import sqlalchemy as sa

from replenish.adapters.sql_billing.profile import Log, Profile
from replenish.domain.money import Money
from replenish.errors import AccountNotFound, BadInput
from replenish.ports import Receipt

LOOK_BACK = "35 DAY"
"""How old an earlier credit may be to be found in a log without an index."""

NEWEST = 5000
"""Rows at such a log's end that are looked through whatever their dates say."""

TOGETHER = 100
"""Rows whose dates are looked at as one: some were entered with an old one."""

CORRECTION = "Correction: "
"""How a correction's row begins; profiles leave such rows out of a credit's trail."""

Facts = Callable[[sa.Connection], Mapping[str, Any]]


class Entry(Enum):
    """What is entered into the package's books."""

    PAYMENT = "payment"  # the card paid; the balance rises
    REFUND = "refund"  # the card was paid back; the balance falls
    CORRECTION = "correction"  # the balance is put right; nobody paid


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be entered; `amount` is above zero, whatever the entry."""

    ref: str
    id: int | None
    amount: Money
    reference: str
    note: str
    entry: Entry = Entry.PAYMENT

    @property
    def entered(self) -> Money:
        """The amount as the package shows it: below zero for a refund."""
        if self.entry is not Entry.REFUND:
            return self.amount
        return Money(-self.amount.amount, self.amount.currency)


def gone(order: Order) -> AccountNotFound:
    """Say that there is no such account."""
    msg = f"The billing package has no account {order.ref}; nothing was credited."
    return AccountNotFound(msg, subject=order.ref)


def earlier(
    connection: sa.Connection, profile: Profile, values: Mapping[str, Any]
) -> sa.Row[Any] | None:
    """Look for a credit of this account under this reference; `ahead` was read."""
    return connection.execute(sa.text(profile.credit.find), values).first()


def ahead(
    connection: sa.Connection, profile: Profile, values: Mapping[str, Any]
) -> dict[str, Any]:
    """Read what needs no lock and may take a while, before a row is locked.

    Gives `:first`, where a log without an index is looked through from, and what
    `Credit.ahead` names.
    """
    log = profile.credit.log
    found: dict[str, Any] = {"first": _first(connection, log)} if log else {}
    for name, query in profile.credit.ahead.items():
        found[name] = connection.execute(sa.text(query), values).scalar()
    return found


def number(value: object, ref: str) -> Decimal:
    """Read a number of a row that somebody may have edited.

    Raises:
        BadInput: it is none.
    """
    try:
        return Decimal(str(value))
    except ArithmeticError as error:
        msg = (
            f"A credit of account {ref} has {str(value)[:40]!r} where a number was"
            " written; somebody has edited its row. Compare it with what was paid."
        )
        raise BadInput(msg, subject=ref) from error


def same(found: sa.Row[Any], order: Order, *, applied: bool = True) -> Receipt:
    """Answer as the first time did; another amount is another credit.

    Raises:
        BadInput: the reference was used for another amount.
    """
    if number(found.amount, order.ref) != order.entered.amount:
        msg = (
            f"The reference {order.reference} already stands for {found.amount}"
            f" credited to account {order.ref}; it cannot stand for {order.entered}."
        )
        raise BadInput(msg, subject=order.ref)
    after = number(found.after, order.ref)
    return Receipt(order.reference, order.entered, after, already_applied=applied)


def amounts(
    profile: Profile, order: Order, values: Mapping[str, Any]
) -> dict[str, Any]:
    """Give the values that every statement may use; see `profile.Credit`.

    Raises:
        BadInput: the balance's column could not hold the sum.
    """
    gross = order.entered.amount
    paid = order.entry is not Entry.CORRECTION
    taxed = paid and profile.credit.vat
    tax = Decimal(str(values[profile.credit.vat])) if taxed else Decimal()
    step = Decimal(1).scaleb(-profile.scale)
    # Down, since A2Billing rounds an invoice up to cents: a hair more would be one.
    net = (gross / (1 + tax / 100)).quantize(step, ROUND_DOWN)
    before = Decimal(values["available"])
    after = before + net
    if after > profile.most:
        msg = (
            f"{order.amount} would take account {order.ref} past {profile.most}, the"
            " most its balance can hold."
        )
        raise BadInput(msg, subject=order.ref)
    trail = f", {before} -> {after}, ref {order.reference}"
    told = order.note if paid else f"{CORRECTION}{order.note}"
    note = told[: profile.credit.width - len(trail)] + trail
    return {
        "gross": gross,
        "net": net,
        "before": before,
        "after": after,
        "note": note,
        "paid": int(paid),
        "correction": int(order.entry is not Entry.PAYMENT),
    }


def steps(profile: Profile, order: Order) -> Mapping[str, str]:
    """Give the statements of an entry, in their order; a correction takes fewer."""
    everything = profile.credit.steps
    if order.entry is not Entry.CORRECTION:
        return everything
    return {n: s for n, s in everything.items() if n in profile.credit.corrects}


def take(
    connection: sa.Connection, name: str, statement: str, known: dict[str, Any]
) -> None:
    """Run a step; its new id is known to the later ones as `:NAME_id`."""
    done = connection.execute(sa.text(statement), known)
    if done.returns_rows:
        known[f"{name}_id"] = done.scalar()
    elif connection.dialect.name == "mysql":
        known[f"{name}_id"] = done.lastrowid


def _first(connection: sa.Connection, log: Log) -> int:
    """Find the first id of the last weeks by halving: a dozen primary-key reads.

    Operators enter refills under any date and import old ones, so that a date is
    believed only of many rows together, and the newest rows count whatever theirs.
    """
    ends = connection.execute(
        sa.text(f"SELECT MIN({log.id}), MAX({log.id}) FROM {log.table}")  # noqa: S608
    ).one()
    low, high = ends[0] or 0, max((ends[1] or 0) - NEWEST, ends[0] or 0)
    probe = sa.text(
        f"SELECT MAX(d.at) < NOW() - INTERVAL {LOOK_BACK} FROM ("  # noqa: S608
        f"SELECT {log.date} AS at FROM {log.table} {log.by_key} WHERE {log.id} >= :id"
        f" ORDER BY {log.id} LIMIT {TOGETHER}) AS d"
    )
    while low < high:
        middle = (low + high) // 2
        if connection.execute(probe, {"id": middle}).scalar():
            low = middle + 1
        else:
            high = middle
    return int(low)
