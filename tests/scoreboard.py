"""All parts of the fault suite in one go, and the table of what they have shown.

    python -m tests.scoreboard run      # every part, then the table; `make faults`
    python -m tests.scoreboard soak 60  # chaos for so many minutes; `make soak`
    python -m tests.scoreboard          # the table of the last run again

Each part leaves small files of JSON in `.faults/`. A part that fails, that leaves none,
or that shows less than its floor fails the whole. After a good run the table stands
in `docs/reliability.md`, between its markers; so does that of a soak.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from rich import box
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / ".faults"
PAGE = ROOT / "docs" / "reliability.md"
SCOREBOARD = ("<!-- scoreboard: generated -->", "<!-- end of scoreboard -->")
SOAK = ("<!-- soak: generated -->", "<!-- end of soak -->")

_PYTHON = (sys.executable, "-m")
PARTS: Mapping[str, Sequence[str]] = {
    "simulation": (*_PYTHON, "tests.simulation", "--json"),
    "crashes, pauses, kills, lost commits": (
        *_PYTHON,
        *("pytest", "tests", "-m", "deep or faults", "--ignore", "tests/planted"),
        *("-q", "-n", "4", "--dist", "worksteal"),
    ),
    "planted": (*_PYTHON, "tests.planted", "--json", str(RESULTS / "planted.json")),
    "mutation": (*_PYTHON, "tests.mutation", "--json", str(RESULTS / "mutation.json")),
    "chaos": (
        *_PYTHON,
        *("tests.chaos", "--seconds", "120", "--json", str(RESULTS / "chaos.json")),
    ),
}
"""What `make faults` runs, in this order; a new part is one more line."""
PRINTS = {"simulation"}  # its JSON is what it prints


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: a figure, and what it must be.

    Attributes:
        part: in whose files the figure stands.
        figure: its name there.
        of: how the figures of several files become one.
        least: the floor, or None.
        most: the ceiling, or None.
    """

    what: str
    part: str
    figure: str
    of: Callable[[Sequence[float]], float] = sum
    least: float | None = None
    most: float | None = None

    def found(self, results: Sequence[Mapping[str, Any]]) -> float | None:
        """Give the figure, or None if nobody has left it."""
        values = [
            _number(each[self.figure])
            for each in results
            if each["part"] == self.part and each.get(self.figure) is not None
        ]
        return self.of(values) if values else None

    def good(self, value: float | None) -> bool:
        """Say whether it is as it must be."""
        if value is None:
            return False
        enough = self.least is None or value >= self.least
        return enough and (self.most is None or value <= self.most)

    @property
    def bound(self) -> str:
        """Write what it must be."""
        if self.least is not None:
            return f"at least {self.least:,.0f}"
        return f"at most {self.most:,.0f}" if self.most is not None else ""


ROWS = (
    Row("simulation: steps", "simulation", "steps", least=500_000),
    Row("simulation: violations", "simulation", "violations", most=0),
    Row(
        "two crashes: each seam, answer and second crash",
        "matrix",
        "cases",
        least=3_400,
    ),
    Row("… crashes at the seam that was met least", "matrix", "at", min, least=100),
    Row("frozen at a seam, woken after others went on", "pauses", "cases", least=70),
    Row("real processes killed at a seam (SIGKILL)", "kills", "kills", least=70),
    Row("commits cut before or after they were made", "commits", "cuts", least=400),
    Row("… made, though the client saw an error", "commits", "committed", least=150),
    Row("planted defects that were caught", "planted", "caught", least=24),
    Row(
        "small changes of the rules that a test noticed, %",
        "mutation",
        "percent",
        least=95,
    ),
    Row("chaos: faults of processes and servers", "chaos", "faults", least=300),
    Row("chaos: answers of the gateway lost or wrong", "chaos", "gateway_faults"),
    Row("chaos: messages replayed", "chaos", "messages"),
    Row("chaos: charges", "chaos", "charges", least=2_000),
    Row("chaos: checks of all books while it ran", "chaos", "checks", least=12),
    Row("chaos: seconds until all was well again", "chaos", "converged", max, most=15),
    Row("chaos: violations", "chaos", "violations", most=0),
)


def main() -> int:
    """Run or read; 0 when every part passed and every figure is as it must be."""
    parser = argparse.ArgumentParser(prog="python -m tests.scoreboard")
    parser.add_argument(
        "what", nargs="?", choices=["run", "soak", "show"], default="show"
    )
    parser.add_argument("minutes", nargs="?", type=float, default=60.0, help="of soak")
    given = parser.parse_args()
    if given.what == "soak":
        return _soak(given.minutes)
    failed, took = _run() if given.what == "run" else ([], 0.0)
    results = list(_results())
    good = _print(results) and not failed
    for name in failed:
        sys.stderr.write(f"Failed: {name}\n")
    if given.what == "run" and good:
        _publish(SCOREBOARD, _scores(results, took))
    return 0 if good else 1


def _soak(minutes: float) -> int:
    """Let chaos go on for long; a good one is published."""
    RESULTS.mkdir(exist_ok=True)
    told = RESULTS / "soak.json"
    command = (*_PYTHON, "tests.chaos", "--soak", str(minutes), "--json", str(told))
    done = subprocess.run(command, cwd=ROOT, check=False)  # noqa: S603 ours
    if done.returncode == 0:
        _publish(SOAK, _endurance(json.loads(told.read_text("utf-8"))))
    return done.returncode


