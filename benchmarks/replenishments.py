"""How many accounts a second are replenished, against what is possible at all.

    python -m benchmarks.replenishments [--accounts 2000] [--latency-ms 150 0]
        [--workers 2] [--concurrency 16] [--pool threads] [--json]

Real workers, beat, PostgreSQL, Redis, and the sandbox, which answers each request
after `--latency-ms`. All accounts are low at once. For each latency:

- **rate**: replenishments a second, from the first claim to the last settled row.
- **of ceiling**: that rate ÷ (all threads ÷ time in the gateway), where the time is
  two requests (create, confirm) of the given latency. Not defined for 0.
- **of empty tasks**: that rate ÷ the rate at which the same workers take empty tasks
  from the same queue in the same run.
- **CPU ms**: processor time of all workers for each replenishment.
- **charge to credit**: median and 99th percentile, from the journal.

Everything, servers included, shares this machine's processors. Each run is checked by
`replenish verify`, the gateway's ledger included.

Exit code: 0 when every run was clean, else 1.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil
from rich.console import Console
from rich.progress import Progress

from benchmarks.installation import print_table
from tests.acceptance.site import Site

CALLS = 2  # requests to the gateway for each replenishment
EMPTY = 5_000  # empty tasks

RATE = """
    SELECT count(*) / extract(epoch FROM max(settled_at) - min(claimed_at)) AS rate,
      percentile_cont(0.5) WITHIN GROUP (ORDER BY credit) * 1000 AS p50,
      percentile_cont(0.99) WITHIN GROUP (ORDER BY credit) * 1000 AS p99
    FROM (SELECT *, extract(epoch FROM settled_at - charged_at) AS credit
          FROM replenish.attempt WHERE state = 'settled') AS t
