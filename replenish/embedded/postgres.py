"""The embedded PostgreSQL: made once, started on a Unix socket, never on a port."""

import subprocess
import time
from pathlib import Path
from urllib.parse import quote

import psutil
import psycopg2

from replenish.embedded import places
from replenish.embedded.keeper import Process, Server, start_mark
from replenish.errors import ConfigurationError

DATABASE = "replenish"
VERSION = "18"
START_PATIENCE = 60  # seconds; a crash may have left a long log to replay
CRASH_PATIENCE = 15.0  # seconds for the sessions of a killed server to notice it

# Small enough for a laptop, large enough for a hundred workers. Nothing here trades
# safety for speed: a demonstration that loses money is none.
_CONFIGURATION = """\
listen_addresses = ''
unix_socket_directories = '{sockets}'
unix_socket_permissions = 0700
max_connections = 300
shared_buffers = 256MB
fsync = on
synchronous_commit = on
wal_level = minimal                    # nobody replicates from here
max_wal_senders = 0
max_wal_size = 2GB
checkpoint_timeout = 15min
io_method = sync                       # no idle reader processes on a small machine
max_parallel_workers_per_gather = 0    # the cores are for the workers
random_page_cost = 1.1                 # flash, not disks
jit = off
timezone = 'UTC'
log_timezone = 'UTC'
"""


def start(home: Path) -> Server:
    """Start the server, or find it running; make the cluster the first time.

    Raises:
        ConfigurationError: It is not installed, or does not start.
    """
    owner = places.postgres_owner()
    folder = places.postgres_folder(home)
    programs = places.postgres_programs(home)
    sockets = places.socket_folder(home, folder, owner=owner)
    data = folder / "data"
    running = _running(data)
    if running is None:
        _make_cluster(folder, programs)
        _check_version(data)
        value = '"' + str(sockets).replace('"', '""').replace("'", "''") + '"'
        text = _CONFIGURATION.format(sockets=value)
        (folder / "replenish.conf").write_text(text, encoding="utf-8")
        (folder / "replenish.conf").chmod(0o644)
        running = _launch(folder, programs)
    _ensure_database(sockets)
    return Server(Process(running, start_mark(running)), _url(sockets))


def _url(sockets: Path) -> str:
    host = quote(str(sockets), safe="")
    return f"postgresql+psycopg2://postgres@/{DATABASE}?host={host}&port=5432"


def _running(data: Path) -> int | None:
    """The id of a server that already runs on `data`, as after a lost note of it."""
    note = data / "postmaster.pid"
    try:
        pid = int(note.read_text(encoding="utf-8").partition("\n")[0])
        words = psutil.Process(pid).cmdline() if start_mark(pid) else []
    except (OSError, ValueError, psutil.Error):
        return None
    return pid if str(data) in words else None


def _make_cluster(folder: Path, programs: Path) -> None:
    """Make the cluster beside its place, so that a half-made one is never used."""
    data, new = folder / "data", folder / "data.new"
    if data.exists():
        return
    if new.exists():
        _run(["/bin/rm", "-rf", str(new)], folder)
    arguments = [
        *("--username=postgres", "--auth=trust", "--encoding=UTF8", "--no-locale"),
        *("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--no-sync"),
    ]
    _run([str(programs / "initdb"), *arguments, "-D", str(new)], folder)
    with (new / "postgresql.conf").open("a", encoding="utf-8") as configuration:
        configuration.write("\ninclude '../replenish.conf'\n")
    new.rename(data)


def _check_version(data: Path) -> None:
    found = (data / "PG_VERSION").read_text(encoding="utf-8").strip()
    if found != VERSION:
        message = (
            f"{data} was made by PostgreSQL {found}, the embedded one is {VERSION}: "
            "remove the folder, or set REPLENISH_HOME to another."
        )
        raise ConfigurationError(message, subject="REPLENISH_HOME")


def _launch(folder: Path, programs: Path) -> int:
    """Start the server; after a crash, once the last of its sessions has ended."""
    data, log = folder / "data", folder / "log"
    command = [str(programs / "pg_ctl"), "start", "-w", "-t", str(START_PATIENCE)]
    crashed = (data / "postmaster.pid").exists()
    end = time.monotonic() + CRASH_PATIENCE
    while True:
        try:
            _run([*command, "-s", "-D", str(data), "-l", str(log)], folder)
            break
        except ConfigurationError:
            if not crashed or time.monotonic() > end:
                raise
            time.sleep(0.1)
    note = (data / "postmaster.pid").read_text(encoding="utf-8")
    return int(note.partition("\n")[0])


def _run(command: list[str], folder: Path) -> None:
    """Run a program of PostgreSQL's as the server's user.

    Its answer goes to a file: a pipe would stay open as long as the server runs.
    """
    owner = places.postgres_owner()
    answer = folder / "answer"
    with answer.open("w", encoding="utf-8") as output:
        done = subprocess.run(  # noqa: S603  # programs from the wheel, our arguments
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"},
            user=owner.uid if owner else None,
            group=owner.gid if owner else None,
            extra_groups=[] if owner else None,
            umask=0o077,
            start_new_session=True,  # Ctrl-C is for us; what we begin, we end
            check=False,
        )
    if done.returncode:
        said = answer.read_text(encoding="utf-8").strip()[-500:]
        message = (
            f"The embedded PostgreSQL failed at {Path(command[0]).name}: {said} "
            f"(its log is {folder / 'log'}). Mend that, or set DATABASE_URL."
        )
        raise ConfigurationError(message, subject="DATABASE_URL")


def _ensure_database(sockets: Path) -> None:
    connection = _connect(sockets)
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("SELECT FROM pg_database WHERE datname = %s", (DATABASE,))
            if cursor.fetchone() is None:
                cursor.execute(f"CREATE DATABASE {DATABASE}")
    finally:
        connection.close()


def _connect(sockets: Path) -> psycopg2.extensions.connection:
    """Connect; a server that was adopted while it starts is given time."""
    end = time.monotonic() + START_PATIENCE
    while True:
        try:
            return psycopg2.connect(
                host=str(sockets), port=5432, user="postgres", dbname="postgres"
            )
        except psycopg2.OperationalError as error:
            if time.monotonic() > end:
                message = f"The embedded PostgreSQL at {sockets} does not answer."
                raise ConfigurationError(message, subject="DATABASE_URL") from error
            time.sleep(0.1)
