"""A throw-away MariaDB on the machine's own `mariadbd`, to try a billing package on.

No wheel brings one, so it must be installed. It need not run: ours has data of its
own and a Unix socket, and no port, so that a server which the machine runs already is
neither used nor touched.
"""

import os
import shutil
import subprocess
import time
from importlib.util import find_spec
from pathlib import Path

import psutil
import sqlalchemy as sa

from replenish.embedded import places
from replenish.embedded.keeper import Process, Server, start_mark
from replenish.errors import BillingUnavailable, ConfigurationError

PROGRAMS = ("mariadbd", "mariadb-install-db")
START_PATIENCE = 60.0  # seconds; a crash may have left a log to replay

_SMALL = ("--innodb-log-file-size=16M",)
_CONFIGURATION = (
    "--skip-networking",
    "--innodb-buffer-pool-size=64M",
    "--log-bin-trust-function-creators=1",  # the packages' triggers
)
# Starts a program that outlives the shell, and says its process id.
_DETACHED = 'log=$1; shift; "$@" >>"$log" 2>&1 </dev/null & echo $!'


def program(name: str) -> str | None:
    """Find a program of MariaDB's; Debian keeps the server where no PATH looks."""
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


def installed() -> bool:
    """Say whether this machine has what is needed."""
    return all(map(program, PROGRAMS))


def need() -> None:
    """Make sure that it can be started.

    Raises:
        BillingUnavailable: it is not installed.
        ConfigurationError: its driver is not.
    """
    if find_spec("pymysql") is None:
        message = "The driver for MySQL is missing; run pip install 'replenish[mysql]'."
        raise ConfigurationError(message, subject="pymysql")
    if not installed():
        message = (
            "There is no MariaDB on this machine, where this billing package keeps its"
            " tables: install it (on Debian: apt-get install mariadb-server)."
        )
        raise BillingUnavailable(message, subject="mariadbd")


def start(home: Path, *options: str) -> Server:
    """Start the server, or find it running; its address is that of its root.

    Raises:
        BillingUnavailable: it is not installed.
        ConfigurationError: its driver is not, or it does not start.
    """
    need()
    folder = home / "mariadb"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    socket = places.socket_folder(home, folder, owner=None) / "mariadb.sock"
    process = _running(folder)
    if process is None:
        _make_data(folder)
        socket.unlink(missing_ok=True)
        process = _launch(folder, socket, options)
    server = Server(process, _url(socket))
    _wait(folder, socket, server)
    return server


def _url(socket: Path) -> str:
    url = sa.URL.create(
        "mysql+pymysql",
        username="root",
        host="localhost",
        # The driver would read all the machine's certificates for each connection.
        query={"unix_socket": str(socket), "ssl_disabled": "true"},
    )
    return url.render_as_string()


def _running(folder: Path) -> Process | None:
    """The server that already runs on these data, as after a lost note of it."""
    try:
        pid = int((folder / "pid").read_text(encoding="utf-8"))
        words = psutil.Process(pid).cmdline() if start_mark(pid) else []
    except (OSError, ValueError, psutil.Error):
        return None
    ours = f"--datadir={folder / 'data'}" in words
    return Process(pid, start_mark(pid)) if ours else None


def _make_data(folder: Path) -> None:
    """Make the data beside their place, so that half-made ones are never used."""
    data, new = folder / "data", folder / "data.new"
    if data.exists():
        return
    shutil.rmtree(new, ignore_errors=True)
    options = (
        "--no-defaults",
        *_as_root(),
        f"--datadir={new}",
        "--auth-root-authentication-method=normal",
        "--skip-test-db",
        *_SMALL,
    )
    done = subprocess.run(  # noqa: S603  # the machine's own program, our arguments
        [str(program("mariadb-install-db")), *options],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        message = f"MariaDB could not make its data: {done.stdout.strip()[-500:]}"
        raise ConfigurationError(message, subject="mariadbd")
    new.rename(data)


def _launch(folder: Path, socket: Path, options: tuple[str, ...]) -> Process:
    command = (
        str(program("mariadbd")),
        "--no-defaults",
        *_as_root(),
        f"--datadir={folder / 'data'}",
        f"--socket={socket}",
        f"--pid-file={folder / 'pid'}",
        *_SMALL,
        *_CONFIGURATION,
        *options,
    )
    done = subprocess.run(  # noqa: S603  # the machine's own programs, our arguments
        ["/bin/sh", "-c", _DETACHED, "sh", str(folder / "log"), *command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        cwd=folder,
        start_new_session=True,  # Ctrl-C is for us, who stop it in order
        text=True,
        check=True,
    )
    pid = int(done.stdout)
    return Process(pid, start_mark(pid))


def _as_root() -> tuple[str, ...]:
    """MariaDB runs as root only when it is told to."""
    return ("--user=root",) if os.geteuid() == 0 else ()


def _wait(folder: Path, socket: Path, server: Server) -> None:
    """Wait until it takes connections."""
    engine = sa.create_engine(server.url, poolclass=sa.NullPool)
    end = time.monotonic() + START_PATIENCE
    while not (socket.exists() and _answers(engine)):
        if not server.process.alive or time.monotonic() > end:
            message = f"MariaDB did not start; its log is {folder / 'log'}."
            raise ConfigurationError(message, subject="mariadbd")
        time.sleep(0.02)


def _answers(engine: sa.Engine) -> bool:
    try:
        engine.connect().close()
    except sa.exc.OperationalError:
        return False
    return True
