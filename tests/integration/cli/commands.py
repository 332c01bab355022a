"""Running `replenish …`, in this process for speed or as a process for truth."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from replenish.cli import main

PROGRAM = (sys.executable, "-c", "from replenish.cli import main; main()")
ROOT = Path(__file__).parents[3]
NOWHERE = "redis://127.0.0.1:1/0"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:  # noqa: ANN401 JSON has no other type
        """What it printed, read as JSON."""
        return json.loads(self.out)


@dataclass(frozen=True, slots=True)
class Terminal:
    """A folder and an environment to type commands in."""

    folder: Path
    variables: Mapping[str, str]

    def run(self, *words: str) -> Answer:
        """Run a command in this process."""
        result = CliRunner().invoke(main, words, env=dict(self.variables))
        return Answer(result.exit_code, result.stdout, result.stderr)

    def process(self, *words: str, **changes: str) -> Answer:
        """Run a command as a process of its own."""
        done = subprocess.run(  # noqa: S603 our own program
            [*PROGRAM, *words],
            cwd=self.folder,
            env=environment(self, **changes),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return Answer(done.returncode, done.stdout, done.stderr)

    def with_(self, **changes: str) -> "Terminal":
        """Give a terminal with other variables."""
        return Terminal(self.folder, {**self.variables, **changes})


def environment(terminal: Terminal, **changes: str) -> dict[str, str]:
    """Give the whole environment of a process started from a terminal."""
    path = os.pathsep.join([str(ROOT), *os.environ.get("PYTHONPATH", "").split(":")])
    return {**os.environ, "PYTHONPATH": path, **terminal.variables, **changes}
