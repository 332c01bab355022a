"""How far below their floor accounts get while they are cut off.

    python -m benchmarks.overdraft [--accounts 300] [--burn 1.00] [--json]

Accounts whose only card is dead talk on, debited as they talk, twenty times a second
as a switch does that bills in real time, until their service ends. They fall to their
floor one after another; real workers, beat, PostgreSQL and Redis cut them off.

- **overdraft**: how far below the floor they ended: median, 99th percentile, worst.
- **in seconds**: the same ÷ what a second of talking costs: for how long an account
  talks without money. I22 allows 2 s for 99 of 100, and the one debit under way.
- **of limit**: the 99th percentile ÷ that limit.

Exit code: 0 when the limit is kept, everybody is cut off and `replenish verify` finds
nothing, else 1.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from pathlib import Path
from statistics import quantiles

import sqlalchemy as sa
from rich.console import Console
from rich.progress import Progress

from benchmarks.installation import print_table
from tests.acceptance.site import Site, until

ALLOWED = 2.0  # seconds from exhausted to cut off, for 99 of 100
TICKS = 20  # debits a second
PATIENCE = 120.0
DIED = "UPDATE replenish.card SET dead_at = now(), dead_reason = 'lost_card'"
OPENED = """
    UPDATE billing.account a SET balance = b.balance, opening_balance = b.balance
    FROM unnest(CAST(:refs AS text[]), CAST(:balances AS numeric[])) AS b(ref, balance)
    WHERE a.number = b.ref
"""
TALK = sa.text("""
    WITH talking AS (
      UPDATE billing.account SET balance = balance - :cost
      WHERE state = 'active' AND number = ANY(:refs) RETURNING id, balance
    )
    INSERT INTO billing.call (call_id, account_id, called, started, seconds,
      billed_seconds, cost, rate_id, available_after)
    SELECT gen_random_uuid(), id, '4420', now(), 0, 0, :cost, 0, balance FROM talking
""")
LEFT = "SELECT -balance FROM billing.account WHERE number = ANY(:refs)"


@dataclass(frozen=True, slots=True)
class Measured:
    """What was found; money in units of the account's currency.

    Attributes:
        overdraft: median, 99th percentile and worst.
        seconds: the same ÷ what a second costs.
        of_limit: the 99th percentile ÷ what is allowed.
    """

    accounts: int
    overdraft: tuple[float, float, float]
    seconds: tuple[float, float, float]
    of_limit: float
    violations: int


def main() -> int:
    """Measure, print, and say whether the limit was kept."""
    given = _arguments()
    with tempfile.TemporaryDirectory(prefix="replenish-bench-") as folder:
        site = Site.open(Path(folder) / "home", LOG_LEVEL="WARNING")
        try:
            found = _run(site, given.accounts, given.burn)
        finally:
            site.close()
    if given.json:
        sys.stdout.write(json.dumps(asdict(found)) + "\n")
    else:
        _print(found)
    return 0 if found.of_limit <= 1 and not found.violations else 1


def _run(site: Site, accounts: int, burn: Decimal) -> Measured:
    refs = site.enrol(accounts)
    with site.app.ledger_engine.begin() as connection:
        connection.exec_driver_sql(DIED)
    balances = [burn * (2 + Decimal(number) / 50) for number in range(accounts)]
    site.run(OPENED, refs=refs, balances=balances)
    site.watch(refs)
    site.worker("worker", "-c", "2", "-Q", "replenish,reconcile")
    site.worker("cutoff", "-c", "2", "-Q", "cutoff,sweep")
    site.beat()
    until(lambda: _seen(site) == accounts, seconds=PATIENCE, what="all seen low")
    cost = burn / TICKS
    _talk(site, refs, cost)
    left = sorted(_left(site, refs))
    cuts = quantiles(left, n=100)
    overdraft = (cuts[49], cuts[98], left[-1])
    a_second = float(burn)
    allowed = ALLOWED * a_second + float(cost)
    return Measured(
        accounts=accounts,
        overdraft=_rounded(overdraft),
        seconds=_rounded([each / a_second for each in overdraft]),
        of_limit=round(overdraft[1] / allowed, 2),
        violations=site.verify().violations,
    )


def _talk(site: Site, refs: Sequence[str], cost: Decimal) -> None:
    """Debit whoever has service, many times a second, until nobody has."""
    values = {"refs": list(refs), "cost": cost}
    due = time.monotonic()
    given_up = due + PATIENCE
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("cut off …", total=len(refs))
        while due < given_up:
            with site.app.billing_engine.begin() as connection:
                talking = connection.execute(TALK, values).rowcount
            progress.update(task, completed=len(refs) - talking)
            if not talking:
                return
            due += 1 / TICKS
            time.sleep(max(0.0, due - time.monotonic()))
    msg = f"{talking} accounts still have service after {PATIENCE:.0f} s."
    raise AssertionError(msg)


def _seen(site: Site) -> int:
    (row,) = site.ledger("SELECT count(*) AS n FROM replenish.skip")
    return int(row["n"])


def _left(site: Site, refs: Sequence[str]) -> list[float]:
    with site.app.billing_engine.connect() as connection:
        found = connection.execute(sa.text(LEFT), {"refs": list(refs)}).scalars()
        return [float(each) for each in found]


def _rounded(figures: Sequence[float]) -> tuple[float, float, float]:
    median, slow, worst = (round(each, 2) for each in figures)
    return median, slow, worst


def _print(found: Measured) -> None:
    names = (
        "accounts",
        "overdraft p50, p99, worst",
        "in seconds",
        "of limit",
        "broken",
    )
    row = (
        f"{found.accounts:,}",
        ", ".join(f"{each:.2f}" for each in found.overdraft),
        ", ".join(f"{each:.2f}" for each in found.seconds),
        f"{found.of_limit:.2f}",
        str(found.violations),
    )
    print_table("How far below the floor accounts get", names, [row])


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--accounts", type=int, default=300)
    parser.add_argument(
        "--burn", type=Decimal, default=Decimal(1), help="what a second costs"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
