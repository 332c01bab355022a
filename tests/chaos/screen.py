"""What a run shows while it goes on, and what it says at the end."""

import sys
from collections.abc import Mapping
from typing import Self

from rich import box
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from tests.chaos.history import CREDIT, CUT_OFF, RESTORE
from tests.chaos.judgement import Outcome

EVERY = 10.0  # seconds between two lines where there is no terminal


class Screen:
    """One line that changes, or a line now and then where there is no terminal."""

    def __init__(self) -> None:
        self.console = Console(stderr=True, highlight=False)
        self._live = Live(console=self.console, refresh_per_second=2, transient=True)
        self._told = -EVERY

    def __enter__(self) -> Self:
        if self.console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def say(self, text: str) -> None:
        """Write a line that stays."""
        self.console.print(text, soft_wrap=True)

    def show(self, at: float, stage: str, figures: Mapping[str, object]) -> None:
        """Show how far it is."""
        parts = ", ".join(f"{value} {name}" for name, value in figures.items())
        line = f"{at:6.1f} s  {stage}: {parts}"
        if self.console.is_terminal:
            self._live.update(Text(line))
        elif at - self._told >= EVERY:
            self._told = at
            self.console.print(line, soft_wrap=True)


def tell(outcome: Outcome) -> None:
    """Print the result."""
    console = Console(file=sys.stdout, highlight=False)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("seconds, 99 of 100")
    table.add_column("without faults", justify="right")
    table.add_column("under chaos", justify="right")
    for watch in (CREDIT, CUT_OFF, RESTORE):
        cells = [
            f"{found.get('p99', 0):.2f} (of {found.get('n', 0):.0f})"
            for found in (outcome.quiet.get(watch, {}), outcome.chaos.get(watch, {}))
        ]
        table.add_row(watch, *cells)
    console.print(table)
    hits = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    hits.add_column("fault")
    hits.add_column("hits", justify="right")
    for kind, count in outcome.by_kind.items():
        hits.add_row(kind, str(count))
    console.print(hits)
    console.print(
        f"{outcome.lasted:.0f} s of chaos, seed {outcome.seed}:"
        f" {outcome.faults} faults of processes and servers,"
        f" {outcome.gateway_faults} of {outcome.gateway_requests} answers spoiled,"
        f" {outcome.messages} messages replayed; {outcome.calls} calls,"
        f" {outcome.charges} charges; converged after {outcome.converged} s;"
        f" {outcome.checks} checks, {outcome.violations} violations;"
        f" longest standstill {outcome.standstill} s;"
        f" {outcome.processor_seconds} s of processor time."
    )
    for complaint in outcome.complaints:
        console.print(complaint, style="red", markup=False, soft_wrap=True)
