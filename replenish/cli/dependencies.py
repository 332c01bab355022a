"""What `replenish check` looks at: every dependency, and what is wrong with it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from urllib.parse import urlsplit

import click

from replenish import bootstrap
from replenish.adapters.ledger import migrations
from replenish.adapters.ledger.session import transaction
from replenish.adapters.sql_billing.grants import statements
from replenish.bootstrap import Application
from replenish.cli import broker, wiring
from replenish.cli.charger import why_stopped
from replenish.cli.live import Eyes, Line, jobs
from replenish.errors import GatewayKeyRefused

Look = Callable[[Application], Iterator[Line]]


def print_grants(role: str) -> None:
    """Print the least that our role needs at the billing package."""
    settings = wiring.settings()
    profile = bootstrap.profile_of(settings)
    if profile is None:
        click.echo("-- The bundled package's grants stand in docs/packages/bundled.md")
        return
    place = urlsplit(settings.billing_database_url).path.strip("/")
    database = place if profile.dialect == "mysql" else "public"
    for statement in statements(profile, database=database, role=role):
        click.echo(f"{statement};")


def _ledger(app: Application) -> Iterator[Line]:
    with transaction(app.ledger_engine):
        pass
    problem = migrations.status(app.ledger_engine).problem
    yield Line("ledger", ok=not problem, text=problem or "the schema is this release's")


def _redis(app: Application) -> Iterator[Line]:
    found = broker.look(app.settings.redis_url)
    yield Line("redis", ok=found.problem is None, text=found.problem or found.text)


def _billing(app: Application) -> Iterator[Line]:
    yield from _problems("billing", app.billing.check(), app.settings.billing_package)
    for remark in app.billing.remarks():
        yield Line("billing", ok=True, text=remark, note=True)


def _gateway(app: Application) -> Iterator[Line]:
    try:
        problems = app.gateway.check()
    except GatewayKeyRefused as error:
        problems = [str(error)]
    base = app.settings.stripe_api_base
    yield from _problems("gateway", problems, f"the key works at {base}")


def _problems(name: str, problems: Sequence[str], fine: str) -> Iterator[Line]:
    for problem in problems:
        yield Line(name, ok=False, text=problem)
    if not problems:
        yield Line(name, ok=True, text=fine)


def _charger(app: Application) -> Iterator[Line]:
    reasons = why_stopped(app)
    for reason in reasons:
        yield Line("charger", ok=False, text=f"stopped: {reason}")
    if not reasons:
        yield Line("charger", ok=True, text="on")


def _queues(app: Application) -> Iterator[Line]:
    lengths = broker.queue_lengths(app.settings.redis_url)
    text = ", ".join(f"{name} {length}" for name, length in lengths.items())
    yield Line("queues", ok=True, text=text)


def _workers(_app: Application) -> Iterator[Line]:
    names = broker.workers()
    start = "no worker answers; start one with `celery -A replenish worker`"
    text = ", ".join(sorted(names)) if names else start
    yield Line("workers", ok=bool(names), text=text)


def _jobs(app: Application) -> Iterator[Line]:
    yield from jobs(Eyes(app.reading, app.settings.cadences))


LOOKS: Mapping[str, Look] = {
    "ledger": _ledger,
    "redis": _redis,
    "billing": _billing,
    "gateway": _gateway,
    "charger": _charger,
    "queues": _queues,
    "workers": _workers,
    "jobs": _jobs,
}
"""What a person asks for, in this order."""
