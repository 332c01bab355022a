"""The operator's switch and counter, on the bundled package or on any other.

Both play the package's own part: accounts are opened, calls authorised and debited,
and cash booked as that package does it, under its own role. What the pipeline does is
not known here.
"""

import csv
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import ROUND_UP, Decimal
from functools import cache
from importlib.resources import as_file, files
from importlib.resources.abc import Traversable
from typing import Protocol

import sqlalchemy as sa

from replenish.billing import load, refills, schema
from replenish.billing.authorise import authorise
from replenish.billing.calls import place_call
from replenish.demo.packages.hands import Hands, Opening
from replenish.domain.money import Money
from replenish.errors import ConfigurationError

LONGEST = 36_000  # seconds a switch grants where the balance does not limit a call
CURRENCY = "USD"


@dataclass(frozen=True, slots=True)
class Call:
    """A call under way.

    Attributes:
        seconds: how long it will have been when it ends; they pass faster than life.
        begun: by this machine's clock (`time.monotonic`).
    """

    account: str
    called: str
    seconds: int
    begun: float = field(default_factory=time.monotonic)


class Switch(Protocol):
    """What the demonstration needs of a package."""

    def open(self, openings: Sequence[Opening]) -> None:
        """Open accounts."""

    def authorise(self, account: str, called: str) -> int:
        """Give the seconds that a call may last; 0: it is refused."""

    def begin(self, call: Call) -> None:
        """Start a call."""

    def end(self, call: Call) -> Decimal:
        """Hang it up and debit it; give its cost."""

    def refill(self, account: str, amount: Decimal) -> None:
        """Book cash that was paid at the counter."""


@dataclass(frozen=True, slots=True)
class BundledSwitch:
    """The bundled package's own."""

    engine: sa.Engine

    def open(self, openings: Sequence[Opening]) -> None:
        """Make the schema, load the sample rates and open accounts."""
        schema.create(self.engine)
        with as_file(_deck()) as path:
            report = load.load_rates(self.engine, path, all_or_nothing=True)
        if report.problems:
            msg = f"The sample rate deck is damaged: {report.problems[0]}"
            raise ConfigurationError(msg, subject="rates.csv")
        statement = sa.text(
            "INSERT INTO billing.account"
            " (number, kind, currency, balance, opening_balance, credit_limit)"
            " VALUES (:number, :kind, :currency, :balance, :balance, :limit)"
        )
        with self.engine.begin() as connection:
            connection.execute(statement, [_row(opening) for opening in openings])

    def authorise(self, account: str, called: str) -> int:
        """Give the seconds granted."""
        now = datetime.now(UTC)
        return authorise(self.engine, account, called=called, now=now).seconds

    def begin(self, call: Call) -> None:
        """Do nothing: it knows calls that have ended."""

    def end(self, call: Call) -> Decimal:
        """Record and debit the call."""
        debit = place_call(
            self.engine,
            call.account,
            called=call.called,
            seconds=call.seconds,
            started=datetime.now(UTC) - timedelta(seconds=call.seconds),
            call_id=str(uuid.uuid4()),
        )
        return debit.cost.amount

    def refill(self, account: str, amount: Decimal) -> None:
        """Book cash."""
        refills.refill(
            self.engine,
            account,
            amount=Money(amount, CURRENCY),
            reference=str(uuid.uuid4()),
            source="cash",
            note="At the counter",
            at=datetime.now(UTC),
        )


@dataclass(frozen=True, slots=True)
class PackageSwitch:
    """Another package's, by the statements that it writes itself.

    Its calls are priced by the sample deck: how a package finds a price is no matter
    of the tables that Replenish reads.
    """

    hands: Hands

    def open(self, openings: Sequence[Opening]) -> None:
        """Open accounts."""
        self.hands.sign_up(openings)

    def authorise(self, account: str, called: str) -> int:
        """Give the seconds granted: by the balance, where the package goes by it."""
        spendable = self.hands.authorise(int(account))
        if spendable is None:
            return 0
        if not self.hands.writes.by_balance:
            return LONGEST
        return min(LONGEST, int(spendable * 60 / price(called)))

    def begin(self, call: Call) -> None:
        """Start a call."""
        self.hands.begin(int(call.account))

    def end(self, call: Call) -> Decimal:
        """Hang it up."""
        step = Decimal(1).scaleb(-self.hands.writes.places)
        cost = (price(call.called) * call.seconds / 60).quantize(step, ROUND_UP)
        self.hands.end(int(call.account), cost, seconds=call.seconds)
        return cost

    def refill(self, account: str, amount: Decimal) -> None:
        """Book cash, by the operator's form where there is no other way."""
        if self.hands.writes.refill:
            self.hands.refill(int(account), amount)
        else:
            self.hands.fill_form(int(account), amount)


@cache
def price(called: str) -> Decimal:
    """Give the sample deck's price of a minute to a number: the longest prefix's."""
    with _deck().open(encoding="utf-8") as rows:
        prices = {row["prefix"]: row["per_minute"] for row in csv.DictReader(rows)}
    prefix = next(
        called[:length]
        for length in range(len(called), 0, -1)
        if called[:length] in prices
    )
    return Decimal(prices[prefix])


def _deck() -> Traversable:
    return files("replenish.billing") / "samples" / "rates.csv"


def _row(opening: Opening) -> dict[str, object]:
    return {
        "number": str(opening.id),
        "kind": "prepaid" if opening.limit is None else "real_time",
        "currency": CURRENCY,
        "balance": opening.balance,
        "limit": opening.limit or 0,
    }
