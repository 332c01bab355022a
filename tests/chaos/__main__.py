"""`python -m tests.chaos [--seconds 120 | --soak MINUTES] [--seed N] [--json FILE]`."""

import argparse
import json
import secrets
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from tests.chaos.judgement import Outcome
from tests.chaos.run import Run
from tests.chaos.screen import Screen, tell

SHOWN = 3  # accounts whose history is printed
LINES = 60  # of a history
PLENTY = 4 * 2**30  # bytes


def main() -> int:
    """Run it; 0 when all held and enough happened."""
    given = _arguments()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="replenish-chaos-", dir=_quick()) as folder:
        Path(folder).chmod(0o711)  # PostgreSQL may run as another user
        home = given.keep or Path(folder)
        try:
            outcome = _run(home, given)
        except KeyboardInterrupt:
            sys.stderr.write("Stopped; nothing is left running.\n")
            return 130
    if given.json:
        given.json.parent.mkdir(parents=True, exist_ok=True)
        part = "soak" if given.soak else "chaos"
        text = json.dumps({"part": part, **outcome.as_json()}, indent=1)
        given.json.write_text(text + "\n", encoding="utf-8")
    tell(outcome)
    return 1 if outcome.complaints else 0


def _quick() -> Path | None:
    """Give memory to keep the data in, where there is plenty: no power fails here."""
    memory = Path("/dev/shm")  # noqa: S108 a folder of our own is made within
    plenty = memory.is_dir() and shutil.disk_usage(memory).free > PLENTY
    return memory if plenty else None


def _run(home: Path, given: argparse.Namespace) -> Outcome:
    with Screen() as screen:
        screen.say(f"Chaos for {given.seconds:g} s, seed {given.seed}, in {home}")
        with Run(home, seed=given.seed, seconds=given.seconds, screen=screen) as run:
            outcome = run.play()
            for account in list(dict.fromkeys(outcome.subjects))[:SHOWN]:
                screen.say(f"\nAccount {account}, seed {given.seed}:")
                for each in run.history.of(account)[-LINES:]:
                    screen.say(f"  {each}")
    return outcome


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seconds", type=float, default=120.0, help="of chaos")
    parser.add_argument("--soak", type=float, help="minutes, instead of seconds")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1_000_000))
    parser.add_argument("--json", type=Path, help="write the outcome here")
    parser.add_argument("--keep", type=Path, help="leave logs and books in this folder")
    given = parser.parse_args()
    if given.soak:
        given.seconds = given.soak * 60
    return given


if __name__ == "__main__":
    sys.exit(main())
