"""The same steps without the broker, for as long as nobody else takes them.

Beat and the workers need Redis; who is low, whom to cut off and what was interrupted
stands in rows. The guard watches the jobs' last runs by the database's clock. Does one
not happen for two of its cadences, the guard does it itself, and takes on what it finds
in a few threads, so that cards are charged and credited too; once others do it again,
it stands back. It may run beside workers and beside other guards: each job's turn is
taken in the database, each attempt is leased.

It also takes on quarantined accounts, one at a time and each in a process of its own.
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from threading import Event, Lock

from replenish.errors import ReplenishError
from replenish.pipeline import credits as credit_steps
from replenish.pipeline import cutoff, reconcile, summary
from replenish.pipeline.jobs import turn
from replenish.pipeline.replenish import replenish
from replenish.pipeline.services import Services
from replenish.pipeline.sweep import Kind, Sweep
from replenish.ports import LastRun

logger = logging.getLogger(__name__)

JOB = "guard"
PATIENCE = 2.0  # cadences a job may be late before the guard does it
LOOK = 0.25  # seconds between two looks
ROUND = 5.0  # seconds between two signs of life, and between two tries alone
MOST = 1000  # accounts that wait for a thread; the rest waits in its rows

Alone = Callable[[str], None]


@dataclass
class Post:
    """One job that the guard watches.

    Attributes:
        cadence: seconds.
        mine: when the last run that was ours ended (aware UTC), or None.
        soon: if it is ours, it need not wait for its cadence.
    """

    name: str
    cadence: float
    run: Callable[[], None]
    mine: datetime | None = None
    soon: bool = False
    going: Future[None] | None = None

    def due(self, run: LastRun | None, *, up: float) -> bool:
        """Say whether nobody does it; `up` is for how long the guard has looked."""
        if self.going is not None and not self.going.done():
            return False
        if run is None or run.age is None:
            return up >= PATIENCE * self.cadence
        if run.busy:
            return False
        ours = self.mine is not None and run.ended_at == self.mine
        if ours and self.soon:
            return True
        return run.age >= self.cadence * (1.0 if ours else PATIENCE)


@dataclass
class Guard:
    """Stands in for beat and the workers.

    Args:
        services: the ports; used from several threads at once.
        cadences: job → seconds, as beat has them.
        threads: how many accounts are taken on at once.
        alone: takes one quarantined account on, in a process of its own.
    """

    services: Services
    cadences: Mapping[str, float]
    threads: int
    alone: Alone
    _stop: Event = field(default_factory=Event)
    _lock: Lock = field(default_factory=Lock)
    _waiting: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        steps: dict[str, Callable[[], None]] = {
            cutoff.JOB: self._cutoff,
            f"sweep.{Kind.HOT}": partial(self._sweep, Kind.HOT),
            reconcile.JOB: self._reconcile,
            f"sweep.{Kind.FULL}": partial(self._sweep, Kind.FULL),
            reconcile.ORPHANS: self._orphans,
            credit_steps.JOB: self._credits,
        }
        self._posts = [Post(name, self.cadences[name], steps[name]) for name in steps]
        self._again = next(post for post in self._posts if post.name == reconcile.JOB)
        self._jobs = ThreadPoolExecutor(len(steps) + 1, "guard-job")
        self._turns = ThreadPoolExecutor(self.threads, "guard-turn")
        self._alone: Future[None] | None = None

    def stop(self) -> None:
        """Let `run` end soon; what is under way is finished."""
        self._stop.set()

    def run(self) -> None:
        """Watch until `stop`; outlives whatever goes wrong."""
        begun = time.monotonic()
        rounds = 0.0
        while not self._stop.wait(LOOK):
            up = time.monotonic() - begun
            self._safely(partial(self._look, up=up))
            if up >= rounds:
                rounds = up + ROUND
                self._safely(self._round)
        self._jobs.shutdown()
        self._turns.shutdown(cancel_futures=True)  # their rows wait for others

    def _look(self, *, up: float) -> None:
        runs = self.services.books.last_runs()
        for post in self._posts:
            run = runs.get(post.name)
            if post.due(run, up=up):
                post.going = self._jobs.submit(self._do, post, run)
            elif post.mine is not None and run and run.ended_at != post.mine:
                self._stand_back(post)

    def _do(self, post: Post, run: LastRun | None) -> None:
        if post.mine is None:
            age = f"{run.age:.0f} s" if run and run.age is not None else "ever"
            text = f"{post.name} has not happened for {age}; the guard does it now."
            self.services.notify("guard.stands_in", account="", text=text)
        post.soon = False
        self._safely(post.run)
        self._safely(partial(self._remember, post))

    def _remember(self, post: Post) -> None:
        run = self.services.books.last_runs().get(post.name)
        post.mine = run.ended_at if run else None

    def _stand_back(self, post: Post) -> None:
        if post.going is not None and not post.going.done():
            return
        post.mine = None
        text = f"{post.name} happens again; the guard stands back."
        self.services.notify("guard.stands_back", account="", text=text)

    def _round(self) -> None:
        """Give a sign of life, and see whom to take on alone."""
        with turn(JOB, self.services, seconds=1.0) as mine:
            if mine is not None:
                names = [post.name for post in self._posts if post.mine]
                standing_in = f"stands in for {', '.join(names)}"
                mine.detail = standing_in if names else "stands by"
        if self._alone is None or self._alone.done():
            for account in self.services.turns.alone(limit=1):
                step = partial(self.alone, account)
                self._alone = self._jobs.submit(self._safely, step)

    # ------------------------------------------------------------------- the steps

    def _cutoff(self) -> None:
        cutoff.cutoff(None, self.services)

    def _sweep(self, kind: Kind) -> None:
        """Sweep for a turn, and on while accounts are left and nobody else does."""
        unfinished = True
        while unfinished and not self._stop.is_set():
            turn = Sweep(kind, self.services)
            for claims in turn:
                batch = str(claims.batch)
                if claims.exhausted:
                    cutoff.cutoff(batch, self.services)
                self._take_on([attempt.account for attempt in claims.attempts])
                if not claims.attempts:
                    summary.summarise(batch, self.services, by="sweep")
            unfinished = turn.unfinished

    def _reconcile(self) -> None:
        self._take_on(reconcile.reconcile(self.services).accounts)

    def _orphans(self) -> None:
        reconcile.orphans(self.services)

    def _credits(self) -> None:
        credit_steps.check_credits(self.services)

    def _take_on(self, accounts: Sequence[str]) -> None:
        for account in accounts:
            with self._lock:
                if account in self._waiting or len(self._waiting) >= MOST:
                    continue  # reconcile finds it again
                self._waiting.add(account)
            self._turns.submit(self._turn, account)

    def _turn(self, account: str) -> None:
        try:
            self._safely(partial(self._replenish, account))
        finally:
            with self._lock:
                self._waiting.discard(account)

    def _replenish(self, account: str) -> None:
        result = replenish(account, self.services)
        if result.cleared:
            self._again.soon = True
        logger.info(
            "Account %s: %s",
            account,
            result,
            extra={"event": f"account.{result.outcome}", "account_id": account},
        )

    @staticmethod
    def _safely(step: Callable[[], None]) -> None:
        """Tell what went wrong, and live on: the rows know what is left to do."""
        try:
            step()
        except ReplenishError as error:
            logger.warning("%s", error, extra={"event": "guard.failed"})
        except Exception:
            logger.exception("A bug; the guard goes on.", extra={"event": "guard.bug"})
