"""Plant each defect, play the scenes, and print what caught it.

    python -m tests.planted [--only NAME]... [--json FILE] [--workers N]

The tree as it is comes first, and must go through all scenes with nothing broken. Ends
with 1 unless that is so and every defect is caught by one of its named invariants.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Lock

from rich import box
from rich.console import Console
from rich.table import Table

from tests.planted.bugs import BUGS, Bug
from tests.planted.copies import planted
from tests.postgres import Databases, own_server
from tests.world import prepare

NOTHING = Bug("(none)", "the tree as it is", (), ())
LIMIT = 600  # seconds; a defect may make a scene hang, and so all the others wait
SCHEMAS = ("/migrations/", "/schema.py")  # what makes the tables


@dataclass(frozen=True)
class Verdict:
    """What became of one defect.

    Attributes:
        caught: whether one of its named invariants is broken (none, for the tree as
            it is).
        by: the invariants that are broken.
        scene: in which scene.
        example: one broken row.
        trouble: what no step should have ended in, or why nothing was played.
    """

    name: str
    what: str
    expected: Sequence[str]
    caught: bool
    by: Sequence[str]
    scene: str
    example: str
    seconds: float
    trouble: Sequence[str]


class Ground:
    """One PostgreSQL server, and databases on it for every defect."""

    def __init__(self, databases: Databases) -> None:
        self._databases = databases
        self._lock = Lock()

    def database(self, bug: Bug, tree: Path) -> str:
        """Give an empty, prepared database; by the copy's own hand if need be."""
        if any(part in edit.path for edit in bug.edits for part in SCHEMAS):
            with self._lock:
                url = self._databases.url(self._databases.make())
            code = f"from tests.world import prepare; prepare({url!r})"
            _python(tree, "-c", code)
            return url
        with self._lock:
            return self._databases.url(self._databases.make(prepare))


def judge(bug: Bug, ground: Ground) -> Verdict:
    """Plant one defect, play, and say what became of it."""
    start = time.monotonic()
    with planted(bug.edits) as tree:
        folder = tree / "books"
        folder.mkdir()
        try:
            url = ground.database(bug, tree)
            said = _python(tree, "-m", "tests.planted.play", url, str(folder))
            played = json.loads(said.splitlines()[-1])
        except subprocess.SubprocessError as error:
            said = getattr(error, "stderr", "") or str(error)
            played = {"scene": "", "found": {}, "failures": [str(said)[-600:]]}
    found = played["found"]
    named = [name for name in bug.caught_by if name in found]
    trouble = played["failures"]
    examples = [told for name in named or found for told in found[name]]
    return Verdict(
        bug.name,
        bug.what,
        bug.caught_by,
        bool(named) if bug.edits else not found and not trouble,
        sorted(found),
        played["scene"],
        examples[0] if examples else "",
        round(time.monotonic() - start, 1),
        trouble[:3],
    )


def _python(tree: Path, *arguments: str) -> str:
    """Run Python in a copy; whatever it has started ends with it."""
    process = subprocess.Popen(  # noqa: S603 - our own interpreter and code
        [sys.executable, "-W", "ignore", *arguments],
        cwd=tree,
        env=_environment(tree),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        out, err = process.communicate(timeout=LIMIT)
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, arguments, out, err)
    return out


def _environment(tree: Path) -> dict[str, str]:
    return {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(tree), "HOME": str(tree)}


@contextmanager
def _server() -> Iterator[Ground]:
    with own_server() as databases:
        databases.make(prepare)
        yield Ground(databases)


def _table(verdicts: Sequence[Verdict]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("defect", "broken", "scene", "for example"):
        table.add_column(column)
    table.add_column("s", justify="right")
    for verdict in verdicts:
        style = "" if verdict.caught else "red"
        told = verdict.example or "; ".join(verdict.trouble) or "nothing found"
        if verdict.caught and not verdict.example:
            told = "nothing broken, in any scene"
        table.add_row(
            verdict.name,
            " ".join(verdict.by) or "-",
            verdict.scene or "-",
            told,
            f"{verdict.seconds:.1f}",
            style=style,
        )
    return table


def main() -> int:
    """Do what the command line says; give the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.planted")
    parser.add_argument("--only", action="append", help="a defect's name; repeatable")
    parser.add_argument("--json", type=Path, help="write the verdicts there")
    parser.add_argument("--workers", type=int, default=2)
    chosen = parser.parse_args()
    bugs = [bug for bug in BUGS if not chosen.only or bug.name in chosen.only]
    start = time.monotonic()
    with _server() as ground, ThreadPoolExecutor(chosen.workers) as pool:
        verdicts = list(pool.map(lambda bug: judge(bug, ground), [NOTHING, *bugs]))
    seconds = round(time.monotonic() - start, 1)
    caught = sum(verdict.caught for verdict in verdicts[1:])
    Console(width=160).print(_table(verdicts))
    print(f"{caught} of {len(bugs)} defects caught in {seconds} s.")  # noqa: T201
    if chosen.json:
        result = {
            "defects": len(bugs),
            "caught": caught,
            "clean_without": verdicts[0].caught,
            "seconds": seconds,
            "verdicts": [asdict(verdict) for verdict in verdicts],
        }
        chosen.json.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    return 0 if all(verdict.caught for verdict in verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
