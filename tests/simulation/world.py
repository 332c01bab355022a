"""One seed's world: everything wired, and the steps that it takes."""

import hashlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Any, cast
from unittest.mock import patch

from replenish import failpoints
from replenish.pipeline import sweep
from replenish.pipeline.services import Services
from replenish.ports import (
    BillingPackage,
    Books,
    Breakers,
    CardGateway,
    Credits,
    CutOffs,
    Ledger,
    Notifier,
    Stops,
)
from tests.factories import make_limits
from tests.memory.books import MemoryBooks, MemoryCutOffs, MemoryStops
from tests.memory.breakers import MemoryBreakers
from tests.memory.credits import MemoryCredits
from tests.memory.ledger import MemoryLedger
from tests.memory.register import MemoryRegister
from tests.memory.rows import Store
from tests.memory.turns import MemoryTurns
from tests.simulation import work
from tests.simulation.billing import SimulatedBilling
from tests.simulation.checker import Checker
from tests.simulation.fleet import DEFAULTS, STARTS, Fleet
from tests.simulation.gateway import FAULTS, SimulatedGateway
from tests.simulation.stage import WRITES, Stage, Turn
from tests.simulation.staged import Port, StandInTime

ACCOUNTS = 20
RARE = frozenset({"key", "misuse"})
DULL = frozenset({"books", "queue", "hands", "seam"})  # spared: they are many
SERVICES = {
    "billing": "accounts balances calls_since watch apply_credit find_credit"
    " verify_credit correct_credit suspend restore",
    "gateway": "create confirm look_up cancel list_since check",
    "ledger": "subjects claim take advance put_back holds came_late uncredited misused"
    " waiting wake stranded adopt",
    "books": "close_batch unclosed low_of recovered due begin extend end cursor",
    "cut_offs": "low begin done standing is_standing restored",
    "credits": "settled latest unfinished broken put_right broken_again",
    "stops": "stop reason resume",
    "breakers": "look standing lift",
}


@dataclass
class World:
    """Everything that a seed brings about.

    Attributes:
        now: the one clock, aware UTC.
        paused: turns that have stopped on the way.
        notices: how often people were told of what.
    """

    seed: int
    now: datetime = field(init=False)
    paused: list[Turn] = field(default_factory=list)
    notices: Counter[str] = field(default_factory=Counter)
    turns: int = 0

    def __post_init__(self) -> None:
        self.rng = Random(self.seed)  # noqa: S311 a simulation, not a secret
        self.now = self.rng.choice(STARTS)
        self.store = Store(self.clock, prefix=f"{self.seed:08x}")
        self.limits = make_limits()
        self.store.limits = self.limits
        self.checker = Checker(self.store, self.limits, self.clock)
        self.stage = Stage(self.rng, self.choose, self.checker.watch)
        self.stage.weather = self.rng.choice((0.0, 0.05, 0.3))
        self.billing = SimulatedBilling(
            knows_low=self.rng.random() < 0.5,
            on_credit=self.checker.credited,
            on_cut=self.checker.cut,
            on_restore=self.checker.restored,
        )
        self.gateway = SimulatedGateway(
            self.rng,
            self.clock,
            lambda: self.stage.mood,
            self.checker.requested,
            self.checker.decided,
        )
        self.checker.stage, self.checker.gateway = self.stage, self.gateway
        self.checker.billing = self.billing
        self.register = MemoryRegister(self.store, DEFAULTS)
        self.queue = work.Queue()
        self.at_work = cast(
            "work.Queue", Port(self.stage, "queue", self.queue, "publish", "finished")
        )
        self.services = self._services()
        self.fleet = Fleet(self.rng, self.billing, self.gateway, self.register)
        self.refs = [str(1001 + number) for number in range(ACCOUNTS)]
        for ref in self.refs:
            self.fleet.open(ref)
        self.checker.read_journal()

    def clock(self) -> datetime:
        """Give the time."""
        return self.now

    def _services(self) -> Services:
        real = {
            "billing": self.billing,
            "gateway": self.gateway,
            "ledger": MemoryLedger(self.store),
            "books": MemoryBooks(self.store),
            "cut_offs": MemoryCutOffs(self.store),
            "credits": MemoryCredits(self.store),
            "stops": MemoryStops(self.store),
            "breakers": MemoryBreakers(self.store),
        }
        ports: dict[str, Any] = {
            name: Port(self.stage, name, thing, *SERVICES[name].split())
            for name, thing in real.items()
        }
        hands = Port(self.stage, "hands", self, "notify", "clock")
        return Services(
            billing=cast("BillingPackage", ports["billing"]),
            gateway=cast("CardGateway", ports["gateway"]),
            ledger=cast("Ledger", ports["ledger"]),
            books=cast("Books", ports["books"]),
            cut_offs=cast("CutOffs", ports["cut_offs"]),
            credits=cast("Credits", ports["credits"]),
            stops=cast("Stops", ports["stops"]),
            breakers=cast("Breakers", ports["breakers"]),
            turns=MemoryTurns(),
            notify=cast("Notifier", hands.notify),  # type: ignore[attr-defined]
            clock=hands.clock,  # type: ignore[attr-defined]
            limits=self.limits,
            worker="worker",
            page=7,
            pause=0.0,
        )

    def notify(self, event: str, *, account: str, text: str) -> None:
        """Tell people."""
        del account, text
        self.notices[event] += 1

    # ---------------------------------------------------------------------- turns

    def start(self, message: work.Message, *, slow: bool = False) -> str:
        """Let a worker take a message."""
        self.turns += 1
        name = f"{message.task} {message.argument}"

        def run() -> None:
            work.run(message, self.services, self.at_work)

        return self.go_on(Turn(self.turns, name, run, slow=slow))

    def go_on(self, turn: Turn) -> str:
        """Play a turn until it ends or stops."""
        ended = self.stage.play(turn)
        self.stage.trace.append(f"{turn.number} {ended}")
        if ended == "paused":
            self.paused.append(turn)
        return ended

    def choose(self, service: str, method: str) -> str | None:
        """Choose a fault for a call of the present turn."""
        rng = self.rng
        writes = method in WRITES.get(service, ())
        if rng.random() < (0.8 if service in DULL else 0.0 if writes else 0.5):
            return None
        if service == "gateway":
            fault = rng.choice((*FAULTS[method], "crash"))
            return fault if fault not in RARE or rng.random() < 0.1 else "429"
        if service == "queue":
            return rng.choice(("crash", "not sent"))
        if service in ("seam", "hands"):
            return "crash"
        if writes:
            return rng.choice(("crash", "lost before", "lost after", "lost after"))
        return rng.choice(("crash", "lost before"))

    def let_pass(self, seconds: float) -> None:
        """Let time go by."""
        self.now += timedelta(seconds=seconds)

    def digest(self) -> str:
        """Give a hash of all that has happened."""
        lines = [
            *self.stage.trace,
            *(f"{e.account} {e.kind} {e.to_state} {e.at}" for e in self.store.events),
            *(f"{a.ref} {a.available} {a.service}" for a in self._accounts()),
        ]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    def _accounts(self) -> Iterator[Any]:
        return iter(self.billing.accounts_by_ref.values())

    @contextmanager
    def playing(self) -> Iterator[None]:
        """Let the pipeline's seams and its time be this world's."""
        clock = StandInTime(self._seconds)
        with (
            patch.object(failpoints, "_actions", self.stage),
            patch.object(sweep, "time", clock),
        ):
            yield

    def _seconds(self) -> float:
        return self.now.timestamp()
