"""The demonstration, shortened, and what it leaves behind: nothing."""

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest
from click.testing import CliRunner

from replenish.cli import main
from replenish.embedded import mariadb

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

ROOT = Path(__file__).parents[2]


def test_the_demonstration_ends_clean_and_leaves_no_process(tmp_path: Path) -> None:
    """It exits with 0, every invariant holds, and nothing of it runs on."""
    demo = _start(tmp_path, "--seconds", "10", "--accounts", "60")
    told, _ = demo.communicate(timeout=150)

    assert demo.returncode == 0, told
    assert "I1b" in told
    assert re.search(r"[1-9]\d* prepaid and [1-9]\d* real-time paid accounts", told)
    assert _left_in(tmp_path) == []


@pytest.mark.no_cover  # repeats the first one
def test_it_reads_the_same_on_another_package(tmp_path: Path) -> None:
    """Under the least grants; calls are written as the package writes them."""
    name = "a2billing" if mariadb.installed() else "pyfreebilling"

    demo = _start(tmp_path, "--seconds", "5", "--accounts", "40", "--billing", name)
    told, _ = demo.communicate(timeout=150)

    assert demo.returncode == 0, told
    assert f"on the billing package {name}." in told
    assert "0 of the package's own statements failed." in told
    assert re.search(r"I9 +every balance .* [1-9]\d* +0 $", told, re.MULTILINE), told
    assert _left_in(tmp_path) == []


@pytest.mark.parametrize(
    ("lacks", "code", "sentence"),
    [
        ("program", 3, "install it (on Debian: apt-get install mariadb-server)"),
        ("find_spec", 2, "run pip install 'replenish[mysql]'"),
    ],
)
def test_what_is_missing_is_said_before_anything_is_started(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    lacks: str,
    code: int,
    sentence: str,
) -> None:
    """In one sentence; the folder stays empty."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(mariadb, lacks, lambda _: None)

    answer = CliRunner().invoke(main, ["demo", "--billing", "astpp"])

    assert answer.exit_code == code
    assert sentence in answer.stderr
    assert answer.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.no_cover  # repeats the first one
def test_an_interrupted_demonstration_leaves_no_process(tmp_path: Path) -> None:
    """On a terminal it draws a live table; Ctrl-C stops everything it started."""
    with _terminal() as (terminal, shown):
        demo = _start(tmp_path, "--seconds", "60", "--accounts", "20", stdout=terminal)
        end = time.monotonic() + 60
        while b"last event" not in shown and time.monotonic() < end:
            time.sleep(0.2)
        time.sleep(3)

        demo.send_signal(signal.SIGINT)

        assert demo.wait(timeout=60) == 1
    for part in (b"good card, real-time", b"low to credited:", b"more accounts"):
        assert part in shown
    assert _left_in(tmp_path) == []


def _start(
    folder: Path, *options: str, stdout: int = subprocess.PIPE
) -> "subprocess.Popen[str]":
    return subprocess.Popen(  # noqa: S603 our own command
        [sys.executable, "-m", "replenish", "demo", *options],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm", "COLUMNS": "150"},
        stdout=stdout,
        stderr=subprocess.STDOUT,
        text=True,
    )


@contextmanager
def _terminal() -> Iterator[tuple[int, bytearray]]:
    """Give a terminal to write to, and what was written so far."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 150, 0, 0))
    shown = bytearray()

    def read() -> None:
        with suppress(OSError):  # the last writer has closed it
            while data := os.read(ours, 65_536):
                shown.extend(data)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        yield theirs, shown
    finally:
        os.close(theirs)
        reader.join()
        os.close(ours)


def _left_in(folder: Path) -> list[str]:
    """List living processes whose working folder or command names this folder."""
    time.sleep(1)
    left = []
    for process in psutil.process_iter():
        try:
            named = " ".join(process.cmdline())
            if process.status() != psutil.STATUS_ZOMBIE and str(folder) in (
                named + " " + process.cwd()
            ):
                left.append(named)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return left
