"""`replenish account …`: who is enrolled, and on what terms."""

from collections.abc import Sequence
from typing import Any

import click

from replenish.bootstrap import Application
from replenish.cli import wiring
from replenish.cli.account_import import import_
from replenish.cli.account_view import print_account, state_of, top_up_of
from replenish.cli.holds import held, release_amount
from replenish.cli.output import (
    as_data,
    json_option,
    print_json,
    print_table,
    print_told,
)
from replenish.cli.terms import FIELDS, consent_from, overrides_from, terms
from replenish.cli.values import REASON
from replenish.domain.enrolment import Enrolled, Request
from replenish.domain.story import tell
from replenish.pipeline import enrol as enrolling
from replenish.pipeline.replenish import replenish


@click.group()
def account() -> None:
    """Enrol, show, change, pause and resume accounts.

    \b
    replenish account enrol 1001 --threshold 5 --top-up 25 \\
        --customer cus_9s6 --payment-method pm_1Mt \\
        --consent-at 2026-11-23T10:00:00Z --consent-text "terms v3" \\
        --consent-source https://example.com/terms
    replenish account list --low
    replenish account history 1001
    """


@account.command("enrol")
@click.argument("ref", metavar="ACCOUNT")
@terms
@click.option("--currency", help="Refuse unless the account is in this currency.")
@click.option("--customer", metavar="cus_…", help="The gateway's customer.")
@click.option("--payment-method", metavar="pm_…", help="Their saved card.")
@json_option
def enrol(ref: str, *, as_json: bool, **given: Any) -> None:  # noqa: ANN401 options
    """Enrol ACCOUNT of the billing package for automatic top-ups.

    What is not given takes the installation's defaults (RULE_…). Without a card or
    without the customer's consent it is enrolled and watched, but never charged:
    it is cut off when it is exhausted.

    \b
    replenish account enrol 1001
    replenish account enrol 1001 --threshold 5 --top-up 25
    replenish account enrol 1002 --threshold 5 --to-target 50 --cap-month 200
    """
    request = Request(
        account=ref,
        overrides=overrides_from(given),
        currency=given["currency"],
        customer=given["customer"],
        payment_method=given["payment_method"],
        consent=consent_from(given),
    )
    app = wiring.application()
    enrolled = enrolling.enrol(app, request, actor=wiring.actor())
    _print(app, enrolled, as_json=as_json)


@account.command("change")
@click.argument("ref", metavar="ACCOUNT")
@terms
@click.option(
    "--default",
    "to_default",
    type=click.Choice(FIELDS),
    multiple=True,
    help="Let the installation's default hold again; may be repeated.",
)
@json_option
def change(
    ref: str,
    *,
    to_default: Sequence[str],
    as_json: bool,
    **given: Any,  # noqa: ANN401 options
) -> None:
    """Change the rule of ACCOUNT, or record its consent; the rest stays.

    The next sweep looks at it at once.

    \b
    replenish account change 1001 --threshold 8 --cap-day 100
    replenish account change 1001 --default cap-day
    replenish account change 1001 --consent-at 2026-11-23T10:00:00Z \\
        --consent-text "terms v3" --consent-source "signed form 4711"
    """
    overrides, consent = overrides_from(given), consent_from(given)
    if not overrides.given() and not to_default and consent is None:
        msg = "Nothing to change; see `replenish account change --help`."
        raise click.UsageError(msg)
    app = wiring.application()
    fields = [name.replace("-", "_") for name in to_default]
    enrolled = enrolling.change(
        app,
        ref,
        overrides,
        to_default=fields,
        consent=consent,
        actor=wiring.actor(),
    )
    _print(app, enrolled, as_json=as_json)


@account.command("show")
@click.argument("ref", metavar="ACCOUNT")
@json_option
def show(ref: str, *, as_json: bool) -> None:
    """Show the rule, the consent, the state and the cards of ACCOUNT.

    \b
    replenish account show 1001
    replenish account show 1001 --json
    """
    app = wiring.application()
    _print(app, app.register.need(ref), as_json=as_json)


def _print(app: Application, enrolled: Enrolled, *, as_json: bool) -> None:
    seen = app.billing.balances([enrolled.ref]).get(enrolled.ref)
    available = seen.available if seen else None
    cards = app.register.cards(enrolled.ref)
    print_account(enrolled, cards, as_json=as_json, available=available)


