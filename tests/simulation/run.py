"""Many seeds on all cores: what was played, what broke, and whether it was enough."""

import argparse
import json
import multiprocessing
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from tests.simulation.play import Played, play

SEEDS, STEPS = 2500, 200
SEAMS = (
    *("before_claim", "claim_uncommitted", "claim_commit_sent", "after_claim"),
    *("after_recheck", "before_create", "after_create", "pi_uncommitted"),
    *("before_confirm", "after_confirm", "record_uncommitted", "after_record"),
    *("before_credit", "credit_uncommitted", "credit_commit_sent", "after_credit"),
    *("done_uncommitted", "after_done", "before_restore", "after_restore"),
    *("before_ack", "after_break", "after_correction"),
)
LEAST_FAULTS = 0.08  # of the steps
LEAST_CHARGES = 3  # a seed, on average
ENOUGH = 20_000  # steps from which on a seam that was never crashed at is a fault


@dataclass
class Score:
    """What a run has shown.

    Attributes:
        violations: a seed's first, with the step it was seen after.
    """

    seeds: int = 0
    steps: int = 0
    seconds: float = 0.0
    faults: Counter[str] = field(default_factory=Counter)
    crashes: Counter[str] = field(default_factory=Counter)
    freezes: Counter[str] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)
    violations: list[tuple[int, int, str]] = field(default_factory=list)

    def add(self, played: Played) -> None:
        """Count a seed in."""
        self.seeds += 1
        self.steps += played.steps
        self.faults += played.faults
        self.crashes += played.crashes
        self.freezes += played.freezes
        self.counts += played.counts
        if played.violation:
            what = ": ".join(played.violation)
            self.violations.append((played.seed, played.at, what))

    def too_little(self) -> Iterator[str]:
        """Say in what the run was too easy to prove anything."""
        if self.faults.total() < LEAST_FAULTS * self.steps:
            yield f"only {self.faults.total()} faults in {self.steps} steps"
        if self.counts["charges"] < LEAST_CHARGES * self.seeds:
            yield f"only {self.counts['charges']} charges in {self.seeds} seeds"
        if self.steps < ENOUGH:
            return
        for seam in SEAMS:
            if not self.crashes[seam]:
                yield f"nothing ever crashed at {seam}"

    def told(self) -> dict[str, Any]:
        """Give the figures for a scoreboard."""
        return {
            "seeds": self.seeds,
            "steps": self.steps,
            "seconds": round(self.seconds, 1),
            "faults": self.faults.total(),
            "faults_by_kind": dict(self.faults.most_common()),
            "crashes_by_seam": dict(self.crashes.most_common()),
            "freezes_by_place": dict(self.freezes.most_common()),
            "charges": self.counts["charges"],
            "declines": self.counts["declined"] + self.counts["action_required"],
            "unknowns_resolved": self.counts["unknown resolved"],
            "counts": dict(self.counts.most_common()),
            "violations": [
                {"seed": seed, "step": step, "what": what}
                for seed, step, what in self.violations
            ],
            "too_little": list(self.too_little()),
        }


def play_all(
    seeds: Sequence[int], *, steps: int = STEPS, processes: int = 1
) -> Iterator[Played]:
    """Play seeds, in any order of their ends."""
    one = partial(play, steps=steps)
    if processes == 1:
        yield from map(one, seeds)
        return
    with multiprocessing.get_context("fork").Pool(processes) as pool:
        yield from pool.imap_unordered(one, seeds, chunksize=10)


def score(played: Iterable[Played]) -> Score:
    """Add up what was played."""
    began, total = time.monotonic(), Score()
    for each in played:
        total.add(each)
    total.seconds = time.monotonic() - began
    return total


def main(arguments: Sequence[str] | None = None) -> int:
    """Play what the command line says; 0 only if all held and was enough."""
    asked = _parser().parse_args(arguments)
    if asked.seed is not None:
        return _one(asked.seed, asked.steps, verbose=asked.verbose)
    seeds = range(asked.first, asked.first + asked.seeds)
    console = Console(stderr=True)
    with Progress(console=console, disable=asked.json) as progress:
        bar = progress.add_task("Playing seeds", total=len(seeds))
        every = play_all(seeds, steps=asked.steps, processes=asked.processes)
        total = score(_shown(every, lambda: progress.advance(bar)))
    print(json.dumps(total.told(), indent=2)) if asked.json else _tell(total, asked)  # noqa: T201
    return int(bool(total.violations) or any(total.too_little()))


def _shown(played: Iterable[Played], advance: Any) -> Iterator[Played]:  # noqa: ANN401
    for each in played:
        advance()
        yield each


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=SEEDS, help="how many seeds")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--steps", type=int, default=STEPS, help="steps of each")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--seed", type=int, help="play this one alone")
    parser.add_argument("--verbose", action="store_true", help="with its calls")
    parser.add_argument("--json", action="store_true", help="print the figures")
    return parser


def _one(seed: int, steps: int, *, verbose: bool) -> int:
    played = play(seed, steps=steps)
    console = Console()
    if verbose:
        console.print(
            "\n".join(played.story), markup=False, highlight=False, soft_wrap=True
        )
    if played.violation:
        console.print(f"Seed {seed}, step {played.at}: {': '.join(played.violation)}")
        return 1
    console.print(f"Seed {seed}: all held; {played.digest}")
    return 0


def _tell(total: Score, asked: argparse.Namespace) -> None:
    console = Console()
    table = Table("what", "how many", title="Simulation")
    for name, value in total.told().items():
        if isinstance(value, int | float):
            table.add_row(name.replace("_", " "), f"{value:,}")
    console.print(table)
    for name, counter in (("Faults", total.faults), ("Crashes", total.crashes)):
        told = ", ".join(f"{many} {what}" for what, many in counter.most_common())
        console.print(f"{name}: {told}", highlight=False)
    for seed, step, what in total.violations[:20]:
        console.print(f"Seed {seed}, step {step}: {what}", style="red")
        console.print(
            f"  python -m tests.simulation --seed {seed} --steps {asked.steps}"
            " --verbose"
        )
    for what in total.too_little():
        console.print(f"Too little: {what}", style="yellow")
