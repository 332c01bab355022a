"""A credit exactly once, with the rows that the package's own reports need.

One transaction of a few milliseconds, and the account's row is locked first: our
own workers queue up there, so that looking for an earlier credit and writing this
one cannot be torn apart; and no statement of the package's own, which takes that
row too, can come to wait for us in a circle (MagnusBilling's call record would be
the victim, and the call would be free).

Where the tables have no transactions, `pending` does it in another way.
"""

from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import sqlalchemy as sa

from replenish.adapters.sql_billing import pending
from replenish.adapters.sql_billing.order import (
    Facts,
    Order,
    ahead,
    amounts,
    earlier,
    gone,
    number,
    same,
    steps,
    take,
)
from replenish.adapters.sql_billing.profile import Profile
from replenish.adapters.sql_billing.session import transaction
from replenish.domain.money import Money
from replenish.domain.trail import Trail
from replenish.failpoints import failpoint
from replenish.ports import Receipt


def apply(engine: sa.Engine, profile: Profile, order: Order, facts: Facts) -> Receipt:
    """Credit, unless it was credited; see `replenish.ports.BillingPackage`."""
    if order.id is None:
        raise gone(order)
    if pending.needed(engine, profile):
        return pending.apply(engine, profile, order, facts)
    with transaction(engine) as connection:
        known = {"id": order.id, "reference": order.reference, **facts(connection)}
        known |= ahead(connection, profile, known)
        lock = sa.text(profile.credit.lock)
        row = connection.execute(lock, known).mappings().first()
        if row is None:
            raise gone(order)
        found = earlier(connection, profile, known)
        if found is not None:
            return same(found, order)
        known |= row
        known |= amounts(profile, order, known)
        for name, statement in steps(profile, order).items():
            take(connection, name, statement, known)
        failpoint("credit_uncommitted")
    failpoint("credit_commit_sent")
    return Receipt(
        order.reference, order.entered, known["after"], already_applied=False
    )


def find(
    engine: sa.Engine, profile: Profile, account: int, *, reference: str, currency: str
) -> Receipt | None:
    """Look a credit up by its reference, without a lock."""
    with transaction(engine) as connection:
        known: dict[str, Any] = {"id": account, "reference": reference}
        known |= ahead(connection, profile, known)
        found = earlier(connection, profile, known)
    if found is None or getattr(found, "pending", False):
        return None
    amount = Money(number(found.amount, str(account)), currency)
    after = number(found.after, str(account))
    return Receipt(reference, amount, after, already_applied=True)


def trail(
    engine: sa.Engine, profile: Profile, known: Mapping[str, Any], facts: Facts
) -> Trail | None:
    """Read what became of the credit of `id` by `reference`; None: there is none."""
    query = sa.text(profile.credit.trail)
    with transaction(engine) as connection:
        values = {**known, **facts(connection)}
        values |= ahead(connection, profile, values)
        row = connection.execute(query, values).mappings().first()
    if row is None:
        return None
    step = Decimal(1).scaleb(-profile.scale)
    return Trail(
        **{
            name: number(value, str(known["id"])).quantize(step, ROUND_HALF_UP)
            for name, value in row.items()
        }
    )
