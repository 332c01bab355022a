"""Processes of ours: started together, watched, and all gone at the end."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from replenish.errors import ConfigurationError

PATIENCE = 12.0  # seconds a process is given to end before it is killed


@dataclass
class Fleet:
    """A handful of processes that end with us, also on Ctrl-C.

    Attributes:
        env: their environment over ours.
        logs: the folder of their log files.
    """

    env: Mapping[str, str]
    logs: Path
    _running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def __enter__(self) -> Self:
        self.logs.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self, name: str, command: Sequence[str]) -> None:
        """Start `python -m command…`, its output in a log file of its name.

        Each has a session of its own, so that Ctrl-C reaches us alone and we
        decide the order in which they end.
        """
        with (self.logs / f"{name}.log").open("ab") as log:
            self._running[name] = subprocess.Popen(  # noqa: S603 our own programs
                [sys.executable, "-m", *command],
                env={**os.environ, **self.env},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def forget(self, name: str) -> None:
        """Let go of a process that has ended on purpose."""
        self._running.pop(name).wait()

    def end(self, name: str) -> None:
        """End one of them; the others run on."""
        process = self._running[name]
        _signal(process, signal.SIGTERM)
        _await(process, seconds=PATIENCE)
        self.forget(name)

    def check(self) -> None:
        """Make sure that all are alive.

        Raises:
            ConfigurationError: one has ended; shows the end of its log.
        """
        for name, process in self._running.items():
            if process.poll() is not None:
                path = self.logs / f"{name}.log"
                tail = path.read_text("utf-8", "replace").splitlines()[-8:]
                msg = f"The {name} has ended by itself; {path} ends with:\n" + (
                    "\n".join(tail)
                )
                raise ConfigurationError(msg, subject=name)

    def wait_for_port(self, port: int, *, seconds: float = 90.0) -> None:
        """Wait until somebody listens on this port of the loopback.

        Raises:
            ConfigurationError: nobody does in time, or a process has ended.
        """
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.check()
            try:
                socket.create_connection(("127.0.0.1", port), 1.0).close()
            except OSError:
                time.sleep(0.05)
            else:
                return
        msg = f"Nothing listens on port {port} after {seconds} s; see {self.logs}."
        raise ConfigurationError(msg, subject=str(port))

    def stop(self) -> None:
        """End all, the last started first; whoever lingers is killed."""
        for process in reversed(self._running.values()):
            _signal(process, signal.SIGTERM)
        end = time.monotonic() + PATIENCE
        for process in self._running.values():
            _await(process, seconds=max(0.1, end - time.monotonic()))
        self._running.clear()


def free_port() -> int:
    """Find a port of the loopback that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def _await(process: subprocess.Popen[bytes], *, seconds: float) -> None:
    """Wait for its end; kill it and its children if that takes longer."""
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        _signal(process, signal.SIGKILL, group=True)
        process.wait()


def _signal(
    process: subprocess.Popen[bytes], number: int, *, group: bool = False
) -> None:
    if process.poll() is not None:
        return
    if group:
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