def _run() -> tuple[list[str], float]:
    """Run every part; those that failed, and the seconds it took."""
    RESULTS.mkdir(exist_ok=True)
    for old in RESULTS.glob("*.json"):
        if old.name != "soak.json":
            old.unlink()
    env = {**os.environ, "FAULTS": "all", "FAULTS_RESULTS": str(RESULTS)}
    failed, begun = [], time.monotonic()
    for name, command in PARTS.items():
        sys.stderr.write(f"\n== {name}\n")
        started = time.monotonic()
        with _sink(name) as sink:
            done = subprocess.run(  # noqa: S603 ours
                command, cwd=ROOT, env=env, stdout=sink, check=False
            )
        sys.stderr.write(f"== {name}: {time.monotonic() - started:.0f} s\n")
        if done.returncode:
            failed.append(name)
    return failed, time.monotonic() - begun


@contextmanager
def _sink(name: str) -> Iterator[IO[str] | None]:
    """Lend where a part's words go: to its file if they are its result."""
    if name not in PRINTS:
        yield None
        return
    with (RESULTS / f"{name}.json").open("w", encoding="utf-8") as file:
        yield file


def _number(value: float | Sequence[object]) -> float:
    """Give a figure, or how many there are of what is listed."""
    return float(value) if isinstance(value, int | float) else float(len(value))


def _results() -> Iterator[Mapping[str, Any]]:
    for path in sorted(RESULTS.glob("*.json")):
        yield {"part": path.stem, **json.loads(path.read_text("utf-8"))}


def _print(results: Sequence[Mapping[str, Any]]) -> bool:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("what was done")
    table.add_column("found", justify="right")
    table.add_column("must be")
    good = True
    for row in ROWS:
        value = row.found(results)
        fine = row.good(value)
        good = good and fine
        style = "" if fine else "red"
        table.add_row(row.what, _shown(value), row.bound, style=style)
    Console(highlight=False).print(table)
    return good


def _publish(markers: tuple[str, str], lines: Iterator[str]) -> None:
    """Put lines between two markers of the page."""
    begin, end = markers
    page = PAGE.read_text("utf-8")
    before, _, rest = page.partition(begin)
    _, _, after = rest.partition(end)
    PAGE.write_text(before + "\n".join([begin, *lines, end]) + after, "utf-8")


def _scores(results: Sequence[Mapping[str, Any]], took: float) -> Iterator[str]:
    """Tell what a run of every part has shown."""
    yield _where(took / 60)
    yield ""
    yield "| what was done | found | must be |"
    yield "|---|---:|---|"
    for row in ROWS:
        yield f"| {row.what} | {_shown(row.found(results))} | {row.bound} |"
    yield ""
    for chaos in (each for each in results if each.get("part") == "chaos"):
        yield from _times(chaos)


def _endurance(soak: Mapping[str, Any]) -> Iterator[str]:
    """Tell what a soak has shown, and what its first and last minute looked like."""
    yield _where(soak["seconds"] / 60)
    yield ""
    yield (
        f"{soak['faults']:,} faults of processes and servers,"
        f" {soak['gateway_faults']:,} of {soak['gateway_requests']:,} answers of the"
        " gateway lost or wrong,"
        f" {soak['messages']:,} messages replayed; {soak['calls']:,} calls,"
        f" {soak['charges']:,} charges; {soak['checks']:,} checks of all books,"
        f" {soak['violations']} violations; all was well again {soak['converged']} s"
        f" after healing; longest time without any charge {soak['standstill']} s."
    )
    yield ""
    yield "| what must not grow | first minute | last minute |"
    yield "|---|---:|---:|"
    for name, (first, last) in soak["growth"].items():
        yield f"| {name} | {first:,.0f} | {last:,.0f} |"
    yield ""
    yield from _times(soak)


def _where(minutes: float) -> str:
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, commit `{_commit()}`, {_machine()}:"
        f" {minutes:.1f} minutes."
    )


def _times(chaos: Mapping[str, Any]) -> Iterator[str]:
    """Tell how long things took, and how much a run without violations proves."""
    yield "| seconds, 99 of 100 | without faults | under chaos |"
    yield "|---|---:|---:|"
    for watch, quiet in chaos["quiet"].items():
        slow = chaos["chaos"][watch]
        yield f"| {watch} | {quiet['p99']:.2f} | {slow['p99']:.2f} |"
    yield ""
    yield (
        f"No violation in {chaos['charges']:,} charges means, at 95 %, fewer than"
        f" one in {chaos['charges'] / 3:,.0f}, under that load of faults (rule of"
        " three)."
    )


def _shown(value: float | None) -> str:
    if value is None:
        return "not run"
    return f"{value:,.1f}" if value != int(value) else f"{int(value):,}"


def _commit() -> str:
    done = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],  # noqa: S607 the one on the path
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() or "unknown"


def _machine() -> str:
    """Describe it without naming it."""
    return (
        f"{os.cpu_count()} processors, {platform.system()} {platform.machine()},"
        f" Python {platform.python_version()}"
    )


if __name__ == "__main__":
    sys.exit(main())
