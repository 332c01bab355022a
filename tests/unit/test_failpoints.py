"""Failpoints do what they are told, where they are told, and nothing else."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from replenish import failpoints
from replenish.errors import ConfigurationError

TWO_PASSES = """
from replenish.failpoints import failpoint
failpoint("after_record")
print("once", flush=True)
failpoint("after_record")
print("twice", flush=True)
"""


def run(text: str, **env: str) -> "subprocess.CompletedProcess[str]":
    """Pass a failpoint twice in a process of its own."""
    return subprocess.run(  # noqa: S603 our own interpreter
        [sys.executable, "-c", TWO_PASSES],
        env={**os.environ, "FAILPOINTS": text, "PYTHONPATH": ".", **env},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_without_the_variable_nothing_happens() -> None:
    """Both passes go through."""
    assert run("").stdout.split() == ["once", "twice"]


def test_kill_ends_the_process_as_a_crash_does() -> None:
    """At the pass that was named, and not before."""
    ended = run("after_record=kill@2")

    assert (ended.returncode, ended.stdout) == (-signal.SIGKILL, "once\n")


def test_raise_goes_through_everything() -> None:
    """Nothing in the product catches it."""
    ended = run("after_record=raise")

    assert ended.returncode == 1
    assert "InjectedFaultError: The failpoint after_record" in ended.stderr


def test_once_in_a_fleet_is_once(tmp_path: Path) -> None:
    """The second process finds the marker and goes on."""
    marker = str(tmp_path / "marker")

    first = run("after_record=raise", FAILPOINTS_ONCE=marker)
    second = run("after_record=raise", FAILPOINTS_ONCE=marker)

    assert first.returncode == 1
    assert second.stdout.split() == ["once", "twice"]


def test_stop_halts_until_it_is_continued() -> None:
    """As a process that hangs, or a machine that sleeps."""
    stopped = subprocess.Popen(  # noqa: S603 our own interpreter
        [sys.executable, "-c", TWO_PASSES],
        env={**os.environ, "FAILPOINTS": "after_record=stop@1", "PYTHONPATH": "."},
        stdout=subprocess.PIPE,
        text=True,
    )
    stat = Path(f"/proc/{stopped.pid}/stat")
    deadline = time.monotonic() + 60
    while stat.read_text().split()[2] != "T":
        assert time.monotonic() < deadline
        time.sleep(0.02)

    stopped.send_signal(signal.SIGCONT)

    assert stopped.communicate(timeout=60)[0].split() == ["once", "twice"]


def test_sleep_waits_so_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seconds, with a fraction."""
    waited: list[float] = []
    monkeypatch.setattr(time, "sleep", waited.append)
    told = failpoints.parse("before_confirm=sleep:0.25; after_confirm=sleep:1")
    monkeypatch.setattr(failpoints, "_actions", told)

    failpoints.failpoint("before_confirm")
    failpoints.failpoint("before_credit")
    failpoints.failpoint("after_confirm")

    assert waited == [0.25, 1.0]


def test_an_account_s_failpoint_is_met_in_its_turn_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The N-th time is the N-th in that account's turns."""
    told = failpoints.parse("before_credit/1007=raise@2")
    monkeypatch.setattr(failpoints, "_actions", told)

    for account in ("1001", None, "1007", "10072"):
        failpoints.failpoint("before_credit", account)
    with pytest.raises(failpoints.InjectedFaultError):
        failpoints.failpoint("before_credit", "1007")


@pytest.mark.parametrize(
    "text",
    [
        "nowhere=kill",
        "after_record",
        "after_record=explode",
        "after_record=sleep:soon",
        "after_record=sleep:-1",
        "after_record=kill@often",
        "after_record=kill@0",
        "after_record/=kill",
    ],
)
def test_a_failpoint_that_makes_no_sense_is_refused(text: str) -> None:
    """The sentence names the entry and says how to write it."""
    with pytest.raises(ConfigurationError, match="NAME=ACTION") as refused:
        failpoints.parse(text)

    assert repr(text) in str(refused.value)
