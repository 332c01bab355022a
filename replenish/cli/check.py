"""`replenish check`: is everything there, and does it work on?"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from types import ModuleType

import click

from replenish.cli import live as supervision
from replenish.cli.failures import ExitCode, as_failure
from replenish.cli.live import Line
from replenish.cli.output import json_option, print_json, print_table

Look = Callable[[], Iterator[Line]]


@click.command()
@click.argument("names", nargs=-1, metavar="[NAMES]...")
@click.option("--live", is_flag=True, help="Only whether it works on, from rows.")
@click.option(
    "--grants",
    metavar="ROLE",
    help="Print the least that our role needs at the billing package, and stop.",
)
@json_option
def check(
    names: Sequence[str], *, live: bool, grants: str | None, as_json: bool
) -> None:
    """Check every dependency, or only NAMES, and say what to do about the bad ones.

    Exits 0 when all is well, 1 when something is bad, 3 when a service does not
    answer. It changes nothing.

    With --live it is for supervisors: whether sweeps, cut-offs and recovery really
    happen, and nothing waits for too long. That asks the ledger alone.

    \b
    replenish check
    replenish check --json
    replenish check --live             # for a supervisor: does it work on?
    replenish check --live jobs        # jobs, attempts or guard alone
    replenish check --grants "'replenish'@'10.0.0.7'"
    """
    if grants:
        _dependencies().print_grants(grants)
        return
    looks = _live() if live else _all()
    unknown = set(names) - set(looks)
    if unknown:
        msg = f"There is no {min(unknown)} to check; ask for {', '.join(looks)}."
        raise click.UsageError(msg)
    lines = [line for name in names or looks for line in _look(name, looks[name])]
    if as_json:
        print_json(lines)
    else:
        rows = [(each.name, _is(each), each.text) for each in lines]
        print_table(("what", "is", "how, and what to do"), rows)
    if any(line.unreachable for line in lines):
        click.get_current_context().exit(ExitCode.UNREACHABLE)
    if not all(line.ok for line in lines):
        click.get_current_context().exit(ExitCode.BAD_ANSWER)


def _is(line: Line) -> str:
    if not line.ok:
        return "BAD"
    return "note" if line.note else "ok"


def _dependencies() -> ModuleType:
    """Import what asks everything; `--live` does without, to be quick."""
    from replenish.cli import dependencies  # noqa: PLC0415 as the docstring says

    return dependencies


def _all() -> Mapping[str, Look]:
    from replenish.cli import wiring  # noqa: PLC0415 imports everything there is

    app = wiring.application()
    looks = _dependencies().LOOKS
    return {name: partial(each, app) for name, each in looks.items()}


def _live() -> Mapping[str, Look]:
    eyes = supervision.open_eyes()
    return {name: partial(each, eyes) for name, each in supervision.LIVE.items()}


def _look(name: str, each: Look) -> Iterator[Line]:
    """Look at one; one that is away stops no other."""
    try:
        yield from each()
    except Exception as error:  # noqa: BLE001 each line tells its own
        failure = as_failure(error)
        away = failure.exit_code == ExitCode.UNREACHABLE
        yield Line(name, ok=False, text=failure.message, unreachable=away)
