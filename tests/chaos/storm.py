"""Calls that never end, and cash at the counter: the billing package's own doings.

They go through the package's own functions, on connections that may be cut as well: a
call that is not known to be recorded is reported again under its own id, as a switch
does.
"""

import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random

import sqlalchemy as sa

from replenish.adapters.ledger.session import make_engine
from replenish.billing import refills
from replenish.billing.authorise import authorise
from replenish.billing.calls import place_call
from replenish.domain.money import Money
from replenish.errors import ReplenishError
from tests.chaos.people import Customer
from tests.chaos.watcher import Watcher

CALLED = "21620123456"  # the dearest of the sample rates, 0.38 a minute
SHORT, LONG = 1200, 2400  # seconds of a call: eight to fifteen dollars
TOGETHER = 0.5  # how often two calls run at once; that is how balances go below zero
PLENTY = 0.8  # how often somebody with money is chosen
RATE = 28.0  # calls a second
SWITCH = "switch"  # whom the package's failures concern
CASH_EVERY = 0.4  # seconds between two payments at the counter


@dataclass(frozen=True, slots=True)
class Call:
    """A call that has ended and is to be recorded."""

    id: str
    account: str
    seconds: int
    started: datetime


@dataclass
class Storm:
    """Calls and payments in two threads, until stopped.

    Attributes:
        calls: how many were recorded.
        paid: how often somebody paid cash.
        lost: how often the package did not answer and was told again.
    """

    url: str
    customers: Sequence[Customer]
    watcher: Watcher
    seed: int
    rate: float = RATE
    calls: int = 0
    paid: int = 0
    refused: int = 0
    lost: int = 0
    _unreported: deque[Call] = field(default_factory=deque)
    _unpaid: deque[tuple[str, str, Decimal]] = field(default_factory=deque)
    _stopping: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def start(self) -> None:
        """Begin."""
        for play in (self._talk, self._pay):
            self._threads.append(threading.Thread(target=play, daemon=True))
            self._threads[-1].start()

    def check(self) -> None:
        """Make sure that calls still are made.

        Raises:
            AssertionError: a thread has ended; its error stands above.
        """
        assert all(each.is_alive() for each in self._threads), "the storm has ended"

    def stop(self) -> None:
        """End when all that was used is recorded; the package must answer again."""
        self._stopping.set()
        for thread in self._threads:
            thread.join(30)
        assert not self._unreported, "calls were not recorded"

    def _talk(self) -> None:
        chance = Random(f"calls/{self.seed}")  # noqa: S311 repeatable
        engine = _engine(self.url)
        due = time.monotonic()
        while not self._stopping.is_set():
            due = max(due + 1 / self.rate, time.monotonic() - 1)
            self._try(lambda: self._turn(engine, chance))
            self._try(lambda: self._report(engine))
            self._stopping.wait(max(0.0, due - time.monotonic()))
        while self._unreported:
            self._try(lambda: self._report(engine))
        engine.dispose()

    def _turn(self, engine: sa.Engine, chance: Random) -> None:
        account = self._caller(chance)
        now = datetime.now(UTC)
        granted = authorise(engine, account, called=CALLED, now=now).seconds
        if not granted:
            self.refused += 1
            return
        seconds = min(granted, chance.randint(SHORT, LONG))
        for _ in range(2 if chance.random() < TOGETHER else 1):
            started = now - timedelta(seconds=seconds)
            self._unreported.append(Call(str(uuid.uuid4()), account, seconds, started))

    def _caller(self, chance: Random) -> str:
        rich = self.watcher.rich
        if rich and chance.random() < PLENTY:
            return chance.choice(rich)
        return chance.choice(self.customers).account

    def _report(self, engine: sa.Engine) -> None:
        """Record what has ended; what is not known to be recorded is told again."""
        while self._unreported:
            call = self._unreported[0]
            self._unreported.rotate(-1)  # one locked account must not hold up the rest
            debit = place_call(
                engine,
                call.account,
                called=CALLED,
                seconds=call.seconds,
                started=call.started,
                call_id=call.id,
            )
            self._unreported.pop()
            self.calls += 1
            self.watcher.debited(call.account, debit.available_after)

    def _pay(self) -> None:
        chance = Random(f"cash/{self.seed}")  # noqa: S311 repeatable
        engine = _engine(self.url)
        while not self._stopping.wait(CASH_EVERY):
            broke = self.watcher.broke
            if broke:
                amount = Decimal(chance.randint(300, 900)) / 100
                self._unpaid.append((chance.choice(broke), str(uuid.uuid4()), amount))
            self._try(lambda: self._book(engine))
        while self._unpaid:
            self._try(lambda: self._book(engine))
        engine.dispose()

    def _book(self, engine: sa.Engine) -> None:
        while self._unpaid:
            account, reference, amount = self._unpaid[0]
            refills.refill(
                engine,
                account,
                amount=Money(amount, "USD"),
                reference=reference,
                source="cash",
                note="At the counter",
                at=datetime.now(UTC),
            )
            self._unpaid.popleft()
            self.paid += 1
            self.watcher.paid(account, amount)

    def _try(self, play: Callable[[], None]) -> None:
        try:
            play()
        except (ReplenishError, sa.exc.SQLAlchemyError) as error:
            self.lost += 1
            self.watcher.history.note(f"the switch is told: {error}", SWITCH)
            time.sleep(0.05)


def _engine(url: str) -> sa.Engine:
    return make_engine(
        url,
        statement_timeout_ms=5_000,
        lock_timeout_ms=2_000,
        application_name="switch",
    )
