"""How much the billing package's own hang-ups feel of us.

    python -m benchmarks.interference [--package a2billing pyfreebilling]
        [--accounts 100000] [--rate 300] [--seconds 4] [--rounds 3] [--json]

A process of its own ends `--rate` calls a second on random accounts, exactly as the
package writes them (the call record and the debit), and then as many as it can, one
after the other. Meanwhile we are, in turns and again in every round:

- **idle**: nothing of ours runs;
- **hot**: a hot sweep every second, as in production;
- **full**: full sweeps one after the other, with the pause of `FULL_SWEEP_PAUSE`;
- **credits**: one credit after the other, on accounts that are talking;
- **idle again**: the same as the first, last of each round: what differs between these
  two is the machine's doing and not ours.

Each line gives the median and 99th percentile of the paced hang-ups, how much more than
idle that is, and how many a second the unpaced were, from all rounds together. The
tables have the engines, indexes and triggers of the packages; PyFreeBilling needs
nothing, the others a MariaDB on this machine. They write under their own role, we under
ours, which has the least grants, and we stand back as our workers do (NICENESS).

Exit code: 0 when every hang-up succeeded and no sweep more than doubles the median,
else 1. Credits without end do so on MyISAM: each locks the whole table for its moment.
"""

import argparse
import json
import multiprocessing
import sys
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from random import Random
from statistics import median, quantiles
from typing import Any

from rich.console import Console
from rich.progress import track

from benchmarks.filling import enrol
from benchmarks.installation import alone, print_table
from replenish import embedded
from replenish.adapters.sql_billing.package import SqlBilling
from replenish.adapters.sql_billing.session import make_engine
from replenish.bootstrap import PROFILES
from replenish.demo.packages import WRITES, site
from replenish.demo.packages.hands import Hands, Opening, hands
from replenish.demo.packages.site import Site
from replenish.domain.money import Money
from replenish.embedded import mariadb
from replenish.errors import Transient
from replenish.niceness import stand_back
from replenish.pipeline.services import Services
from replenish.pipeline.sweep import Kind, Sweep
from replenish.ports import BillingPackage

BURST = 1000  # hang-ups one after the other, for the rate
TALKING = 1000  # accounts that we credit while calls of theirs end
MORE = 2.0  # times the idle median that is still taken for noise of two cores

OPENING = Decimal(1000)
COST = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class Measured:
    """One condition of one package; times in milliseconds."""

    package: str
    condition: str
    hang_ups: int
    per_second: float
    p50: float
    p99: float
    p50_more: float
    p99_more: float


def main() -> int:
    """Measure each package and print the table."""
    given = _arguments()
    found: list[Measured] = []
    with alone(STRIPE_API_KEY="sk_test_bench") as app:
        enrol(app, given.accounts)
        for name in given.package:
            mysql = WRITES[name].dialect == "mysql"
            home = app.settings.replenish_home
            server = (
                embedded.start_mariadb(home) if mysql else app.settings.database_url
            )
            where = site.make(server, WRITES[name])
            with hands(where.theirs, where.writes) as theirs:
                numbers = range(1, given.accounts + 1)
                theirs.sign_up([Opening(number, OPENING) for number in numbers])
            engine = make_engine(
                where.ours,
                statement_timeout_ms=5_000,
                lock_timeout_ms=2_000,
                on_connect=PROFILES[name].on_connect,
                pool_size=4,
            )
            billing = SqlBilling(engine, PROFILES[name], currency="USD")
            services = replace(app.services, billing=billing)
            found += _measure(where, services, given, app.settings.niceness)
            engine.dispose()
    _print(found, as_json=given.json)
    swept = [each for each in found if each.condition in ("hot", "full")]
    return 0 if all(each.p50_more <= MORE for each in swept) else 1


def _measure(
    where: Site, services: Services, given: argparse.Namespace, niceness: int
) -> list[Measured]:
    name = where.writes.name
    refs = [str(number) for number in range(1, TALKING + 1)]
    conditions: dict[str, Callable[[threading.Event], None]] = {
        "idle": _idling,
        "hot": lambda over: _sweeping(services, Kind.HOT, over, pause=1.0),
        "full": lambda over: _sweeping(services, Kind.FULL, over, pause=0.0),
        "credits": lambda over: _crediting(services, refs, over),
        "idle again": _idling,
    }
    times: dict[str, list[float]] = {each: [] for each in conditions}
    rates: dict[str, list[float]] = {each: [] for each in conditions}
    console = Console(stderr=True)
    for _ in track(range(given.rounds), f"{name} …", console=console):
        for condition, work in conditions.items():
            paced, rate = _while(partial(_standing_back, work, niceness), where, given)
            times[condition] += paced
            rates[condition].append(rate)
    idle50, idle99 = _percentiles(times["idle"])
    found = []
    for condition, each in times.items():
        p50, p99 = _percentiles(each)
        found.append(
            Measured(
                name,
                condition,
                len(each),
                round(median(rates[condition]), 1),
                round(p50, 3),
                round(p99, 3),
                round(p50 / idle50, 3),
                round(p99 / idle99, 3),
            )
        )
    return found


