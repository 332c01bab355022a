"""`replenish.ports.BillingPackage` over the tables that a profile describes."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from replenish.adapters.sql_billing import checks, credit, feed, replica
from replenish.adapters.sql_billing.order import Entry, Order
from replenish.adapters.sql_billing.profile import Profile, State
from replenish.adapters.sql_billing.session import transaction
from replenish.domain.account import Account, Kind, Service
from replenish.domain.money import Money
from replenish.domain.trail import Trail
from replenish.errors import BadInput, BillingUnavailable, ReplenishError
from replenish.ports import Calls, Page, Receipt

FACTS_LAST = 60.0  # seconds until the package's configuration is read again
LARGEST_ID = 2**63 - 1


class SqlBilling:
    """A billing package through its own tables.

    Args:
        engine: bounded in time; see `session.make_engine`.
        profile: which package, and how it is read and written.
        currency: of its balances, by ISO code; some packages only know a symbol.
        reader: a replica for what may be a little old: pages of all accounts and call
            records. Balances that decide about money never come from there, and it is
            not read on when it stands still.
    """

    knows_low = False

    def __init__(
        self,
        engine: sa.Engine,
        profile: Profile,
        *,
        currency: str,
        reader: sa.Engine | None = None,
    ) -> None:
        self._engine = engine
        self._replica = reader
        self._source = feed.Source(engine)
        if reader is not None:
            self._source = feed.Source(reader, replica.SETTING, original=engine)
        self._profile = profile
        self._currency = currency
        self._facts: dict[str, Any] = {}
        self._facts_until = 0.0
        of = profile.accounts
        columns = (
            f"{of.id} AS id, {of.available} AS available, {of.real_time} AS real_time,"
            f" {of.state} AS state, {of.name} AS name, {of.email} AS email,"
            f" {of.expired} AS expired"
        )
        rows = f"SELECT {columns} FROM {of.table}"  # noqa: S608 a profile
        self._page = sa.text(
            f"{rows} {of.by_key} WHERE {of.only}"
            f" AND {of.id} > :after ORDER BY {of.id} LIMIT :limit"
        )
        self._these = sa.text(f"{rows} WHERE {of.only} AND {of.id} IN :ids").bindparams(
            sa.bindparam("ids", expanding=True)
        )
        self._suspend = self._set(of.active, of.suspended, only_at_most=True)
        self._restore = self._set(of.suspended, of.active, only_at_most=False)

    def _set(self, before: State, after: State, *, only_at_most: bool) -> sa.TextClause:
        of = self._profile.accounts
        compare = f" AND {of.available} <= :at_most" if only_at_most else ""
        column = of.state.rpartition(".")[2]
        return sa.text(
            f"UPDATE {of.table} SET {column} = {_literal(after)}"  # noqa: S608 a profile
            f" WHERE {of.id} = :id AND {of.state} = {_literal(before)}"
            f" AND {of.only}{compare}"
        )

    def check(self) -> Sequence[str]:
        """List what is wrong, a sentence each; empty when all is well.

        Raises:
            BillingUnavailable: it cannot be asked.
        """
        try:
            with transaction(self._engine) as connection:
                found = list(
                    checks.problems(connection, self._profile, currency=self._currency)
                )
        except BillingUnavailable:
            raise
        except ReplenishError as error:
            return [str(error)]
        return [*found, *self._of_the_replica()]

    def _of_the_replica(self) -> Iterator[str]:
        """Read there what we read there, and say what is wrong with it."""
        if self._replica is None:
            return
        try:
            self.accounts(limit=1)
            self.calls_since(self.calls_since(None).cursor)
            behind = replica.stays_behind(self._engine, self._replica, self._profile)
        except ReplenishError as error:
            yield str(error)
            return
        if behind:
            yield behind

    def remarks(self) -> Sequence[str]:
        """Tell what is worth knowing and no fault, a sentence each."""
        try:
            with transaction(self._engine) as connection:
                return list(
                    checks.remarks(connection, self._profile, currency=self._currency)
                )
        except ReplenishError:
            return []  # `check` tells

    def accounts(
        self, *, after: str | None = None, limit: int = 500, low: bool = False
    ) -> Page:
        """Read a page by primary key; no package of these knows who is low."""
        if low:
            return Page((), after=None)
        with transaction(self._source.engine, self._source.setting) as connection:
            values = {"after": int(after or 0), "limit": limit}
            values |= self._known(connection)
            rows = connection.execute(self._page, values).all()
        accounts, unreadable = self._read(rows)
        last = str(rows[-1].id) if len(rows) == limit else None
        stale = self._replica is not None
        return Page(accounts, after=last, unreadable=unreadable, stale=stale)

    def balances(self, refs: Sequence[str]) -> Mapping[str, Account]:
        """Read these accounts now; unknown and unreadable ones are left out."""
        ids = [found for found in map(_id, refs) if found is not None]
        if not ids:
            return {}
        with transaction(self._engine) as connection:
            values = {"ids": ids, **self._known(connection)}
            accounts, _ = self._read(connection.execute(self._these, values).all())
        return {account.ref: account for account in accounts}

    def calls_since(self, cursor: str | None, *, limit: int = 5000) -> Calls:
        """List the accounts debited after the cursor; None starts at the end."""
        return feed.debited(self._source, self._profile, cursor, limit=limit)

    def watch(self, thresholds: Mapping[str, Decimal | None]) -> None:
        """Do nothing: these packages have nowhere to write a mark."""

    def apply_credit(
        self, ref: str, amount: Money, *, reference: str, note: str, at: datetime
    ) -> Receipt:
        """Credit exactly once per account and reference; see the port."""
        del at  # the package's own clock dates its rows
        return self._enter(ref, amount, reference, note, Entry.PAYMENT)

    def correct_credit(
        self, ref: str, amount: Money, *, reference: str, note: str, at: datetime
    ) -> Receipt:
        """Put a balance right, once per reference, without a payment; see the port."""
        del at
        return self._enter(ref, amount, reference, note, Entry.CORRECTION)

    def reverse_credit(
        self, ref: str, amount: Money, *, reference: str, note: str, at: datetime
    ) -> Receipt:
        """Take a refund off the balance, once per reference; see the port."""
        del at
        return self._enter(ref, amount, reference, note, Entry.REFUND)

    def verify_credit(self, ref: str, *, reference: str) -> Trail | None:
        """Read what became of a credit; None: there is none under this reference."""
        found = _id(ref)
        if found is None:
            return None
        known = {"id": found, "reference": reference}
        return credit.trail(self._engine, self._profile, known, self._known)

    def find_credit(self, ref: str, *, reference: str) -> Receipt | None:
        """Look a credit of this account up by its reference."""
        found = _id(ref)
        if found is None:
            return None
        return credit.find(
            self._engine,
            self._profile,
            found,
            reference=reference,
            currency=self._currency,
        )

    def suspend(self, ref: str, *, at_most: Decimal) -> bool:
        """End service by one compare-and-set of state and balance; see the port.

        Raises:
            BadInput: `at_most` is no number.
        """
        if not at_most.is_finite():
            msg = f"Account {ref} is not suspended at {at_most}; give a number."
            raise BadInput(msg, subject=ref)
        return self._changed(self._suspend, ref, at_most=at_most)

    def restore(self, ref: str) -> bool:
        """Give service back where it is in the state that `suspend` sets."""
        return self._changed(self._restore, ref)

    def _changed(self, statement: sa.TextClause, ref: str, **values: object) -> bool:
        found = _id(ref)
        if found is None:
            return False
        with transaction(self._engine) as connection:
            values = {"id": found, **values, **self._known(connection)}
            done = connection.execute(statement, values)
        return done.rowcount > 0

    def _enter(
        self, ref: str, amount: Money, reference: str, note: str, entry: Entry
    ) -> Receipt:
        self._refuse_unfit(ref, amount)
        order = Order(ref, _id(ref), amount, reference, note, entry)
        return credit.apply(self._engine, self._profile, order, self._known)

    def _refuse_unfit(self, ref: str, amount: Money) -> None:
        if amount.currency != self._currency:
            msg = (
                f"Account {ref} is in {self._currency}; {amount} cannot be credited to"
                " it."
            )
            raise BadInput(msg, subject=ref)
        exact = amount.amount == round(amount.amount, self._profile.scale)
        if amount.amount <= 0 or not exact:
            msg = (
                f"{amount} cannot be credited to account {ref}: give an amount above"
                f" zero of at most {self._profile.scale} places."
            )
            raise BadInput(msg, subject=ref)

    def _known(self, connection: sa.Connection) -> Mapping[str, Any]:
        """Give the package's own configuration, read once a minute."""
        if self._profile.facts and time.monotonic() > self._facts_until:
            self._facts = {
                name: connection.execute(sa.text(query)).scalar()
                for name, query in self._profile.facts.items()
            }
            self._facts_until = time.monotonic() + FACTS_LAST
        return self._facts

    def _read(
        self, rows: Iterable[sa.Row[Any]]
    ) -> tuple[list[Account], dict[str, str]]:
        accounts, unreadable = [], {}
        for row in rows:
            try:
                accounts.append(self._account(row))
            except (BadInput, ArithmeticError, TypeError, ValueError) as error:
                why = f"Account {row.id} makes no sense: {error}"
                unreadable[str(row.id)] = why
        return accounts, unreadable

    def _account(self, row: sa.Row[Any]) -> Account:
        of = self._profile.accounts
        states = {of.active: Service.ACTIVE, of.suspended: Service.SUSPENDED}
        return Account(
            ref=str(row.id),
            available=Money(Decimal(row.available), self._currency),
            kind=Kind.REAL_TIME if row.real_time else Kind.PREPAID,
            service=Service.OTHER
            if row.expired
            else states.get(row.state, Service.OTHER),
            name=row.name or "",
            email=row.email or "",
        )


def _literal(value: State) -> str:
    """Write a state's value: the profile's own constant, never somebody's input."""
    return str(value).upper()


def _id(ref: str) -> int | None:
    """Read a ref, which is the primary key; None: no account has such a ref."""
    if not ref.isascii() or not ref.isdigit() or int(ref) > LARGEST_ID:
        return None
    return int(ref)
