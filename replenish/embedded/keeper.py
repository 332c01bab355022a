"""Who uses the embedded servers, and stopping them when nobody does any more.

`state.json` in the home folder names the servers, the processes that use them and
the keeper. A process is named by its id and its start mark, so that neither a
`kill -9` nor a reused id leaves a stale user behind. All changes happen under one
file lock.

The keeper is a small process that outlives them all: twice a second it looks
whether any user is alive, and when none is it stops the servers and itself. A user
that ends in order does the same at once, so the keeper is needed only after a
signal that leaves no time.

This file runs as a script, by its path and with the standard library alone: as a
module it would import the package, and with it the whole of Celery.
"""

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

LOOK_EVERY = 0.5  # seconds between two looks of the keeper
LOCK_PATIENCE = 90.0  # seconds; the first comer may be making the database
STOP_PATIENCE = 20.0  # seconds for an orderly stop, before it is forced
WAIT_STEP = 0.01  # seconds

# PostgreSQL: SIGINT ends sessions and checkpoints, SIGQUIT is its crash stop.
STOP_SIGNALS = {
    "postgres": (signal.SIGINT, signal.SIGQUIT),
    "redis": (signal.SIGTERM, signal.SIGKILL),
    "mariadb": (signal.SIGTERM, signal.SIGKILL),
}


# The folder that each server works in, and where it writes down its own process id.
OWN_NOTES = (
    ("postgres", "postgres/data", "postgres/data/postmaster.pid"),
    ("postgres", "postgres/cluster/data", "postgres/cluster/data/postmaster.pid"),
    ("redis", "redis", "redis/pid"),
    ("mariadb", "mariadb/data", "mariadb/pid"),
)


class Process(NamedTuple):
    """One running process: its id, and the mark of its start."""

    pid: int
    mark: str

    @property
    def alive(self) -> bool:
        """Whether exactly this process still runs."""
        return bool(self.mark) and start_mark(self.pid) == self.mark


NOBODY = Process(0, "")


class Server(NamedTuple):
    """A server that was started, and the address it answers at."""

    process: Process
    url: str


@dataclass
class State:
    """What `state.json` says."""

    servers: dict[str, Server] = field(default_factory=dict)
    users: list[Process] = field(default_factory=list)
    keeper: Process = NOBODY

    def live_users(self) -> list[Process]:
        """The users that still run."""
        return [user for user in self.users if user.alive]


class LockTimeoutError(TimeoutError):
    """Another process held the lock on the home folder for too long."""


