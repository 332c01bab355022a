"""Calls that have ended: recorded and debited together, once per switch's call id."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

import sqlalchemy as sa

from replenish.billing.database import statements
from replenish.billing.lookup import Payer, payer
from replenish.billing.rating import (
    LONGEST_CALL,
    Rate,
    billed_seconds,
    cost,
    digits,
)
from replenish.domain.money import Money
from replenish.errors import AccountNotFound, BadInput

DEBIT = sa.text(
    """
    WITH payer AS MATERIALIZED (
        SELECT id, balance + credit_limit AS available
          FROM billing.account
         WHERE id = :account_id AND balance <> 'NaN'
           FOR NO KEY UPDATE
    ), recorded AS (
        INSERT INTO billing.call (call_id, account_id, called, started, seconds,
                                  billed_seconds, cost, rate_id, available_after)
        SELECT :call_id, id, :called, :started, :seconds, :billed_seconds, :cost,
               :rate_id, available - :cost
          FROM payer
            ON CONFLICT (call_id) DO NOTHING
        RETURNING account_id, cost, available_after
    ), debited AS (
        UPDATE billing.account a
           SET balance = a.balance - recorded.cost
          FROM recorded
         WHERE a.id = recorded.account_id AND recorded.cost > 0
    )
    SELECT available_after FROM recorded
    """
)
"""Record and debit in one statement, so in one transaction and one round trip."""

RECORDED = sa.text(
    """
    SELECT a.number AS account, a.currency, c.called, c.started, c.seconds,
           c.billed_seconds, c.cost, c.available_after
      FROM billing.call c JOIN billing.account a ON a.id = c.account_id
     WHERE c.call_id = :call_id
    """
)


@dataclass(frozen=True, slots=True)
class Debit:
    """What a call cost.

    Attributes:
        cost: zero or more, in the account's currency.
        available_after: balance plus credit limit right after the debit; below
            zero when calls that ran at the same time spent the same balance.
        billed_seconds: seconds in whole increments.
        repeated: it had been recorded before; nothing was changed now.
    """

    cost: Money
    available_after: Decimal
    billed_seconds: int
    repeated: bool = False


class _Facts(NamedTuple):
    """What a switch says about a call; the same for the same call id, always."""

    account: str
    called: str
    started: datetime
    seconds: int


def place_call(
    engine: sa.Engine,
    account: str,
    *,
    called: str,
    seconds: int,
    started: datetime,
    call_id: str,
) -> Debit:
    """Record a call that has ended and debit it, exactly once; safe to repeat.

    The minutes were used, so they are billed whatever the account's state, by the
    rate in force when the call began. Two round trips.

    Args:
        engine: of the billing database.
        account: the number of the account that called.
        called: the number called, E.164, with or without the plus.
        seconds: answered time; 0 when nobody answered, which costs nothing.
        started: when it began; aware.
        call_id: the switch's own id of the call.

    Raises:
        AccountNotFound: there is no such account.
        BadInput: a fact makes no sense, no rate is known for the number at that
            time, or the call id stands for a call with other facts.
        BillingUnavailable: not known to be recorded; report the call again.
    """
    facts = _Facts(account, digits(called), started, seconds)
    _check(facts, call_id)
    with statements(engine) as connection:
        found = payer(connection, account, called=facts.called, at=started)
        if found is None:
            msg = f"There is no account {account!r} to bill call {call_id} to."
            raise AccountNotFound(msg, subject=account)
        debit = _debit(connection, found, facts=facts, call_id=call_id)
        return debit or _earlier(connection, facts, call_id=call_id)


def _check(facts: _Facts, call_id: str) -> None:
    if not 0 <= facts.seconds <= LONGEST_CALL:
        wrong = f"lasted {facts.seconds} seconds; give 0 to {LONGEST_CALL}"
    elif facts.started.tzinfo is None:
        wrong = "has a start without a time zone; give it in UTC"
    elif not call_id or not call_id.isprintable():
        wrong = "has no call id in printable text; give the switch's own"
    else:
        return
    msg = f"The call {call_id!r} of account {facts.account!r} {wrong}."
    raise BadInput(msg, subject=call_id)


def _debit(
    connection: sa.Connection, found: Payer, *, facts: _Facts, call_id: str
) -> Debit | None:
    """Record and debit; None when this was not the first time."""
    rate = found.rate
    if rate is None:
        if _recorded(connection, call_id) is not None:
            return None
        msg = (
            f"No rate is known for {facts.called} at {facts.started.isoformat()} in"
            f" the deck of account {facts.account}; load one, then report call"
            f" {call_id} again."
        )
        raise BadInput(msg, subject=facts.called)
    values = _values(found, rate, facts=facts) | {"call_id": call_id}
    after = connection.execute(DEBIT, values).scalar()
    if after is None:
        return None
    return Debit(
        cost=Money(cost(rate, facts.seconds), found.currency),
        available_after=after,
        billed_seconds=billed_seconds(rate, facts.seconds),
    )


def _values(found: Payer, rate: Rate, *, facts: _Facts) -> dict[str, object]:
    return {
        "account_id": found.id,
        "called": facts.called,
        "started": facts.started,
        "seconds": facts.seconds,
        "billed_seconds": billed_seconds(rate, facts.seconds),
        "cost": cost(rate, facts.seconds),
        "rate_id": rate.id,
    }


def _recorded(connection: sa.Connection, call_id: str) -> tuple[_Facts, Debit] | None:
    row = connection.execute(RECORDED, {"call_id": call_id}).one_or_none()
    if row is None:
        return None
    return _Facts(row.account, row.called, row.started, row.seconds), Debit(
        cost=Money(row.cost, row.currency),
        available_after=row.available_after,
        billed_seconds=row.billed_seconds,
        repeated=True,
    )


def _earlier(connection: sa.Connection, facts: _Facts, *, call_id: str) -> Debit:
    earlier = _recorded(connection, call_id)
    if earlier is None:
        msg = (
            f"The balance of account {facts.account} is not a number, so call"
            f" {call_id} was not billed; mend the balance, then report it again."
        )
        raise BadInput(msg, subject=facts.account)
    recorded, debit = earlier
    if recorded != facts:
        msg = (
            f"The call id {call_id} already stands for a call of"
            f" {recorded.seconds} s from account {recorded.account} to"
            f" {recorded.called}; a switch must give each call an id of its own."
        )
        raise BadInput(msg, subject=call_id)
    return debit
