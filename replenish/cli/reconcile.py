"""`replenish reconcile`: pick up what was interrupted."""

import click

from replenish.cli import wiring
from replenish.cli.output import json_option, print_json
from replenish.pipeline import credits as credit_steps
from replenish.pipeline import reconcile as pipeline
from tasks import publish


@click.command()
@click.option("--orphans", is_flag=True, help="Also compare the gateway's charges.")
@click.option("--credits", "lost", is_flag=True, help="Also check recent credits.")
@json_option
def reconcile(*, orphans: bool, lost: bool, as_json: bool) -> None:
    """Find what was interrupted, and hand it out again, here and now.

    Beat does so every few seconds. What is handed out needs a worker.

    \b
    replenish reconcile
    replenish reconcile --orphans --credits
    """
    services = wiring.application().services
    found = [pipeline.reconcile(services)]
    if orphans:
        found.append(pipeline.orphans(services))
    accounts = [account for each in found for account in each.accounts + each.adopted]
    if accounts:
        publish.accounts(accounts)
    checked = [credit_steps.check_credits(services)] if lost else []
    if as_json:
        print_json([*found, *checked])
        return
    for each in (*found, *checked):
        click.echo(f"{each}.")
