"""`replenish account import`: many accounts at once, from a file."""

from pathlib import Path

import click

from replenish.cli import account_file, package_list, wiring
from replenish.cli.failures import ExitCode
from replenish.cli.output import bar, json_option, print_json
from replenish.pipeline import enrol as enrolling


@click.command("import")
@click.argument(
    "file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    required=False,
)
@click.option(
    "--all-or-nothing/--good-rows",
    default=True,
    show_default=True,
    help="With one bad row enrol none, or enrol the good ones.",
)
@click.option(
    "--from-package",
    is_flag=True,
    help="List the package's accounts as such a file, to be completed; enrol nothing.",
)
@json_option
def import_(
    file: Path | None, *, all_or_nothing: bool, from_package: bool, as_json: bool
) -> None:
    """Enrol the accounts of a CSV file; each bad row has its line and reason.

    The first line names the columns. `account` is needed; the others are optional
    and may be empty: currency, threshold, top_up or to_target, cap_charge, cap_day,
    cap_month, count_day, cooldown, floor, grace, time_zone, customer,
    payment_method, consent_at, consent_text, consent_source.

    \b
    account,threshold,top_up,customer,payment_method
    1001,5,25,cus_9s6,pm_1Mt
    1002,5,25,,

    \b
    replenish account import --from-package > accounts.csv    # then complete it
    replenish account import accounts.csv
    replenish account import accounts.csv --good-rows
    """
    if from_package is not (file is None):
        msg = "Name a FILE, or ask for --from-package; one of the two."
        raise click.UsageError(msg)
    if file is None:
        _list_package(as_json=as_json)
        return
    rows = account_file.read(file)
    with bar("Checking rows") as progress:
        done = enrolling.enrol_many(
            wiring.application(),
            [row.request for row in rows],
            all_or_nothing=all_or_nothing,
            actor=wiring.actor(),
            progress=lambda checked: progress(checked, len(rows)),
        )
    bad = [
        {"file": str(file), "line": rows[number].line, "reason": reason}
        for number, reason in sorted(done.problems.items())
    ]
    if as_json:
        print_json({"enrolled": done.enrolled, "problems": bad})
    else:
        for row in bad:
            click.echo(f"{row['file']}:{row['line']}: {row['reason']}", err=True)
        click.echo(f"{done.enrolled} enrolled, {len(bad)} rows refused.")
    if bad:
        click.get_current_context().exit(ExitCode.BAD_ANSWER)


def _list_package(*, as_json: bool) -> None:
    found = package_list.rows(wiring.application())
    if as_json:
        print_json(list(found))
    else:
        package_list.write(found)
