"""The guard: what nobody does any more it does from rows, and no longer than that."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from threading import Event, Thread

import pytest

from replenish.errors import BillingUnavailable, LedgerUnavailable
from replenish.pipeline import guard as pipeline
from replenish.pipeline.cutoff import cutoff
from replenish.pipeline.guard import Guard, Post
from replenish.pipeline.reconcile import reconcile
from replenish.pipeline.services import Services
from replenish.pipeline.sweep import Kind, Sweep
from replenish.ports import LastRun
from tests.world import World

pytestmark = pytest.mark.integration

CADENCES = {
    "cutoff": 0.2,
    "sweep.hot": 0.2,
    "reconcile": 0.2,
    "sweep.full": 0.4,
    "orphans": 0.4,
    "credits": 0.4,
}
NOW = datetime(2026, 11, 25, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "LOOK", 0.02)
    monkeypatch.setattr(pipeline, "ROUND", 0.05)


@contextmanager
def watching(
    world: World,
    cadences: Mapping[str, float] = CADENCES,
    *,
    alone: Callable[[str], None] = lambda _: None,
) -> Iterator[Guard]:
    """Run a guard in a thread of its own."""
    guard = Guard(world.services, cadences, threads=2, alone=alone)
    thread = Thread(target=guard.run)
    thread.start()
    try:
        yield guard
    finally:
        guard.stop()
        thread.join(60)
        assert not thread.is_alive()


def until(done: Callable[[], bool], what: str) -> None:
    """Wait until it is so."""
    end = time.monotonic() + 30
    while not done():
        assert time.monotonic() < end, what
        time.sleep(0.02)


def test_alone_in_the_world_it_does_everything(world: World) -> None:
    """Low is charged and credited, exhausted is cut off, every batch is closed."""
    for ref in ("1001", "1002", "1003", "1004", "1005"):
        world.enrol(ref)
    world.enrol("2001", "0", card=False)

    with watching(world):
        until(lambda: world.credits() == 5, "credited")
        until(lambda: world.service("2001") == "suspended", "cut off")
        world.run("UPDATE replenish.batch SET opened_at = now() - interval '1 minute'")
        unclosed = "SELECT count(*) FROM replenish.batch WHERE closed_at IS NULL"
        until(lambda: world.ask(unclosed) == [(0,)], "every batch closed")

    assert sum(world.gateway.captures.values()) == 5
    assert "guard.stands_in" in world.told()


def test_what_was_interrupted_goes_on(world: World) -> None:
    """Claimed by a sweep whose messages were lost."""
    world.enrol()
    world.sweep()
    world.later()

    with watching(world):
        until(lambda: world.state() == "settled", "settled")


def test_beside_those_who_work_it_does_nothing(world: World) -> None:
    """As long as every job ends within two of its cadences."""
    with watching(world, dict.fromkeys(CADENCES, 30.0)):
        for _ in range(5):
            world.settle_all()
            time.sleep(0.05)

    assert world.told() == []
    assert world.ask("SELECT detail FROM replenish.job WHERE name = 'guard'") == [
        ("stands by",)
    ]


def test_it_stands_back_as_soon_as_others_do_it(world: World) -> None:
    """Told once, and told again when it has to stand in once more."""
    with watching(world, {**dict.fromkeys(CADENCES, 600.0), "cutoff": 0.5}):
        until(lambda: "guard.stands_in" in world.told(), "stands in")
        until(lambda: "stands in for cutoff" in doing(world), "says so")
        until(
            lambda: (
                cutoff(None, world.services) is not None
                and "guard.stands_back" in world.told()
            ),
            "stands back",
        )
        until(lambda: doing(world) == "stands by", "says that, too")
        until(lambda: world.told().count("guard.stands_in") == 2, "stands in again")


def test_its_own_run_is_not_taken_for_somebody_else_s(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that has ended in its row and that the guard has not noted yet."""
    ended, noted, ours = Event(), Event(), iter([False, True])

    def dawdles(batch: str | None, services: Services) -> object:
        done = cutoff(batch, services)
        if next(ours, False):
            ended.set()
            noted.wait(30)
        return done

    monkeypatch.setattr("replenish.pipeline.cutoff.cutoff", dawdles)

    with watching(world, {**dict.fromkeys(CADENCES, 600.0), "cutoff": 0.1}):
        assert ended.wait(30)
        for _ in range(2):  # the first may have looked before it ended
            another_round(world)
        told = world.told()
        noted.set()

    assert told == ["guard.stands_in"]


def another_round(world: World) -> None:
    """Wait until the guard has looked once more."""
    world.run("UPDATE replenish.job SET ended_at = NULL WHERE name = 'guard'")
    until(lambda: doing(world, ended=True) != "", "another round")


def nudged(world: World) -> bool:
    """Let reconcile hand out at once what nobody has taken on."""
    world.run("UPDATE replenish.attempt SET nudge_at = now()")
    return True


def doing(world: World, *, ended: bool = False) -> str:
    """What the guard says it does; empty while a round has not `ended`."""
    query = "SELECT detail, ended_at IS NOT NULL FROM replenish.job"
    ((detail, over),) = world.ask(f"{query} WHERE name = 'guard'")
    return str(detail) if over or not ended else ""


def test_the_exhausted_of_a_page_are_cut_off_at_once(world: World) -> None:
    """They do not wait for the cut-off's own turn."""
    world.enrol("2001", "0", card=False)

    with watching(world, {**CADENCES, "cutoff": 600.0}):
        until(lambda: world.service("2001") == "suspended", "cut off")


