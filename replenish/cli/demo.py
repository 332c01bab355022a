"""`replenish demo`: the whole pipeline on this machine, with a sample operator."""

import click
from rich.console import Console

from replenish import bootstrap
from replenish.cli.output import console, json_option, print_json
from replenish.demo.operator import STORIES
from replenish.demo.packages import WRITES
from replenish.demo.show import HOME, Plan, show

STAYS = (
    f"What it wrote stays in {HOME} until the next demonstration, or until you remove"
    " it (`make clean`)."
)


@click.command()
@click.option(
    "--seconds",
    default=40.0,
    show_default=True,
    type=click.FloatRange(1, 86400),
    help="Of traffic.",
)
@click.option(
    "--accounts",
    default=200,
    show_default=True,
    type=click.IntRange(len(STORIES), 10_000),
    help="About how many.",
)
@click.option(
    "--billing",
    type=click.Choice([bootstrap.BUNDLED, *sorted(WRITES)]),
    default=bootstrap.BUNDLED,
    show_default=True,
    help="The billing package to play.",
)
@click.option("--keep", is_flag=True, help="Stay up afterwards, until Ctrl-C.")
@json_option
def demo(
    *, seconds: float, accounts: int, billing: str, keep: bool, as_json: bool
) -> None:
    """Watch accounts being drained, replenished and cut off.

    Starts PostgreSQL, Redis, a stand-in for the card gateway, workers, beat and
    Flower; plays calls; lets everything settle and checks the invariants. Nothing
    is left running. Its data is under .replenish/demo and begins anew each time.

    Calls are written as the billing package writes them, and credits under the least
    grants. Those on MySQL need MariaDB's programs on this machine; what it runs
    already is not touched.

    \b
    replenish demo
    replenish demo --seconds 15
    replenish demo --billing a2billing
    replenish demo --keep          # look around with Flower and the commands
    """
    try:
        screen = Console(stderr=True) if as_json else console()
        report = show(Plan(seconds, accounts, keep=keep, package=billing), screen)
    except KeyboardInterrupt:
        click.echo("Stopped; nothing is left running.", err=True)
        raise SystemExit(1) from None
    click.echo(f"Nothing is left running. {STAYS}", err=True)
    if as_json:
        print_json({"findings": report.findings, "charges": report.charges})
    if not report.clean:
        raise SystemExit(1)
