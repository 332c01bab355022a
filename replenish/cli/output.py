"""How commands show things: tables for people, JSON for programs, bars for waits."""

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any

import click
from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from replenish.domain.money import Money, plain
from replenish.domain.words import moment

WIDE = 200  # columns when nobody looks: a pipe or a file must not wrap
PATIENCE = 2.0  # seconds before a bar appears
NUMBERS = (int, float, Decimal, Money)

json_option = click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print JSON: amounts as text, times in ISO 8601, spans in seconds.",
)


def print_json(value: object) -> None:
    """Print anything of ours as JSON."""
    click.echo(json.dumps(as_data(value), indent=2, ensure_ascii=False))


def print_told(told: str, *, as_json: bool, **facts: object) -> None:
    """Print a sentence that tells what was done; as JSON, with its facts."""
    if as_json:
        print_json({**facts, "told": told})
    else:
        click.echo(told)


def as_data(value: Any) -> Any:  # noqa: ANN401 JSON has no other type
    """Turn domain values into what JSON can hold, losing no digit of an amount."""
    if is_dataclass(value) and not isinstance(value, type):
        found = {item.name: getattr(value, item.name) for item in fields(value)}
        return as_data(found)
    if isinstance(value, Mapping):
        return {str(name): as_data(each) for name, each in value.items()}
    if isinstance(value, str) or not isinstance(value, Sequence | frozenset):
        return _scalar(value)
    return [as_data(each) for each in value]


def _scalar(value: Any) -> Any:  # noqa: ANN401 as above
    match value:
        case Enum():
            return value.value
        case Decimal():
            return plain(value)
        case datetime():
            return value.isoformat()
        case timedelta():
            return value.total_seconds()
        case _:
            return value


def text(value: object) -> str:
    """Write a value as people read it in a table."""
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case Decimal():
            return plain(value)
        case datetime():
            return moment(value)
        case timedelta():
            return span(value)
        case _:
            return str(value)


def span(value: timedelta) -> str:
    """Write a span of time in its largest whole unit."""
    seconds = value.total_seconds()
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:.0f}{unit}"
    return f"{seconds:g}s"


def print_table(
    columns: Sequence[str],
    rows: Sequence[Sequence[object]],
    *,
    empty: str = "Nothing.",
) -> None:
    """Print a table, numbers to the right; or say in words that it is empty."""
    if not rows:
        click.echo(empty)
        return
    table = _table(columns)
    for index, column in enumerate(table.columns):
        cells = [row[index] for row in rows if row[index] is not None]
        if cells and all(_is_number(cell) for cell in cells):
            column.justify = "right"
    for row in rows:
        table.add_row(*(Text(text(cell)) for cell in row))
    screen = console()
    with screen.capture() as drawn:
        screen.print(table)
    for line in drawn.get().splitlines():
        click.echo(line.rstrip())


def print_facts(facts: Mapping[str, object]) -> None:
    """Print names and values, one a line."""
    width = max(map(len, facts), default=0)
    for name, value in facts.items():
        click.echo(f"{click.style(name.ljust(width), dim=True)}  {text(value)}")


def console() -> Console:
    """A console on standard output as it is now; wide when nobody looks."""
    looked_at = sys.stdout.isatty()
    return Console(
        file=sys.stdout, width=None if looked_at else WIDE, highlight=False, emoji=False
    )


@contextmanager
def bar(what: str, *, total: int | None = None) -> Iterator[Callable[[int, int], None]]:
    """Lend a function `tell(done, total)`; shows a bar once it takes two seconds.

    On standard error, and only when somebody looks.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    errors = Console(file=sys.stderr)
    progress = Progress(
        *columns, console=errors, transient=True, disable=not errors.is_terminal
    )
    task = progress.add_task(what, total=total)
    begun = time.monotonic()

    def tell(done: int, out_of: int) -> None:
        progress.update(task, completed=done, total=out_of)
        if time.monotonic() - begun > PATIENCE:
            progress.start()

    try:
        yield tell
    finally:
        progress.stop()


def _table(columns: Sequence[str]) -> Table:
    looked_at = sys.stdout.isatty()
    table = Table(box=box.SIMPLE_HEAD if looked_at else None, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _is_number(cell: object) -> bool:
    return isinstance(cell, NUMBERS) and not isinstance(cell, bool)
