"""`replenish guard`: stand in for beat and the workers while they are away."""

import signal
import subprocess
import sys
from dataclasses import replace

import click

from replenish import bootstrap, embedded, logs
from replenish.niceness import stand_back
from replenish.pipeline.guard import Guard
from replenish.settings import Settings

ALONE = 60.0  # seconds that one quarantined account may take
SPARE = 4  # connections beside those of the threads: the jobs and the watch


@click.command()
@click.option(
    "--threads",
    default=4,
    show_default=True,
    type=click.IntRange(1, 64),
    help="How many accounts are taken on at once.",
)
def guard(*, threads: int) -> None:
    """Watch that sweeps, cut-offs and recovery happen, and do them if they do not.

    It needs the two databases and the gateway, and neither Redis nor Celery. Run it
    always, beside the workers; two do no harm. It ends on Ctrl-C or SIGTERM.

    \b
    replenish guard
    """
    settings = embedded.resolve(Settings.from_env())
    logs.configure(settings)
    stand_back(settings.niceness)
    app = bootstrap.build(replace(settings, db_pool_size=threads + SPARE))
    watch = Guard(app.services, settings.cadences, threads=threads, alone=finish_alone)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: watch.stop())
    watch.run()


def finish_alone(account: str) -> None:
    """Take a quarantined account on in a process of its own, whose end harms nobody."""
    program = [sys.executable, "-m", "replenish"]
    command = [*program, "account", "finish", "--", account]
    subprocess.run(command, check=False, timeout=ALONE)  # noqa: S603 our own program
