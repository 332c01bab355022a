"""Loading rate decks and accounts from CSV files.

Bad lines are reported with file, line and reason; by a flag either the good ones
are loaded nevertheless, or none is. A file is one transaction, written a thousand
rows a statement, so of any size and never half loaded.

A deck may be loaded again: lines that stand in it already count as loaded. A rate
without an end lasts until the next one of its prefix begins, so a new price needs
only its date; rates that otherwise cover the same moment overlap and are refused.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, insert

from replenish.billing.database import transaction
from replenish.billing.forms import (
    ACCOUNT_COLUMNS,
    RATE_COLUMNS,
    account_of,
    rate_of,
)
from replenish.billing.rows import Columns, Line, Problem, batches, read
from replenish.billing.schema import account, rate
from replenish.errors import BadInput

SAMPLE_RATES = Path(__file__).parent / "samples" / "rates.csv"
SAMPLE_ACCOUNTS = Path(__file__).parent / "samples" / "accounts.csv"

BATCH = 1000  # rows a statement
Values = dict[str, Any]
Store = Callable[[sa.Connection, list[tuple[Line, Values]]], dict[int, str]]


@dataclass(frozen=True, slots=True)
class LoadReport:
    """What became of a file.

    Attributes:
        loaded: lines that stand in the database now.
        problems: the others; empty when all is well.
    """

    loaded: int
    problems: list[Problem]


class _Key(NamedTuple):
    deck: str
    currency: str
    prefix: str


class _Span(NamedTuple):
    """From when to when a rate is effective, and all that it says."""

    start: datetime
    end: datetime | None
    price: tuple[object, ...]

    def clash(self, other: "_Span") -> bool:
        """Say whether both cover a moment that neither yields to the other."""
        first, second = sorted([self, other], key=lambda span: span.start)
        if first.start == second.start:
            return True
        return first.end is not None and first.end > second.start


def load_rates(engine: sa.Engine, path: Path, *, all_or_nothing: bool) -> LoadReport:
    """Load a rate deck; safe to repeat.

    Raises:
        BadInput: the file cannot be read.
        BillingUnavailable: the database is away; nothing was loaded.
    """
    with transaction(engine) as connection:
        # two loads at once would not see each other's rates; calls read on
        connection.execute(
            sa.text("LOCK TABLE billing.rate IN SHARE ROW EXCLUSIVE MODE")
        )
        return _load(
            connection,
            path,
            (RATE_COLUMNS, rate_of, _RateStore()),
            all_or_nothing=all_or_nothing,
        )


def load_accounts(engine: sa.Engine, path: Path, *, all_or_nothing: bool) -> LoadReport:
    """Load new accounts with their opening balances.

    An account that exists is reported and left as it is: its balance is made of
    its refills and calls.

    Raises:
        BadInput: the file cannot be read.
        BillingUnavailable: the database is away; nothing was loaded.
    """
    with transaction(engine) as connection:
        return _load(
            connection,
            path,
            (ACCOUNT_COLUMNS, account_of, _store_accounts),
            all_or_nothing=all_or_nothing,
        )


def _load(
    connection: sa.Connection,
    path: Path,
    form: tuple[Columns, Callable[[Mapping[str, str]], Values], Store],
    *,
    all_or_nothing: bool,
) -> LoadReport:
    columns, understand, store = form
    problems: list[Problem] = []
    loaded = 0
    undo = connection.begin_nested()
    for batch in batches(read(path, columns, problems), BATCH):
        good = []
        for line in batch:
            try:
                good.append((line, understand(line.cells)))
            except BadInput as error:
                problems.append(Problem(str(path), line.number, str(error)))
        refused = store(connection, good)
        problems += [Problem(str(path), n, why) for n, why in refused.items()]
        loaded += len(good) - len(refused)
    problems.sort(key=lambda problem: problem.line)
    if problems and all_or_nothing:
        undo.rollback()
        loaded = 0
    return LoadReport(loaded, problems)


class _RateStore:
    """Writes the rates of one file, and knows on which line each stood."""

    def __init__(self) -> None:
        self._lines: dict[tuple[_Key, datetime], int] = {}

    def __call__(
        self, connection: sa.Connection, good: list[tuple[Line, Values]]
    ) -> dict[int, str]:
        spans = _spans(connection, {values["prefix"] for _, values in good})
        refused: dict[int, str] = {}
        new = []
        for line, values in good:
            key, span = _key(values), _span(values)
            earlier = self._lines.setdefault((key, span.start), line.number)
            clash = next((other for other in spans[key] if span.clash(other)), None)
            if earlier != line.number:
                refused[line.number] = (
                    f"the rate of prefix {key.prefix} from {span.start.date()}"
                    f" stands on line {earlier} already"
                )
            elif clash is None:
                spans[key].append(span)
                new.append(values)
            elif clash != span:
                refused[line.number] = _overlap(key, clash)
        if new:
            connection.execute(rate.insert(), new)
        return refused


def _overlap(key: _Key, clash: _Span) -> str:
    end = f"to {clash.end.date()}" if clash.end else "on"
    return (
        f"the rate of prefix {key.prefix} overlaps the one effective from"
        f" {clash.start.date()} {end}; give it other dates"
    )


def _spans(
    connection: sa.Connection, prefixes: Iterable[str]
) -> defaultdict[_Key, list[_Span]]:
    """Read what the database has for these prefixes."""
    spans: defaultdict[_Key, list[_Span]] = defaultdict(list)
    any_of = sa.any_(sa.literal(list(prefixes), ARRAY(sa.Text)))
    wanted = sa.select(rate).where(rate.c.prefix == any_of)
    for row in connection.execute(wanted).mappings():
        values = {str(column): value for column, value in row.items()}
        spans[_key(values)].append(_span(values))
    return spans


def _key(values: Mapping[str, Any]) -> _Key:
    return _Key(values["deck"], values["currency"], values["prefix"])


def _span(values: Mapping[str, Any]) -> _Span:
    columns = ("name", "per_minute", "connection_fee", "initial", "subsequent")
    price = tuple(values[column] for column in columns)
    return _Span(values["effective_from"], values["effective_to"], price)


def _store_accounts(
    connection: sa.Connection, good: list[tuple[Line, Values]]
) -> dict[int, str]:
    refused: dict[int, str] = {}
    new: dict[str, tuple[Line, Values]] = {}
    for line, values in good:
        if values["number"] in new:
            refused[line.number] = f"account {values['number']} stands in it twice"
        else:
            new[values["number"]] = (line, values)
    if not new:
        return refused
    rows = connection.execute(
        insert(account)
        .on_conflict_do_nothing(index_elements=["number"])
        .returning(account.c.number),
        [values for _, values in new.values()],
    )
    stored = set(rows.scalars())
    for number, (line, _) in new.items():
        if number not in stored:
            refused[line.number] = f"account {number} exists already and was left alone"
    return refused
