"""Refills: money booked onto an account, once per reference."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Context, Decimal, InvalidOperation

import sqlalchemy as sa

from replenish.billing.database import statements
from replenish.billing.rating import SCALE
from replenish.domain.money import Money
from replenish.domain.trail import Trail
from replenish.errors import AccountNotFound, BadInput

PLACE = Decimal(1).scaleb(-SCALE)
WIDE = Context(prec=40)  # more digits than a balance can have

CREDIT = sa.text(
    """
    WITH holder AS MATERIALIZED (
        SELECT id, balance, balance + credit_limit AS available
          FROM billing.account
         WHERE number = :account AND currency = :currency AND balance <> 'NaN'
           FOR NO KEY UPDATE
    ), booked AS (
        INSERT INTO billing.refill (reference, account_id, amount, balance_after,
                                    available_after, source, note, at)
        SELECT :reference, id, :amount, balance + :amount, available + :amount,
               :source, :note, :at
          FROM holder
            ON CONFLICT (reference) DO NOTHING
        RETURNING account_id, amount, available_after
    ), credited AS (
        UPDATE billing.account a
           SET balance = a.balance + booked.amount
          FROM booked
         WHERE a.id = booked.account_id
        RETURNING a.id
    )
    SELECT booked.available_after
      FROM booked JOIN credited ON credited.id = booked.account_id
    """
)
"""Book and credit in one statement, so in one transaction and one round trip.

The row lock makes the balances in the refill row exact, and makes repeats of one
reference wait for each other; the unique reference lets one of them through. The
balance is moved by a relative change, so a call debited meanwhile is never lost.
"""

LOOK_UP = sa.text(
    """
    SELECT a.number AS account, r.amount, a.currency, r.available_after
      FROM billing.refill r JOIN billing.account a ON a.id = r.account_id
     WHERE r.reference = :reference
    """
)

TRAIL = sa.text(
    """
    SELECT r.amount AS credited, r.available_after AS after,
           coalesce((SELECT sum(l.amount) FROM billing.refill l
                      WHERE l.account_id = a.id AND l.id > r.id
                        AND l.source <> 'correction'), 0)
           - coalesce((SELECT sum(c.cost) FROM billing.call c
                        WHERE c.account_id = a.id
                          AND c.recorded_at >= r.recorded_at), 0) AS moved,
           coalesce((SELECT sum(c.cost) FROM billing.call c
                      WHERE c.account_id = a.id
                        AND c.recorded_at >= r.recorded_at - interval '1 hour'), 0)
             AS around,
           a.balance + a.credit_limit AS available
      FROM billing.refill r JOIN billing.account a ON a.id = r.account_id
     WHERE r.reference = :reference AND a.number = :account
    """
)

HOLDER = sa.text("SELECT currency FROM billing.account WHERE number = :account")


@dataclass(frozen=True, slots=True)
class Refill:
    """A refill as it was booked.

    Attributes:
        available_after: balance plus credit limit, right after it was booked.
        repeated: it had been booked before; nothing was changed now.
    """

    account: str
    amount: Money
    reference: str
    available_after: Decimal
    repeated: bool


def refill(  # noqa: PLR0913 each is a column of the refill
    engine: sa.Engine,
    account: str,
    *,
    amount: Money,
    reference: str,
    source: str,
    note: str,
    at: datetime,
    taken_back: bool = False,
) -> Refill:
    """Credit an account, exactly once per reference; safe to repeat.

    Args:
        engine: of the billing database.
        account: its number.
        amount: above zero, exact in five places, in the account's currency.
        reference: the payment's own id.
        source: how it was paid, such as `card`, `cash`.
        note: for the operator's report.
        at: when it was paid; aware.
        taken_back: the amount is taken off again, and stands as a negative refill.

    Raises:
        AccountNotFound: there is no such account.
        BadInput: the amount does not fit the account, or the reference stands for
            another account or amount.
    """
    _check(account, amount, reference=reference, note=note, at=at)
    if taken_back:
        amount = Money(-amount.amount, amount.currency)
    values = {
        "account": account,
        "currency": amount.currency,
        "amount": amount.amount,
        "reference": reference,
        "source": source,
        "note": note,
        "at": at,
    }
    with statements(engine) as connection:
        after = connection.execute(CREDIT, values).scalar()
        if after is not None:
            return Refill(account, amount, reference, after, repeated=False)
        earlier = _booked(connection, reference)
        if earlier is None:
            raise _not_booked(connection, account, amount)
    if (earlier.account, earlier.amount) != (account, amount):
        msg = (
            f"The reference {reference} already stands for {earlier.amount} on"
            f" account {earlier.account}, not {amount} on {account};"
            " give each payment a reference of its own."
        )
        raise BadInput(msg, subject=reference)
    return earlier


def find(engine: sa.Engine, *, reference: str) -> Refill | None:
    """Look a refill up by its reference."""
    with statements(engine) as connection:
        return _booked(connection, reference)


def trail(engine: sa.Engine, *, account: str, reference: str) -> Trail | None:
    """Read what became of a refill of this account since it was booked."""
    values = {"account": account, "reference": reference}
    with statements(engine) as connection:
        row = connection.execute(TRAIL, values).mappings().one_or_none()
    return Trail(**row) if row else None


def exact(amount: Decimal) -> bool:
    """Say whether an amount fits the scale of balances without rounding."""
    try:
        return amount == amount.quantize(PLACE, context=WIDE)
    except InvalidOperation:  # infinite or absurdly large
        return False


def _check(
    account: str, amount: Money, *, reference: str, note: str, at: datetime
) -> None:
    if not account.isprintable():
        raise _missing(account)
    if not exact(amount.amount) or amount.amount <= 0:
        msg = (
            f"{amount} cannot be credited to account {account}; give an amount above"
            f" zero with at most {SCALE} places."
        )
        raise BadInput(msg, subject=account)
    if not reference or not (reference + note.replace("\n", "")).isprintable():
        msg = (
            f"The refill of account {account} needs a reference, and it and the note"
            " must be printable text."
        )
        raise BadInput(msg, subject=account)
    if at.tzinfo is None:
        msg = f"The time of the refill of account {account} lacks a time zone; use UTC."
        raise BadInput(msg, subject=account)


def _booked(connection: sa.Connection, reference: str) -> Refill | None:
    row = connection.execute(LOOK_UP, {"reference": reference}).one_or_none()
    if row is None:
        return None
    return Refill(
        account=row.account,
        amount=Money(row.amount, row.currency),
        reference=reference,
        available_after=row.available_after,
        repeated=True,
    )


def _not_booked(
    connection: sa.Connection, account: str, amount: Money
) -> BadInput | AccountNotFound:
    currency = connection.execute(HOLDER, {"account": account}).scalar()
    if currency is None:
        return _missing(account)
    if currency != amount.currency:
        msg = (
            f"Account {account} is kept in {currency} and cannot be credited {amount};"
            f" give an amount in {currency}."
        )
    else:
        msg = (
            f"The balance of account {account} is not a number, so {amount} was not"
            " credited; mend the balance, then repeat."
        )
    return BadInput(msg, subject=account)


def _missing(account: str) -> AccountNotFound:
    msg = f"The billing package has no account {account!r}; check its number."
    return AccountNotFound(msg, subject=account)
