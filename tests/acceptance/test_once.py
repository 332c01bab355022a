"""However often it is asked for, an account is charged once."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import checker
from tests.acceptance.site import Site, until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]


def test_asking_five_times_at_once_charges_once(site: Site) -> None:
    """Five `celery call` at the same moment make one charge."""
    (account,) = site.enrol(1)
    site.worker("one", "-c", "4")
    command = [sys.executable, "-m", "celery", "-A", "replenish", "call"]
    asked = [
        subprocess.Popen(  # noqa: S603 our own command
            [*command, "replenish.account", "--args", f'["{account}"]'],
            env=_environment(site),
            stdout=subprocess.DEVNULL,
        )
        for _ in range(5)
    ]

    assert [process.wait(60) for process in asked] == [0] * 5
    until(lambda: site.states() == {"settled": 1}, seconds=30, what="settled once")
    assert site.control.counters()["totals"]["charge.succeeded"] == 1


def test_three_sweeps_and_two_beats_charge_nobody_twice(site: Site) -> None:
    """Overlapping sweeps and a second beat change nothing but the load."""
    refs = site.enrol(60)
    site.worker("one", "-c", "4")
    site.beat("beat-1")
    site.beat("beat-2")
    site.watch(refs)
    for _ in range(3):
        subprocess.run(
            [sys.executable, "-m", "replenish", "sweep", "--full"],
            env=_environment(site),
            check=True,
            stdout=subprocess.DEVNULL,
        )

    until(lambda: site.states() == {"settled": 60}, seconds=60, what="all settled")
    until(lambda: not site.unclosed(), seconds=30, what="every batch closed")
    checker.holds(site.verify(), charges=60)
    queued = site.ledger("SELECT max(takes) AS takes FROM replenish.attempt")
    assert queued[0]["takes"] == 1


def _environment(site: Site) -> dict[str, str]:
    return {**os.environ, **site.env, "PYTHONPATH": str(Path.cwd())}
