"""A run from its beginning to its judgement."""

import signal
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Self

import sqlalchemy as sa

from replenish.errors import ReplenishError
from replenish.pipeline import enrol
from replenish.verify import Report
from tests.chaos.growth import Growth
from tests.chaos.history import History
from tests.chaos.installation import CUTOFF, WORKERS, Installation
from tests.chaos.judgement import Outcome, Window
from tests.chaos.mischief import INFRASTRUCTURE, MESSAGES, Mischief, plan
from tests.chaos.people import settle_in
from tests.chaos.screen import Screen
from tests.chaos.storm import Storm
from tests.chaos.watcher import Watcher

QUIET_SECONDS = 20.0  # the window without faults, before the chaos
WARM_UP = 120.0  # seconds until the first charges
CHECK_EVERY = 5.0  # seconds between two checks of the books
LISTEN_EVERY = 0.5  # seconds between two looks at the messages
PAUSE = 5  # times as long as a check took, so that it does not become the load
LONGER = 2.0  # times the length asked for, if a busy machine needs it for the charges
GIVE_UP = 90.0  # seconds after healing when it is no use to wait any longer
STEP = 0.1  # seconds
FEW = 30  # charges after which everything is warm
AT_ONCE = 24  # faults that last, such as a frozen worker, under way together

AWAY = (sa.exc.SQLAlchemyError, ReplenishError)
"""What a check meets while a database is away."""

OPEN = sa.text("""
    SELECT count(*) FROM replenish.attempt
    WHERE state IN ('claimed', 'charging', 'unknown', 'charged')
""")


class Broken(Exception):
    """An invariant does not hold; there is no use in going on."""


