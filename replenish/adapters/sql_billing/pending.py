"""A credit exactly once on tables without transactions, such as MyISAM.

1. A log row with our reference is written, marked as pending.
2. One statement over both tables adds it to the balance and takes the mark away.
3. The rows of payment and invoice follow.

Killed anywhere, the same is done again: a row that is there is not written twice,
and the second statement does nothing without the mark. Our own workers take turns
by a named lock of the server; the package's own statements do not know of it and
need not. What cannot be excluded is a crash of the server itself within the second
statement; `replenish verify` and the package's reports would show it.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from replenish.adapters.sql_billing import order as parts
from replenish.adapters.sql_billing.order import Facts, Order
from replenish.adapters.sql_billing.profile import Pending, Profile
from replenish.adapters.sql_billing.session import statements, transaction
from replenish.errors import BillingUnavailable
from replenish.ports import Receipt

PATIENCE = 3  # seconds to wait for another of our workers on the same account


def needed(engine: sa.Engine, profile: Profile) -> bool:
    """Say whether some of the tables lack transactions."""
    if profile.credit.pending is None:
        return False
    with transaction(engine) as connection:
        query = sa.text(profile.credit.pending.engine)
        return bool(connection.execute(query).scalar_one())


def apply(engine: sa.Engine, profile: Profile, order: Order, facts: Facts) -> Receipt:
    """Credit, unless it was credited; see `replenish.ports.BillingPackage`."""
    how = profile.credit.pending
    assert how is not None  # noqa: S101 `needed` has asked
    with statements(engine) as connection, _turn(connection, order):
        known: dict[str, Any] = {
            "id": order.id,
            "reference": order.reference,
            **facts(connection),
        }
        known |= parts.ahead(connection, profile, known)
        row = connection.execute(sa.text(how.account), known).mappings().first()
        if row is None:
            raise parts.gone(order)
        known |= {**row, "mark": how.mark}
        known |= parts.amounts(profile, order, known)
        return _credit(connection, profile, how, order, known)


def _credit(
    connection: sa.Connection,
    profile: Profile,
    how: Pending,
    order: Order,
    known: dict[str, Any],
) -> Receipt:
    found = parts.earlier(connection, profile, known)
    if found is None:
        parts.take(connection, how.refill, profile.credit.steps[how.refill], known)
        receipt = Receipt(
            order.reference, order.entered, known["after"], already_applied=False
        )
    else:
        receipt = parts.same(found, order, applied=not found.pending)
        known[f"{how.refill}_id"] = found.id
    connection.execute(sa.text(how.settle), known)
    later = _later(profile, how, order)
    _follow(connection, how, later, known, repeated=found is not None)
    return receipt


def _follow(
    connection: sa.Connection,
    how: Pending,
    later: Mapping[str, str],
    known: dict[str, Any],
    *,
    repeated: bool,
) -> None:
    """Write the rows after the balance; when repeated, only those that lack.

    A step without a query of its own, such as the invoice's number, is taken only
    if the row it is for has to be written.
    """
    first: dict[str, str] = {}
    for name, statement in later.items():
        if name not in how.exists:
            first[name] = statement
            continue
        there = None
        if repeated:
            there = connection.execute(sa.text(how.exists[name]), known).scalar()
        if there is not None:
            known[f"{name}_id"] = there
        else:
            for each, before in {**first, name: statement}.items():
                parts.take(connection, each, before, known)
        first = {}


def _later(profile: Profile, how: Pending, order: Order) -> Mapping[str, str]:
    done = (how.refill, "balance")
    return {n: s for n, s in parts.steps(profile, order).items() if n not in done}


@contextmanager
def _turn(connection: sa.Connection, order: Order) -> Iterator[None]:
    """Let one of our workers at a time credit an account."""
    name = {"name": f"replenish:{order.id}", "seconds": PATIENCE}
    taken = connection.execute(sa.text("SELECT GET_LOCK(:name, :seconds)"), name)
    if not taken.scalar():
        msg = (
            f"Account {order.ref} is being credited by another worker; it will be"
            " tried again."
        )
        raise BillingUnavailable(msg, subject=order.ref)
    try:
        yield
    finally:
        with suppress(SQLAlchemyError):  # a lost connection has given it back
            connection.execute(sa.text("SELECT RELEASE_LOCK(:name)"), name)
