"""`replenish card …`: the cards on file."""

import click

from replenish.cli import wiring
from replenish.cli.holds import release_card
from replenish.cli.output import json_option, print_json, print_table, print_told
from replenish.pipeline import enrol as enrolling


@click.group()
def card() -> None:
    """The cards on file; card numbers never come here, only the gateway's ids.

    \b
    replenish card list 1001
    replenish card add 1001 --customer cus_9s6 --payment-method pm_1Mt
    replenish card remove 1001 pm_1Mt
    """


@card.command("add")
@click.argument("ref", metavar="ACCOUNT")
@click.option("--customer", required=True, metavar="cus_…", help="Whose card it is.")
@click.option("--payment-method", required=True, metavar="pm_…", help="The card.")
@click.option(
    "--priority",
    type=click.IntRange(0, 1000),
    help="Lowest is tried first; without it the card is the last in line.",
)
@json_option
def add(
    ref: str, *, customer: str, payment_method: str, priority: int | None, as_json: bool
) -> None:
    """Put a saved card of the gateway on file for ACCOUNT.

    It must be attached to the customer at the gateway. Cards that have expired,
    that were refused for good on this account, or that were issued in India (where
    charges without the customer need a mandate) are refused. The next sweep looks
    at the account at once.

    \b
    replenish card add 1001 --customer cus_9s6 --payment-method pm_1Mt
    replenish card add 1001 --customer cus_9s6 --payment-method pm_2 --priority 0
    """
    added = enrolling.add_card(
        wiring.application(),
        ref,
        customer=customer,
        payment_method=payment_method,
        priority=priority,
        actor=wiring.actor(),
    )
    if as_json:
        print_json(added)
    else:
        face = f"{added.brand} {added.last4} ({added.payment_method})"
        click.echo(f"{face} is on file for {ref}, priority {added.priority}.")


@card.command("list")
@click.argument("ref", metavar="ACCOUNT")
@json_option
def list_(ref: str, *, as_json: bool) -> None:
    """List the cards of ACCOUNT in the order in which they are tried.

    \b
    replenish card list 1001
    """
    cards = wiring.application().register.cards(ref)
    if as_json:
        print_json(cards)
        return
    rows = [
        (
            each.priority,
            f"{each.brand} {each.last4}",
            f"{each.exp_month:02d}/{each.exp_year}",
            each.payment_method,
            each.customer,
            each.dead_reason and f"refused for good: {each.dead_reason}",
            each.retry_at,
        )
        for each in cards
    ]
    columns = ("priority", "card", "to", "payment method", "customer", "state", "wait")
    print_table(columns, rows, empty=f"{ref} has no card on file.")


@card.command("remove")
@click.argument("ref", metavar="ACCOUNT")
@click.argument("payment_method", metavar="PAYMENT_METHOD")
@json_option
def remove(ref: str, payment_method: str, *, as_json: bool) -> None:
    """Take a card off file; it stays attached at the gateway.

    A charge that the gateway already has is finished.

    \b
    replenish card remove 1001 pm_1Mt
    """
    register = wiring.application().register
    register.remove_card(ref, payment_method, actor=wiring.actor())
    print_told(
        f"{payment_method} is off file for {ref}.",
        as_json=as_json,
        account=ref,
        payment_method=payment_method,
    )


card.add_command(release_card)