@account.command("list")
@click.option("--low", is_flag=True, help="Only those last seen low.")
@click.option("--paused", is_flag=True, help="Only those that are paused.")
@click.option("--quarantined", is_flag=True, help="Only those that lose workers.")
@click.option("--cut-off", is_flag=True, help="Only those whose service we ended.")
@click.option("--after", default="", metavar="ACCOUNT", help="Go on after this one.")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1, 10000))
@json_option
def list_(*, after: str, limit: int, as_json: bool, **only: bool) -> None:
    """List the enrolled accounts in the order of their names.

    \b
    replenish account list --low
    replenish account list --cut-off --json
    replenish account list --quarantined
    replenish account list --after 1500 --limit 500
    """
    wanted = {name: True for name, asked in only.items() if asked}
    page = wiring.application().register.page(after=after, limit=limit, **wanted)
    if as_json:
        print_json(page)
        return
    columns = ("account", "currency", "threshold", "top-up", "state", "enrolled")
    rows = [
        (
            each.ref,
            each.rule.currency,
            each.rule.threshold,
            top_up_of(each.rule),
            state_of(each),
            each.enrolled_at,
        )
        for each in page
    ]
    print_table(columns, rows, empty="No such account is enrolled.")
    if len(page) == limit:
        click.echo(f"There may be more: --after {page[-1].ref}", err=True)


@account.command("pause")
@click.argument("ref", metavar="ACCOUNT")
@click.option(
    "--reason", type=REASON, required=True, help="Why; it stands in the history."
)
@json_option
def pause(ref: str, *, reason: str, as_json: bool) -> None:
    """Charge ACCOUNT no more until it is resumed; it may still be cut off.

    A charge that the gateway already has is finished.

    \b
    replenish account pause 1001 --reason "dispute dp_123"
    """
    changed = wiring.application().register.pause(ref, reason, actor=wiring.actor())
    told = f"{ref} {'is' if changed else 'was already'} paused: {reason}"
    print_told(told, as_json=as_json, account=ref, changed=changed, reason=reason)


@account.command("resume")
@click.argument("ref", metavar="ACCOUNT")
@json_option
def resume(ref: str, *, as_json: bool) -> None:
    """End the pause or quarantine of ACCOUNT, or its wait after too many declines.

    The next sweep looks at it at once; a charge that was under way goes on.

    \b
    replenish account resume 1001
    """
    paused = enrolling.resume(wiring.application(), ref, actor=wiring.actor())
    before = "is resumed" if paused else "was not paused"
    told = f"{ref} {before}; the next sweep looks at it."
    print_told(told, as_json=as_json, account=ref, changed=paused)


@account.command("finish")
@click.argument("ref", metavar="ACCOUNT")
@json_option
def finish(ref: str, *, as_json: bool) -> None:
    """Take ACCOUNT as far as it can go, in this process and without a worker.

    Of a quarantined account it finishes what is under way: a charge is credited, and
    nothing more is charged. Should that end this process too, nobody else is harmed;
    the account stays as it is.

    \b
    replenish account finish 1001
    """
    services = wiring.application().services
    result = replenish(ref, services, alone=True)
    if as_json:
        print_json(result)
    else:
        click.echo(f"{ref}: {result}.")


@account.command("watch")
@json_option
def watch(*, as_json: bool) -> None:
    """Tell the billing package every account's threshold again.

    Needed once after RULE_THRESHOLD was changed; harmless at any time.

    \b
    replenish account watch
    """
    count = enrolling.watch_all(wiring.application())
    print_told(f"{count} accounts are watched.", as_json=as_json, watched=count)


@account.command("history")
@click.argument("ref", metavar="ACCOUNT")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1, 10000))
@click.option("--before", type=int, metavar="SEQ", help="Page back from this entry.")
@json_option
def history(ref: str, *, limit: int, before: int | None, as_json: bool) -> None:
    """Tell what happened to ACCOUNT, a sentence each, the latest last.

    \b
    replenish account history 1001
    replenish account history 1001 --limit 20 --json
    """
    app = wiring.application()
    events = app.reading.history(ref, limit=limit, before=before)
    if not events:
        app.register.need(ref)
    faces = app.reading.card_faces(ref)
    told = [(event, tell(event, cards=faces)) for event in events]
    if as_json:
        print_json([{**as_data(event), "told": words} for event, words in told])
        return
    rows = [(event.seq, event.at, words, event.actor) for event, words in told]
    print_table(("seq", "when", "what", "by"), rows, empty="Nothing happened yet.")


account.add_command(import_)
account.add_command(held)
account.add_command(release_amount)
