"""Where turns are played: one at a time, each a function that calls ports.

A turn is what a worker does with one task. It may stop between any two calls of a
port, as a stopped process does, and go on much later; it may die at any of them. A
turn that goes on is played again from its beginning, and each call it had made is
answered from its log: the pipeline itself is a pure function of what its ports say.
So there are no threads, and a seed always plays the same.
"""

from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from replenish.errors import (
    BillingUnavailable,
    GatewayUnavailable,
    LedgerUnavailable,
    ReplenishError,
)

WRITES = {
    "ledger": {"claim", "take", "advance", "put_back", "stranded", "adopt"},
    "books": {"close_batch", "recovered", "begin", "extend", "end"},
    "cut_offs": {"begin", "done", "restored"},
    "credits": {"broken", "put_right", "broken_again"},
    "stops": {"stop", "resume"},
    "breakers": {"look", "lift"},
    "billing": {"apply_credit", "correct_credit", "suspend", "restore"},
}
"""The calls that change something: their answer can be lost when it is done."""

OURS = frozenset({"ledger", "books", "cut_offs", "credits", "stops", "breakers"})
IN_A_CALL = ("_uncommitted", "_commit_sent")
"""Seams inside a port's transaction; the others lie between two calls."""

RARE = frozenset(
    {"after_claim", "before_restore", "after_restore", "after_break"}
    | {"after_correction"}
)
"""Seams that few turns pass; so that some die there all the same."""

RARELY = 0.08  # how likely a turn dies at one of those
STOP_AT = 0.12  # how likely a slow turn stops before its next call


class PausedError(BaseException):
    """The turn has stopped here, and may go on."""


class CrashError(BaseException):
    """The turn has died here."""


@dataclass
class Turn:
    """One task at work.

    Attributes:
        slow: it may stop on the way.
        log: what each call so far has answered or raised.
        balances: what it has last been told of a balance, and when.
        subjects: when it last read an account, and what was true then.
        over: what ended it; whatever it still calls on its way out is not done.
    """

    number: int
    name: str
    run: Callable[[], None]
    slow: bool = False
    log: list[tuple[bool, Any]] = field(default_factory=list)
    at: int = 0
    balances: dict[str, tuple[int, Any]] = field(default_factory=dict)
    subjects: dict[str, tuple[int, Any]] = field(default_factory=dict)
    over: BaseException | None = None


Watcher = Callable[[Turn | None, str, str, Sequence[Any], Any], None]
Chooser = Callable[[str, str], str | None]


