"""What is held for a person: `account held`, `account release`, `card release`."""

from decimal import Decimal

import click

from replenish.cli import wiring
from replenish.cli.output import json_option, print_json, print_table, print_told, text
from replenish.cli.values import AMOUNT
from replenish.domain.words import WORDS

WORDS_OF = {str(reason): words for reason, words in WORDS.items()}


@click.command("held")
@click.option("--after", default="", metavar="ACCOUNT", help="Go on after this one.")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1, 10000))
@json_option
def held(*, after: str, limit: int, as_json: bool) -> None:
    """List the low accounts that wait for a person, and since when.

    \b
    replenish account held
    replenish account held --json
    """
    found = wiring.application().releases.held(after=after, limit=limit)
    if as_json:
        print_json(found)
        return
    rows = [
        (each.account, WORDS_OF[each.reason], each.detail, each.available, each.since)
        for each in found
    ]
    columns = ("account", "held because", "detail", "available", "since")
    print_table(columns, rows, empty="No account waits for a person.")
    if len(found) == limit:
        click.echo(f"There may be more: --after {found[-1].account}", err=True)


@click.command("release")
@click.argument("ref", metavar="ACCOUNT")
@click.option(
    "--up-to", type=AMOUNT, required=True, help="Charges up to this are usual for it."
)
@json_option
def release_amount(ref: str, *, up_to: Decimal, as_json: bool) -> None:
    """Let charges of ACCOUNT up to an amount pass that its history would hold.

    No cap is raised by it. A change of the rule with a new consent does the same, up
    to the cap per charge.

    \b
    replenish account release 1001 --up-to 300
    """
    releases = wiring.application().releases
    releases.release_amount(ref, up_to, actor=wiring.actor())
    told = f"Charges of {ref} up to {text(up_to)} are usual now; sweeps look."
    print_told(told, as_json=as_json, account=ref, up_to=up_to)


@click.command("release")
@click.argument("ref", metavar="ACCOUNT")
@click.argument("payment_method", metavar="PAYMENT_METHOD")
@click.option(
    "--everywhere",
    is_flag=True,
    help="Also for all other accounts that have this card number now.",
)
@json_option
def release_card(
    ref: str, payment_method: str, *, everywhere: bool, as_json: bool
) -> None:
    """Let ACCOUNT use a card number that too many accounts have.

    An account that gets the number later waits for a person again.

    \b
    replenish card release 1006 pm_1Mt
    replenish card release 1006 pm_1Mt --everywhere
    """
    releases = wiring.application().releases
    let = releases.release_card(
        ref, payment_method, everywhere=everywhere, actor=wiring.actor()
    )
    who = ", ".join(let) if let else "Nobody new"
    told = f"{who} may use the card number of {payment_method}."
    print_told(told, as_json=as_json, released=let, payment_method=payment_method)
