"""Health by progress: what really happened, and what waits for too long; from rows.

Imports as little as it can: a supervisor asks every few seconds.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from replenish.adapters.ledger.reading import JobRun, Reading
from replenish.adapters.ledger.session import make_engine
from replenish.settings import Settings

LATE = 10  # runs a periodic job may miss before a person is told that it is bad
LATE_LIVE = 5  # before a supervisor is
GRACE = 5.0  # seconds on top, for the fastest
BELIEVED = 60.0  # seconds that a busy job is waited for on top: a task's time limit
NOT_BEATING = "Start `celery -A replenish beat` and a worker."
GUARD, SILENT = "guard", 30.0  # seconds after which a guard counts as gone

BOUNDS = {
    "open": (900.0, "attempt is open", "`replenish account list --low`"),
    "unknown": (900.0, "charge has an unknown outcome", "the gateway"),
    "uncredited": (60.0, "charge is not credited", "the billing package"),
    "unheard": (60.0, "claim was taken on by nobody", "the queue `replenish`"),
}
"""What may wait → for how many seconds, what it is, and where to look."""


@dataclass(frozen=True, slots=True)
class Line:
    """One dependency: how it is, and what to do when `ok` is false.

    Attributes:
        unreachable: it did not answer at all.
        note: worth knowing, and no fault.
    """

    name: str
    ok: bool
    text: str
    unreachable: bool = False
    note: bool = False


@dataclass(frozen=True, slots=True)
class Eyes:
    """What it looks at: the ledger, and job → seconds between two runs."""

    reading: Reading
    cadences: Mapping[str, float]


def open_eyes() -> Eyes:
    """Give eyes for this installation; nothing is connected yet.

    Raises:
        ConfigurationError: a setting is missing or wrong.
    """
    settings = Settings.from_env()
    if not settings.database_url:
        from replenish import embedded  # noqa: PLC0415 only where servers are embedded

        settings = embedded.resolve(settings)
    engine = make_engine(
        settings.database_url,
        statement_timeout_ms=settings.db_statement_timeout_ms,
        lock_timeout_ms=settings.db_lock_timeout_ms,
    )
    return Eyes(Reading(engine), settings.cadences)


def jobs(eyes: Eyes, *, late: int = LATE) -> Iterator[Line]:
    """Every periodic job must have run within a few of its cadences."""
    runs = {run.name: run for run in eyes.reading.jobs()}
    cadences = eyes.cadences
    hot = cadences["sweep.hot"]
    beating = not _late(runs.get("sweep.hot"), late * hot + GRACE)
    for name, cadence in cadences.items():
        limit = late * cadence + GRACE
        yield _job(name, runs.get(name), cadence, beating=beating, limit=limit)


def live_jobs(eyes: Eyes) -> Iterator[Line]:
    """Look more closely: a run that failed did not happen, nor did the guard's."""
    runs = {run.name: run for run in eyes.reading.jobs()}
    for line in jobs(eyes, late=LATE_LIVE):
        run = runs.get(line.name)
        failed = run is not None and run.failed
        yield Line(line.name, ok=line.ok and not failed, text=line.text)
    run = runs.get(GUARD)
    if run is not None and not _late(run, SILENT) and run.detail != "stands by":
        text = f"the guard {run.detail}: beat, the workers or Redis are away"
        yield Line("jobs", ok=False, text=text)


def attempts(eyes: Eyes) -> Iterator[Line]:
    """Nothing that is open may have waited for too long."""
    found = eyes.reading.ages()
    for name, (bound, what, where) in BOUNDS.items():
        age: float | None = getattr(found, name)
        if age is None:
            yield Line(name, ok=True, text="none")
            continue
        text = f"the oldest waits for {age:.0f} s, at most {bound:g} s are fine"
        if age > bound:
            text = f"a {what} for {age:.0f} s, longer than {bound:g} s; see {where}"
        yield Line(name, ok=age <= bound, text=text)
    held = found.quarantined
    text = f"{held} accounts; see `replenish account list --quarantined`"
    yield Line("quarantined", ok=True, text=text if held else "none", note=held > 0)


def guard(eyes: Eyes) -> Iterator[Line]:
    """A guard must have given a sign of life."""
    run = next((run for run in eyes.reading.jobs() if run.name == GUARD), None)
    if run is None or run.age is None or _late(run, SILENT):
        yield Line(GUARD, ok=False, text="no guard runs; start `replenish guard`")
        return
    yield Line(GUARD, ok=True, text=f"{run.detail}, {run.age:.0f} s ago")


def _job(
    name: str, run: JobRun | None, cadence: float, *, beating: bool, limit: float
) -> Line:
    """Tell of one job; a slow one may have its first turn still to come."""
    if run is None or run.age is None:
        text = f"did not run yet; its turn comes every {cadence:g} s"
        return Line(
            name, ok=beating, text=text if beating else f"{text}. {NOT_BEATING}"
        )
    late = _late(run, limit)
    text = f"ended {run.age:.0f} s ago, every {cadence:g} s: {run.detail}"
    return Line(name, ok=not late, text=f"{text}. {NOT_BEATING}" if late else text)


def _late(run: JobRun | None, limit: float) -> bool:
    if run is None or run.age is None:
        return True
    return run.age > (limit + BELIEVED if run.busy else limit)


LIVE: Mapping[str, Callable[[Eyes], Iterator[Line]]] = {
    "jobs": live_jobs,
    "attempts": attempts,
    "guard": guard,
}
"""What a supervisor asks for, by name."""
