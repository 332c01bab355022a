"""Plays the scenes in this process's own tree until the checker finds something.

    python -m tests.planted.play DATABASE_URL FOLDER

Prints one line of JSON: what was found, in which scene, and what no step should have
ended in. Meant for a throw-away copy, see `tests.planted.copies`.
"""

import json
import sys
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import replenish
from replenish.adapters.ledger.books import installation
from replenish.adapters.ledger.session import make_engine
from tests.contract.gateway_site import make_gateway
from tests.planted.scenes import SCENES
from tests.planted.stage import CaughtError, Stage
from tests.sandbox_server import SandboxServer
from tests.world import World


@dataclass
class Played:
    """How it went.

    Attributes:
        scene: the one in which something was found, or empty.
        found: invariant → examples.
        failures: what no step should have ended in.
        seconds: by scene.
        counts: what the checker counted in the end.
    """

    scene: str = ""
    found: dict[str, list[str]] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)


def play(url: str, folder: Path, scenes: Iterable[str] = tuple(SCENES)) -> Played:
    """Play scenes on an empty, prepared database until something is found.

    Args:
        url: of the database, which holds both schemas.
        folder: for the sandbox's ledger.
        scenes: which, in order.
    """
    engine = make_engine(
        url, statement_timeout_ms=9_000, lock_timeout_ms=3_000, pool_size=8
    )
    try:
        with SandboxServer(folder / "gateway.jsonl") as sandbox:
            return _play(_stage(World(engine), sandbox), scenes)
    finally:
        engine.dispose()


def _stage(world: World, sandbox: SandboxServer) -> Stage:
    gateway = make_gateway(
        sandbox.url,
        timeout=(2.0, 1.0),
        installation=lambda: installation(world.engine),
    )
    world.services = replace(world.services, gateway=gateway)
    return Stage(world, sandbox)


def _play(stage: Stage, scenes: Iterable[str]) -> Played:
    played = Played(failures=stage.failures)
    for name in scenes:
        start = time.monotonic()
        try:
            SCENES[name](stage)
            stage.heal()
            stage.check()
        except CaughtError as caught:
            played.scene = name
            played.found = {key: list(told) for key, told in caught.found.items()}
            return played
        finally:
            played.seconds[name] = round(time.monotonic() - start, 2)
    if stage.report:
        played.counts = dict(stage.report.counts)
    return played


def main() -> None:
    """Play what the command line says."""
    url, folder = sys.argv[1:3]
    here = Path(replenish.__file__).resolve().parent.parent
    if here != Path.cwd().resolve():
        sys.exit(f"The tree in {Path.cwd()} is not the one that runs: {here} is.")
    sys.stdout.write(json.dumps(asdict(play(url, Path(folder)))) + "\n")


if __name__ == "__main__":
    main()
