"""Calls, faster than life: minutes of talk in parts of a second, honestly rated.

Each turn an account is authorised as a switch would ask, and the call it was granted
begins; a moment later it ends, is recorded and debited, as the billing package does
it. Now and then two calls run at once, and each is granted the whole balance: that is
how prepaid balances go below zero.
"""

import random
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal

from sqlalchemy.exc import SQLAlchemyError

from replenish.bootstrap import Application
from replenish.demo.operator import Customer
from replenish.demo.switch import Call, Switch
from replenish.errors import ReplenishError
from replenish.verify import sources

NUMBERS = ("4790012345", "8801712345678", "5351234567", "2348031234567", "21612345678")
SHORT, LONG = 60, 900  # seconds of one call
LASTS = 0.3  # seconds that a call takes here, whatever its length
AGAIN = "-again"  # what a correction's reference ends with
TOGETHER = 0.35  # how often two calls of one account run at once
TALKATIVE = 3  # times as many calls of those who cannot pay: in a minute all run dry


@dataclass
class Traffic:
    """Plays calls in a thread of its own until it is stopped.

    Attributes:
        rate: turns a second, at most.
        failed: statements of the package's own that were refused or lost.
        spent: account → what its calls have cost.
        paid: account → what was paid in cash.
        low_at: account → when its balance last fell to its threshold, by this
            machine's clock in seconds; the screen takes the delays from it.
    """

    app: Application
    switch: Switch
    customers: Sequence[Customer]
    rate: float
    calls: int = 0
    refused: int = 0
    failed: int = 0
    spent: dict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    paid: dict[str, Decimal] = field(default_factory=dict)
    low_at: dict[str, float] = field(default_factory=dict)
    _under_way: list[Call] = field(default_factory=list)
    _at_the_counter: list[tuple[str, Decimal]] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    @property
    def cost(self) -> Decimal:
        """What all calls have cost."""
        return sum(list(self.spent.values()), Decimal(0))

    def start(self) -> None:
        """Begin."""
        self._thread = threading.Thread(target=self._play, daemon=True)
        self._thread.start()

    def pay(self, account: str, amount: Decimal) -> None:
        """Have a customer pay in cash at the operator's counter."""
        self._at_the_counter.append((account, amount))

    def stop(self) -> None:
        """End when the calls under way have; may be repeated."""
        self._stop.set()
        if self._thread:
            self._thread.join(10)

    def added_up(self, billing: sources.Billing) -> sources.Billing:
        """Say what each balance should be, where the package's books do not tell.

        Its opening, cash, and what its own credits say, less the calls that were
        played. A correction stands for what was lost, so it moves nothing.
        """
        if billing.sums:
            return billing
        expected = {
            each.account: each.opening + self.paid.get(each.account, 0)
            for each in self.customers
        }
        for account, cost in self.spent.items():
            expected[account] -= cost
        for credit in billing.credits:
            if not credit["reference"].endswith(AGAIN):
                expected[credit["account"]] += credit["amount"]
        accounts = [
            {**row, "expected": expected[row["account"]]} for row in billing.accounts
        ]
        return replace(billing, accounts=accounts, sums=True)

    def _play(self) -> None:
        chance = random.Random(3)  # noqa: S311 sample traffic
        callers = [
            each.account
            for each in self.customers
            for _ in range(TALKATIVE if each.story.expected else 1)
        ]
        due = time.monotonic()
        while not self._stop.is_set():
            due += 1 / self.rate
            caller = chance.choice(callers)
            self._try(lambda: self._turn(caller, chance))  # noqa: B023 called at once
            self._hang_up(before=time.monotonic() - LASTS)
            while self._at_the_counter:
                account, amount = self._at_the_counter.pop()
                self._try(lambda: self._refill(account, amount))  # noqa: B023 called at once
            time.sleep(max(0.0, due - time.monotonic()))
        self._hang_up(before=time.monotonic())

    def _turn(self, account: str, chance: random.Random) -> None:
        called = chance.choice(NUMBERS)
        granted = self.switch.authorise(account, called)
        if not granted:
            self.refused += 1
            return
        seconds = min(granted, chance.randint(SHORT, LONG))
        for _ in range(2 if chance.random() < TOGETHER else 1):
            call = Call(account, called, seconds)
            self.switch.begin(call)
            self._under_way.append(call)

    def _hang_up(self, *, before: float) -> None:
        """End the calls that began before this; the oldest stand first."""
        while self._under_way and self._under_way[0].begun <= before:
            call = self._under_way.pop(0)
            self._try(lambda: self._end(call))  # noqa: B023 called at once

    def _refill(self, account: str, amount: Decimal) -> None:
        self.switch.refill(account, amount)
        self.paid[account] = amount

    def _end(self, call: Call) -> None:
        cost = self.switch.end(call)
        self.calls += 1
        self.spent[call.account] += cost
        found = self.app.billing.balances([call.account])[call.account]
        after, threshold = found.available.amount, self.app.defaults.threshold
        if after <= threshold < after + cost:
            self.low_at[call.account] = time.time()

    def _try(self, play: Callable[[], None]) -> None:
        try:
            play()
        except (ReplenishError, SQLAlchemyError):
            self.failed += 1
