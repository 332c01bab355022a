"""A package's own hands: its sign-up page, its switch, its operator at the counter."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from replenish.demo.packages.writes import Steps, Writes
from replenish.domain.account import Service


@dataclass(frozen=True, slots=True)
class Opening:
    """An account as it is signed up.

    Attributes:
        id: its primary key, and its number.
        balance: of a real-time account below zero: what is owed.
        limit: of a real-time account; None for a prepaid one.
    """

    id: int
    balance: Decimal
    limit: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Hands:
    """One connection of the package, on which every statement stands alone."""

    connection: sa.Connection
    writes: Writes

    def sign_up(self, openings: Sequence[Opening]) -> None:
        """Open accounts."""
        prepaid = [_values(each) for each in openings if each.limit is None]
        others = [_values(each) for each in openings if each.limit is not None]
        if prepaid:
            self.connection.execute(sa.text(self.writes.sign_up), prepaid)
        if others:
            self.connection.execute(sa.text(self.writes.sign_up_real_time), others)

    def authorise(self, account: int) -> Decimal | None:
        """Ask, as the switch does, what may be spent on a call; None: refused."""
        query = sa.text(self.writes.authorise)
        found = self.connection.execute(query, {"id": account}).scalar()
        return None if found is None else Decimal(found)

    def begin(self, account: int) -> None:
        """Start a call."""
        self._run(self.writes.begin, id=account)

    def end(self, account: int, cost: Decimal, *, seconds: int = 60) -> None:
        """Hang a call up that has lasted so long, and debit it."""
        self._run(self.writes.end, id=account, cost=cost, seconds=seconds)

    def refill(self, account: int, amount: Decimal) -> None:
        """Refill at the counter, by the way that changes the balance relatively."""
        self._run(self.writes.refill, id=account, amount=amount)

    def fill_form(self, account: int, amount: Decimal) -> None:
        """Refill by the form that reads the whole row and writes it back."""
        self._run(self.writes.form, id=account, amount=amount)

    def balance(self, account: int) -> Decimal:
        """Read what the account holds, debts negative."""
        query = sa.text(self.writes.balance)
        return Decimal(self.connection.execute(query, {"id": account}).scalar_one())

    def set_state(self, account: int, service: Service) -> None:
        """Change the state of the service, as an operator does."""
        state = self.writes.states[service]
        values = {"id": account, "state": state}
        self.connection.execute(sa.text(self.writes.set_state), values)

    def _run(self, steps: Steps, **given: Any) -> None:  # noqa: ANN401 for a driver
        known = dict(given)
        for name, statement in steps.items():
            done = self.connection.execute(sa.text(statement), known)
            if done.returns_rows:
                known |= dict(done.mappings().one())
            elif self.writes.dialect == "mysql":
                known[f"{name}_id"] = done.lastrowid


@contextmanager
def hands(url: str, writes: Writes) -> Iterator[Hands]:
    """Lend hands at this address."""
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            for statement in writes.on_connect:
                connection.exec_driver_sql(statement)
            yield Hands(connection, writes)
    finally:
        engine.dispose()


def _values(opening: Opening) -> dict[str, object]:
    return {
        "id": opening.id,
        "balance": opening.balance,
        "limit": opening.limit,
    }
