"""What happened, by the harness's own monotonic clock: its log and its stopwatches."""

import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path

CREDIT = "charge to credit"
CUT_OFF = "exhausted to cut off"
RESTORE = "funded to restored"


@dataclass(frozen=True, slots=True)
class Happening:
    """One thing that was done or seen.

    Attributes:
        at: seconds since the run began.
        account: whom it concerns, or empty.
    """

    at: float
    what: str
    account: str = ""

    def __str__(self) -> str:
        """Write it as a line."""
        return f"{self.at:8.2f} s  {self.what}"


@dataclass(frozen=True, slots=True)
class Span:
    """One measured time, in seconds since the run began."""

    key: str
    begun: float
    ended: float

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.ended - self.begun


@dataclass
class History:
    """The log of a run; used by several threads."""

    happenings: list[Happening] = field(default_factory=list)
    spans: dict[str, list[Span]] = field(default_factory=lambda: defaultdict(list))
    _origin: float = field(default_factory=time.monotonic)
    _running: dict[tuple[str, str], float] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def now(self) -> float:
        """Give the seconds since the run began."""
        return time.monotonic() - self._origin

    def note(self, what: str, account: str = "") -> None:
        """Write down what is done or seen now."""
        self.happenings.append(Happening(self.now(), what, account))

    def of(self, account: str) -> list[Happening]:
        """Give what concerns an account, and what was done to everybody."""
        return [each for each in self.happenings if each.account in ("", account)]

    def write(self, path: Path) -> None:
        """Write all of it to a file."""
        lines = (f"{each}  {each.account}\n" for each in self.happenings)
        path.write_text("".join(lines), encoding="utf-8")

    def start(self, watch: str, key: str, *, at: float | None = None) -> None:
        """Start a stopwatch, unless it runs."""
        begun = self.now() if at is None else at
        with self._lock:
            self._running.setdefault((watch, key), begun)

    def stop(self, watch: str, key: str) -> None:
        """Stop a stopwatch, if it runs, and keep its time."""
        with self._lock:
            begun = self._running.pop((watch, key), None)
            if begun is not None:
                self.spans[watch].append(Span(key, begun, self.now()))

    def drop(self, watch: str, key: str, *, before: float) -> None:
        """Forget a stopwatch that was started before then: it does not apply."""
        with self._lock:
            if self._running.get((watch, key), before) < before:
                del self._running[watch, key]

    def running(self, watch: str) -> Sequence[str]:
        """List what a kind of stopwatch runs for."""
        with self._lock:
            return [key for name, key in self._running if name == watch]

    def between(self, watch: str, begun: float, ended: float) -> list[float]:
        """Give the times, in seconds, of what began within a window."""
        return [
            span.seconds for span in self.spans[watch] if begun <= span.begun < ended
        ]


def percentile(values: Iterable[float], share: float) -> float:
    """Give the value below which so large a share lies; 0 of nothing."""
    ordered = sorted(values)
    return ordered[max(0, ceil(share * len(ordered)) - 1)] if ordered else 0.0
