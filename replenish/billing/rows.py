"""Reading CSV files that people wrote: line by line, with a reason for each bad one.

Files are UTF-8 with a header; the columns may stand in any order. A line that
cannot be read is reported and skipped. Nothing here knows a database.
"""

import csv
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import NamedTuple, TextIO

from replenish.domain.money import parse
from replenish.errors import BadInput

CURRENCY = re.compile(r"[A-Z]{3}")
WHOLE = re.compile(r"[0-9]{1,6}")


class Problem(NamedTuple):
    """A line that was not loaded, and why.

    Attributes:
        line: counted from 1, the header's.
    """

    file: str
    line: int
    reason: str


@dataclass(frozen=True, slots=True)
class Columns:
    """What a file must have, and may have with a value in its place."""

    required: frozenset[str]
    optional: Mapping[str, str]


class Line(NamedTuple):
    """A line's cells by column, stripped."""

    number: int
    cells: dict[str, str]


def read(path: Path, columns: Columns, problems: list[Problem]) -> Iterator[Line]:
    """Read a file; lines that are no rows of it are added to the problems.

    Raises:
        BadInput: the file cannot be opened.
    """
    try:
        # undecodable bytes come through as surrogates and are found cell by cell,
        # so that one bad line does not hide the others
        file = path.open(encoding="utf-8-sig", errors="surrogateescape", newline="")
    except OSError as error:
        msg = f"{path} cannot be read ({error.strerror}); give the path of a CSV file."
        raise BadInput(msg, subject=str(path)) from error
    with file:
        for number, cells in _records(file, str(path), problems):
            if number == 1:
                header = [cell.strip().lower() for cell in cells]
                if wrong := _wrong_header(header, columns):
                    problems.append(Problem(str(path), 1, wrong))
                    return
            elif wrong := _wrong_cells(cells, header):
                problems.append(Problem(str(path), number, wrong))
            else:
                given = zip(header, map(str.strip, cells), strict=True)
                filled = {column: cell for column, cell in given if cell}
                blank = dict.fromkeys(columns.required, "")
                yield Line(number, blank | dict(columns.optional) | filled)


def batches(lines: Iterator[Line], size: int) -> Iterator[list[Line]]:
    """Cut lines into lists of at most `size`."""
    while batch := list(islice(lines, size)):
        yield batch


def _records(
    file: TextIO, path: str, problems: list[Problem]
) -> Iterator[tuple[int, list[str]]]:
    """Yield each record with the line it begins on; the header is number 1."""
    reader = csv.reader(file, strict=True)
    while True:
        first = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            if first == 1:
                problems.append(Problem(path, 1, "the file is empty"))
            return
        except csv.Error as error:
            problems.append(Problem(path, first, f"not CSV: {error}"))
            if first == 1:
                return
            continue
        if cells or first == 1:
            yield first, cells


def _wrong_header(header: list[str], columns: Columns) -> str:
    known = columns.required | columns.optional.keys()
    if missing := sorted(columns.required - set(header)):
        wrong = f"it lacks {', '.join(missing)}"
    elif unknown := sorted(set(header) - known):
        wrong = f"{', '.join(map(repr, unknown))} is no column"
    elif len(set(header)) < len(header):
        wrong = "a column stands in it twice"
    else:
        return ""
    return f"the header is wrong: {wrong}; the columns are {', '.join(sorted(known))}"


def _wrong_cells(cells: list[str], header: list[str]) -> str:
    if len(cells) != len(header):
        return f"it has {len(cells)} columns where the header has {len(header)}"
    for column, cell in zip(header, cells, strict=True):
        if not cell.isprintable():
            return f"{column} holds bytes that are no printable UTF-8 text"
    return ""


def amount(
    cells: Mapping[str, str], column: str, *, scale: int, most: Decimal
) -> Decimal:
    """Read an amount of at most `scale` places, between 0 and `most`.

    Raises:
        BadInput: it is anything else.
    """
    found = parse(cells[column], what=column)
    if not 0 <= found <= most:
        msg = f"{column} is {cells[column]}; it must be between 0 and {most}"
        raise BadInput(msg, subject=column)
    if found != round(found, scale):
        msg = f"{column} is {cells[column]}; it may have at most {scale} places"
        raise BadInput(msg, subject=column)
    return found


def whole(cells: Mapping[str, str], column: str, *, least: int, most: int) -> int:
    """Read a whole number between `least` and `most`.

    Raises:
        BadInput: it is anything else.
    """
    text = cells[column]
    if WHOLE.fullmatch(text) and least <= int(text) <= most:
        return int(text)
    msg = f"{column} is {text!r}; it must be a whole number from {least} to {most}"
    raise BadInput(msg, subject=column)


def currency(cells: Mapping[str, str]) -> str:
    """Read the currency.

    Raises:
        BadInput: it is not three capital letters.
    """
    if CURRENCY.fullmatch(cells["currency"]):
        return cells["currency"]
    msg = f"currency is {cells['currency']!r}; give an ISO 4217 code like USD"
    raise BadInput(msg, subject="currency")


def instant(cells: Mapping[str, str], column: str) -> datetime | None:
    """Read an ISO date or time, in UTC unless it says otherwise; None if blank.

    Raises:
        BadInput: it is no such time.
    """
    text = cells[column]
    if not text:
        return None
    with suppress(ValueError, OverflowError):
        found = datetime.fromisoformat(text)
        local = found if found.tzinfo else found.replace(tzinfo=UTC)
        return local.astimezone(UTC)
    msg = f"{column} is {text!r}; give a date like 2026-01-31"
    raise BadInput(msg, subject=column)
