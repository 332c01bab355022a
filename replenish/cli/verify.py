"""`replenish verify`: do the ledger, the package and the gateway tell one story?"""

from pathlib import Path

import click

from replenish import bootstrap
from replenish.cli import wiring
from replenish.cli.output import console, json_option, print_json
from replenish.verify import Report, run, sources
from replenish.verify.counts import COUNTS


@click.command()
@click.option(
    "--gateway-ledger",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The sandbox's ledger file; without it some invariants cannot be judged.",
)
@click.option("--during", is_flag=True, help="Only what holds while things run.")
@click.option(
    "--at-least-charges",
    default=0,
    show_default=True,
    help="Fail when fewer were seen, so that an empty run does not pass.",
)
@click.option(
    "--at-least",
    multiple=True,
    metavar="NAME=N",
    help="The same for any of the counts that --json shows; may be repeated.",
)
@json_option
def verify(
    *,
    gateway_ledger: Path | None,
    during: bool,
    at_least_charges: int,
    at_least: tuple[str, ...],
    as_json: bool,
) -> None:
    """Check every invariant over the ledger, the billing package and the gateway.

    Each line of the answer is an invariant: what must hold, on how many rows it
    was judged, and how many break it. Changes nothing; ends with 1 if any is broken.

    \b
    replenish verify
    replenish verify --gateway-ledger .replenish/sandbox.jsonl
    replenish verify --during          # while calls and charges are under way
    replenish verify --at-least unknown_resolved=5 --at-least taken_again=20
    """
    wanted = _wanted(at_least) | {"charges": at_least_charges}
    app = wiring.application()
    report = run(
        app.ledger_engine,
        app.billing_engine,
        read=sources.reader(
            bootstrap.profile_of(app.settings), currency=app.settings.billing_currency
        ),
        gateway_ledger=gateway_ledger,
        defaults=app.defaults,
        limits=bootstrap.limits(app.settings),
        quiet=not during,
    )
    seen = f"{report.charges} charges seen at the gateway"
    if gateway_ledger is None:
        seen = "the gateway's own ledger was not given"
    _print(report, seen, as_json=as_json)
    if report.perhaps_under_way:
        click.echo(
            "Must hold only while nothing is under way:"
            f" {', '.join(report.perhaps_under_way)}. Where workers and beat run, look"
            " again with --during.",
            err=True,
        )
    few = [name for name, least in wanted.items() if report.counts[name] < least]
    for name in few:
        told = name.replace("_", " ")
        click.echo(
            f"Only {report.counts[name]} {told} were seen; {wanted[name]} are asked"
            " for.",
            err=True,
        )
    if few or not report.clean:
        raise SystemExit(1)


def _wanted(at_least: tuple[str, ...]) -> dict[str, int]:
    wanted = {}
    for text in at_least:
        name, _, number = text.partition("=")
        if name not in COUNTS or not number.isdecimal():
            names = ", ".join(COUNTS)
            msg = f"{text!r}: write NAME=N with a number and NAME one of {names}."
            raise click.BadParameter(msg, param_hint="--at-least")
        wanted[name] = int(number)
    return wanted


def _print(report: Report, seen: str, *, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "findings": report.findings,
                "charges": report.charges,
                "counts": report.counts,
            }
        )
        return
    console().print(report.table())
    told = f"{report.violations} violations" if report.violations else "All clean"
    click.echo(f"{told}; {seen}.")
