"""Reading one setting: text in, a checked value out.

Each reader raises `ValueError` with what would have been right; the caller adds
the name of the variable. None of them puts the text it was given into the
message, because the text may be a secret.
"""

import re
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

HIGHEST_AMOUNT = Decimal(1_000_000)  # a larger top-up or cap is a slip of the hand
LONGEST_SECONDS = 31 * 86_400.0  # no cadence or timeout is longer than a month
HIGHEST_COUNT = 1_000_000
ALL_PERCENT = 100
NICEST = 19
HIGHEST_PORT = 65_535
LONGEST_MILLISECONDS = 600_000  # ten minutes in one statement is a fault

_DECIMAL = re.compile(r"\d{1,12}(\.\d{1,6})?", re.ASCII)
_WHOLE = re.compile(r"\d{1,9}", re.ASCII)
_RATE = re.compile(
    r"[1-9]\d{0,5} ?/ ?([1-9]\d{0,3} ?)?(second|minute|hour|day)s?", re.ASCII
)
_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}", re.ASCII)
_API_VERSION = re.compile(r"\d{4}-\d{2}-\d{2}(\.[a-z]+)?", re.ASCII)
_PRINTABLE = re.compile(r"[\x21-\x7e]+")

# ISO 4217, the codes of money in use (no metals, funds or test codes).
CURRENCIES = frozenset(
    """
    AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL
    BSD BTN BWP BYN BZD CAD CDF CHF CLP CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP
    ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL HTG HUF IDR ILS INR
    IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL
    LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR
    NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD
    SHP SLE SOS SRD SSP STN SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD
    UYU UZS VES VND VUV WST XAF XCD XCG XOF XPF YER ZAR ZMW ZWG
    """.split()  # noqa: SIM905  # a list literal would take 158 lines
)


def text(raw: str) -> str:
    """Any printable text without blanks; line feeds would forge log lines."""
    if raw and not _PRINTABLE.fullmatch(raw):
        message = "give printable characters without blanks"
        raise ValueError(message)
    return raw


def one_of(*words: str) -> Callable[[str], str]:
    """One of the given words, whatever its case."""

    def chosen(raw: str) -> str:
        for word in words:
            if word.lower() == raw.lower():
                return word
        message = f"give one of {', '.join(words)}"
        raise ValueError(message)

    return chosen


def amount(raw: str) -> Decimal:
    """Money of 0 or more, in whole units of the currency, like 25 or 25.50."""
    if not _DECIMAL.fullmatch(raw) or Decimal(raw) > HIGHEST_AMOUNT:
        message = f"give an amount from 0 to {HIGHEST_AMOUNT}, like 25.00"
        raise ValueError(message)
    return Decimal(raw)


def amount_or_none(raw: str) -> Decimal | None:
    """Money as in `amount`; nothing given means none."""
    return amount(raw) if raw else None


def signed_amount(raw: str) -> Decimal:
    """Money that may be below zero, like -5.00."""
    sign = Decimal(-1) if raw.startswith("-") else Decimal(1)
    return sign * amount(raw.removeprefix("-"))


def seconds(raw: str) -> float:
    """A time in seconds, more than 0 and at most a month."""
    if not _DECIMAL.fullmatch(raw) or not 0 < float(raw) <= LONGEST_SECONDS:
        message = "give a number of seconds above 0 and at most 31 days, like 0.5"
        raise ValueError(message)
    return float(raw)


def waits(raw: str) -> tuple[float, ...]:
    """Times in seconds, separated by commas, each at least the one before."""
    try:
        times = tuple(seconds(part.strip()) for part in raw.split(","))
    except ValueError:
        times = ()
    if not times or list(times) != sorted(times):
        message = "give rising numbers of seconds, like 3600,21600,86400"
        raise ValueError(message)
    return times


def pause(raw: str) -> float:
    """A time in seconds that may also be 0."""
    return 0.0 if raw == "0" else seconds(raw)


