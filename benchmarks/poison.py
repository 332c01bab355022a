"""What others feel of an account that kills every worker that takes it on.

    python -m benchmarks.poison [--accounts 300] [--every-ms 100] [--json]

Real workers with child processes, beat, PostgreSQL, Redis and the sandbox. Accounts
fall low one after another, first without and then with one among them at which each
worker dies between charge and credit (SIGKILL), until it is quarantined:

- **low to credited**: median and 99th percentile of the others, from the moment an
  account is low to the end of its attempt.
- **of calm**: the 99th percentile with the poisoned account ÷ that without it, in the
  same run; I19 allows 2.
- **workers lost**: to the poisoned account, by its own count; 3 are allowed.

Exit code: 0 when it was quarantined, the limits were kept and `replenish verify` finds
nothing, else 1.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from statistics import quantiles

from rich.console import Console
from rich.progress import Progress

from benchmarks.installation import print_table
from tests.acceptance.site import Site, until

AT_MOST = 2.0  # times the calm 99th percentile
WORKERS_LOST = 3
PATIENCE = 120.0  # seconds until everybody must be credited
WORKER = {  # a lease of twice the gateway's time-outs, so that a loss is soon noticed
    "STRIPE_TIMEOUT_CONNECT": "1",
    "STRIPE_TIMEOUT_READ": "2",
    "LEASE_SECONDS": "6",
}
SETTLED = """
    SELECT account_id, settled_at FROM replenish.attempt
    WHERE state = 'settled' AND account_id = ANY(:refs)
"""
LOST = """
    SELECT coalesce(max(CAST(detail ->> 'lost' AS int)), 0) AS lost
    FROM replenish.event WHERE kind = 'quarantined' AND account_id = :ref
"""


@dataclass(frozen=True, slots=True)
class Measured:
    """What was found.

    Attributes:
        calm: median and 99th percentile without the poisoned account, in ms.
        poisoned: the same of the others beside it.
        of_calm: the second of these ÷ the first, of the 99th percentiles.
        lost: workers lost to it until it was quarantined; 0 if it never was.
    """

    accounts: int
    calm: tuple[float, float]
    poisoned: tuple[float, float]
    of_calm: float
    lost: int
    violations: int

    @property
    def kept(self) -> bool:
        """Whether everything is as it must be."""
        quarantined = 0 < self.lost <= WORKERS_LOST
        return quarantined and self.of_calm < AT_MOST and not self.violations


def main() -> int:
    """Measure, print, and say whether the limits were kept."""
    given = _arguments()
    with tempfile.TemporaryDirectory(prefix="replenish-bench-") as folder:
        site = Site.open(Path(folder) / "home", LOG_LEVEL="WARNING")
        try:
            found = _run(site, given)
        finally:
            site.close()
    if given.json:
        sys.stdout.write(json.dumps(asdict(found)) + "\n")
    else:
        _print(found)
    return 0 if found.kept else 1


def _run(site: Site, given: argparse.Namespace) -> Measured:
    refs = site.enrol(2 * given.accounts + 2)
    first, poison, warm = refs[: given.accounts], refs[-2], refs[-1]
    second = refs[given.accounts : -2]
    for name in ("one", "two"):
        site.worker(
            name, "-c", "3", FAILPOINTS=f"before_credit/{poison}=kill", **WORKER
        )
    site.beat()
    site.watch([warm])
    until(lambda: site.settled(warm), seconds=PATIENCE, what="the first one credited")
    with Progress(console=Console(stderr=True), transient=True) as progress:
        calm = _fall(site, first, given.every_ms, progress, "calm …")
        site.watch([poison])
        poisoned = _fall(site, second, given.every_ms, progress, "poisoned …")
    until(lambda: _lost(site, poison) > 0, seconds=PATIENCE, what="quarantined")
    until(lambda: _at_rest(site), seconds=PATIENCE, what="nothing else open")
    return Measured(
        accounts=given.accounts,
        calm=calm,
        poisoned=poisoned,
        of_calm=round(poisoned[1] / calm[1], 2),
        lost=_lost(site, poison),
        violations=_violations(site),
    )


def _fall(
    site: Site, refs: Sequence[str], every_ms: int, progress: Progress, text: str
) -> tuple[float, float]:
    """Let accounts fall low one after another; median and 99th percentile in ms."""
    task = progress.add_task(text, total=len(refs))
    since: dict[str, datetime] = {}
    begun = time.monotonic()
    for number, ref in enumerate(refs):
        time.sleep(max(0.0, begun + number * every_ms / 1000 - time.monotonic()))
        since[ref] = site.app.clock()
        site.watch([ref])
        progress.advance(task)
    until(lambda: site.settled(*refs), seconds=PATIENCE, what="all others credited")
    progress.remove_task(task)
    return _percentiles(site, since)


def _percentiles(site: Site, since: Mapping[str, datetime]) -> tuple[float, float]:
    rows = site.ledger(SETTLED, refs=list(since))
    waits = [
        (row["settled_at"] - since[row["account_id"]]).total_seconds() for row in rows
    ]
    cuts = quantiles(waits, n=100)
    return round(cuts[49] * 1000, 1), round(cuts[98] * 1000, 1)


def _lost(site: Site, ref: str) -> int:
    (row,) = site.ledger(LOST, ref=ref)
    return int(row["lost"])


def _at_rest(site: Site) -> bool:
    """Whether only the poisoned account's charge still waits, for a person."""
    return set(site.states()) <= {"settled", "charged"} and site.unclosed() <= 1


def _violations(site: Site) -> int:
    """Check what always holds: the poisoned account's charge is not credited yet."""
    report = site.verify(quiet=False)
    for finding in report.findings:
        for example in finding.examples:
            Console(stderr=True).print(f"{finding.invariant}: {example}")
    return report.violations


def _print(found: Measured) -> None:
    names = ("", "accounts", "low to credited p50, p99 ms", "of calm", "workers lost")
    rows = [
        ("calm", f"{found.accounts:,}", _pair(found.calm), "1.00", "-"),
        (
            "poisoned",
            f"{found.accounts:,}",
            _pair(found.poisoned),
            f"{found.of_calm:.2f}",
            str(found.lost),
        ),
    ]
    print_table("Others beside an account that kills workers", names, rows)


def _pair(figures: tuple[float, float]) -> str:
    return "{:,.0f}, {:,.0f}".format(*figures)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--accounts", type=int, default=300, help="in each half")
    parser.add_argument("--every-ms", type=int, default=100, help="between two falls")
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