@dataclass
class Stage:
    """Plays turns, and lets faults into their calls.

    Attributes:
        due: calls until the next fault; negative when none is to come.
        choose: given a service and a method, gives the fault to let in, or None.
        weather: how likely a request to the gateway fails, whatever else does.
        calm: no faults any more.
        watch: is told of every call that was really made, with its answer.
        away: services that answer nothing at present.
    """

    rng: Random
    choose: Chooser
    watch: Watcher
    turn: Turn | None = None
    due: int = -1
    weather: float = 0.0
    calm: bool = False
    seq: int = 0
    mood: str = ""
    inside: bool = False
    fresh: bool = False
    stop_next: bool = False
    away: set[str] = field(default_factory=set)
    trace: list[str] = field(default_factory=list)
    recent: deque[tuple[Any, ...]] = field(default_factory=lambda: deque(maxlen=4000))
    faults: Counter[str] = field(default_factory=Counter)
    crashes: Counter[str] = field(default_factory=Counter)
    freezes: Counter[str] = field(default_factory=Counter)
    passed: Counter[str] = field(default_factory=Counter)

    def play(self, turn: Turn) -> str:
        """Play a turn until it ends, stops or dies; say which, or what it raised."""
        self.turn, turn.at, turn.over, self.fresh = turn, 0, None, True
        self.stop_next = False
        try:
            turn.run()
        except PausedError:
            return "paused"
        except CrashError:
            return "crashed"
        except ReplenishError as error:
            return type(error).__name__
        finally:
            self.turn = None
        return "done"

    # ------------------------------------------------------------------- calls

    def call(
        self,
        service: str,
        method: str,
        function: Callable[..., Any],
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
    ) -> Any:  # noqa: ANN401 whatever the port's method gives
        """Make a call on behalf of the present turn, or answer from its log."""
        turn = self.turn
        if turn is None:
            return function(*args, **kwargs)
        if turn.over is not None:
            raise turn.over
        if turn.at < len(turn.log):
            failed, value = turn.log[turn.at]
            turn.at += 1
            if failed:
                raise value
            return value
        fault = self._pass(turn, service, method)
        self.seq += 1
        try:
            value = self._made(service, method, function, args, kwargs, fault)
        except ReplenishError as error:
            self._note(turn, service, method, args, (True, error))
            raise
        self._note(turn, service, method, args, (False, value))
        return value

    def _made(
        self,
        service: str,
        method: str,
        function: Callable[..., Any],
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        fault: str | None,
    ) -> Any:  # noqa: ANN401 whatever the port's method gives
        home = "ours" if service in OURS else service
        lost = fault == "lost before" and service != "gateway"
        if home in self.away or lost:
            raise _unavailable(service)
        if fault == "not sent":
            return None
        self.mood = fault or ""
        self.inside = True
        try:
            value = function(*args, **kwargs)
        except CrashError:
            self.watch(None, service, method, args, None)  # it may have committed
            raise
        finally:
            self.inside, self.mood = False, ""
        self.watch(self.turn, service, method, args, value)
        if fault == "lost after" and service != "gateway":
            raise _unavailable(service)
        return value

    def _note(
        self,
        turn: Turn,
        service: str,
        method: str,
        args: Sequence[Any],
        entry: tuple[bool, Any],
    ) -> None:
        turn.log.append(entry)
        turn.at += 1
        self.trace.append(f"{self.seq} {turn.number} {service}.{method} {entry[0]}")
        self.recent.append((self.seq, turn, f"{service}.{method}", args, entry))

    def told(self) -> Sequence[str]:
        """Tell the last calls, a line each."""
        return [
            f"{seq} {turn.number} ({turn.name}) {what} {args!s:.90}"
            f" {'raised' if failed else '->'} {value!s:.160}"
            for seq, turn, what, args, (failed, value) in self.recent
        ]

    # ------------------------------------------------------------------- seams

    def get(self, name: str) -> None:
        """Pass a seam; stands in for the table of `replenish.failpoints`."""
        turn = self.turn
        if turn is None or turn.over is not None:
            return
        if self.inside:
            self._pass_inside(turn, name)
        elif turn.at < len(turn.log):
            turn.at += 1
        else:
            self.passed[name] += 1
            self._pass(turn, "seam", name)
            turn.log.append((False, None))
            turn.at += 1

    def _pass_inside(self, turn: Turn, name: str) -> None:
        """Pass a seam in a transaction: die, or be stopped until the server ends it."""
        self.passed[name] += 1
        if self.due == 0:
            self.due = -1
            self._crash(turn, name)
        if self.due > 0:
            self.due -= 1
        stops = turn.slow and self.rng.random() < STOP_AT
        if stops and name.endswith("_uncommitted"):
            self.freezes[name] += 1
            self.stop_next = True
            raise _unavailable("billing" if name.startswith("credit") else "ledger")

    def _pass(self, turn: Turn, service: str, method: str) -> str | None:
        """Come to a call or a seam; stop, die, or give the fault to let in."""
        if self.fresh:
            self.fresh = False
        elif self.stop_next or (turn.slow and self.rng.random() < STOP_AT):
            self.freezes[method if service == "seam" else service] += 1
            turn.over = PausedError()
            raise turn.over
        if method in RARE and not self.calm and self.rng.random() < RARELY:
            self._crash(turn, method)
        bad = service == "gateway" and self.rng.random() < self.weather
        if self.due < 0 and not bad:
            return None
        self.due = max(self.due - 1, -1)
        if self.due >= 0 and not bad:
            return None
        fault = self.choose(service, method)
        if fault == "crash":
            self._crash(turn, method if service == "seam" else f"at {service}")
        if fault is None:
            self.due = 0  # the next call's turn
        else:
            self.faults[f"{service} {fault}"] += 1
        return fault

    def _crash(self, turn: Turn, where: str) -> None:
        self.crashes[where] += 1
        self.faults["crash"] += 1
        turn.over = CrashError(where)
        raise turn.over


def _unavailable(service: str) -> ReplenishError:
    if service == "billing":
        return BillingUnavailable("The billing package is away.")
    if service == "gateway":
        return GatewayUnavailable("The gateway could not be asked.")
    return LedgerUnavailable("The ledger's database did not answer.")
