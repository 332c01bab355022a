"""`replenish cutoff`: end service where nothing can save it, give it back."""

import click

from replenish.cli import wiring
from replenish.cli.output import json_option, print_json, print_table
from replenish.domain.words import why
from replenish.pipeline import cutoff as pipeline


@click.command()
@click.option("--dry-run", is_flag=True, help="Only say who would be cut off.")
@json_option
def cutoff(*, dry_run: bool, as_json: bool) -> None:
    """Cut off the exhausted and restore the funded, here and now.

    Beat does so every second. It needs no worker and no Redis.

    \b
    replenish cutoff --dry-run
    replenish cutoff
    """
    services = wiring.application().services
    if dry_run:
        _print_would(pipeline.dry_run(services), as_json=as_json)
        return
    done = pipeline.cutoff(None, services)
    if as_json:
        print_json({"cut_off": done.cut, "restored": done.restored})
        return
    rows = [(ref, "cut off") for ref in done.cut]
    rows += [(ref, "restored") for ref in done.restored]
    print_table(("account", "what"), rows, empty="Nobody was cut off or restored.")


def _print_would(found: pipeline.Pass, *, as_json: bool) -> None:
    if as_json:
        rows = [
            {"account": ref, "available": available, "reason": cut.reason}
            for ref, cut, available in found.would
        ]
        print_json(rows)
        return
    table = [
        (ref, available, why(cut.reason, cut.detail))
        for ref, cut, available in found.would
    ]
    columns = ("account", "available", "would be cut off because")
    print_table(columns, table, empty="Nobody would be cut off.")
