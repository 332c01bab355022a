"""Whether a credit still stands in its balance, or an old balance came over it.

Some billing packages save whole rows: they read an account, do something slow, such
as sending a mail, and write back every column, the balance of minutes ago included. A
credit made meanwhile is gone then, and the card was charged for nothing. What tells
it from spent money is arithmetic: the balance after the credit, and what the package
itself has recorded since, give what should be there now.
"""

from dataclasses import dataclass
from decimal import Decimal

SUSPICIOUS = 2  # a credit of which less than one in so many is missing, still stands
ROUNDED = 1000  # records of calls may be floats: one in so many may be lost in them


@dataclass(frozen=True, slots=True)
class Trail:
    """What a billing package knows of a credit, read at one moment.

    Attributes:
        credited: what the balance was raised by.
        after: what was available right after it.
        moved: the sum of what the package has recorded since: later refills less
            calls, without our corrections: they stand for what nobody recorded.
        around: the calls among them and those of the hour before. An overwriting
            balance may be from before the last of them, and one or two may have been
            recorded before the credit and debited after it.
        available: what is available now.
    """

    credited: Decimal
    after: Decimal
    moved: Decimal
    around: Decimal
    available: Decimal

    @property
    def missing(self) -> Decimal:
        """What should be there and is not."""
        return self.after + self.moved - self.available


@dataclass(frozen=True, slots=True)
class Sound:
    """The credit is where it belongs."""


@dataclass(frozen=True, slots=True)
class Lost:
    """An old balance was written over the credit; so much is to be put right."""

    amount: Decimal


@dataclass(frozen=True, slots=True)
class Unclear:
    """So much is missing, and it is not what an overwritten credit leaves."""

    missing: Decimal


def suspicious(*, credited: Decimal, after: Decimal, available: Decimal) -> bool:
    """Say whether so much is gone since a credit that it is worth adding up."""
    return after - available >= credited / SUSPICIOUS


def judge(trail: Trail) -> Sound | Lost | Unclear:
    """Say what became of a credit.

    Never more than the credit itself is put right. A fee of just that size which the
    package recorded nowhere would be taken for an overwritten credit.
    """
    if trail.missing < trail.credited / SUSPICIOUS:
        return Sound()
    slack = trail.around + trail.credited / ROUNDED
    if abs(trail.missing - trail.credited) > slack:
        return Unclear(trail.missing)
    return Lost(min(trail.missing, trail.credited))
