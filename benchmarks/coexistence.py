"""Whether a package's own statements and ours can live on the same accounts.

    python -m benchmarks.coexistence [--package astpp pyfreebilling] [--seconds 60]
        [--json]

Each package in turn, on a server of its own, everybody as fast as they can:

- **theirs**, one process under the package's own role: calls begin and end on three
  connections, exactly as the package writes them (reservation, call record, debit,
  triggers), and one operator refills;
- **ours**, two processes under the least grants: credits from two threads each,
  repeated until they are made, as the pipeline repeats them; and one thread that
  follows the call records, reads balances, cuts off and restores.

All share eight accounts, prepaid and real-time. A form that reads a whole row and
writes it back overwrites what came in between, whoever wrote it: it is filled in on
two accounts apart, where nothing else happens.

A line a package: their statements and how many failed, our credits, how many had to
be repeated, how many are lost (not exactly once in the package's own refill report),
accounts left cut off, and by how much the balances differ from what was written.

Exit code: 0 when nothing of theirs failed, nothing of ours is lost, nobody is left
cut off and all balances add up to the last decimal, else 1.
"""

import argparse
import json
import multiprocessing
import sys
import threading
import time
import uuid
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from multiprocessing.synchronize import Barrier
from random import Random

import sqlalchemy as sa
from rich.console import Console
from sqlalchemy.exc import SQLAlchemyError

from benchmarks.installation import alone, print_table
from replenish import embedded
from replenish.adapters.sql_billing.package import SqlBilling
from replenish.adapters.sql_billing.session import make_engine
from replenish.bootstrap import PROFILES
from replenish.demo.packages import VARIANTS, site, tables_of, writes_of
from replenish.demo.packages.hands import Opening, hands
from replenish.demo.packages.site import Site
from replenish.domain.account import Service
from replenish.domain.money import Money
from replenish.embedded import mariadb
from replenish.errors import BillingUnavailable

SHARED = tuple(range(1001, 1009))  # whom both write to
APART = (2001, 2002)  # whom only the operator's form writes to
OPENING = Decimal(1000)
LIMIT = Decimal(500)  # of every other account
CALLERS, CREDITORS = 3, 2  # connections of a process
OUR_PROCESSES = 2
PATIENCE = 60.0  # seconds for processes to begin, and to come to an end
TOLD = 3  # failures that are shown

Work = Callable[[Site, float, "Tally", int], None]