class Run:
    """One run; its processes end with the `with` block, whatever happens."""

    def __init__(
        self, home: Path, *, seed: int, seconds: float, screen: Screen
    ) -> None:
        self.seconds = seconds
        self.screen = screen
        self.site = Installation.open(home)
        try:
            self._prepare(seed)
        except BaseException:
            self.site.close()
            raise

    def _prepare(self, seed: int) -> None:
        self.history = History()
        self.mischief = Mischief(self.site, self.history, seed)
        self.watcher = Watcher(
            self.site.watching_ledger,
            self.site.watching_billing,
            self.site.gateway_ledger,
            self.site.app.defaults,
            self.history,
        )
        chance = Random(f"people/{seed}")  # noqa: S311 repeatable on purpose
        self.customers = settle_in(self.site.app, chance)
        self.storm = Storm(
            self.site.app.settings.billing_database_url,
            self.customers,
            self.watcher,
            seed,
        )
        self.outcome = Outcome(seed, self.seconds, len(self.customers))
        self.growth = Growth(self.site)
        self._next_check = self._listened = self._asked = 0.0
        self._checker = ThreadPoolExecutor(1)
        self._checking: Future[Report] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        signal.signal(
            signal.SIGINT, signal.SIG_IGN
        )  # nobody interrupts the clearing up
        self.watcher.stop()
        self._checker.shutdown()
        self.history.write(self.site.home / "history.txt")
        self.site.close()

    def play(self) -> Outcome:
        """Go through all of it; the outcome says whether it is good."""
        with suppress(Broken):
            self._warm_up()
            quiet = self._quiet()
            chaos = self._chaos()
            self._heal()
            self._judge(quiet, chaos)
        return self.outcome

    def _warm_up(self) -> None:
        self.site.work()
        self.watcher.start()
        end = time.monotonic() + WARM_UP
        while not all(map(self.site.crew.ready, (*WORKERS, CUTOFF))):
            self._wait("workers start", end)
        self.storm.start()
        while len(self.watcher.charges) < FEW:
            self._wait("calls begin", end)

    def _wait(self, stage: str, end: float) -> None:
        assert time.monotonic() < end, f"{stage}: not in time; see the logs"
        self._show(stage)
        time.sleep(STEP)

    def _quiet(self) -> Window:
        begun = self.history.now()
        until = begun + QUIET_SECONDS
        self._pass("without faults", lambda: self.history.now() < until)
        return Window(begun, self.history.now())

    def _chaos(self) -> Window:
        begun = self.history.now()
        before, spent = self._requests(), self.site.processor_seconds()
        self.mischief.spoil_the_gateway()
        due = plan(self.outcome.seed, self.seconds, LONGER)
        already = len(self.watcher.charges)
        with ThreadPoolExecutor(AT_ONCE) as pool:

            def inject() -> bool:
                """Do what is due; go on until enough was charged, but not for ever."""
                lasted = self.history.now() - begun
                while due and due[0][0] <= lasted:
                    pool.submit(self.mischief.do, due.pop(0)[1])
                charged = len(self.watcher.charges) - already
                enough = charged >= self.outcome.charges_wanted
                return lasted < self.seconds or (not enough and bool(due))

            self._pass("chaos", inject)
        window = Window(begun, self.history.now())
        self.outcome.lasted = round(window.seconds, 1)
        self.outcome.gateway_requests = self._requests() - before
        self.outcome.processor_seconds = round(self.site.processor_seconds() - spent, 1)
        return window

    def _heal(self) -> None:
        spoiled = self.mischief.mend_the_gateway()
        self.storm.stop()
        begun = self.history.now()
        self.history.note("HEALED")
        self._count(spoiled)
        while self.history.now() - begun < GIVE_UP:
            self._release()
            asked = self.history.now()  # judging the books of an hour takes a while
            if not self._open() and self._settled():
                self.outcome.converged = round(asked - begun, 1)
                return
            self._show("healing")
            time.sleep(STEP)

    def _release(self) -> None:
        """Let go on whom three killed workers have put apart, as a person would."""
        desk = self.site.app
        with suppress(*AWAY):
            for held in desk.register.page(quarantined=True, limit=AT_ONCE):
                enrol.resume(desk, held.ref, actor="chaos")
                self.history.note("RELEASED", held.ref)

    def _judge(self, quiet: Window, chaos: Window) -> None:
        self.outcome.books(self.site.verify(quiet=True))
        self.watcher.stop()
        self.outcome.times(self.history, quiet, chaos)
        charged, low = self.watcher.charged, self.watcher.low - self._held()
        good = {
            each.account: charged.get(each.account, 0)
            for each in self.customers
            if each.sort.good and each.account in low
        }
        self.outcome.bounded(self.growth)
        self.outcome.progress(self.watcher.charges, chaos, good)
        self.outcome.enough()

    def _held(self) -> set[str]:
        """Name whom a person has to look at, since the gateway lied about them."""
        everybody = len(self.customers)
        page = self.site.app.register.page(paused=True, limit=everybody)
        return {each.ref for each in page}

    def _pass(self, stage: str, going_on: Callable[[], bool]) -> None:
        while going_on():
            now = self.history.now()
            if now - self._listened >= LISTEN_EVERY:
                self.mischief.listen()
                self._listened = now
            self._check(now)
            self.storm.check()
            self.growth.look(self.history.now())
            self._show(stage)
            time.sleep(STEP)
        if self._checking:
            wait([self._checking])
            self._check(self.history.now())

    def _check(self, now: float) -> None:
        """Check what must always hold; a database that is away is asked later.

        Beside everything else: the books of an hour take half a minute, and faults
        that had to wait for so long would all come at once.
        """
        if self._checking is None:
            if now >= self._next_check:
                self._asked = now
                self._checking = self._checker.submit(self.site.verify, quiet=False)
            return
        if not self._checking.done():
            return
        done, self._checking = self._checking, None
        self._next_check = now + max(CHECK_EVERY, (now - self._asked) * PAUSE)
        with suppress(*AWAY):
            self.outcome.books(done.result())
        if self.outcome.violations:
            raise Broken

    def _settled(self) -> bool:
        """Say whether the quiet invariants hold as well."""
        with suppress(*AWAY):
            report = self.site.verify(quiet=True)
            for finding in (each for each in report.findings if each.violations):
                self.history.note(f"NOT YET {finding.sentence}", finding.invariant)
            return report.clean
        return False

    def _open(self) -> int:
        with (
            suppress(sa.exc.SQLAlchemyError),
            self.site.watching_ledger.connect() as connection,
        ):
            return int(connection.execute(OPEN).scalar_one())
        return -1

    def _requests(self) -> int:
        counted = self.site.control("GET", "counters")["endpoints"]
        return sum(n for name, n in counted.items() if "payment_intents" in name)

    def _count(self, spoiled: Mapping[str, int]) -> None:
        hits = self.mischief.hits
        self.outcome.faults = sum(hits[kind] for kind in INFRASTRUCTURE)
        self.outcome.messages = 3 * sum(hits[kind] for kind in MESSAGES)
        self.outcome.gateway_faults = sum(spoiled.values())
        self.outcome.calls = self.storm.calls
        self.outcome.by_kind = {
            **{kind: hits[kind] for kind in (*INFRASTRUCTURE, *MESSAGES)},
            **spoiled,
        }

    def _show(self, stage: str) -> None:
        self.watcher.check()
        hits = self.mischief.hits
        self.screen.show(
            self.history.now(),
            stage,
            {
                "calls": self.storm.calls,
                "charges": len(self.watcher.charges),
                "faults": sum(hits[kind] for kind in INFRASTRUCTURE),
                "open": self._open() if stage == "healing" else "",
                "checks": self.outcome.checks,
                "violations": self.outcome.violations,
            },
        )
