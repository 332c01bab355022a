"""`replenish sandbox …`: a stand-in for the card gateway, for trials."""

import logging
import secrets
import sys
from pathlib import Path

import click

from replenish.cli.failures import ExitCode, Failure
from replenish.cli.output import json_option, print_json
from replenish.demo.operator import SignUp
from replenish.sandbox import server
from replenish.setting_checks import STRIPE_URL
from replenish.settings import Settings


@click.group()
def sandbox() -> None:
    """A stand-in for the card gateway, for trials and tests.

    It speaks Stripe's HTTP API on this machine, and takes no real money.

    \b
    replenish sandbox serve
    replenish sandbox card
    """


@sandbox.command("serve")
@click.option("--host", default="127.0.0.1", show_default=True, help="Loopback only.")
@click.option(
    "--port",
    default=12111,
    show_default=True,
    type=click.IntRange(0, 65535),
    help="0 takes a free one and prints it.",
)
@click.option(
    "--ledger",
    default=Path(".replenish/sandbox.jsonl"),
    show_default=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where every charge is written, only ever added to; restarts go on from it.",
)
@click.option("--webhook-url", help="Deliver every event there.")
@click.option("--webhook-secret", help="What the deliveries are signed with.")
@click.option("--rate-limit", type=float, help="Requests per second and endpoint.")
def serve(
    *,
    host: str,
    port: int,
    ledger: Path,
    webhook_url: str | None,
    webhook_secret: str | None,
    rate_limit: float | None,
) -> None:
    """Serve Stripe's HTTP API until interrupted.

    Outside production, everything else finds it by itself at the default port.

    \b
    replenish sandbox serve
    replenish sandbox serve --port 0 --ledger /tmp/trial.jsonl
    """
    if Settings.from_env().is_production:
        msg = (
            "The sandbox is for trials, and REPLENISH_ENV is production: leave it out"
            " there (`honcho start worker cutoff beat guard flower`)."
        )
        raise click.UsageError(msg)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    ledger.parent.mkdir(parents=True, exist_ok=True)
    code = server.serve(
        host,
        port,
        ledger,
        webhook_url=webhook_url,
        webhook_secret=webhook_secret,
        rate_limit=rate_limit,
        ready=lambda url: click.echo(f"Sandbox listening on {url}"),
    )
    if code:
        msg = (
            f"The sandbox could not serve on {host}:{port}; the log above says why. If"
            " the address is in use, give another with --port."
        )
        raise Failure(msg, code=ExitCode(code))


@sandbox.command("card")
@click.argument("kind", default="visa")
@json_option
def card(kind: str, *, as_json: bool) -> None:
    """Save a card at the running sandbox, for `account enrol`.

    KIND is what its bank does: visa is good, decline_lost_card or
    decline_insufficient_funds is declined so, authenticate wants its owner.

    \b
    replenish sandbox card
    replenish sandbox card decline_lost_card
    """
    settings = Settings.from_env()
    if settings.stripe_api_base == STRIPE_URL:
        msg = "STRIPE_API_BASE is Stripe itself; cards are saved on its own pages."
        raise Failure(msg, code=ExitCode.MISUSE)
    page = SignUp(settings.stripe_api_base, settings.stripe_api_key)
    customer = page.customer("a trial")
    method = page.card(customer, f"pm_sandbox_{kind}", number=secrets.randbelow(10**9))
    found = {"customer": customer, "payment_method": method}
    if as_json:
        print_json(found)
        return
    click.echo(f"--customer {customer} --payment-method {method}")