@dataclass
class Tally:
    """What one thread has written.

    Attributes:
        failed: what went wrong, a sentence each.
        moved: account → what its balance was changed by.
        credited: reference → account and amount, of a credit that we were told of.
    """

    statements: int = 0
    repeated: int = 0
    failed: list[str] = field(default_factory=list)
    moved: dict[int, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    credited: dict[str, tuple[int, Decimal]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Figures:
    """One line of the answer."""

    package: str
    statements: int
    failed: int
    credits: int
    repeated: int
    lost: int
    left_cut_off: int
    difference: Decimal
    told: Sequence[str] = ()

    @property
    def clean(self) -> bool:
        """Whether everything that must be zero is."""
        wrong = (self.failed, self.lost, self.left_cut_off, self.difference)
        return not any(wrong)


def main() -> int:
    """Run each package and print the table."""
    given = _arguments()
    found = []
    with alone(STRIPE_API_KEY="sk_test_bench") as app:
        for name in given.package:
            mysql = writes_of(name).dialect == "mysql"
            home = app.settings.replenish_home
            server = (
                embedded.start_mariadb(home) if mysql else app.settings.database_url
            )
            with Console(stderr=True).status(f"{name} for {given.seconds:.0f} s ..."):
                found.append(coexist(lay(server, name), name, seconds=given.seconds))
    _print(found, as_json=given.json)
    return 0 if all(each.clean for each in found) else 1


def lay(server: str, variant: str) -> Site:
    """Make a database for a variant, under a name that no other has."""
    database = f"c_{uuid.uuid4().hex[:12]}"
    tables = tables_of(variant)
    return site.make(server, writes_of(variant), database=database, tables=tables)


def coexist(where: Site, name: str, *, seconds: float) -> Figures:
    """Let both write for so long, and add up what they have left."""
    openings = list(_openings())
    with hands(where.theirs, where.writes) as theirs:
        theirs.sign_up(openings)
    own, ours = _both(where, seconds)
    credited = {k: v for each in ours for k, v in each.credited.items()}
    known = set(credited)
    with hands(where.theirs, where.writes) as theirs:
        rows = theirs.connection.execute(sa.text(where.writes.report)).all()
        stands = Counter(
            (str(ref), int(account), Decimal(amount))
            for account, amount, ref in rows
            if str(ref) in known
        )
        difference = sum(
            abs(theirs.balance(each.id) - each.balance - _moved(each.id, own + ours))
            for each in openings
        )
    lost = sum(stands[ref, *what] != 1 for ref, what in credited.items())
    unfinished = [told for each in ours for told in each.failed]
    failed = [told for each in own for told in each.failed]
    return Figures(
        package=name,
        statements=sum(each.statements for each in own),
        failed=len(failed),
        credits=len(credited),
        repeated=sum(each.repeated for each in ours),
        lost=lost + len(unfinished),
        left_cut_off=_left_cut_off(where),
        difference=Decimal(difference),
        told=(failed + unfinished)[:TOLD],
    )


def _openings() -> Iterator[Opening]:
    for number in SHARED + APART:
        yield Opening(number, OPENING, LIMIT if number % 2 else None)


def _moved(account: int, tallies: Sequence[Tally]) -> Decimal:
    return sum((each.moved[account] for each in tallies), Decimal(0))


def _left_cut_off(where: Site) -> int:
    with _ours(where) as billing:
        accounts = billing.balances([str(number) for number in SHARED])
    active = [a for a in accounts.values() if a.service is Service.ACTIVE]
    return len(SHARED) - len(active)


def _both(where: Site, seconds: float) -> tuple[list[Tally], list[Tally]]:
    """Start the processes, let them begin at once, and collect what they tell."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    barrier = context.Barrier(1 + OUR_PROCESSES)
    queues = [context.Queue() for _ in range(1 + OUR_PROCESSES)]
    crews: list[tuple[Work, ...]] = [
        (*[_calls] * CALLERS, _counter),
        *[(*[_credits] * CREDITORS, _follow)] * OUR_PROCESSES,
    ]
    processes = [
        context.Process(target=_play, args=(crew, where, seconds, barrier, queue))
        for crew, queue in zip(crews, queues, strict=True)
    ]
    for each in processes:
        each.start()
    told = [queue.get(timeout=seconds + 2 * PATIENCE) for queue in queues]
    for each in processes:
        each.join()
    return told[0], [tally for tallies in told[1:] for tally in tallies]


def _play(
    crew: Sequence[Work],
    where: Site,
    seconds: float,
    barrier: Barrier,
    queue: "multiprocessing.Queue[list[Tally]]",
) -> None:
    """Run a process's threads until the time is over."""
    barrier.wait(PATIENCE)
    until = time.monotonic() + seconds
    tallies = [Tally() for _ in crew]
    threads = [
        threading.Thread(target=_guarded, args=(work, where, until, tally, number))
        for number, (work, tally) in enumerate(zip(crew, tallies, strict=True))
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    queue.put(tallies)


def _guarded(work: Work, where: Site, until: float, tally: Tally, number: int) -> None:
    """Whatever else goes wrong is a failure too, and is told."""
    try:
        work(where, until, tally, number)
    except Exception as error:  # noqa: BLE001 told in the table
        tally.failed.append(f"{type(error).__name__}: {error}")


def _turns(until: float) -> Iterator[None]:
    """Give turns until the time is over, and one where connecting took all of it."""
    yield
    while time.monotonic() < until:
        yield


def _calls(where: Site, until: float, tally: Tally, number: int) -> None:
    """Begin calls and hang them up."""
    chance = Random(number)  # noqa: S311 the same calls each time
    step = Decimal(1).scaleb(-where.writes.places)
    each_call = len(where.writes.begin) + len(where.writes.end)
    with hands(where.theirs, where.writes) as theirs:
        for _ in _turns(until):
            account, cost = chance.choice(SHARED), chance.randint(1, 99_999) * step
            tally.statements += each_call
            tally.moved[account] -= cost
            try:
                theirs.begin(account)
                theirs.end(account, cost, seconds=chance.randint(1, 600))
            except SQLAlchemyError as error:
                tally.failed.append(str(error.__cause__ or error))


def _counter(where: Site, until: float, tally: Tally, number: int) -> None:
    """Refill in cash: relatively where both write, by the form on accounts apart."""
    chance = Random(number)  # noqa: S311 the same refills each time
    with hands(where.theirs, where.writes) as theirs:
        ways = [
            (theirs.refill, SHARED, len(where.writes.refill)),
            (theirs.fill_form, APART, len(where.writes.form)),
        ]
        ways = [way for way in ways if way[2]]
        for _ in _turns(until):
            refill, accounts, statements = chance.choice(ways)
            account, amount = chance.choice(accounts), Decimal(chance.randint(1, 50))
            tally.statements += statements
            tally.moved[account] += amount
            try:
                refill(account, amount)
            except SQLAlchemyError as error:
                tally.failed.append(str(error.__cause__ or error))
                theirs.connection.exec_driver_sql("ROLLBACK")
            time.sleep(0.005)  # a person, if a quick one


def _credits(where: Site, until: float, tally: Tally, number: int) -> None:
    """Credit, each until it is made."""
    chance = Random(100 + number)  # noqa: S311 the same accounts each time
    with _ours(where) as billing:
        for _ in _turns(until):
            account = chance.choice(SHARED)
            amount = Decimal(chance.randint(1, 2500)) / 100
            reference = str(uuid.uuid4())
            _credit(billing, account, amount, reference, tally)
            tally.credited[reference] = (account, amount)
            tally.moved[account] += amount


def _credit(
    billing: SqlBilling, account: int, amount: Decimal, reference: str, tally: Tally
) -> None:
    end = time.monotonic() + PATIENCE
    while True:
        try:
            billing.apply_credit(
                str(account),
                Money(amount, "USD"),
                reference=reference,
                note="Automatic top-up",
                at=datetime.now(UTC),
            )
        except BillingUnavailable:
            tally.repeated += 1
            if time.monotonic() > end:
                raise
        else:
            return


def _follow(where: Site, until: float, tally: Tally, number: int) -> None:
    """Look who called, read balances, cut off and restore, as sweeps do."""
    chance = Random(200 + number)  # noqa: S311 the same accounts each time
    with _ours(where) as billing:
        cursor = None
        for _ in _turns(until):
            calls = billing.calls_since(cursor)
            cursor = calls.cursor
            billing.balances(list(calls.accounts))
            account = str(chance.choice(SHARED))
            _until_done(
                lambda: billing.suspend(account, at_most=Decimal(10**6)),  # noqa: B023
                tally,
            )
            _until_done(lambda: billing.restore(account), tally)  # noqa: B023
            time.sleep(0.05)


def _until_done(change: Callable[[], bool], tally: Tally) -> None:
    while True:
        try:
            change()
        except BillingUnavailable:
            tally.repeated += 1
        else:
            return


@contextmanager
def _ours(where: Site) -> Iterator[SqlBilling]:
    """Lend the adapter under the role with the least grants."""
    profile = PROFILES[where.writes.name]
    engine = make_engine(
        where.ours,
        statement_timeout_ms=5_000,
        lock_timeout_ms=2_000,
        on_connect=profile.on_connect,
    )
    try:
        yield SqlBilling(engine, profile, currency="USD")
    finally:
        engine.dispose()


def _print(found: Sequence[Figures], *, as_json: bool) -> None:
    if as_json:
        lines = [asdict(each) for each in found]
        sys.stdout.write(json.dumps(lines, default=str) + "\n")
        return
    names = (
        *("package", "their statements", "failed", "our credits", "repeated"),
        *("lost", "left cut off", "balances differ by"),
    )
    rows = [
        (
            each.package,
            f"{each.statements:,}",
            str(each.failed),
            f"{each.credits:,}",
            str(each.repeated),
            str(each.lost),
            str(each.left_cut_off),
            str(each.difference.normalize()),
        )
        for each in found
    ]
    print_table("Their statements and ours on the same accounts", names, rows)
    for each in found:
        for told in each.told:
            sys.stderr.write(f"{each.package}: {told}\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    known = [
        name
        for name in VARIANTS
        if mariadb.installed() or writes_of(name).dialect != "mysql"
    ]
    parser.add_argument("--package", nargs="+", choices=VARIANTS, default=known)
    parser.add_argument("--seconds", type=float, default=60.0, help="of each package")
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
