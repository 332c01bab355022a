"""`replenish charger …`: the switch and the breakers that stop all charging."""

import click

from replenish.bootstrap import Application
from replenish.cli import wiring
from replenish.cli.failures import ExitCode
from replenish.cli.output import json_option, print_json, print_told
from replenish.cli.values import REASON
from replenish.domain.words import goes_on


@click.group()
def charger() -> None:
    """Stop all charging, and resume it; accounts are still cut off and restored.

    \b
    replenish charger status
    replenish charger stop --reason "wrong rates loaded"
    replenish charger resume
    """


@charger.command("stop")
@click.option(
    "--reason", type=REASON, required=True, help="Why; the first reason stands."
)
@json_option
def stop(*, reason: str, as_json: bool) -> None:
    """Start no further charge until `charger resume`.

    Charges that the gateway already has are finished and credited.

    \b
    replenish charger stop --reason "wrong rates loaded"
    """
    stops = wiring.application().services.stops
    stops.stop(reason)
    stands = stops.reason() or reason
    told = f"All charging is stopped: {stands}"
    print_told(told, as_json=as_json, stopped=True, reason=stands)


@charger.command("resume")
@json_option
def resume(*, as_json: bool) -> None:
    """Charge again, whether a person, a refused key or a breaker has stopped it.

    \b
    replenish charger resume
    """
    services = wiring.application().services
    services.stops.resume()
    for breaker in services.breakers.standing():
        services.breakers.lift(breaker.reason, by=wiring.actor())
    print_told("Charging goes on.", as_json=as_json, stopped=False)


@charger.command("status")
@json_option
def status(*, as_json: bool) -> None:
    """Say whether charging is stopped, and why; exits 1 when it is.

    \b
    replenish charger status
    """
    app = wiring.application()
    reasons = why_stopped(app)
    if as_json:
        services = app.services
        found = {"stopped": bool(reasons), "reason": services.stops.reason()}
        print_json({**found, "breakers": services.breakers.standing()})
    else:
        for reason in reasons:
            click.echo(f"Stopped: {reason}")
        if not reasons:
            click.echo("Charging goes on.")
    if reasons:
        click.get_current_context().exit(ExitCode.BAD_ANSWER)


def why_stopped(app: Application) -> list[str]:
    """Say what stops all charging, a sentence each; empty when nothing does."""
    reason = app.services.stops.reason()
    found = [f"{reason}; go on with `replenish charger resume`"] if reason else []
    return found + [
        f"{breaker.detail}; {goes_on(breaker)}"
        for breaker in app.services.breakers.standing()
    ]
