"""Processes killed by SIGKILL at every seam, and what others make of it.

Nothing is simulated here: real processes, PostgreSQL, and the sandbox over HTTP. Each
dies once; when all have, others find what they left by sweeping and reconciling.
"""

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from replenish.adapters.ledger.session import make_engine
from replenish.demo.operator import SignUp
from replenish.domain.account import Card
from replenish.domain.enrolment import Consent, NewAccount, Overrides
from replenish.pipeline.cutoff import cutoff
from replenish.verify import run, sources
from tests import checker
from tests.contract.package_sites import PackageSite, package_site
from tests.faults import results
from tests.faults.matrix import SEAMS
from tests.mariadb import MakeMariaDB
from tests.postgres import MakeDatabase
from tests.sandbox_server import KEY, ROOT, SandboxServer
from tests.world import DEFAULTS, World, prepare

pytestmark = [pytest.mark.integration, pytest.mark.faults, pytest.mark.deep]

FAULTS: dict[str, str] = {
    "charged": "",
    "answer lost": "reset_after",
    "500 after": "500_after",
    "request lost": "reset_before",
    "declined": "",
}
CHARGED = [answer for answer in FAULTS if answer != "declined"]
RESTORING = ("before_restore", "after_restore")
AFTER_A_CHARGE = SEAMS[SEAMS.index("after_record") : SEAMS.index("after_done") + 1]
CASES = [
    (seam, answer)
    for seam in (*SEAMS, *RESTORING)
    for answer in FAULTS
    if answer != "declined" or seam not in (*AFTER_A_CHARGE, *RESTORING)
]
KILLED = -9
PATIENCE = 60.0  # seconds until everything must be closed


@dataclass
class Ground:
    """Where they die: the books, the gateway, and a process that forks for each."""

    world: World
    site: PackageSite
    sandbox: SandboxServer
    zygote: subprocess.Popen[str]

    def enrol(self, number: int, seam: str, answer: str) -> str:
        """Open an account that is low; past all limits where service is to return."""
        ref = str(number)
        self.site.add(ref, "-10" if seam in RESTORING else "5")
        page = SignUp(self.sandbox.url, KEY)
        customer = page.customer(ref)
        declined = "pm_sandbox_decline_lost_card"
        template = declined if answer == "declined" else "pm_sandbox_visa"
        method = page.card(customer, template, number=number)
        account = NewAccount(
            ref=ref,
            currency="USD",
            overrides=Overrides(),
            consent=Consent(datetime(2026, 1, 1, tzinfo=UTC), "v1", "form"),
            card=Card(
                "", customer, method, "visa", "4242", 12, 2031, f"print of {ref}"
            ),
        )
        self.world.register.enrol(account, actor="test")
        if FAULTS[answer]:
            match = {"path": "/confirm$", "customer": customer}
            self.sandbox.tool.fault(FAULTS[answer], match=match, times=1)
        return ref

    def fork(self, account: str = "", seam: str = "") -> int:
        """Let a child take the account on, and die at the seam; how it ended."""
        assert self.zygote.stdin
        assert self.zygote.stdout
        self.zygote.stdin.write(json.dumps({"account": account, "seam": seam}) + "\n")
        self.zygote.stdin.flush()
        return int(self.zygote.stdout.readline())

    def recover(self) -> None:
        """Let others sweep and reconcile until nothing is under way."""
        end = time.monotonic() + PATIENCE
        while self.under_way():
            assert time.monotonic() < end, f"{self.under_way()} are still under way"
            self.world.run(
                "UPDATE replenish.attempt SET next_at = now(), nudge_at = now()"
                " WHERE next_at > now()"
            )
            assert self.fork() == 0

    def under_way(self) -> int:
        """Count who is low without a decision, or has an open attempt or batch."""
        (row,) = self.world.ask("""
            SELECT (SELECT count(*) FROM replenish.attempt WHERE state IN
                    ('claimed', 'charging', 'unknown', 'charged'))
                 + (SELECT count(*) FROM replenish.batch WHERE closed_at IS NULL)
                 + (SELECT count(*) FROM replenish.account a WHERE NOT EXISTS
                    (SELECT FROM replenish.attempt t WHERE t.account_id = a.id))
                 + (SELECT count(*) FROM replenish.cut_off o
                    WHERE restored_at IS NULL AND EXISTS
                    (SELECT FROM replenish.attempt t WHERE t.state = 'settled'
                     AND t.account_id = o.account_id))
        """)
        return int(str(row[0]))


@pytest.fixture
def ground(
    make_database: MakeDatabase, make_mariadb: MakeMariaDB, tmp_path: Path
) -> Iterator[Ground]:
    """Give a ground to die on."""
    url = make_database(prepare)
    engine = make_engine(url, statement_timeout_ms=9_000, lock_timeout_ms=3_000)
    with (
        SandboxServer(tmp_path / "gateway.jsonl") as sandbox,
        package_site("pyfreebilling")(make_database, make_mariadb) as site,
        _zygote(url, str(site.engine.url), sandbox.url) as zygote,
    ):
        yield Ground(World(engine), site, sandbox, zygote)
    engine.dispose()


@pytest.mark.timeout(300)
def test_a_process_killed_at_any_seam_is_made_good_by_others(ground: Ground) -> None:
    """Whatever the gateway said: charged once at most, credited for each charge."""
    hits: Counter[str] = Counter()
    accounts = {
        ground.enrol(number, seam, answer): (seam, answer)
        for number, (seam, answer) in enumerate(CASES, 1001)
    }
    cut_off(ground)
    for account, (seam, _) in accounts.items():
        assert ground.fork(account, seam) == KILLED, (seam, "was not on the way")
        hits[seam] += 1

    ground.recover()

    read = partial(sources.read_package, profile=ground.site.profile, currency="USD")
    report = run(
        ground.world.engine,
        ground.site.engine,
        read=read,
        gateway_ledger=ground.sandbox.ledger,
        defaults=DEFAULTS,
        quiet=True,
    )
    charged = sum(answer in CHARGED for _, answer in CASES)
    checker.holds(report, charges=charged)
    assert set(hits) == {*SEAMS, *RESTORING}
    results.write(
        "kills",
        part="kills",
        kills=sum(hits.values()),
        charges=report.charges,
        seams=len(hits),
    )


def cut_off(ground: Ground) -> None:
    """Have those past all limits cut off, so that there is service to give back."""
    ground.world.run("UPDATE replenish.account SET low_since = now()")
    services = replace(ground.world.services, billing=ground.site.package)
    assert len(cutoff(None, services).cut) == len(RESTORING) * len(CHARGED)


@contextmanager
def _zygote(*addresses: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(  # noqa: S603 our own program
        [sys.executable, "-m", "tests.faults.zygote", *addresses],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        yield process
        assert process.stdin
        process.stdin.close()
