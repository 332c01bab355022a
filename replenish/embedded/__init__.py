"""PostgreSQL and Redis from pip wheels, for a machine that has neither.

Every entry point (worker, beat, flower, command line, shell) calls
`resolve(settings)`. Whoever comes first starts the servers, later ones join them,
and whoever leaves last stops them; how that survives a `kill -9` is told in
`keeper.py`. Not for production, which `Settings` refuses.

Billing packages that live on MySQL can be tried on a MariaDB of the machine's own
programs (`start_mariadb`), which is kept and stopped in the same way.

A forked child (a Celery prefork process) shares its parent's place: it neither
counts as a user nor stops anything.
"""

import atexit
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from replenish.embedded import keeper, mariadb, places, postgres
from replenish.embedded import redis as redis_server
from replenish.errors import ConfigurationError
from replenish.settings import Settings

_START: dict[str, Callable[[Path], keeper.Server]] = {
    "postgres": postgres.start,
    "redis": redis_server.start,
    "mariadb": mariadb.start,
}

# Home folder → the process that joined it, known also to that process's forks.
_joined: dict[Path, keeper.Process] = {}


@dataclass(frozen=True)
class ServerStatus:
    """One embedded server as it stands now."""

    name: str
    running: bool
    pid: int
    url: str


@dataclass(frozen=True)
class Status:
    """The embedded servers of one home folder and the processes that use them."""

    home: Path
    servers: tuple[ServerStatus, ...]
    users: tuple[int, ...]
    keeper: int | None


def resolve(settings: Settings) -> Settings:
    """Fill in the addresses that are not set, starting or joining the servers.

    May be repeated at any time; a server that died meanwhile is started again.

    Returns:
        The settings unchanged when both addresses are set, else a copy.

    Raises:
        ConfigurationError: A server is not installed or does not start.
    """
    needed = [
        kind
        for kind, url in (
            ("postgres", settings.database_url),
            ("redis", settings.redis_url),
        )
        if not url
    ]
    if not needed:
        return settings
    if settings.is_production:
        message = "Production does not run on the embedded servers: set DATABASE_URL."
        raise ConfigurationError(message, subject="DATABASE_URL")
    servers = _join(settings.replenish_home, needed)
    database = settings.database_url or servers["postgres"].url
    bundled = settings.billing_package == "bundled"
    return replace(
        settings,
        database_url=database,
        redis_url=settings.redis_url or servers["redis"].url,
        billing_database_url=settings.billing_database_url
        or (database if bundled else ""),
    )


def start_mariadb(home: Path) -> str:
    """Start or join the MariaDB of `home`; the address of its root.

    Raises:
        BillingUnavailable: It is not installed.
        ConfigurationError: Its driver is not, or it does not start.
    """
    mariadb.need()
    return _join(home, ["mariadb"])["mariadb"].url


def release(home: Path) -> None:
    """Leave the servers of `home`; the last to leave stops them and waits for it.

    Happens by itself when the process ends. Harmless when nothing was joined.
    """
    home = home.expanduser().resolve()
    if _joined.get(home) != keeper.this_process():
        return
    del _joined[home]
    if not home.is_dir():
        return  # it was deleted; the keeper sees to the servers
    with keeper.locked(home):
        state = keeper.load(home)
        state.users = [u for u in state.live_users() if u.pid != os.getpid()]
        if state.users:
            keeper.save(home, state)
        else:
            keeper.stop_all(home, state)


def status(home: Path) -> Status:
    """What runs in `home` and who uses it; starts and changes nothing."""
    home = home.expanduser().resolve()
    state = keeper.load(home)
    return Status(
        home=home,
        servers=tuple(
            ServerStatus(name, server.process.alive, server.process.pid, server.url)
            for name, server in sorted(state.servers.items())
        ),
        users=tuple(user.pid for user in state.live_users()),
        keeper=state.keeper.pid if state.keeper.alive else None,
    )


def stop(home: Path) -> None:
    """Stop the servers of `home` at once, whoever uses them."""
    home = home.expanduser().resolve()
    if (home / "lock").exists():
        with keeper.locked(home):
            keeper.stop_all(home, keeper.load(home))


def _join(home: Path, needed: list[str]) -> dict[str, keeper.Server]:
    home = places.make_home(home)
    try:
        with keeper.locked(home):
            return _join_locked(home, needed)
    except keeper.LockTimeoutError as error:
        message = (
            f"Another process has been starting the servers in {home} for too long: "
            "end it, or set REPLENISH_HOME to another folder."
        )
        raise ConfigurationError(message, subject="REPLENISH_HOME") from error


def _join_locked(home: Path, needed: list[str]) -> dict[str, keeper.Server]:
    state = keeper.load(home)
    state.users = state.live_users()
    me = keeper.this_process()
    parent = _joined.get(home)
    if me not in state.users and not (parent and parent != me and parent.alive):
        state.users.append(me)
        if parent is None or parent.pid != me.pid:
            atexit.register(release, home)
        _joined[home] = me
    if not state.keeper.alive:
        keeper.save(home, state)
        state.keeper = keeper.start_keeper(home)
    keeper.save(home, state)
    for kind in needed:
        if kind not in state.servers or not state.servers[kind].process.alive:
            state.servers[kind] = _START[kind](home)
            keeper.save(home, state)
    return state.servers
