"""A CSV file of enrolments: every row a request, or the reason why it is none."""

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from replenish.cli.package_list import FOR_PEOPLE
from replenish.cli.values import parse_moment, parse_span
from replenish.domain.enrolment import Consent, Overrides, Request
from replenish.domain.money import parse
from replenish.domain.rule import TopUpKind
from replenish.errors import BadInput

AMOUNTS = ("threshold", "cap_charge", "cap_day", "cap_month", "floor", "grace")
CONSENT = ("consent_at", "consent_text", "consent_source")
COLUMNS = frozenset(
    (
        "account",
        "currency",
        "top_up",
        "to_target",
        "count_day",
        "cooldown",
        "time_zone",
        "customer",
        "payment_method",
        *AMOUNTS,
        *CONSENT,
        *FOR_PEOPLE,
    )
)


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the file; `line` counts from 1, the header's."""

    line: int
    request: Request | BadInput


def read(path: Path) -> list[Row]:
    """Read a file whole.

    Raises:
        BadInput: the file as such cannot be read, or its header is wrong; a column
            that is not known would silently leave a cap to its default.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return list(_rows(file, path))
    except UnicodeDecodeError as error:
        msg = f"{path} is not in UTF-8 ({error.reason}); save it as UTF-8."
        raise BadInput(msg, subject=str(path)) from error
    except csv.Error as error:
        msg = f"{path} is no CSV file ({error})."
        raise BadInput(msg, subject=str(path)) from error


def _rows(file: TextIO, path: Path) -> Iterator[Row]:
    lines = csv.reader(file, strict=True)
    header = [name.strip() for name in next(lines, [])]
    _check(header, path)
    for cells in lines:
        if any(cell.strip() for cell in cells):
            yield Row(lines.line_num, _request(header, cells))


def _check(header: list[str], path: Path) -> None:
    unknown = sorted(set(header) - COLUMNS)
    if unknown:
        why = f"has unknown columns: {', '.join(map(repr, unknown))}"
    elif len(set(header)) != len(header):
        why = "names a column twice"
    elif "account" not in header:
        why = "has no column `account` in its first line"
    else:
        return
    msg = f"{path} {why}; see `replenish account import --help`."
    raise BadInput(msg, subject=str(path))


def _request(header: list[str], cells: list[str]) -> Request | BadInput:
    if len(cells) != len(header):
        msg = f"The row has {len(cells)} fields, the header {len(header)}."
        return BadInput(msg, subject="row")
    row = dict(zip(header, map(str.strip, cells), strict=True))
    found = {name: cell for name, cell in row.items() if cell}
    try:
        return Request(
            account=found.get("account", ""),
            overrides=_overrides(found),
            currency=found.get("currency"),
            customer=found.get("customer"),
            payment_method=found.get("payment_method"),
            consent=_consent(found),
        )
    except BadInput as error:
        return error


def _overrides(row: Mapping[str, str]) -> Overrides:
    if "top_up" in row and "to_target" in row:
        msg = "The row has both a top_up and a to_target; give one."
        raise BadInput(msg, subject="top_up")
    fixed, target = row.get("top_up"), row.get("to_target")
    size = fixed or target
    kind = TopUpKind.TARGET if target else TopUpKind.FIXED
    return Overrides(
        top_up=parse(size, what="top_up or to_target") if size else None,
        kind=kind if size else None,
        count_day=_whole(row["count_day"]) if "count_day" in row else None,
        cooldown=parse_span(row["cooldown"]) if "cooldown" in row else None,
        time_zone=row.get("time_zone"),
        **{name: parse(row[name], what=name) for name in AMOUNTS if name in row},
    )


def _consent(row: Mapping[str, str]) -> Consent | None:
    given = [row.get(name) for name in CONSENT]
    if not any(given):
        return None
    at, said, source = given
    if not (at and said and source):
        msg = f"A consent needs all of {', '.join(CONSENT)}."
        raise BadInput(msg, subject="consent_at")
    return Consent(parse_moment(at), said, source)


def _whole(written: str) -> int:
    if not (written.isascii() and written.isdigit() and len(written) <= len("999999")):
        msg = f"count_day is {written!r}, which is no whole number."
        raise BadInput(msg, subject="count_day")
    return int(written)