def _while(
    work: Callable[[threading.Event], None], where: Site, given: argparse.Namespace
) -> tuple[list[float], float]:
    """Let calls end meanwhile: each one's milliseconds, and the rate of the unpaced."""
    over = threading.Event()
    ours = threading.Thread(target=work, args=(over,))
    ours.start()
    spawn = multiprocessing.get_context("spawn")
    queue = spawn.Queue()
    args = (where, given.accounts, given.rate, given.seconds, queue)
    switch = spawn.Process(target=_hang_up, args=args)
    switch.start()
    found: tuple[list[float], float] = queue.get(timeout=given.seconds + 60)
    switch.join()
    over.set()
    ours.join()
    return found


def _hang_up(
    where: Site,
    accounts: int,
    rate: float,
    seconds: float,
    queue: "multiprocessing.Queue[tuple[list[float], float]]",
) -> None:
    """Play calls; their ends are timed, each statement committed by itself."""
    random = Random(7)  # noqa: S311 the same calls each time
    times = []
    with hands(where.theirs, where.writes) as theirs:
        due = time.perf_counter()
        for _ in range(int(rate * seconds)):
            due += 1 / rate
            time.sleep(max(0.0, due - time.perf_counter()))
            times.append(_call(theirs, random, accounts) * 1000)
        burst = sum(_call(theirs, random, accounts) for _ in range(BURST))
    queue.put((times, BURST / burst))


def _call(theirs: Hands, random: Random, accounts: int) -> float:
    """Play a call; give the seconds that its end took."""
    most = random.choice((TALKING, accounts))  # half are those we credit
    account = random.randint(1, most)
    theirs.begin(account)
    began = time.perf_counter()
    theirs.end(account, COST)
    return time.perf_counter() - began


def _standing_back(
    work: Callable[[threading.Event], None], niceness: int, over: threading.Event
) -> None:
    """Work as a worker does; Linux takes a thread's niceness by itself."""
    stand_back(niceness)
    work(over)


def _idling(over: threading.Event) -> None:
    over.wait()


def _sweeping(
    services: Services, kind: Kind, over: threading.Event, *, pause: float
) -> None:
    halting = replace(services, billing=_Halting(services.billing, over))
    while not over.is_set():
        with suppress(_Over):
            list(Sweep(kind, halting))
        over.wait(pause)


OVER = "The measurement is over."


class _Over(Transient):
    """The turn ended in the middle of a sweep, which gives its own back."""


class _Halting:
    """A billing package that ends a sweep with its turn."""

    def __init__(self, billing: BillingPackage, over: threading.Event) -> None:
        self._billing = billing
        self._over = over

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 whatever the package has
        if self._over.is_set():
            raise _Over(OVER)
        return getattr(self._billing, name)


def _crediting(services: Services, refs: Sequence[str], over: threading.Event) -> None:
    random = Random(8)  # noqa: S311 the same accounts each time
    while not over.is_set():
        services.billing.apply_credit(
            random.choice(refs),
            Money(Decimal(1), "USD"),
            reference=str(uuid.uuid4()),
            note="Automatic top-up",
            at=datetime.now(UTC),
        )


def _percentiles(times: Sequence[float]) -> tuple[float, float]:
    cuts = quantiles(times, n=100)
    return cuts[49], cuts[98]


def _print(found: Sequence[Measured], *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps([asdict(each) for each in found]) + "\n")
        return
    names = (
        *("package", "we are", "hang-ups", "p50 ms", "p99 ms"),
        *("p50 ÷ idle", "p99 ÷ idle", "at most per s"),
    )
    rows = [
        (
            each.package,
            each.condition,
            f"{each.hang_ups:,}",
            f"{each.p50:.2f}",
            f"{each.p99:.2f}",
            f"{each.p50_more:.2f}",
            f"{each.p99_more:.2f}",
            f"{each.per_second:,.0f}",
        )
        for each in found
    ]
    print_table("What hang-ups feel of us", names, rows)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    known = [
        name
        for name, writes in WRITES.items()
        if mariadb.installed() or writes.dialect != "mysql"
    ]
    parser.add_argument("--package", nargs="+", choices=sorted(WRITES), default=known)
    parser.add_argument("--accounts", type=int, default=100_000)
    parser.add_argument("--rate", type=float, default=300.0, help="calls a second")
    parser.add_argument("--seconds", type=float, default=4.0, help="of each turn")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
