"""`replenish sweep`: look for low accounts now, through the workers."""

import time
from datetime import datetime

import click

from replenish.adapters.ledger.reading import Progress, Reading
from replenish.cli import wiring
from replenish.cli.failures import ExitCode, Failure
from replenish.cli.output import bar, json_option, print_facts, print_json, print_told
from replenish.pipeline.sweep import Kind
from tasks.app import app as celery

LOOK = 0.2  # seconds between two looks at the rows
ASK_AGAIN = 5.0  # seconds; a sweep that was running swallowed ours


@click.command()
@click.option("--full", is_flag=True, help="Every account, not only those with calls.")
@click.option("--wait", is_flag=True, help="Wait until its batches are closed.")
@click.option(
    "--timeout",
    default=120.0,
    show_default=True,
    type=click.FloatRange(1, 86400),
    help="Wait no longer than so many seconds.",
)
@json_option
def sweep(*, full: bool, wait: bool, timeout: float, as_json: bool) -> None:
    """Look for low accounts now, and charge them.

    Beat does so all the time; this is for impatience and for tests. A worker must
    run. A full sweep that is under way is joined. With --wait it shows how many of
    the claimed accounts are done, and exits 1 if some are not by --timeout (they go
    on by themselves).

    \b
    replenish sweep
    replenish sweep --full --wait
    """
    kind = Kind.FULL if full else Kind.HOT
    reading = wiring.application().reading
    begun = reading.now()
    _send(kind)
    if not wait:
        told = f"A {kind} sweep is on its way; `replenish report` shows what came."
        print_told(told, as_json=as_json, sweep=kind)
        return
    with bar(f"Charging ({kind} sweep)") as tell:
        end = time.monotonic() + timeout
        _await_run(reading, kind, begun, end)
        done = reading.progress(kind, since=begun)
        while (done.open or done.unclosed) and time.monotonic() < end:
            tell(done.attempts - done.open, done.attempts)
            time.sleep(LOOK)
            done = reading.progress(kind, since=begun)
    _print(done, as_json=as_json)


def _send(kind: Kind) -> None:
    celery.send_task("replenish.sweep", (kind.value,), retry=False, ignore_result=True)


def _await_run(reading: Reading, kind: Kind, begun: datetime, end: float) -> None:
    """Wait until a sweep that began after ours was asked for has ended."""
    asked = time.monotonic()
    while time.monotonic() < end:
        job = next((j for j in reading.jobs() if j.name == f"sweep.{kind}"), None)
        if job and job.ran_since(begun):
            return
        busy = job is not None and job.busy
        if not busy and time.monotonic() - asked > ASK_AGAIN:
            asked = time.monotonic()
            _send(kind)
        time.sleep(LOOK)
    msg = "No worker has swept in time; see `replenish check` for what is missing."
    raise Failure(msg, code=ExitCode.UNREACHABLE)


def _print(done: Progress, *, as_json: bool) -> None:
    if as_json:
        print_json(done)
    else:
        print_facts(
            {
                "batches": done.batches,
                "attempts": done.attempts,
                "still open": done.open,
                "not closed": done.unclosed,
            }
        )
    if done.open or done.unclosed:
        click.get_current_context().exit(ExitCode.BAD_ANSWER)
