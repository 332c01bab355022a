"""`replenish billing …`: the bundled billing package, by hand."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any
from uuid import uuid4

import click
import sqlalchemy as sa

from replenish.billing.authorise import authorise
from replenish.billing.calls import place_call
from replenish.billing.load import LoadReport, load_accounts, load_rates
from replenish.cli import wiring
from replenish.cli.failures import ExitCode, Failure
from replenish.cli.output import json_option, print_facts, print_json

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


def _loading(command: Callable[..., Any]) -> Callable[..., Any]:
    choice = click.option(
        "--all-or-nothing/--good-rows",
        default=True,
        show_default=True,
        help="With one bad row load none, or load the good ones.",
    )
    sample = click.option(
        "--sample",
        is_flag=True,
        help="Load the sample that comes with us, for a trial.",
    )
    file = click.argument("file", type=FILE, required=False)
    return file(choice(sample(json_option(command))))


@contextmanager
def _source(file: Path | None, sample: str, *, wanted: bool) -> Iterator[Path]:
    """Give the file that was named, or our sample."""
    if (file is None) is not wanted:
        msg = "Name a FILE, or ask for --sample; one of the two."
        raise click.UsageError(msg)
    if file:
        yield file
        return
    with as_file(files("replenish.billing") / "samples" / sample) as path:
        yield path


@click.group()
def billing() -> None:
    """The bundled billing package: rates, accounts, calls.

    \b
    replenish billing load-rates rates.csv
    replenish billing load-accounts accounts.csv
    replenish billing call 1001 442071838750 300
    """


@billing.command("load-rates")
@_loading
def load_rates_(
    file: Path | None, *, sample: bool, all_or_nothing: bool, as_json: bool
) -> None:
    """Load a rate deck from a CSV file; each bad row has its line and reason.

    Columns: prefix, name, per_minute, currency, effective_from; optional:
    connection_fee, initial and subsequent (seconds, 60), effective_to, deck.

    \b
    replenish billing load-rates rates.csv --good-rows
    replenish billing load-rates --sample
    """
    with _source(file, "rates.csv", wanted=sample) as path:
        report = load_rates(_engine(), path, all_or_nothing=all_or_nothing)
    _print(report, "rates", as_json=as_json)


@billing.command("load-accounts")
@_loading
def load_accounts_(
    file: Path | None, *, sample: bool, all_or_nothing: bool, as_json: bool
) -> None:
    """Load new accounts and their opening balances from a CSV file.

    Columns: number, kind (prepaid or real_time), currency, opening_balance;
    optional: credit_limit, deck, name, email.

    \b
    replenish billing load-accounts accounts.csv
    replenish billing load-accounts --sample
    """
    with _source(file, "accounts.csv", wanted=sample) as path:
        report = load_accounts(_engine(), path, all_or_nothing=all_or_nothing)
    _print(report, "accounts", as_json=as_json)


@billing.command("call")
@click.argument("ref", metavar="ACCOUNT")
@click.argument("called", metavar="NUMBER")
@click.argument("seconds", type=click.IntRange(1, 86400))
@json_option
def call(ref: str, called: str, seconds: int, *, as_json: bool) -> None:
    """Play a call of SECONDS from ACCOUNT to NUMBER that ends right now.

    Asks for authorisation as a switch does: a refused account exits 1, and a call
    longer than the balance allows is cut short.

    \b
    replenish billing call 1001 442071838750 300
    """
    engine = _engine()
    now = datetime.now(UTC)
    granted = authorise(engine, ref, called=called, now=now)
    if granted.refused is not None:
        msg = f"The call is refused: {granted.refused.value.replace('_', ' ')}."
        raise Failure(msg, code=ExitCode.BAD_ANSWER)
    lasted = min(seconds, granted.seconds)
    debit = place_call(
        engine,
        ref,
        called=called,
        seconds=lasted,
        started=now - timedelta(seconds=lasted),
        call_id=f"by-hand-{uuid4()}",
    )
    found = {
        "account": ref,
        "asked_seconds": seconds,
        "seconds": lasted,
        "billed_seconds": debit.billed_seconds,
        "cost": debit.cost,
        "available_after": debit.available_after,
    }
    if as_json:
        print_json(found)
    else:
        print_facts({name.replace("_", " "): value for name, value in found.items()})


def _engine() -> sa.Engine:
    wiring.need_bundled()
    return wiring.application().billing_engine


def _print(report: LoadReport, what: str, *, as_json: bool) -> None:
    problems: Sequence[Any] = report.problems
    if as_json:
        rows = [problem._asdict() for problem in problems]
        print_json({"loaded": report.loaded, "problems": rows})
    else:
        for problem in problems:
            place = f"{problem.file}:{problem.line}"
            click.echo(f"{place}: {problem.reason}", err=True)
        click.echo(f"{report.loaded} {what} loaded, {len(problems)} rows refused.")
    if problems:
        click.get_current_context().exit(ExitCode.BAD_ANSWER)
