"""What `check` asks of Redis and of the workers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast
from urllib.parse import urlsplit

from redis import Redis
from redis.exceptions import AuthenticationError, ResponseError

from replenish.addresses import host_of
from replenish.setting_checks import is_loopback
from tasks.app import app as celery

PATIENCE = 3.0  # seconds for Redis to answer
PING = 1.0  # seconds for workers to answer
STEPS = ("", "\x06\x163", "\x06\x166", "\x06\x169")  # kombu's lists per priority


OPEN = (
    "Redis lets in whoever reaches it without a password; give its default user one"
    " (`requirepass`), or turn it off (`user default off`, see docs/security.md)."
)


@dataclass(frozen=True, slots=True)
class Broker:
    """How Redis is; `problem` says what to do."""

    text: str
    problem: str | None = None


def look(url: str) -> Broker:
    """Ask Redis for its version and for what it does when memory is full."""
    with _client(url) as client:
        client.ping()
        version = cast("Mapping[str, str]", client.info("server"))["redis_version"]
        if _lets_anybody_in(url):
            return Broker(f"Redis {version}", OPEN)
        try:
            found = cast("Mapping[str, str]", client.config_get("maxmemory-policy"))
        except ResponseError:  # a hosted Redis, or its ACL, may not tell
            return Broker(f"Redis {version} answers")
    policy = found.get("maxmemory-policy", "noeviction")
    if policy == "noeviction":
        return Broker(f"Redis {version} answers, noeviction")
    problem = (
        f"Redis drops keys when its memory is full ({policy}), which delays tasks; set"
        " `maxmemory-policy noeviction`."
    )
    return Broker(f"Redis {version}", problem)


def _lets_anybody_in(url: str) -> bool:
    """Whether a Redis that others can reach asks nobody who they are."""
    host = host_of(url)
    if not host or is_loopback(host):
        return False
    bare = urlsplit(url)
    bare = bare._replace(netloc=bare.netloc.rpartition("@")[2])
    try:
        with _client(bare.geturl()) as stranger:
            stranger.ping()
    except (AuthenticationError, ResponseError):
        return False
    return True


def queue_lengths(url: str) -> Mapping[str, int]:
    """Count the tasks that wait in each queue."""
    names = [queue.name for queue in celery.conf.task_queues]
    with _client(url) as client:
        return {
            name: sum(cast("int", client.llen(name + step)) for step in STEPS)
            for name in names
        }


def workers() -> list[str]:
    """Name the workers that answer a ping."""
    replies = celery.control.ping(timeout=PING)
    return [name for reply in replies or () for name in reply]


def _client(url: str) -> "Redis":
    return Redis.from_url(url, socket_timeout=PATIENCE, socket_connect_timeout=PATIENCE)
