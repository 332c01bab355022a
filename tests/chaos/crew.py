"""The processes under fire, and the supervisor that starts again what has ended."""

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random
from resource import RUSAGE_CHILDREN, getrusage

import psutil

from replenish.demo.fleet import Fleet

LOOK_EVERY = 0.1  # seconds between two looks of the supervisor


@dataclass
class Crew(Fleet):
    """Processes by name, each in a group of its own and started again when it ends.

    Attributes:
        restarts: how often each was started again.
        frozen: ids of the processes that sleep now.
    """

    restarts: Counter[str] = field(default_factory=Counter)
    frozen: set[int] = field(default_factory=set)
    _read_from: dict[str, int] = field(default_factory=dict)
    _commands: dict[str, Sequence[str]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _closing: threading.Event = field(default_factory=threading.Event)
    _supervisor: threading.Thread | None = None

    def hire(self, commands: Mapping[str, Sequence[str]]) -> None:
        """Start these, and start each again whenever it has ended."""
        for name, command in commands.items():
            self.start(name, command)
        self._commands.update(commands)
        if self._supervisor is None:
            self._supervisor = threading.Thread(target=self._supervise, daemon=True)
            self._supervisor.start()

    def start(self, name: str, command: Sequence[str]) -> None:
        """Start one, its words after those of the one before it."""
        log = self.logs / f"{name}.log"
        self._read_from[name] = log.stat().st_size if log.exists() else 0
        super().start(name, command)

    def ready(self, name: str) -> bool:
        """Say whether a worker has come up since it was last started."""
        with (self.logs / f"{name}.log").open("rb") as log:
            log.seek(self._read_from[name])
            return b" ready." in log.read()

    def kill(self, name: str) -> bool:
        """SIGKILL a process with all its children."""
        return self._signal(self._running[name].pid, signal.SIGKILL)

    def freeze(self, name: str, seconds: float) -> bool:
        """Let a process with all its children sleep for so long."""
        pid = self._running[name].pid
        self.frozen.add(pid)
        done = self._signal(pid, signal.SIGSTOP)
        time.sleep(seconds)
        self._signal(pid, signal.SIGCONT)
        self.frozen.discard(pid)
        return done

    def kill_child(self, name: str, chance: Random) -> bool:
        """SIGKILL one of a worker's children."""
        child = self._child(name, chance)
        with suppress(psutil.Error):
            if child:
                child.kill()
                return True
        return False

    def freeze_child(self, name: str, chance: Random, seconds: float) -> bool:
        """Let one of a worker's children sleep for so long."""
        child = self._child(name, chance)
        if child is None:
            return False
        self.frozen.add(child.pid)
        with suppress(psutil.Error):
            child.suspend()
        time.sleep(seconds)
        with suppress(psutil.Error):  # it may be gone with its worker
            child.resume()
        self.frozen.discard(child.pid)
        return True

    def _child(self, name: str, chance: Random) -> psutil.Process | None:
        """Choose one of a worker's children that is awake."""
        with suppress(psutil.Error):
            children = psutil.Process(self._running[name].pid).children()
            awake = [each for each in children if each.pid not in self.frozen]
            return chance.choice(awake) if awake else None
        return None

    def processor_seconds(self, servers: Sequence[int]) -> float:
        """Add up what these servers, all of the crew and its dead have used."""
        dead = getrusage(RUSAGE_CHILDREN)
        total = dead.ru_utime + dead.ru_stime
        for pid in (*servers, *(each.pid for each in list(self._running.values()))):
            with suppress(psutil.Error):
                parent = psutil.Process(pid)
                for each in (parent, *parent.children(recursive=True)):
                    with suppress(psutil.Error):
                        times = each.cpu_times()
                        total += times.user + times.system
                        total += times.children_user + times.children_system
        return total

    def memory(self) -> int:
        """Add up the resident memory of all but the sandbox, in bytes.

        It remembers every payment there was, as the gateway does that it stands for.
        """
        total = 0
        for name, process in list(self._running.items()):
            if name == "sandbox":
                continue
            with suppress(psutil.Error):
                parent = psutil.Process(process.pid)
                for each in (parent, *parent.children(recursive=True)):
                    with suppress(psutil.Error):
                        total += each.memory_info().rss
        return total

    def stop(self) -> None:
        """End all at once, the frozen too; nothing of theirs has to be tidied up."""
        self._closing.set()
        if self._supervisor:
            self._supervisor.join(10)
        with self._lock:
            for process in self._running.values():
                self._signal(process.pid, signal.SIGKILL)
            for process in self._running.values():
                process.wait()
            self._running.clear()

    def _supervise(self) -> None:
        while not self._closing.wait(LOOK_EVERY):
            with self._lock:
                ended = [
                    name
                    for name in self._commands
                    if self._running[name].poll() is not None
                ]
                for name in ended:
                    # a worker's children may outlive it for a moment
                    self._signal(self._running[name].pid, signal.SIGKILL)
                    self.start(name, self._commands[name])
                    self.restarts[name] += 1

    @staticmethod
    def _signal(pid: int, number: int) -> bool:
        try:
            os.killpg(pid, number)
        except (ProcessLookupError, PermissionError):
            return False
        return True
