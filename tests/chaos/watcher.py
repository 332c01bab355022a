"""Eyes on the gateway's book and the package's tables, many times a second.

What it sees starts and stops the stopwatches: a charge at the gateway until its credit
stands, an exhausted account until its service is off, a funded one until it is back. It
knows nothing of our code's paths. A look is a fifth of a second late at most, which
counts against us.
"""

import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from replenish.domain.rule import Rule
from tests.chaos.history import CREDIT, CUT_OFF, RESTORE, History

LOOK_EVERY = 0.1  # seconds
ACCOUNTS_EVERY, HOPELESS_EVERY = 2, 6  # looks

ACCOUNTS = sa.text(
    "SELECT number, balance + credit_limit AS available, state FROM billing.account"
)
CREDITED = sa.text("SELECT reference FROM billing.refill WHERE reference = ANY(:refs)")
HOPELESS = sa.text("""
    SELECT a.id FROM replenish.account a
    WHERE NOT EXISTS (SELECT FROM replenish.card k WHERE k.account_id = a.id
                      AND k.removed_at IS NULL AND k.dead_at IS NULL)
      AND NOT EXISTS (SELECT FROM replenish.attempt t WHERE t.account_id = a.id
                      AND t.state IN ('claimed', 'charging', 'unknown', 'charged'))
""")


@dataclass
class Watcher:
    """Looks until stopped.

    Attributes:
        rich: accounts with money to talk.
        broke: accounts without service, as last seen.
        charges: when each charge was first seen, seconds since the run began.
        charged: how often each account was charged.
        low: accounts that were seen at or below the threshold, and paid no cash since.
        blind: looks that a database did not answer.
    """

    ledger: sa.Engine
    billing: sa.Engine
    gateway_ledger: Path
    rule: Rule
    history: History
    rich: Sequence[str] = ()
    broke: Sequence[str] = ()
    charges: list[float] = field(default_factory=list)
    charged: dict[str, int] = field(default_factory=dict)
    low: set[str] = field(default_factory=set)
    blind: int = 0
    _hopeless: frozenset[str] = frozenset()
    _states: Mapping[str, str] = field(default_factory=dict)
    _offset: int = 0
    _stopping: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin."""
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Make sure that it still looks.

        Raises:
            AssertionError: it has ended; its error stands above.
        """
        assert self._thread
        assert self._thread.is_alive(), "the watcher has ended"

    def stop(self) -> None:
        """End."""
        self._stopping.set()
        if self._thread:
            self._thread.join(30)

    def debited(self, account: str, available: Decimal) -> None:
        """Take note of a debit that has just been committed."""
        self.history.note(f"a call leaves {available}", account)
        if self._states.get(account) == "active" and available <= self._line(account):
            self.history.start(CUT_OFF, account)

    def paid(self, account: str, amount: Decimal) -> None:
        """Take note of a payment that has just been committed."""
        self.history.note(f"pays {amount} in cash", account)
        self.low.discard(account)  # no charge is owed any more

    def _line(self, account: str) -> Decimal:
        """Give where service must end: at the floor if no card can help any more."""
        hopeless = account in self._hopeless
        return self.rule.floor if hopeless else self.rule.hard_floor

    def _watch(self) -> None:
        looks = 0
        while not self._stopping.wait(LOOK_EVERY):
            self._read_gateway()
            try:
                self._look_for_credits()
                if looks % HOPELESS_EVERY == 0:
                    self._look_for_hopeless()
                if looks % ACCOUNTS_EVERY == 0:
                    self._look_at_accounts()
            except sa.exc.SQLAlchemyError:
                self.blind += 1
            looks += 1

    def _read_gateway(self) -> None:
        with self.gateway_ledger.open("rb") as book:
            book.seek(self._offset)
            for line in book:
                if not line.endswith(b"\n"):
                    return
                self._offset += len(line)
                if b'"charge.succeeded"' in line:
                    self._take(json.loads(line))

    def _take(self, record: Mapping[str, Any]) -> None:
        if record["kind"] != "charge.succeeded":
            return
        attempt = record["metadata"]["attempt"]
        account = record["metadata"]["account"]
        self.charges.append(self.history.now())
        self.charged[account] = self.charged.get(account, 0) + 1
        self.history.note(f"the gateway charges, attempt {attempt}", account)
        self.history.start(CREDIT, attempt)

    def _look_for_credits(self) -> None:
        waiting = self.history.running(CREDIT)
        if not waiting:
            return
        with self.billing.connect() as connection:
            for row in connection.execute(CREDITED, {"refs": list(waiting)}):
                self.history.stop(CREDIT, row.reference)

    def _look_for_hopeless(self) -> None:
        with self.ledger.connect() as connection:
            self._hopeless = frozenset(connection.execute(HOPELESS).scalars())

    def _look_at_accounts(self) -> None:
        asked = self.history.now()
        with self.billing.connect() as connection:
            rows = connection.execute(ACCOUNTS).all()
        for row in rows:
            self._judge(row.number, row.available, row.state, asked)
        self._states = {row.number: row.state for row in rows}
        self.rich = [
            row.number
            for row in rows
            if row.state == "active" and row.available > self.rule.threshold
        ]
        self.broke = [row.number for row in rows if row.state == "suspended"]

    def _judge(
        self, account: str, available: Decimal, state: str, asked: float
    ) -> None:
        watches = self.history
        if available <= self.rule.threshold:
            self.low.add(account)
        if state != self._states.get(account, state):
            watches.note(f"is {state} at {available}", account)
        if state == "suspended":
            watches.stop(CUT_OFF, account)
        elif available <= self._line(account):
            watches.start(CUT_OFF, account, at=asked)
        else:
            watches.drop(CUT_OFF, account, before=asked)
        if state == "active":
            watches.stop(RESTORE, account)
        elif available > self.rule.floor:
            watches.start(RESTORE, account, at=asked)
        else:
            watches.drop(RESTORE, account, before=asked)