def whole(raw: str) -> int:
    """A whole number from 1 to a million."""
    if not _WHOLE.fullmatch(raw) or not 1 <= int(raw) <= HIGHEST_COUNT:
        message = f"give a whole number from 1 to {HIGHEST_COUNT}"
        raise ValueError(message)
    return int(raw)


def count(raw: str) -> int:
    """A whole number that may also be 0."""
    return 0 if raw == "0" else whole(raw)


def percent(raw: str) -> int:
    """A whole number of hundredths, from 1 to 100."""
    if not _WHOLE.fullmatch(raw) or not 1 <= int(raw) <= ALL_PERCENT:
        message = "give a whole number of percent, from 1 to 100"
        raise ValueError(message)
    return int(raw)


def niceness(raw: str) -> int:
    """A whole number from 0 to 19, as `nice` takes it."""
    if not _WHOLE.fullmatch(raw) or int(raw) > NICEST:
        message = f"give a whole number from 0 to {NICEST}"
        raise ValueError(message)
    return int(raw)


def milliseconds(raw: str) -> int:
    """A time in whole milliseconds, at most ten minutes."""
    if not _WHOLE.fullmatch(raw) or not 1 <= int(raw) <= LONGEST_MILLISECONDS:
        message = f"give whole milliseconds from 1 to {LONGEST_MILLISECONDS}"
        raise ValueError(message)
    return int(raw)


def port(raw: str) -> int:
    """A TCP port."""
    if not _WHOLE.fullmatch(raw) or not 1 <= int(raw) <= HIGHEST_PORT:
        message = f"give a port from 1 to {HIGHEST_PORT}"
        raise ValueError(message)
    return int(raw)


def yes_or_no(raw: str) -> bool:
    """`true` or `false`, also as yes/no, on/off and 1/0."""
    word = raw.lower()
    if word in {"true", "yes", "on", "1"}:
        return True
    if word in {"false", "no", "off", "0"}:
        return False
    message = "give true or false"
    raise ValueError(message)


def currency(raw: str) -> str:
    """A currency by its ISO 4217 code."""
    if raw.upper() not in CURRENCIES:
        message = "give the ISO code of a currency in use, like USD or EUR"
        raise ValueError(message)
    return raw.upper()


def time_zone(raw: str) -> str:
    """A time zone by its IANA name; days and months of caps are counted in it."""
    if not raw[:1].isupper():  # `localtime`, `right/…`: no database knows those
        message = "give an IANA time zone, like UTC or Europe/Berlin"
        raise ValueError(message)
    try:
        return ZoneInfo(raw).key
    except (ValueError, OSError) as error:
        message = "give an IANA time zone, like UTC or Europe/Berlin"
        raise ValueError(message) from error
    except KeyError as error:  # ZoneInfoNotFoundError
        message = "there is no such time zone; give one like UTC or Europe/Berlin"
        raise ValueError(message) from error


def rate(raw: str) -> str:
    """So many requests per time, like 20/second or 100/5 minutes."""
    if not _RATE.fullmatch(raw):
        message = "give so many requests per time, like 20/second"
        raise ValueError(message)
    return raw


def name(raw: str) -> str:
    """A short name in small letters."""
    if not _NAME.fullmatch(raw):
        message = "give a name in small letters, digits and underscores"
        raise ValueError(message)
    return raw


def api_version(raw: str) -> str:
    """A dated API version of Stripe's."""
    if not _API_VERSION.fullmatch(raw):
        message = "give a dated version of Stripe's API, like 2026-10-28.endive"
        raise ValueError(message)
    return raw


def folder(raw: str) -> Path:
    """A folder; `~` is the home folder."""
    if not raw or "\x00" in raw:
        message = "give a folder"
        raise ValueError(message)
    return Path(raw).expanduser()


def basic_auth(raw: str) -> str:
    """`user:password`, both of them given."""
    user, _, password = raw.partition(":")
    if raw and not (text(user) and text(password)):
        message = "give user:password"
        raise ValueError(message)
    return raw
