"""Commands that need a worker, with a real one on a Redis of its own."""

import subprocess
import sys
from collections.abc import Iterator

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


def test_a_sweep_that_nobody_takes_up_is_told(terminal: Terminal) -> None:
    """Without a worker it says so in time, instead of waiting for ever."""
    alone = terminal.with_(REDIS_URL="")

    sent = alone.process("sweep")
    waited = alone.process("sweep", "--wait", "--timeout", "1")

    assert (sent.code, waited.code) == (0, 3)
    assert "No worker has swept in time" in waited.err
