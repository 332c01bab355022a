"""Play one seed: its steps, its healing, its end."""

from collections import Counter
from dataclasses import dataclass, field

from tests.memory.rows import IllegalStepError
from tests.simulation.checker import ViolationError
from tests.simulation.ending import broken
from tests.simulation.steps import step
from tests.simulation.work import Message
from tests.simulation.world import World

ROUNDS = 14  # of recovery after the faults; waits double up to a minute
RECOVERY = ("reconcile", "orphans", "sweep hot", "sweep full", "cutoff", "credits")


@dataclass
class Played:
    """What became of a seed.

    Attributes:
        violation: invariant and sentence, or nothing.
        at: the step of the violation.
        digest: a hash of all that has happened.
        story: the last calls before a violation.
    """

    seed: int
    steps: int = 0
    violation: tuple[str, str] | None = None
    at: int = 0
    digest: str = ""
    counts: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    crashes: Counter[str] = field(default_factory=Counter)
    freezes: Counter[str] = field(default_factory=Counter)
    story: list[str] = field(default_factory=list)


def play(seed: int, *, steps: int) -> Played:
    """Play a seed; the same seed and steps always give the same."""
    world = World(seed)
    played = Played(seed)
    try:
        with world.playing():
            for _ in range(steps):
                step(world)
                played.steps += 1
            _heal(world)
        played.violation = next(broken(world.checker), None)
    except ViolationError as violation:
        played.violation = violation.invariant, violation.what
    except IllegalStepError as error:
        played.violation = "I11", f"an illegal step was asked for: {error}"
    except Exception as error:  # noqa: BLE001 whatever the pipeline lets through
        played.violation = "raised", repr(error)
    if played.violation:
        played.story = list(world.stage.told())
    played.at, played.digest = played.steps, world.digest()
    played.counts = world.checker.counts
    played.faults, played.crashes = world.stage.faults, world.stage.crashes
    played.freezes = world.stage.freezes
    return played


def _heal(world: World) -> None:
    """End the faults, and let recovery run as beat and the workers do."""
    world.stage.away.clear()
    world.stage.weather, world.stage.calm = 0.0, True
    world.gateway.key_refused = False
    for turn in world.paused:
        turn.slow = False
        world.go_on(turn)
    world.paused.clear()
    while world.gateway.late:
        world.gateway.late.pop()()
    world.gateway.settle_processing()
    wait = 30.0
    for number in range(ROUNDS):
        world.let_pass(wait)
        wait = min(wait * 1.5, 700.0)
        for name in RECOVERY:
            task, _, argument = name.partition(" ")
            world.start(Message(task, argument))
            _drain(world)
        if number > 2 and not world.store.open and not world.store.unclosed:
            break
    world.let_pass(1)
    for name in ("sweep full", "sweep hot", "cutoff", "reconcile"):
        task, _, argument = name.partition(" ")
        world.start(Message(task, argument))
        _drain(world)


def _drain(world: World) -> None:
    while world.queue.messages:
        world.start(world.queue.messages.pop(0))