"""


@dataclass(frozen=True, slots=True)
class Measured:
    """One line of the answer."""

    latency_ms: int
    accounts: int
    in_flight: int
    rate: float
    of_ceiling: float | None
    empty_rate: float
    of_empty: float
    cpu_ms: float
    credit_p50_ms: float
    credit_p99_ms: float
    violations: int


def main() -> int:
    """Measure each latency and print the table."""
    given = _arguments()
    found = [_measure(given, latency) for latency in given.latency_ms]
    if given.json:
        sys.stdout.write(json.dumps([asdict(each) for each in found]) + "\n")
    else:
        _print(found)
    return 0 if not any(each.violations for each in found) else 1


def _measure(given: argparse.Namespace, latency: int) -> Measured:
    console = Console(stderr=True)
    with tempfile.TemporaryDirectory(prefix="replenish-bench-") as folder:
        site = Site.open(Path(folder) / "home", LOG_LEVEL="WARNING")
        try:
            with Progress(console=console, transient=True) as progress:
                return _run(site, given, latency, progress)
        finally:
            site.close()


def _run(
    site: Site, given: argparse.Namespace, latency: int, progress: Progress
) -> Measured:
    refs = site.enrol(given.accounts)
    names = [f"worker-{number}" for number in range(given.workers)]
    for name in names:
        options = ("-P", given.pool, "-c", str(given.concurrency))
        site.worker(name, *options, "-I", "benchmarks.worker", DB_POOL_SIZE="8")
    empty_rate = _empty_rate(site, progress)
    if latency:
        site.control.fault("latency", ms=latency)
    before = _cpu_seconds(site, names)
    site.beat()
    site.watch(refs)
    _wait(site, len(refs), progress, f"{latency} ms: replenishing …")
    cpu = _cpu_seconds(site, names) - before
    (row,) = site.ledger(RATE)
    rate = float(row["rate"])
    in_flight = given.workers * given.concurrency
    ceiling = in_flight * 1000 / (CALLS * latency) if latency else None
    return Measured(
        latency_ms=latency,
        accounts=len(refs),
        in_flight=in_flight,
        rate=round(rate, 1),
        of_ceiling=round(rate / ceiling, 2) if ceiling else None,
        empty_rate=round(empty_rate),
        of_empty=round(rate / empty_rate, 2),
        cpu_ms=round(cpu * 1000 / len(refs), 1),
        credit_p50_ms=round(float(row["p50"]), 1),
        credit_p99_ms=round(float(row["p99"]), 1),
        violations=_violations(site),
    )


def _empty_rate(site: Site, progress: Progress) -> float:
    """Let the workers take empty tasks; give how many a second.

    The messages are copies of one that Celery wrote, pushed before the clock starts,
    so that only taking them is measured.
    """
    queue = site.redis()
    task = progress.add_task("empty tasks …", total=EMPTY)
    while not queue.exists("_kombu.binding.replenish"):
        time.sleep(0.1)
    message = _empty_message()
    with queue.pipeline() as pipe:
        for number in range(EMPTY):
            pipe.lpush("replenish", message.replace("bench-id", f"bench-{number}"))
        began = time.perf_counter()
        pipe.execute()
    while left := int(queue.llen("replenish")) + int(queue.hlen("unacked")):
        progress.update(task, completed=EMPTY - left)
        time.sleep(0.02)
    progress.remove_task(task)
    return EMPTY / (time.perf_counter() - began)


def _empty_message() -> str:
    """Give the message of an empty task, as kombu would write it."""
    body = "W1tdLCB7fSwgeyJjYWxsYmFja3MiOiBudWxsLCAiZXJyYmFja3MiOiBudWxsfV0="
    return json.dumps(
        {
            "body": body,  # [[], {}, {"callbacks": null, "errbacks": null}]
            "content-encoding": "utf-8",
            "content-type": "application/json",
            "headers": {
                "lang": "py",
                "task": "bench.empty",
                "id": "bench-id",
                "ignore_result": True,
                "retries": 0,
            },
            "properties": {
                "correlation_id": "bench-id",
                "delivery_mode": 2,
                "delivery_info": {"exchange": "", "routing_key": "replenish"},
                "priority": 0,
                "body_encoding": "base64",
                "delivery_tag": "bench-id",
            },
        }
    )


def _wait(site: Site, total: int, progress: Progress, text: str) -> None:
    task = progress.add_task(text, total=total)
    while (done := site.states().get("settled", 0)) < total:
        progress.update(task, completed=done)
        time.sleep(0.2)
    while site.unclosed():
        time.sleep(0.2)
    progress.remove_task(task)


def _cpu_seconds(site: Site, names: Sequence[str]) -> float:
    total = 0.0
    for name in names:
        parent = psutil.Process(site.pid(name))
        for process in (parent, *parent.children(recursive=True)):
            times = process.cpu_times()
            total += times.user + times.system
    return total


def _violations(site: Site) -> int:
    report = site.verify()
    for finding in report.findings:
        for example in finding.examples:
            Console(stderr=True).print(f"{finding.invariant}: {example}")
    return report.violations


def _print(found: Sequence[Measured]) -> None:
    names = (
        *("gateway ms", "accounts", "in flight", "rate /s", "of ceiling"),
        *("empty tasks /s", "of empty", "CPU ms", "charge to credit p50, p99 ms"),
    )
    rows = [
        (
            str(each.latency_ms),
            f"{each.accounts:,}",
            str(each.in_flight),
            f"{each.rate:,.1f}",
            "-" if each.of_ceiling is None else f"{each.of_ceiling:.2f}",
            f"{each.empty_rate:,}",
            f"{each.of_empty:.2f}",
            f"{each.cpu_ms:.1f}",
            f"{each.credit_p50_ms:.0f}, {each.credit_p99_ms:.0f}",
        )
        for each in found
    ]
    print_table("Replenishments, with all servers", names, rows)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--accounts", type=int, default=2000)
    parser.add_argument("--latency-ms", type=int, nargs="+", default=[150, 0])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--concurrency", type=int, default=16, help="of each worker")
    parser.add_argument("--pool", default="threads", choices=["threads", "prefork"])
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
