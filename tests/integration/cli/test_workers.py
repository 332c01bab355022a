"""Commands that need a worker, with a real one on a Redis of its own."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress

import psutil
import pytest

from tests.integration.cli.commands import Terminal, environment

WORKER = ("-m", "celery", "-A", "replenish", "worker", "-P", "solo", "-l", "WARNING")
CONSENT = ("--consent-at", "2026-01-01", "--consent-text", "v", "--consent-source", "w")


@pytest.fixture
def running(terminal: Terminal) -> Iterator[Terminal]:
    """A terminal whose Redis is embedded, with one worker."""
    found = terminal.with_(REDIS_URL="")
    worker = subprocess.Popen(  # noqa: S603 our own program
        [sys.executable, *WORKER], cwd=found.folder, env=environment(found)
    )
    try:
        yield found
    finally:
        worker.terminate()
        worker.wait(timeout=30)


def test_a_sweep_is_awaited_to_its_end(running: Terminal) -> None:
    """An account that cannot be charged is left alone, and the batch is closed."""
    running.process("account", "enrol", "1001", "--threshold", "50", *CONSENT)

    swept = running.process("sweep", "--wait", "--timeout", "50", "--json")
    full = running.process("sweep", "--full", "--wait", "--timeout", "50")
    told = running.process("account", "history", "1001")
    checked = running.process("check", "--json")

    assert (swept.code, full.code) == (0, 0), (swept, full)
    assert swept.json == {"batches": 1, "unclosed": 0, "attempts": 0, "open": 0}
    assert "Was not topped up with 10.00 available: no card is on file" in told.out
    lines = {line["name"]: line for line in checked.json}
    for name in ("redis", "queues", "workers"):
        assert lines[name]["ok"], lines[name]
    for name in ("sweep.hot", "sweep.full"):
        assert "ended" in lines[name]["text"]


def test_a_worker_stands_back_behind_the_package(terminal: Terminal) -> None:
    """With its children: they sweep, and the package may be on the same machine."""
    found = terminal.with_(REDIS_URL="", NICENESS="7")
    command = [sys.executable, "-m", "celery", "-A", "replenish", "worker", "-c", "1"]
    worker = subprocess.Popen(  # noqa: S603 our own program
        command, cwd=found.folder, env=environment(found)
    )
    try:
        wait_for_niceness(psutil.Process(worker.pid), 7)
    finally:
        worker.terminate()
        worker.wait(timeout=30)


def wait_for_niceness(worker: psutil.Process, wanted: int) -> None:
    """Wait until a worker and its children, those that take tasks, have it."""
    seen: list[int] = []
    until = time.monotonic() + 30
    while time.monotonic() < until:
        with suppress(psutil.Error):  # it starts servers, whose starters end
            words = worker.cmdline()
            family = [worker, *(c for c in worker.children() if c.cmdline() == words)]
            seen = [each.nice() for each in family]
        if len(seen) > 1 and set(seen) == {wanted}:
            return
        time.sleep(0.1)
    pytest.fail(f"a worker and its children have {seen} after 30 s")


def test_a_sweep_that_nobody_takes_up_is_told(terminal: Terminal) -> None:
    """Without a worker it says so in time, instead of waiting for ever."""
    alone = terminal.with_(REDIS_URL="")

    sent = alone.process("sweep")
    waited = alone.process("sweep", "--wait", "--timeout", "1")

    assert (sent.code, waited.code) == (0, 3)
    assert "No worker has swept in time" in waited.err
