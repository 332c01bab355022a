"""`replenish report`: what happened, counted from the rows."""

import csv
import sys
from datetime import datetime, timedelta

import click

from replenish.cli import wiring
from replenish.cli.output import json_option, print_json, print_table, text
from replenish.cli.values import SINCE
from replenish.cli.values import since as moment_of
from replenish.domain.words import WORDS

WORDS_OF = {str(reason): words for reason, words in WORDS.items()}
COLUMNS = ("section", "name", "count", "currency", "amount")


@click.command()
@click.option(
    "--since",
    type=SINCE,
    default="24h",
    show_default=True,
    help="A span back from now (24h, 7d) or a time (2026-11-01).",
)
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV, a line per count.")
@json_option
def report(*, since: datetime | timedelta, as_csv: bool, as_json: bool) -> None:
    """Count batches, charges, declines, cut-offs, restores and skips.

    Open charges and standing cut-offs are those of this moment, all else is of the
    period.

    \b
    replenish report
    replenish report --since 7d
    replenish report --since 2026-11-01 --csv > november.csv
    """
    reading = wiring.application().reading
    start = moment_of(since, reading.now())
    tallies, delays, counts = (
        reading.report(start),
        reading.delays(start),
        reading.counts(),
    )
    if as_json:
        found = {"since": start, "accounts": counts, "tallies": tallies}
        print_json({**found, "seconds_from_claim_to_credit": delays})
        return
    rows = [[getattr(tally, name) for name in COLUMNS] for tally in tallies]
    if as_csv:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(COLUMNS)
        accounts = [
            ["accounts", name, count, "", None] for name, count in counts.items()
        ]
        for row in accounts + rows:
            writer.writerow("" if cell is None else text(cell) for cell in row)
        return
    shown = [[row[0], _told(row[1]), *row[2:]] for row in rows]
    click.echo(f"Since {text(start)}")
    print_table(COLUMNS, shown, empty="Nothing happened.")
    click.echo(", ".join(f"{name} {count}" for name, count in counts.items()))
    if delays.count:
        click.echo(
            f"From claim to credit: half within {delays.median} s,"
            f" 99 of 100 within {delays.p99} s."
        )


def _told(name: str) -> str:
    """Give a reason in words, with the code by which docs/policy.md lists it."""
    words = WORDS_OF.get(name)
    return f"{words} ({name})" if words else name
