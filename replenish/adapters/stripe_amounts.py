"""Amounts as Stripe counts them: minor units, smallest and largest charges.

Sources: https://docs.stripe.com/currencies (zero-decimal currencies, special cases,
minimum and maximum charge amounts). The rule for three decimals is older than that
page's present wording, and the strictest that Stripe has published: the last digit
must be 0. Nothing is ever rounded here.
"""

from collections.abc import Mapping
from decimal import Decimal

from replenish.domain.money import Money
from replenish.errors import BadInput

NO_DECIMALS = frozenset(
    {
        "BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF", "VND",
        "VUV", "XAF", "XOF", "XPF",
    }
)  # fmt: skip
"""Sent in whole units."""

TWO_ALWAYS_ZERO = frozenset({"ISK", "UGX"})
"""Whole units too, but sent with two decimals that must be 00."""

THREE_DECIMALS = frozenset({"BHD", "JOD", "KWD", "OMR", "TND"})
"""Sent in thousandths, of which the last digit must be 0."""

TWO_DECIMALS = frozenset(
    {
        "AED", "AFN", "ALL", "AMD", "ANG", "AOA", "ARS", "AUD", "AWG", "AZN", "BAM",
        "BBD", "BDT", "BGN", "BMD", "BND", "BOB", "BRL", "BSD", "BWP", "BYN", "BZD",
        "CAD", "CDF", "CHF", "CNY", "COP", "CRC", "CVE", "CZK", "DKK", "DOP", "DZD",
        "EGP", "ETB", "EUR", "FJD", "FKP", "GBP", "GEL", "GIP", "GMD", "GTQ", "GYD",
        "HKD", "HNL", "HTG", "HUF", "IDR", "ILS", "INR", "JMD", "KES", "KGS", "KHR",
        "KYD", "KZT", "LAK", "LBP", "LKR", "LRD", "LSL", "MAD", "MDL", "MKD", "MMK",
        "MNT", "MOP", "MUR", "MVR", "MWK", "MXN", "MYR", "MZN", "NAD", "NGN", "NIO",
        "NOK", "NPR", "NZD", "PAB", "PEN", "PGK", "PHP", "PKR", "PLN", "QAR", "RON",
        "RSD", "RUB", "SAR", "SBD", "SCR", "SEK", "SGD", "SHP", "SLE", "SOS", "SRD",
        "STD", "SZL", "THB", "TJS", "TOP", "TRY", "TTD", "TWD", "TZS", "UAH", "USD",
        "UYU", "UZS", "WST", "XCD", "YER", "ZAR", "ZMW",
    }
)  # fmt: skip

CURRENCIES = NO_DECIMALS | TWO_ALWAYS_ZERO | THREE_DECIMALS | TWO_DECIMALS
"""What Stripe lets cards be charged in."""

SMALLEST: Mapping[str, Decimal] = {
    currency: Decimal(amount)
    for currency, amount in {
        "USD": "0.50", "AED": "2", "AUD": "0.50", "BGN": "1", "BRL": "0.50",
        "CAD": "0.50", "CHF": "0.50", "CZK": "15", "DKK": "2.50", "EUR": "0.50",
        "GBP": "0.30", "HKD": "4", "HUF": "175", "INR": "0.50", "JPY": "50",
        "MXN": "10", "MYR": "2", "NOK": "3", "NZD": "0.50", "PLN": "2", "RON": "2",
        "SEK": "3", "SGD": "0.50", "THB": "10",
    }.items()
}  # fmt: skip
"""Smallest charge, in currency units.

Stripe applies the minimum of the currency that its account settles in, so for a
currency not listed here a small charge may still be refused (`amount_too_small`).
"""

DIGITS: Mapping[str, int] = {"IDR": 12, "INR": 9}
USUAL_DIGITS = 8
"""How many digits the minor units may have."""


def scale(currency: str) -> int:
    """Give how many minor units one unit has.

    Raises:
        BadInput: Stripe does not take this currency.
    """
    if currency not in CURRENCIES:
        msg = (
            f"Stripe takes no charges in {currency}; bill the account in a currency of"
            " https://docs.stripe.com/currencies."
        )
        raise BadInput(msg, subject=currency)
    if currency in NO_DECIMALS:
        return 1
    return 1000 if currency in THREE_DECIMALS else 100


def to_minor(money: Money) -> int:
    """Give the exact minor units.

    Raises:
        BadInput: not in whole steps of what a card can be charged, not more than
            nothing, or in a currency that Stripe does not take.
    """
    minor = money.amount * scale(money.currency)
    least = _least_step(money.currency)
    if minor <= 0 or minor % least:
        step = Decimal(least) / scale(money.currency)
        msg = (
            f"{money} cannot be charged exactly; give a positive amount in steps of"
            f" {step.normalize():f} {money.currency}."
        )
        raise BadInput(msg, subject=str(money))
    return int(minor)


def from_minor(minor: int, currency: str) -> Money:
    """Give the amount of so many minor units; `currency` in either case.

    Raises:
        BadInput: a currency that Stripe does not take.
    """
    currency = currency.upper()
    return Money(Decimal(minor) / scale(currency), currency)


def check_amount(money: Money) -> None:
    """Refuse what Stripe would refuse.

    Raises:
        BadInput: see `to_minor`; also below the smallest or above the largest charge.
    """
    minor = to_minor(money)
    smallest = SMALLEST.get(money.currency)
    if smallest is not None and money.amount < smallest:
        msg = (
            f"{money} is less than a card can be charged; Stripe's minimum is"
            f" {Money(smallest, money.currency)}. Raise the top-up."
        )
        raise BadInput(msg, subject=str(money))
    digits = DIGITS.get(money.currency, USUAL_DIGITS)
    if minor >= 10**digits:
        largest = from_minor(10**digits - _least_step(money.currency), money.currency)
        msg = (
            f"{money} is more than a card can be charged; Stripe's maximum is"
            f" {largest}. Lower the top-up or its cap."
        )
        raise BadInput(msg, subject=str(money))


def _least_step(currency: str) -> int:
    """Give the step, in minor units, that Stripe insists on."""
    if currency in TWO_ALWAYS_ZERO:
        return 100
    return 10 if currency in THREE_DECIMALS else 1
