"""The question before and after every call: who pays, and by which rate."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

import sqlalchemy as sa

from replenish.billing.rating import Rate, prefixes

PAYER = sa.text(
    """
    SELECT a.id, a.state, a.currency, a.balance + a.credit_limit AS available,
           r.id AS rate_id, r.prefix, r.name, r.per_minute, r.connection_fee,
           r.initial, r.subsequent
      FROM billing.account a
      LEFT JOIN LATERAL (
           SELECT * FROM billing.rate
            WHERE deck = a.deck AND currency = a.currency
              AND prefix = ANY(CAST(:prefixes AS text[]))
              AND effective_from <= :at
              AND (effective_to IS NULL OR effective_to > :at)
            ORDER BY length(prefix) DESC, effective_from DESC
            LIMIT 1) r ON true
     WHERE a.number = :account
    """
)
"""Longest prefix first, then the newest of its rates that has begun and not ended."""


@dataclass(frozen=True, slots=True)
class Payer:
    """An account and the rate of one destination at one moment.

    Attributes:
        id: of the account's row.
        available: balance plus credit limit, in `currency`.
        rate: None when the account's deck has none in its currency.
    """

    id: int
    state: str
    currency: str
    available: Decimal
    rate: Rate | None


def payer(
    connection: sa.Connection, account: str, *, called: str, at: datetime
) -> Payer | None:
    """Look an account and its rate for a number up; None without such an account.

    Args:
        connection: of the billing database.
        account: its number.
        called: E.164 digits.
        at: when the call starts; aware. The rate is the one of that moment.
    """
    if not account.isprintable():
        return None
    values = {"account": account, "prefixes": prefixes(called), "at": at}
    row = connection.execute(PAYER, values).one_or_none()
    if row is None:
        return None
    rate = None
    if row.rate_id is not None:
        rate = Rate(
            id=row.rate_id,
            prefix=row.prefix,
            name=row.name,
            per_minute=row.per_minute,
            connection_fee=row.connection_fee,
            initial=row.initial,
            subsequent=row.subsequent,
        )
    return Payer(row.id, row.state, row.currency, row.available, rate)
