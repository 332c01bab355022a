"""What a call costs, and how long a balance lasts. Pure; the standard library only.

A call is billed for its first increment whole and then in whole further increments
(60/60, 6/6, 30/6, 1/1 seconds). The price is rounded up to the scale of balances,
once, at the end: operators quote per minute, and a fraction of the last place is
never given away a million times over. A call of no seconds was not answered and
costs nothing, not even the connection fee.
"""

from dataclasses import dataclass
from decimal import ROUND_UP, Context, Decimal

from replenish.errors import BadInput

SCALE = 5  # places of every balance, cost and fee
LONGEST_CALL = 7 * 86_400  # seconds; a record that claims more is a switch's fault
LONGEST_GRANT = 4 * 3600  # seconds granted at most at once, also when calls are free
LONGEST_PREFIX = 15  # digits of an E.164 number
LONGEST_NUMBER = 32  # digits; some networks append their own

_PLACE = Decimal(1).scaleb(-SCALE)
_UP = Context(prec=60, rounding=ROUND_UP)
_EXACT = Context(prec=60)


@dataclass(frozen=True, slots=True)
class Rate:
    """A price for the numbers that begin with a prefix.

    Attributes:
        id: of its row.
        prefix: E.164 digits without the plus.
        name: the destination, for people.
        per_minute: currency units.
        connection_fee: currency units for each answered call; exact in `SCALE`.
        initial: seconds billed at least.
        subsequent: seconds billed whole from there on.
    """

    id: int
    prefix: str
    name: str
    per_minute: Decimal
    connection_fee: Decimal
    initial: int
    subsequent: int


def billed_seconds(rate: Rate, seconds: int) -> int:
    """Round a call's seconds up to the rate's increments; no seconds stay none."""
    if seconds == 0:
        return 0
    further = max(0, seconds - rate.initial)
    return rate.initial + -(-further // rate.subsequent) * rate.subsequent


def cost(rate: Rate, seconds: int) -> Decimal:
    """Price an answered call, rounded up to the scale of balances."""
    billed = billed_seconds(rate, seconds)
    if billed == 0:
        return Decimal(0)
    exact = _UP.divide(_EXACT.multiply(rate.per_minute, Decimal(billed)), Decimal(60))
    return rate.connection_fee + _UP.quantize(exact, _PLACE)


def affordable_seconds(rate: Rate, available: Decimal) -> int:
    """Give the longest call that costs no more than what is available.

    Whole increments, at most `LONGEST_GRANT`; 0 when not even the first is paid. A
    call that costs nothing at all is granted to an empty account too.
    """
    price = rate.connection_fee + rate.per_minute
    left = available - rate.connection_fee
    if price > 0 > left:
        return 0
    if rate.per_minute == 0:
        return LONGEST_GRANT
    paid = int(_EXACT.divide_int(left * 60, rate.per_minute))
    if paid < rate.initial:
        return 0
    further = (paid - rate.initial) // rate.subsequent * rate.subsequent
    return min(rate.initial + further, LONGEST_GRANT)


def digits(called: str) -> str:
    """Read a called number as its E.164 digits; a leading plus is dropped.

    Raises:
        BadInput: anything else but digits, or none, or too many.
    """
    found = called.removeprefix("+")
    if found.isascii() and found.isdigit() and len(found) <= LONGEST_NUMBER:
        return found
    msg = (
        f"{called!r} is no number to call; give country code and number in digits,"
        f" at most {LONGEST_NUMBER}, such as +442079460000."
    )
    raise BadInput(msg, subject=called)


def prefixes(called: str) -> list[str]:
    """List what the deck may know a number by, shortest first."""
    longest = min(len(called), LONGEST_PREFIX)
    return [called[:end] for end in range(1, longest + 1)]
