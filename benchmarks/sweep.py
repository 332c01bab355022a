"""How long a sweep takes to find, decide, claim and hand out the low accounts.

    python -m benchmarks.sweep [--accounts 10000 100000 1000000] [--low 0.001] [--json]

Real PostgreSQL and Redis in a temporary home, the bundled billing package, accounts
enrolled with a card each, of which `--low` are low; the real sweep task publishes to
the real queue, and no worker takes anything from it. Compared in the same run, in
alternation:

- **hot**: the package tells who is low, from its index; its cost follows the low.
- **full**: all accounts in primary-key pages, without the pause between pages. In
  production the pause is added, on purpose (`FULL_SWEEP_PAUSE`).
- **naive**: what one would write first: read all balances, and for each that is low
  read its rule, insert an attempt and call `apply_async`. It checks no cap, writes no
  batch and no reason, so it does less.

Each run is checked: as many claims as low accounts, and a message for each.

Exit code: 0 when the hot sweep is faster than the naive loop at every size, else 1.
"""

import argparse
import json
import statistics
import sys
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Self

import redis
import sqlalchemy as sa
from rich.console import Console
from rich.progress import track

from benchmarks.filling import empty_rows, fill
from benchmarks.installation import alone, print_table
from replenish.bootstrap import Application


@dataclass(frozen=True, slots=True)
class Measured:
    """One line of the answer; seconds are medians."""

    accounts: int
    low: int
    hot_seconds: float
    full_seconds: float
    naive_seconds: float
    hot_statements: int
    ratio: float


def main() -> int:
    """Measure each size and print the table."""
    given = _arguments()
    stderr = Console(stderr=True)
    with alone(STRIPE_API_KEY="sk_test_bench", FULL_SWEEP_PAUSE="0") as app:
        found = []
        for accounts in given.accounts:
            low = max(1, round(accounts * given.low))
            stderr.print(f"{accounts:,} accounts, {low:,} low: filling …")
            fill(app, accounts, low)
            found.append(_measure(app, accounts, low, given.repeats, stderr))
    _print(found, as_json=given.json)
    return 0 if all(each.ratio > 1 for each in found) else 1


def _measure(
    app: Application, accounts: int, low: int, repeats: int, stderr: Console
) -> Measured:
    kinds: dict[str, Callable[[], None]] = {
        "hot": lambda: _sweep(app, "hot"),
        "full": lambda: _sweep(app, "full"),
        "naive": lambda: _one_by_one(app),
    }
    seconds: dict[str, list[float]] = {kind: [] for kind in kinds}
    statements = _Statements(app)
    # once before it counts: plans, connections, the operating system's cache
    for round_ in track(range(repeats + 1), "measuring …", console=stderr):
        for kind, run in kinds.items():
            with statements:
                taken = _timed(app, run, claims=low)
            if kind == "hot":
                seen = statements.seen
            if round_:
                seconds[kind].append(taken)
    hot, full, naive = (statistics.median(seconds[kind]) for kind in kinds)
    ratio = round(naive / hot, 1)
    return Measured(
        accounts, low, round(hot, 4), round(full, 3), round(naive, 3), seen, ratio
    )


def _sweep(app: Application, kind: str) -> None:
    from tasks.sweep import sweep  # noqa: PLC0415 after the settings are in place

    sweep.run(kind)
    while any(job.unfinished for job in app.reading.jobs()):
        sweep.run(kind)


def _timed(app: Application, run: Callable[[], None], claims: int) -> float:
    """Run once on clean rows; give the seconds.

    Raises:
        RuntimeError: not as many claims or messages as there should be.
    """
    empty_rows(app)
    queue = redis.Redis.from_url(app.settings.redis_url)
    queue.flushall()
    began = time.perf_counter()
    run()
    seconds = time.perf_counter() - began
    with app.ledger_engine.connect() as connection:
        query = sa.text("SELECT count(*) FROM replenish.attempt")
        claimed = connection.execute(query).scalar_one()
    if (claimed, queue.llen("replenish")) != (claims, claims):
        msg = f"{claimed} claims, {queue.llen('replenish')} messages, {claims} are low."
        raise RuntimeError(msg)
    return seconds


def _one_by_one(app: Application) -> None:
    from tasks.replenish import account  # noqa: PLC0415 as above

    with app.billing_engine.begin() as connection:
        balances = connection.execute(BALANCES).all()
    for ref, balance in balances:
        if balance > app.defaults.threshold:
            continue
        with app.ledger_engine.begin() as connection:
            row = connection.execute(RULE, {"ref": ref}).one()
            if balance > (row.threshold or app.defaults.threshold):
                continue
            connection.execute(INSERT, {"id": str(uuid.uuid4()), "ref": ref})
        account.apply_async((ref,))


BALANCES = sa.text("SELECT number, balance FROM billing.account")
RULE = sa.text("SELECT threshold, paused_at FROM replenish.account WHERE id = :ref")
INSERT = sa.text("""
INSERT INTO replenish.attempt (id, account_id, card_id, amount, currency, customer,
  payment_method, fingerprint, state)
SELECT :id, k.account_id, k.id, 25, 'USD', k.customer, k.payment_method, k.fingerprint,
  'claimed'
FROM replenish.card k WHERE k.account_id = :ref
""")


class _Statements:
    """Counts what is sent to either database within its block."""

    def __init__(self, app: Application) -> None:
        self._engines = (app.ledger_engine, app.billing_engine)
        self.seen = 0

    def __enter__(self) -> Self:
        self.seen = 0
        for engine in self._engines:
            sa.event.listen(engine, "before_cursor_execute", self._count)
        return self

    def __exit__(self, *_: object) -> None:
        for engine in self._engines:
            sa.event.remove(engine, "before_cursor_execute", self._count)

    def _count(self, *_: object) -> None:
        self.seen += 1


def _print(found: Sequence[Measured], *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps([asdict(each) for each in found]) + "\n")
        return
    names = (
        *("accounts", "low", "hot ms", "statements", "claims/s"),
        *("full s", "accounts/s", "naive s", "naive ÷ hot"),
    )
    rows = [
        (
            f"{each.accounts:,}",
            f"{each.low:,}",
            f"{each.hot_seconds * 1000:.1f}",
            str(each.hot_statements),
            f"{each.low / each.hot_seconds:,.0f}",
            f"{each.full_seconds:.2f}",
            f"{each.accounts / each.full_seconds:,.0f}",
            f"{each.naive_seconds:,.2f}",
            f"{each.ratio:,.1f}",
        )
        for each in found
    ]
    print_table("Sweep, claim and publish", names, rows)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    sizes = [10_000, 100_000, 1_000_000]
    parser.add_argument("--accounts", type=int, nargs="+", default=sizes)
    parser.add_argument("--low", type=float, default=0.001, help="share that is low")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each kind")
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
