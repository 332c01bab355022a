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
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest
from click.testing import CliRunner

from replenish.cli import main
from replenish.embedded import mariadb

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

ROOT = Path(__file__).parents[2]


def test_on_a_package_it_ends_clean_stays_for_a_look_and_leaves_no_process(
    tmp_path: Path,
) -> None:
    """Every invariant holds, also for who looks in by the rules that it wrote down.

    Calls are written as the package writes them, credits under the least grants. A
    second one in the same folder is kept out. Ctrl-C is the ordinary end.
    """
    name = "a2billing" if mariadb.installed() else "pyfreebilling"
    options = ("--seconds", "8", "--accounts", "60", "--billing", name, "--keep")
    with (tmp_path / "told").open("w+") as told:
        demo = _start(tmp_path, *options, stdout=told.fileno())
        _await(lambda: "verify --during --gateway-ledger" in _read(tmp_path), demo)

        second = _start(tmp_path)
        refusal, _ = second.communicate(timeout=30)
        verified = _look_in(
            tmp_path, "verify --during --gateway-ledger .replenish/demo/gateway*"
        )
        demo.send_signal(signal.SIGINT)

        assert demo.wait(timeout=60) == 0
    shown = _read(tmp_path)
    assert second.returncode == 2
    assert f"is running in .replenish/demo (process {demo.pid})" in refusal
    assert verified.returncode == 0, verified.stdout
    assert f"on the billing package {name}." in shown
    assert "0 of the package's own statements failed." in shown
    assert re.search(r"[1-9]\d* prepaid and [1-9]\d* real-time paid accounts", shown)
    assert re.search(r"I9 +every balance .* [1-9]\d* +0 $", shown, re.MULTILINE), shown
    assert "stays in .replenish/demo" in shown
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


@pytest.mark.no_cover  # repeats the other one
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


def _read(folder: Path) -> str:
    return (folder / "told").read_text()


def _await(done: Callable[[], bool], demo: "subprocess.Popen[str]") -> None:
    end = time.monotonic() + 150
    while not done():
        assert demo.poll() is None, "the demonstration has ended"
        assert time.monotonic() < end, "the demonstration takes too long"
        time.sleep(0.2)


def _look_in(folder: Path, words: str) -> "subprocess.CompletedProcess[str]":
    """Type a command in another terminal, as the demonstration tells to."""
    python = f"{sys.executable} -m replenish"
    return subprocess.run(  # noqa: S603 our own command
        ["/bin/sh", "-c", f". .replenish/demo/settings.sh; {python} {words}"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
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
