"""What people write on a command line or in a file: amounts, spans, times."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from replenish import card_number
from replenish.domain import money
from replenish.errors import BadInput

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
LONGEST = timedelta(days=3660)
LONGEST_REASON = 200  # characters

_SPAN = re.compile(r"(\d{1,9})([smhd]?)")


def parse_span(written: str) -> timedelta:
    """Read `90`, `90s`, `10m`, `24h` or `7d`; a bare number is seconds.

    Raises:
        BadInput: anything else, or more than ten years.
    """
    found = _SPAN.fullmatch(written.strip().lower())
    if found:
        span = timedelta(seconds=int(found[1]) * UNITS[found[2] or "s"])
        if span <= LONGEST:
            return span
    msg = f"{written!r} is no span of time; give 90s, 10m, 24h or 7d."
    raise BadInput(msg, subject=written)


def parse_moment(written: str) -> datetime:
    """Read an ISO 8601 time with its zone, or a date, which is its midnight UTC.

    Raises:
        BadInput: not a time, or without a zone.
    """
    try:
        found = datetime.fromisoformat(written.strip())
    except ValueError:
        found = None
    if found and found.tzinfo is None and len(written.strip()) <= len("2026-11-23"):
        found = found.replace(tzinfo=UTC)
    if found is None or found.tzinfo is None:
        msg = (
            f"{written!r} is no time with a zone; give 2026-11-23T10:00:00Z, or a date."
        )
        raise BadInput(msg, subject=written)
    return found.astimezone(UTC)


def parse_reason(written: str) -> str:
    """Read why something is done, for whoever asks later; a card number is left out.

    Raises:
        BadInput: it says nothing, is no single line, or is a whole letter.
    """
    reason = card_number.blotted(written.strip())
    if reason and reason.isprintable() and len(reason) <= LONGEST_REASON:
        return reason
    msg = f"give it in words, in one line of at most {LONGEST_REASON} characters."
    raise BadInput(msg, subject="reason")


class Value(click.ParamType[Any]):
    """An option's type over one of the readers; its errors are misuse."""

    def __init__(self, name: str, read: Callable[[str], Any]) -> None:
        self.name = name
        self._read = read

    def convert(
        self,
        value: Any,  # noqa: ANN401 as click's
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> Any:  # noqa: ANN401 as click's
        """Read what was written; a default of the right type passes."""
        if not isinstance(value, str):
            return value
        try:
            return self._read(value)
        except BadInput as error:
            self.fail(str(error), param, ctx)


AMOUNT = Value("amount", lambda written: money.parse(written, what="It"))
SPAN = Value("span", parse_span)
MOMENT = Value("time", parse_moment)
REASON = Value("reason", parse_reason)


def parse_since(written: str) -> datetime | timedelta:
    """Read a span back from now, or a moment: `24h`, `2026-11-01`.

    Raises:
        BadInput: it is neither.
    """
    if _SPAN.fullmatch(written.strip().lower()):
        return parse_span(written)
    try:
        return parse_moment(written)
    except BadInput as error:
        msg = f"{written!r} is neither a span like 24h nor a time like 2026-11-01."
        raise BadInput(msg, subject=written) from error


SINCE = Value("since", parse_since)


def since(when: datetime | timedelta, now: datetime) -> datetime:
    """Give the moment that `--since` means at `now`; both aware UTC."""
    return now - when if isinstance(when, timedelta) else when