def start_mark(pid: int) -> str:
    """Tell the start of process `pid`, or "" when it is gone or a zombie.

    The kernel's own count of ticks since boot, as no step of the clock moves it.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return "" if Path("/proc/self/stat").exists() else _start_mark_by_ps(pid)
    fields = stat.rpartition(")")[2].split()
    if fields[0] in "ZX":
        return ""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
    return f"{boot}:{fields[19]}"


def _start_mark_by_ps(pid: int) -> str:
    """Do the same where there is no /proc, as on macOS."""
    answer = subprocess.run(  # noqa: S603  # a number is all that varies
        ["/bin/ps", "-o", "stat=,lstart=", "-p", str(pid)],
        capture_output=True,
        text=True,
        check=False,
    )
    state, _, started = answer.stdout.strip().partition(" ")
    return "" if state.startswith("Z") else started.strip()


def this_process() -> Process:
    """The process that asks."""
    return Process(os.getpid(), start_mark(os.getpid()))


@contextmanager
def locked(home: Path) -> Iterator[None]:
    """Hold the lock on `home`; no two processes change its servers at once.

    Raises:
        LockTimeoutError: It was not free within `LOCK_PATIENCE` seconds.
    """
    with (home / "lock").open("a") as handle:
        if not _wait_for(lambda: _try_lock(handle.fileno()), LOCK_PATIENCE):
            raise LockTimeoutError(home)
        yield


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def load(home: Path) -> State:
    """Read the state; a missing or torn file is an empty one."""
    try:
        raw = json.loads((home / "state.json").read_text(encoding="utf-8"))
        return State(
            servers={
                kind: Server(Process(*process), url)
                for kind, (process, url) in raw["servers"].items()
            },
            users=[Process(*user) for user in raw["users"]],
            keeper=Process(*raw["keeper"]),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return State()


def save(home: Path, state: State) -> None:
    """Write the state in one step, so that a reader without the lock sees it whole."""
    document = {
        "servers": state.servers,
        "users": state.users,
        "keeper": state.keeper,
    }
    new = home / "state.json.new"
    new.write_text(json.dumps(document), encoding="utf-8")
    new.replace(home / "state.json")


def stop_servers(state: State) -> None:
    """Stop every server in `state` and wait until it is gone."""
    for order in (0, 1):  # first in order, then by force
        running = [
            (kind, server.process)
            for kind, server in state.servers.items()
            if server.process.alive
        ]
        for kind, process in running:
            _signal(process, STOP_SIGNALS[kind][order])
        if _wait_for(lambda: not any(p.alive for _, p in running), STOP_PATIENCE):  # noqa: B023
            return  # the lambda is used within its turn of the loop


def stop_all(home: Path, state: State) -> None:
    """Stop servers and keeper and forget them; call it with the lock held."""
    state.servers.update(_unnoted(home, state))
    stop_servers(state)
    if state.keeper.pid != os.getpid():
        _signal(state.keeper, signal.SIGTERM)
        _wait_for(lambda: not state.keeper.alive, STOP_PATIENCE)
    save(home, State())


def _unnoted(home: Path, state: State) -> dict[str, Server]:
    """Find what runs here and is not in the state: its start was interrupted."""
    found = {}
    for kind, folder, note in OWN_NOTES:
        if kind in state.servers and state.servers[kind].process.alive:
            continue
        try:
            pid = int((home / note).read_text(encoding="utf-8").partition("\n")[0])
            works_in = Path(f"/proc/{pid}/cwd").readlink()
        except (OSError, ValueError):
            continue
        if works_in == (home / folder).resolve():
            found[kind] = Server(Process(pid, start_mark(pid)), "")
    return found


def start_keeper(home: Path) -> Process:
    """Start a keeper for `home`; call it with the lock held."""
    answer = subprocess.run(  # noqa: S603  # our own file, our own interpreter
        [sys.executable, "-I", __file__, str(home)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    pid = int(answer.stdout)
    return Process(pid, start_mark(pid))


def _signal(process: Process, number: int) -> None:
    if process.alive:
        try:
            os.kill(process.pid, number)
        except ProcessLookupError:
            return


def _wait_for(done: Callable[[], bool], patience: float) -> bool:
    end = time.monotonic() + patience
    while not done():
        if time.monotonic() > end:
            return False
        time.sleep(WAIT_STEP)
    return True


def keep(home: Path) -> None:
    """Watch over `home` until nobody uses it, then stop what it runs."""
    known = State()
    while True:
        time.sleep(LOOK_EVERY)
        if not home.is_dir():  # somebody deleted it under the running servers
            stop_servers(known)
            return
        found = load(home)
        if known.servers and found == State() and not (home / "state.json").exists():
            if known.live_users():
                continue  # the folder is being deleted, or only its note was
            stop_servers(known)
            return
        known = found
        if known.live_users():
            continue
        with locked(home):
            known = load(home)
            if known.keeper.pid != os.getpid():
                return  # another keeper has taken over
            if not known.live_users():
                stop_all(home, known)
                return


def _become_daemon() -> bool:
    """Leave the starter's process group and terminal; say if this is the daemon."""
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        return False
    os.setsid()
    grandchild = os.fork()
    if grandchild:
        sys.stdout.write(f"{grandchild}\n")
        sys.stdout.flush()
        os._exit(0)
    os.chdir("/")
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    return True


if __name__ == "__main__" and _become_daemon():
    keep(Path(sys.argv[1]))
