"""The embedded servers: shared, stopped by the last to leave, whatever dies."""

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import redis
import sqlalchemy
from kombu import Connection
from limits.storage import storage_from_string

from replenish import embedded
from replenish.embedded import keeper, mariadb, places
from replenish.errors import ConfigurationError
from replenish.settings import Settings

pytestmark = pytest.mark.integration

# A process that joins, says so, and does what it is told, a word a line.
USER = """
import json, os, sys
from pathlib import Path
from replenish import embedded
from replenish.settings import Settings
settings = embedded.resolve(Settings(replenish_home=Path(sys.argv[1])))
print(json.dumps([settings.database_url, settings.redis_url]), flush=True)
for word in sys.stdin:
    if word.strip() == "fork":
        child = os.fork()
        if child == 0:
            embedded.resolve(Settings(replenish_home=Path(sys.argv[1])))
            embedded.release(Path(sys.argv[1]))
            os.kill(os.getpid(), 9)
        os.waitpid(child, 0)
        print("forked", flush=True)
"""


class User:
    """Another process that uses the servers of `home`."""

    def __init__(self, home: Path) -> None:
        self.process = subprocess.Popen(  # noqa: S603  # our own program
            [sys.executable, "-c", USER, str(home)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def wait_joined(self) -> list[str]:
        """Wait until it has joined; its database's and Redis's addresses."""
        assert self.process.stdout
        assert select.select([self.process.stdout], [], [], 60)[0], "did not join"
        return list(json.loads(self.process.stdout.readline()))

    def tell(self, word: str) -> str:
        """Give it an order and wait for its answer."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(f"{word}\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def leave(self, number: int | None = None) -> None:
        """End it: in order, or by a signal."""
        if number is None and self.process.stdin:
            self.process.stdin.close()
        elif number is not None:
            self.process.send_signal(number)
        self.process.wait(30)
        for stream in (self.process.stdin, self.process.stdout):
            if stream:
                stream.close()


@pytest.fixture
def home() -> Iterator[Path]:
    """A home folder that any user can reach; nothing runs in it afterwards."""
    base = Path(tempfile.mkdtemp(prefix="replenish-test-"))
    base.chmod(0o755)
    yield base / "home"
    embedded.stop(base / "home")
    if (base / "home" / "postgres").is_symlink():
        shutil.rmtree((base / "home" / "postgres").resolve(), ignore_errors=True)
    shutil.rmtree(base, ignore_errors=True)


@pytest.fixture
def start(home: Path) -> Iterator[Callable[[], User]]:
    """Start another user of `home`."""
    users: list[User] = []

    def begin() -> User:
        users.append(User(home))
        return users[-1]

    yield begin
    for user in users:
        user.leave(signal.SIGKILL)


def pids(home: Path) -> list[int]:
    """The servers and the keeper that run now."""
    now = embedded.status(home)
    running = [server.pid for server in now.servers if server.running]
    return running + ([now.keeper] if now.keeper else [])


def eventually(done: Callable[[], bool], seconds: float = 15) -> bool:
    """Whether `done` comes true in time."""
    end = time.monotonic() + seconds
    while not done() and time.monotonic() < end:
        time.sleep(0.05)
    return done()


def gone(these: list[int]) -> bool:
    """Whether none of the processes runs (one that nobody reaped does not run)."""
    return all(
        not psutil.pid_exists(pid) or not keeper.start_mark(pid) for pid in these
    )


def answers(addresses: list[str]) -> bool:
    """Whether both servers do their work."""
    engine = sqlalchemy.create_engine(addresses[0])
    with engine.connect() as connection:
        asked = [
            connection.exec_driver_sql(f"SHOW {name}").scalar_one()
            for name in ("fsync", "listen_addresses", "max_connections")
        ]
    engine.dispose()
    with redis.Redis.from_url(addresses[1], decode_responses=True) as client:
        kept = client.config_get("maxmemory-policy")
        port = client.config_get("port")
    return (
        asked[:2] == ["on", ""]
        and int(asked[2]) >= 200
        and kept == {"maxmemory-policy": "noeviction"}
        and port == {"port": "0"}
    )


def test_the_first_starts_and_the_last_stops(
    home: Path, start: Callable[[], User]
) -> None:
    """Leaving while another stays stops nothing; the last leaves no process."""
    first, second = start(), start()
    addresses = first.wait_joined()
    assert addresses == second.wait_joined()
    before = pids(home)
    assert len(before) == 3

    first.leave()
    assert pids(home) == before
    assert answers(addresses)

    second.leave()
    assert gone(before)


@pytest.mark.faults
def test_a_killed_first_comer_takes_nothing_down(
    home: Path, start: Callable[[], User]
) -> None:
    """After SIGKILL of the first the second goes on, and its leaving stops all."""
    first = start()
    addresses = first.wait_joined()
    second = start()
    second.wait_joined()
    before = pids(home)

    first.leave(signal.SIGKILL)
    time.sleep(2 * keeper.LOOK_EVERY)
    assert pids(home) == before
    assert answers(addresses)
    assert embedded.status(home).users == (second.process.pid,)

    second.leave()
    assert gone(before)


@pytest.mark.faults
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_signal_to_the_last_user_stops_the_servers(
    home: Path, start: Callable[[], User], number: int
) -> None:
    """Even one that leaves no time to clean up."""
    user = start()
    user.wait_joined()
    before = pids(home)

    user.leave(number)

    assert eventually(lambda: gone(before))
    assert embedded.status(home).servers == ()


@pytest.mark.faults
def test_everything_killed_is_started_again_by_the_next(
    home: Path, start: Callable[[], User]
) -> None:
    """With user, keeper and servers killed at once, the next comer has them back."""
    user = start()
    addresses = user.wait_joined()
    engine = sqlalchemy.create_engine(addresses[0])
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE kept AS SELECT 42 AS answer")
    engine.dispose()
    before = pids(home)
    user.leave(signal.SIGKILL)
    for pid in before:
        os.kill(pid, signal.SIGKILL)

    again = start()
    addresses = again.wait_joined()

    assert answers(addresses)
    assert not set(before) & set(pids(home))
    engine = sqlalchemy.create_engine(addresses[0])
    with engine.connect() as connection:
        kept = connection.exec_driver_sql("SELECT answer FROM kept").scalar()
    engine.dispose()
    assert kept == 42


@pytest.mark.faults
def test_a_server_that_died_is_started_by_the_next_comer(
    home: Path, start: Callable[[], User]
) -> None:
    """While the other server and the other users go on."""
    user = start()
    user.wait_joined()
    servers = {server.name: server.pid for server in embedded.status(home).servers}
    os.kill(servers["redis"], signal.SIGKILL)
    assert eventually(lambda: gone([servers["redis"]]))

    addresses = start().wait_joined()

    assert answers(addresses)
    now = {server.name: server.pid for server in embedded.status(home).servers}
    assert now["postgres"] == servers["postgres"]
    assert now["redis"] != servers["redis"]


@pytest.mark.faults
@pytest.mark.parametrize("kind", ["postgres", "redis"])
def test_an_interrupted_start_leaves_no_server(
    home: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Ctrl-C may come after a server has started and before that is written down."""
    begin = embedded._START[kind]  # noqa: SLF001 the moment cannot be met otherwise
    begun: list[keeper.Process] = []

    def interrupted(folder: Path) -> keeper.Server:
        begun.append(begin(folder).process)
        raise KeyboardInterrupt

    monkeypatch.setitem(embedded._START, kind, interrupted)  # noqa: SLF001
    with pytest.raises(KeyboardInterrupt):
        embedded.resolve(Settings(replenish_home=home))
    embedded.release(home)

    assert [server.alive for server in begun] == [False]


@pytest.mark.faults
def test_a_lost_note_of_running_servers_starts_no_second_ones(
    home: Path, start: Callable[[], User]
) -> None:
    """A crash between starting a server and noting it leaves a server to adopt."""
    user = start()
    addresses = user.wait_joined()
    before = {server.name: server.pid for server in embedded.status(home).servers}
    (home / "state.json").write_text("{ torn")

    other = start()

    assert addresses == other.wait_joined()
    now = {server.name: server.pid for server in embedded.status(home).servers}
    assert now == before


def test_many_at_once_start_one_server(home: Path, start: Callable[[], User]) -> None:
    """Worker, beat, Flower and a shell started together share one pair."""
    users = [start() for _ in range(4)]

    assert len({tuple(user.wait_joined()) for user in users}) == 1
    postmasters = [
        process
        for process in psutil.process_iter(["cmdline"])
        if f"{home}/postgres/data" in (process.info["cmdline"] or [])
    ]
    if not (home / "postgres").is_symlink():
        assert len(postmasters) == 1
    assert len(pids(home)) == 3
    assert set(embedded.status(home).users) == {user.process.pid for user in users}


def test_a_forked_child_neither_counts_nor_stops(
    home: Path, start: Callable[[], User]
) -> None:
    """A prefork worker's children come and go with the servers untouched."""
    user = start()
    user.wait_joined()
    before = pids(home)

    assert user.tell("fork") == "forked"

    assert pids(home) == before
    assert embedded.status(home).users == (user.process.pid,)


def test_a_hard_stop_stops_whoever_uses_them(
    home: Path, start: Callable[[], User]
) -> None:
    """`stop` asks nobody, and a user may leave after it as if nothing was."""
    user = start()
    user.wait_joined()
    before = pids(home)

    embedded.stop(home)

    assert gone(before)
    user.leave()
    assert user.process.returncode == 0


def _remove(folder: Path) -> None:
    """Remove a folder in which a running server may be making files meanwhile."""
    while folder.exists():
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.faults
@pytest.mark.parametrize("slowly", [False, True])
def test_a_deleted_home_folder_leaves_no_process(
    home: Path, start: Callable[[], User], *, slowly: bool
) -> None:
    """`rm -r .replenish` under running servers ends with them stopped.

    Also when the note of what runs goes first, and the folder a moment later.
    """
    user = start()
    user.wait_joined()
    before = pids(home)
    time.sleep(2 * keeper.LOOK_EVERY)  # the keeper has seen them
    if slowly:
        (home / "state.json").unlink()
        time.sleep(2 * keeper.LOOK_EVERY)
    elsewhere = home / "postgres"
    if elsewhere.is_symlink():
        _remove(elsewhere.resolve())
    _remove(home)

    assert eventually(lambda: gone(before), 60)
    user.leave()
    assert user.process.returncode == 0


def test_a_long_path_still_has_short_sockets(home: Path) -> None:
    """A project deep in a tree works; its sockets move to the temporary folder."""
    deep = home / ("d" * 60) / ("e" * 60)
    settings = embedded.resolve(Settings(replenish_home=deep))
    try:
        assert answers([settings.database_url, settings.redis_url])
        assert "e" * 60 not in settings.redis_url
        for server in embedded.status(deep).servers:
            assert server.running
    finally:
        embedded.release(deep)
    assert pids(deep) == []


def test_a_private_folder_is_not_opened(home: Path) -> None:
    """Neither root nor a user has the modes of his folders changed."""
    private = home.parent / "private"
    private.mkdir(mode=0o700)
    settings = embedded.resolve(Settings(replenish_home=private / "home"))
    try:
        assert answers([settings.database_url, settings.redis_url])
        assert private.stat().st_mode & 0o777 == 0o700
    finally:
        embedded.release(private / "home")
        if (private / "home" / "postgres").is_symlink():
            shutil.rmtree((private / "home" / "postgres").resolve())


def test_the_address_of_redis_works_in_every_form(home: Path) -> None:
    """redis-py, Celery's transport and the rate limit's library reach one server."""
    settings = embedded.resolve(Settings(replenish_home=home))
    try:
        with Connection(settings.broker_url) as connection:
            connection.SimpleQueue("form").put("hello")
        with redis.Redis.from_url(settings.redis_url) as client:
            assert client.llen("form") == 1
        storage = storage_from_string(settings.limits_url)
        assert storage.incr("form-count", 10) == 1
        with redis.Redis.from_url(settings.redis_url) as client:
            assert [key for key in client.keys("*") if b"form-count" in key]
    finally:
        embedded.release(home)


def test_given_addresses_start_nothing(home: Path) -> None:
    """Whoever brings his own servers keeps them, each by itself."""
    own = Settings(
        replenish_home=home,
        database_url="postgresql+psycopg2://db/x",
        redis_url="redis://cache/0",
    )
    assert embedded.resolve(own) is own
    assert not home.exists()

    half = embedded.resolve(replace(own, redis_url=""))
    try:
        assert half.database_url == own.database_url
        assert half.billing_database_url == own.database_url
        assert [server.name for server in embedded.status(home).servers] == ["redis"]
    finally:
        embedded.release(home)


def test_a_missing_extra_is_said_in_one_sentence() -> None:
    """It names the extra to install and the settings that make it unneeded."""
    with pytest.raises(
        ConfigurationError, match=r"replenish\[embedded\].*DATABASE_URL"
    ):
        places.package_folder("surely_not_installed")


def test_a_folder_that_cannot_be_used_is_named(home: Path) -> None:
    """A file in the place of the folder is said, with the setting to change."""
    home.write_text("in the way")

    with pytest.raises(ConfigurationError, match="REPLENISH_HOME"):
        embedded.resolve(Settings(replenish_home=home))


def test_data_of_another_version_is_refused(home: Path) -> None:
    """A cluster of another major version is named, never started nor changed."""
    embedded.resolve(Settings(replenish_home=home))
    embedded.release(home)
    version = home.joinpath("postgres").resolve()
    note = next(version.rglob("data/PG_VERSION"))
    note.write_text("17\n")

    with pytest.raises(ConfigurationError, match=r"PostgreSQL 17.*REPLENISH_HOME"):
        embedded.resolve(Settings(replenish_home=home))
    embedded.release(home)


@pytest.mark.security("S11")
def test_production_never_runs_on_them(home: Path) -> None:
    """Not even when the check of the settings was passed by."""
    with pytest.raises(ConfigurationError, match="DATABASE_URL"):
        embedded.resolve(Settings(replenish_env="production", replenish_home=home))
    assert not home.exists()


@pytest.mark.security("S11")
def test_only_who_owns_the_folder_gets_in(home: Path) -> None:
    """The sockets stand in folders that are closed to other users."""
    settings = embedded.resolve(Settings(replenish_home=home))
    try:
        url = sqlalchemy.make_url(settings.database_url)
        folder = Path(str(url.query["host"]))
        assert folder.stat().st_mode & 0o077 == 0
        assert (home / "redis").stat().st_mode & 0o077 == 0
        assert (home / "redis" / "redis.sock").stat().st_mode & 0o077 == 0
    finally:
        embedded.release(home)


def test_running_servers_without_a_note_are_joined(home: Path) -> None:
    """A crash between starting a server and noting it leaves it to be found."""
    settings = embedded.resolve(Settings(replenish_home=home))
    before = {server.pid for server in embedded.status(home).servers}
    (home / "state.json").unlink()
    try:
        assert embedded.resolve(Settings(replenish_home=home)) == settings
        assert {server.pid for server in embedded.status(home).servers} == before
    finally:
        embedded.release(home)


def test_a_half_made_cluster_is_made_anew(home: Path) -> None:
    """A kill while the database is being made leaves nothing to trip over."""
    embedded.resolve(Settings(replenish_home=home))
    embedded.release(home)
    data = next((home / "postgres").resolve().rglob("data"))
    data.rename(data.with_name("data.new"))
    (data.with_name("data.new") / "PG_VERSION").unlink()

    settings = embedded.resolve(Settings(replenish_home=home))
    try:
        assert answers([settings.database_url, settings.redis_url])
        assert not data.with_name("data.new").exists()
    finally:
        embedded.release(home)


def test_a_damaged_cluster_is_said_with_its_log(home: Path) -> None:
    """The sentence has what the server said, where its log is, and a way out."""
    embedded.resolve(Settings(replenish_home=home))
    embedded.release(home)
    next((home / "postgres").resolve().rglob("pg_control")).unlink()

    with pytest.raises(ConfigurationError, match=r"pg_ctl.*log.*DATABASE_URL"):
        embedded.resolve(Settings(replenish_home=home))
    embedded.release(home)


def test_data_outside_the_home_goes_with_it(home: Path) -> None:
    """What root keeps elsewhere for a private folder is not left there for ever."""
    places_used = []
    for name in ("one", "two"):
        private = home.parent / name
        private.mkdir(mode=0o700)
        embedded.resolve(Settings(replenish_home=private / "home"))
        embedded.release(private / "home")
        places_used.append((private / "home" / "postgres").resolve())
        if name == "one":
            shutil.rmtree(private)

    assert not places_used[0].exists()
    assert places_used[1].exists()
    shutil.rmtree(places_used[1])


@pytest.mark.skipif(not mariadb.installed(), reason="there is no MariaDB")
def test_a_mariadb_is_kept_and_stopped_with_the_others(home: Path) -> None:
    """On a socket of its own; found again when the note of it is lost."""
    url = embedded.start_mariadb(home)
    (server,) = embedded.status(home).servers
    (home / "state.json").unlink()

    assert embedded.start_mariadb(home) == url
    assert [each.pid for each in embedded.status(home).servers] == [server.pid]
    engine = sqlalchemy.create_engine(url)
    with engine.connect() as connection:
        ports = connection.exec_driver_sql("SELECT @@skip_networking").scalar_one()
    engine.dispose()
    assert ports == 1

    embedded.release(home)

    assert not keeper.start_mark(server.pid)


@pytest.mark.skipif(not mariadb.installed(), reason="there is no MariaDB")
def test_a_mariadb_that_cannot_start_is_said_with_its_log(home: Path) -> None:
    """Damaged data are not thrown away."""
    folder = places.make_home(home) / "mariadb" / "data"
    folder.mkdir(parents=True)
    (folder / "ibdata1").write_text("damaged")

    with pytest.raises(ConfigurationError, match=r"did not start; its log is .*log\."):
        mariadb.start(home)
