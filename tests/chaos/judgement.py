"""What a run must show: no violation, enough of everything, and in time.

The rows are judged by `replenish.verify`; what rows cannot decide (how long things
took, whether anybody was left behind) by the harness's own history. A run that passed
because nothing happened fails here.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from typing import Any

from replenish.verify import Report
from tests.chaos.growth import Growth
from tests.chaos.history import CREDIT, CUT_OFF, RESTORE, History, percentile
from tests.chaos.mischief import GATEWAY, INFRASTRUCTURE, MESSAGES

FULL = 120.0  # seconds of chaos for which the floors are meant
FAULTS, CHARGES, CHECKS = 300, 2_000, 12
GATEWAY_SHARE = 0.25  # of the requests about a payment
CONVERGED = 15.0  # seconds from healing until nothing is under way
STANDSTILL = 20.0  # seconds without a single charge, whatever is going on

QUIET_LIMITS = {CREDIT: 5.0, CUT_OFF: 2.0, RESTORE: 5.0}  # seconds, 99 of 100
CHAOS_LIMITS = {CREDIT: 30.0}


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of the run, in seconds since it began."""

    begun: float
    ended: float

    @property
    def seconds(self) -> float:
        """How long it was."""
        return self.ended - self.begun


@dataclass
class Outcome:
    """All that a run has shown; `complaints` is empty when it passes."""

    seed: int
    seconds: float
    accounts: int
    lasted: float = 0.0
    charges: int = 0
    calls: int = 0
    faults: int = 0
    messages: int = 0
    gateway_faults: int = 0
    gateway_requests: int = 0
    by_kind: dict[str, int] = field(default_factory=dict)
    checks: int = 0
    converged: float | None = None
    violations: int = 0
    quiet: dict[str, dict[str, float]] = field(default_factory=dict)
    chaos: dict[str, dict[str, float]] = field(default_factory=dict)
    standstill: float = 0.0
    processor_seconds: float = 0.0
    growth: dict[str, tuple[float, float]] = field(default_factory=dict)
    complaints: list[str] = field(default_factory=list)
    subjects: list[str] = field(default_factory=list)

    def as_json(self) -> Mapping[str, Any]:
        """Give it for a file."""
        return asdict(self)

    def books(self, report: Report) -> None:
        """Take in what the checker found."""
        self.checks += 1
        self.violations += report.violations
        for finding in report.findings:
            for example in finding.examples:
                said = f"{finding.invariant} ({finding.sentence}): {example}"
                self.complaints.append(said)
                self.subjects.append(example.partition(":")[0])

    def times(self, history: History, quiet: Window, chaos: Window) -> None:
        """Take in how long things took."""
        for watch, limit in QUIET_LIMITS.items():
            found = history.between(watch, quiet.begun, quiet.ended)
            self.quiet[watch] = _summary(found)
            self._in_time(watch, found, limit, "without faults")
            found = history.between(watch, chaos.begun, chaos.ended)
            self.chaos[watch] = _summary(found)
            if watch in CHAOS_LIMITS:
                self._in_time(watch, found, CHAOS_LIMITS[watch], "under chaos")
            for key in history.running(watch):
                self._complain(f"{watch}: still not so at the end", key)

    def progress(
        self, charges: list[float], chaos: Window, charged: Mapping[str, int]
    ) -> None:
        """Take in whether everybody was served, and without a standstill."""
        seen = [at for at in charges if chaos.begun <= at <= chaos.ended]
        moments = [chaos.begun, *seen, chaos.ended]
        self.charges = len(seen)
        self.standstill = round(max(b - a for a, b in pairwise(moments)), 2)
        if self.standstill > STANDSTILL:
            self._complain(f"I19: no charge at all for {self.standstill} s")
        for account, times in charged.items():
            if not times:
                self._complain("I15: low, with a good card, never charged", account)

    def bounded(self, growth: Growth) -> None:
        """Take in what has grown; only a long run can tell."""
        self.growth = growth.found()
        for what in growth.grown():
            self._complain(what)

    def enough(self) -> None:
        """Complain about a run that proves too little."""
        for what, found, floor in self._floors():
            if found < floor:
                self._complain(f"Too little: {found} {what}, {floor} are the floor")
        for kind in (*INFRASTRUCTURE, *MESSAGES, *GATEWAY):
            if not self.by_kind.get(kind):
                self._complain(f"Never hit: {kind}")
        if self.converged is None or self.converged > CONVERGED:
            self._complain(
                f"Converged after {self.converged} s, {CONVERGED} s are allowed"
            )

    @property
    def charges_wanted(self) -> int:
        """How many charges a run of this length must see."""
        return round(CHARGES * self.seconds / FULL)

    def _floors(self) -> Iterator[tuple[str, float, float]]:
        share = self.seconds / FULL
        yield "faults of processes and servers", self.faults, round(FAULTS * share)
        yield "charges", self.charges, self.charges_wanted
        yield "checks while running", self.checks, round(CHECKS * min(1.0, share))
        requests = max(1, self.gateway_requests)
        found = round(self.gateway_faults / requests, 3)
        yield "of the gateway's answers spoiled", found, GATEWAY_SHARE

    def _in_time(self, watch: str, found: list[float], limit: float, when: str) -> None:
        slow = percentile(found, 0.99)
        if not found:
            self._complain(f"{watch} was never measured {when}")
        elif slow > limit:
            self._complain(
                f"{watch}: {slow:.2f} s for 99 of 100 {when}, {limit:g} s allowed"
            )

    def _complain(self, text: str, account: str = "") -> None:
        self.complaints.append(f"{text}: {account}" if account else text)
        if account:
            self.subjects.append(account)


def _summary(found: list[float]) -> dict[str, float]:
    return {
        "n": len(found),
        "p50": round(percentile(found, 0.5), 2),
        "p99": round(percentile(found, 0.99), 2),
        "max": round(max(found, default=0.0), 2),
    }
