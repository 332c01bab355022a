"""A chaos run that is interrupted takes everything that it started with it."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.sandbox_server import ROOT

KEEPER = 5.0  # seconds; it looks twice a second whether anybody is left

pytestmark = [pytest.mark.faults, pytest.mark.deep]


@pytest.mark.timeout(240)
@pytest.mark.parametrize("stage", ["gateway.jsonl", "logs/beat-2.log"])
def test_an_interrupted_run_leaves_no_process_behind(
    stage: str, tmp_path: Path
) -> None:
    """While it makes its accounts, and while its workers come up."""
    home = tmp_path / "home"
    command = [sys.executable, "-m", "tests.chaos", "--keep", str(home)]
    run = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)  # noqa: S603
    while not (home / stage).exists():
        assert run.poll() is None
        time.sleep(0.05)

    run.send_signal(signal.SIGINT)

    assert run.wait(60) == 130
    end = time.monotonic() + KEEPER
    while left := [each for each in psutil.process_iter() if _of(home, each)]:
        assert time.monotonic() < end, [each.cmdline() for each in left]
        time.sleep(0.1)


def _of(home: Path, process: psutil.Process) -> bool:
    """Say whether a process works for the installation in this folder."""
    try:
        words = [*process.cmdline(), *process.environ().values()]
    except psutil.Error:
        return False
    return any(str(home) in word for word in words)