def test_two_guards_and_a_worker_charge_once(world: World) -> None:
    """The rows arbitrate."""
    for number in range(1001, 1007):
        world.enrol(str(number))

    with watching(world), watching(world):
        for _ in range(10):
            for claims in Sweep(Kind.HOT, world.services):
                for attempt in claims.attempts:
                    world.replenish(attempt.account)
            for account in reconcile(world.services).accounts:
                world.replenish(account)
        until(lambda: world.credits() == 6, "all credited")

    assert sum(world.gateway.captures.values()) == 6


def test_it_outlives_what_goes_wrong(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A service that is away is told in a sentence, a bug with its traceback."""
    world.enrol()
    books, away = type(world.services.books), Event()
    real = books.last_runs

    def sometimes(self: object) -> object:
        if not away.is_set():
            away.set()
            raise LedgerUnavailable("The ledger is away.")
        return real(self)  # type: ignore[arg-type] # the books themselves

    monkeypatch.setattr(books, "last_runs", sometimes)
    failures = iter([BillingUnavailable("The package is away."), ZeroDivisionError()])

    def fails(_services: object) -> object:
        for failure in failures:
            raise failure
        return reconcile(world.services)

    monkeypatch.setattr("replenish.pipeline.reconcile.reconcile", fails)

    with watching(world):
        until(lambda: world.state() == "settled", "settled")
        until(lambda: next(failures, None) is None, "all failures met")

    assert "The ledger is away." in caplog.text
    assert "The package is away." in caplog.text
    assert "A bug; the guard goes on." in caplog.text


def test_quarantined_accounts_are_taken_on_alone(world: World) -> None:
    """One at a time, in whatever process it is given."""
    quarantine(world)
    taken: list[str] = []
    rounds = Event()

    def alone(account: str) -> None:
        taken.append(account)
        rounds.wait(30)

    with watching(world, alone=alone):
        until(lambda: taken != [], "taken on alone")
        another_round(world)
        assert taken == ["1001"]
        rounds.set()


def test_the_quarantined_do_not_wait_for_another_guard_s_round(world: World) -> None:
    """Who gives the sign of life is one thing, who takes them on another."""
    quarantine(world)
    assert world.services.books.begin(pipeline.JOB, seconds=600.0)
    taken: list[str] = []

    with watching(world, alone=taken.append):
        until(lambda: taken != [], "taken on alone")

    assert doing(world, ended=True) == ""


def quarantine(world: World) -> None:
    """Let an account's worker be lost three times."""
    world.enrol()
    world.sweep()
    for _ in range(3):
        world.services.ledger.take("1001", worker="doomed")
        world.later()


def test_a_backlog_is_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not fit waits in its rows, and nobody is taken on twice at once."""
    monkeypatch.setattr(pipeline, "MOST", 1)
    for number in range(1001, 1005):
        world.enrol(str(number))

    with watching(world):
        until(lambda: world.credits() >= 1, "the first")
        until(lambda: nudged(world) and world.credits() == 4, "the others")

    assert sum(world.gateway.captures.values()) == 4


def test_a_full_sweep_goes_on_to_the_last_account(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Turn after turn, since nobody else hands over to the next."""
    monkeypatch.setattr("replenish.pipeline.sweep.SLICE", 0.0)
    monkeypatch.setattr("replenish.pipeline.sweep.GENTLE", 1)
    for number in range(1001, 1004):
        world.enrol(str(number), balance="50")
    done = "SELECT cursor FROM replenish.job WHERE name = 'sweep.full'"

    with watching(world, {**CADENCES, "sweep.full": 0.1}):
        until(lambda: world.ask(done) == [("",)], "all of them")


@pytest.mark.parametrize(
    ("run", "up", "mine", "due"),
    [
        (None, 1.9, False, False),
        (None, 2.0, False, True),
        (LastRun(None, None, busy=True), 9.0, False, True),
        (LastRun(NOW, 1.9, busy=False), 9.0, False, False),
        (LastRun(NOW, 2.0, busy=False), 9.0, False, True),
        (LastRun(NOW, 60.0, busy=True), 9.0, False, False),
        (LastRun(NOW, 0.9, busy=False), 9.0, True, False),
        (LastRun(NOW, 1.0, busy=False), 9.0, True, True),
        (LastRun(NOW + timedelta(seconds=1), 1.0, busy=False), 9.0, True, False),
    ],
)
def test_a_job_is_due(run: LastRun | None, up: float, *, mine: bool, due: bool) -> None:
    """After two cadences; after one, if nobody but the guard has done it since."""
    post = Post("cutoff", 1.0, lambda: None, mine=NOW if mine else None)

    assert post.due(run, up=up) is due


def test_who_has_lost_two_workers_waits_for_no_pass_of_reconcile(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are tried one after the other, the next as soon as one has come through."""
    for ref in ("1001", "1002", "1003"):
        world.enrol(ref)
    world.sweep()
    for ref in ("1001", "1002", "1003"):
        for _ in range(2):
            assert world.services.ledger.take(ref, worker="doomed")
            world.later()

    monkeypatch.setattr(pipeline, "PATIENCE", 0.0)  # the first pass is at once

    with watching(world, {**CADENCES, "reconcile": 60.0}):  # and the next one too late
        until(lambda: world.credits() == 3, "all are credited")
