"""The bundled billing package (`replenish.billing`) behind the port.

Every method is one statement, and so one short transaction; only a credit that
was not booked asks once more why. The package keeps an index of low accounts.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal

import sqlalchemy as sa

from replenish.billing import feed, refills, schema
from replenish.billing.database import statements
from replenish.billing.rating import SCALE
from replenish.domain.account import Account, Kind, Service
from replenish.domain.money import Money
from replenish.domain.trail import Trail
from replenish.errors import BadInput, BillingUnavailable, ReplenishError
from replenish.ports import Calls, Page, Receipt

SERVICE = {
    "active": Service.ACTIVE,
    "suspended": Service.SUSPENDED,
    "blocked": Service.OTHER,
    "closed": Service.OTHER,
}

ROW = """
    SELECT id, number, kind, currency, balance + credit_limit AS available, state,
           name, email
      FROM billing.account
"""
PAGE = sa.text(f"{ROW} WHERE id > :after ORDER BY id LIMIT :limit")
LOW_PAGE = sa.text(f"{ROW} WHERE is_low AND id > :after ORDER BY id LIMIT :limit")
THESE = sa.text(f"{ROW} WHERE number = ANY(CAST(:refs AS text[]))")

WATCH = sa.text(
    """
    WITH wanted AS (
        SELECT number, mark
          FROM unnest(CAST(:refs AS text[]), CAST(:marks AS numeric[]))
               AS given(number, mark)
    ), held AS MATERIALIZED (
        SELECT a.id, w.mark
          FROM billing.account a JOIN wanted w USING (number)
         WHERE a.low_mark IS DISTINCT FROM w.mark
         ORDER BY a.id
           FOR NO KEY UPDATE OF a
    )
    UPDATE billing.account a SET low_mark = held.mark FROM held WHERE a.id = held.id
    """
)  # locked in one order, so that two watches cannot deadlock

SUSPEND = sa.text(
    """
    UPDATE billing.account SET state = 'suspended'
     WHERE number = :ref AND state = 'active' AND balance + credit_limit <= :at_most
    """
)
RESTORE = sa.text(
    """
    UPDATE billing.account SET state = 'active'
     WHERE number = :ref AND state = 'suspended'
    """
)

WRONG = sa.text(
    """
    SELECT p.sentence
      FROM (VALUES
        (has_table_privilege('billing.account', 'SELECT')
         AND has_table_privilege('billing.call', 'SELECT')
         AND has_table_privilege('billing.refill', 'SELECT'),
         'Our role may not read the billing tables; grant SELECT on account, call'
         ' and refill.'),
        (has_column_privilege('billing.account', 'balance', 'UPDATE')
         AND has_column_privilege('billing.account', 'state', 'UPDATE')
         AND has_column_privilege('billing.account', 'low_mark', 'UPDATE'),
         'Our role may not credit or suspend; grant UPDATE (balance, state, low_mark)'
         ' on billing.account.'),
        (has_table_privilege('billing.refill', 'INSERT'),
         'Our role may not book refills; grant INSERT on billing.refill.'),
        (EXISTS (SELECT FROM pg_index
                  WHERE indexrelid = to_regclass('billing.account_low')
                    AND indisvalid),
         'The index billing.account_low is missing, so finding low accounts would'
         ' read them all; create it as the schema does.')
      ) AS p(fine, sentence)
     WHERE NOT p.fine
    """
)


class BundledBilling:
    """The port `BillingPackage` on the schema `billing`.

    The engine is the caller's, who bounds statements and lock waits by its connect
    options; `replenish.billing.database.make_engine` makes such a one.
    """

    knows_low = True

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def check(self) -> Sequence[str]:
        """List what is wrong, a sentence each; empty when all is well.

        Raises:
            BillingUnavailable: it cannot be asked.
        """
        try:
            with statements(self._engine) as connection:
                wrong = schema.mismatch(schema.version(connection))
                if wrong:
                    return [wrong]
                return list(connection.execute(WRONG).scalars())
        except BillingUnavailable:
            raise
        except ReplenishError as error:
            return [str(error)]

    def remarks(self) -> Sequence[str]:
        """Tell nothing: its schema is this release's, or `check` says so."""
        return ()

    def accounts(
        self, *, after: str | None = None, limit: int = 500, low: bool = False
    ) -> Page:
        """Read a page by primary key; `low` answers from the index of low accounts."""
        values = {"after": _position(after), "limit": limit}
        with statements(self._engine) as connection:
            rows = connection.execute(LOW_PAGE if low else PAGE, values).all()
        accounts, unreadable = _read(rows)
        last = str(rows[-1].id) if len(rows) == limit else None
        return Page(accounts, after=last, unreadable=unreadable)

    def balances(self, refs: Sequence[str]) -> Mapping[str, Account]:
        """Read these accounts now; unknown and unreadable ones are left out."""
        known = [ref for ref in refs if ref.isprintable()]
        if not known:
            return {}
        with statements(self._engine) as connection:
            accounts, _ = _read(connection.execute(THESE, {"refs": known}).all())
        return {account.ref: account for account in accounts}

    def calls_since(self, cursor: str | None, *, limit: int = 5000) -> Calls:
        """List the accounts debited after the cursor; None starts at the end."""
        accounts, onwards = feed.debited_since(self._engine, cursor, limit=limit)
        return Calls(accounts, onwards)

    def watch(self, thresholds: Mapping[str, Decimal | None]) -> None:
        """Mark below what available amount each account is low; None ends it.

        Raises:
            BadInput: a threshold is not exact in the scale of balances.
        """
        for ref, mark in thresholds.items():
            if mark is not None and not refills.exact(mark):
                msg = (
                    f"The threshold {mark} of account {ref} cannot be watched; give an"
                    f" amount of at most {SCALE} places."
                )
                raise BadInput(msg, subject=ref)
        marks = {ref: mark for ref, mark in thresholds.items() if ref.isprintable()}
        if not marks:
            return
        values = {"refs": list(marks), "marks": list(marks.values())}
        with statements(self._engine) as connection:
            connection.execute(WATCH, values)

    def apply_credit(
        self, ref: str, amount: Money, *, reference: str, note: str, at: datetime
    ) -> Receipt:
        """Credit exactly once per `reference`; it stands in `billing.refill_report`.

        Raises:
            AccountNotFound: the account is gone; nothing was credited.
            BadInput: the amount is not exact in five places, of another currency
                or makes the balance too large; `reference` was used for another
                account or amount; or the balance is not a number.
        """
        return self._book(ref, amount, reference, "card", note, at)

    def correct_credit(
        self, ref: str, amount: Money, *, reference: str, note: str, at: datetime
    ) -> Receipt:
        """Put a balance right, once per reference, without a payment; see the port."""
        return self._book(ref, amount, reference, "correction", note, at)

    def reverse_credit(
        self, ref: str, amount: Money, *, reference: str, note: str, at: datetime
    ) -> Receipt:
        """Take a refund off the balance, once per reference; see the port."""
        return self._book(ref, amount, reference, "refund", note, at)

    def verify_credit(self, ref: str, *, reference: str) -> Trail | None:
        """Read what became of a credit; None: there is none under this reference."""
        if not ref.isprintable():
            return None
        return refills.trail(self._engine, account=ref, reference=reference)

    def find_credit(self, ref: str, *, reference: str) -> Receipt | None:
        """Look a credit of this account up by its reference."""
        booked = refills.find(self._engine, reference=reference)
        return _receipt(booked) if booked and booked.account == ref else None

    def suspend(self, ref: str, *, at_most: Decimal) -> bool:
        """End service if it is active and at most `at_most` is available.

        Raises:
            BadInput: `at_most` is no number. The database takes NaN to be above
                every balance, so it would cut off anyone.
        """
        if not at_most.is_finite():
            msg = f"Account {ref} is not suspended at {at_most}; give a number."
            raise BadInput(msg, subject=ref)
        return self._changed(SUSPEND, ref=ref, at_most=at_most)

    def restore(self, ref: str) -> bool:
        """Give service back if the account is suspended; blocked ones stay so."""
        return self._changed(RESTORE, ref=ref)

    def _book(
        self,
        ref: str,
        amount: Money,
        reference: str,
        source: str,
        note: str,
        at: datetime,
    ) -> Receipt:
        booked = refills.refill(
            self._engine,
            ref,
            amount=amount,
            reference=reference,
            source=source,
            note=note,
            at=at,
            taken_back=source == "refund",
        )
        return _receipt(booked)

    def _changed(self, change: sa.TextClause, **values: str | Decimal) -> bool:
        if not str(values["ref"]).isprintable():
            return False
        with statements(self._engine) as connection:
            return connection.execute(change, values).rowcount == 1


def _position(after: str | None) -> int:
    if after is None:
        return 0
    if not (after.isascii() and after.isdigit()):
        msg = f"{after!r} is no place to go on from; give back what a page gave."
        raise BadInput(msg, subject=after)
    return int(after)


def _read(
    rows: Sequence[sa.Row[tuple[object, ...]]],
) -> tuple[list[Account], dict[str, str]]:
    accounts, unreadable = [], {}
    for row in rows:
        try:
            accounts.append(_account(row))
        except (BadInput, ValueError, KeyError) as error:
            unreadable[row.number] = f"Account {row.number} makes no sense: {error}"
    return accounts, unreadable


def _account(row: sa.Row[tuple[object, ...]]) -> Account:
    return Account(
        ref=row.number,
        available=Money(row.available, row.currency),
        kind=Kind(row.kind),
        service=SERVICE[row.state],
        name=row.name,
        email=row.email,
    )


def _receipt(booked: refills.Refill) -> Receipt:
    return Receipt(
        reference=booked.reference,
        amount=booked.amount,
        available_after=booked.available_after,
        already_applied=booked.repeated,
    )
