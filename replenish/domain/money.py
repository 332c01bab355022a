"""Money: a Decimal and its currency, never mixed, never rounded by accident.

Decimal arithmetic rounds to 28 digits without a word. Amounts of at most 12
digits before and 12 after the point leave it nothing to round.
"""

import re
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal

from replenish.errors import BadInput

WHOLE_UNITS = frozenset(
    [
        "BIF",
        "CLP",
        "DJF",
        "GNF",
        "ISK",
        "JPY",
        "KMF",
        "KRW",
        "MGA",
        "PYG",
        "RWF",
        "UGX",
        "VND",
        "VUV",
        "XAF",
        "XOF",
        "XPF",
    ]
)
"""Currencies charged in whole units only.

The zero-decimal currencies of https://docs.stripe.com/currencies plus ISK and
UGX, which are sent with two decimals that must be 00.
"""

STEP_WHOLE = Decimal(1)
STEP_CENTS = Decimal("0.01")  # also BHD JOD KWD OMR TND: their third digit must be 0

LARGEST = Decimal(999999999999)  # what Numeric(19, 6) can hold, with room to add
FINEST = Decimal("1E-12")  # the balances of billing packages have 4 to 6 places

SIZING = Context(prec=40)  # may round, being asked to; the caller's may well not
CURRENCY = re.compile("[A-Z]{3}")
WRITTEN = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)", re.ASCII)


@dataclass(frozen=True, slots=True, order=False)
class Money:
    """An amount in currency units (not minor units) of one currency.

    Attributes:
        amount: finite Decimal of at most 12 places.
        currency: ISO 4217 code, upper case.

    Raises:
        BadInput: the amount is NaN, infinite, absurdly large or absurdly fine,
            or the currency is not three capital letters; also when amounts of
            two currencies are added, subtracted or compared by size.
    """

    amount: Decimal
    currency: str

    def __post_init__(self) -> None:
        if not sensible(self.amount):
            msg = f"The amount {self.amount} is not an amount of money; give a number."
            raise BadInput(msg, subject=str(self.amount))
        if not CURRENCY.fullmatch(self.currency):
            msg = f"{self.currency!r} is no currency; give an ISO 4217 code like USD."
            raise BadInput(msg, subject=self.currency)

    def __str__(self) -> str:
        places = 0 if self.currency in WHOLE_UNITS else 2
        return f"{plain(self.amount, places=places)} {self.currency}"

    def __add__(self, other: "Money") -> "Money":
        return Money(self.amount + self._same(other), self.currency)

    def __sub__(self, other: "Money") -> "Money":
        return Money(self.amount - self._same(other), self.currency)

    def __lt__(self, other: "Money") -> bool:
        return self.amount < self._same(other)

    def __le__(self, other: "Money") -> bool:
        return self.amount <= self._same(other)

    def _same(self, other: "Money") -> Decimal:
        if other.currency != self.currency:
            msg = f"{self} and {other} are of different currencies and never mix."
            raise BadInput(msg, subject=other.currency)
        return other.amount


def sensible(amount: Decimal) -> bool:
    """Say whether an amount is finite, and neither absurdly large nor fine."""
    if not amount.is_finite() or amount.copy_abs() > LARGEST:
        return False
    return amount == amount.quantize(FINEST, context=SIZING)


def plain(amount: Decimal, *, places: int = 2) -> str:
    """Write an amount as people do: at least so many places, no exponent."""
    whole, _, rest = format(amount, "f").partition(".")
    rest = rest.rstrip("0").ljust(places, "0")
    text = f"{whole}.{rest}" if rest else whole
    return text if amount else text.removeprefix("-")


def step(currency: str) -> Decimal:
    """Give the smallest step, in currency units, that a card can be charged in."""
    return STEP_WHOLE if currency in WHOLE_UNITS else STEP_CENTS


def round_up(amount: Decimal, currency: str) -> Decimal:
    """Round an amount up to what a card can be charged; used for sizing only."""
    return amount.quantize(step(currency), ROUND_CEILING, SIZING)


def round_down(amount: Decimal, currency: str) -> Decimal:
    """Round a limit down to what a card can be charged, so that it is kept."""
    return amount.quantize(step(currency), ROUND_FLOOR, SIZING)


def parse(text: str, *, what: str) -> Decimal:
    """Read an amount that a person wrote.

    Args:
        text: such as `25`, `25.00` or `-3.5`; no thousands separators, no
            exponent, which both mean that something else was meant.
        what: the name of the value, for the error's sentence.

    Raises:
        BadInput: not a finite number, absurdly large or absurdly fine.
    """
    written = WRITTEN.fullmatch(text.strip())
    if not written or not sensible(amount := Decimal(written[0])):
        shown = text[:40]
        msg = (
            f"{what} is {shown!r}, which is not an amount; give a number like 25.00,"
            " of at most 12 digits."
        )
        raise BadInput(msg, subject=what)
    return amount
