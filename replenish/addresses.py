"""Addresses of databases, of Redis and of HTTP services: checked, and their forms.

One Redis is written in three ways, by redis-py, by Celery and by the rate limit's
library; one PostgreSQL needs its driver spelled out. As in `setting_values`, a
reader raises `ValueError` with what would have been right and never repeats what it
was given, which may hold a password.
"""

from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlsplit

from replenish.setting_values import text


def http_base(raw: str) -> str:
    """Where an HTTP API stands: scheme, host and port, nothing after them."""
    if not raw:
        return raw
    parts = _split(raw)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        message = "give an http or https address, like https://api.stripe.com"
        raise ValueError(message)
    if parts.path.strip("/") or parts.query or parts.fragment or parts.username:
        message = "give scheme, host and port only, like https://api.stripe.com"
        raise ValueError(message)
    return raw.rstrip("/")


def database_url(raw: str) -> str:
    """A database's address, with the driver this code was tested with.

    SQLAlchemy 2.1 reads a bare `postgresql://` as psycopg 3, so the driver is
    always spelled out.
    """
    if not raw:
        return raw
    scheme, found, rest = raw.partition("://")
    driver = {
        "postgres": "postgresql+psycopg2",
        "postgresql": "postgresql+psycopg2",
        "postgresql+psycopg2": "postgresql+psycopg2",
        "mysql": "mysql+pymysql",
        "mariadb": "mysql+pymysql",
        "mysql+pymysql": "mysql+pymysql",
    }.get(scheme)
    if not found or driver is None:
        message = "give postgresql://user:password@host:port/database"
        raise ValueError(message)
    _split(raw)
    return f"{driver}://{rest}"


def ledger_url(raw: str) -> str:
    """The address of our own database, which is PostgreSQL."""
    url = database_url(raw)
    if url and not url.startswith("postgresql"):
        message = "the ledger needs PostgreSQL: postgresql://user:password@host/name"
        raise ValueError(message)
    return url


def redis_url(raw: str) -> str:
    """Redis's address in the form of redis-py; Celery's socket form is turned.

    Celery writes `redis+socket:///path?virtual_host=0` where redis-py writes
    `unix:///path?db=0`.
    """
    if not raw:
        return raw
    parts = _split(raw)
    if parts.scheme in {"redis+socket", "unix"}:
        if not parts.path.startswith("/") or parts.path == "/":
            message = "give the socket's whole path, like unix:///run/redis.sock?db=0"
            raise ValueError(message)
        query = dict(parse_qsl(parts.query))
        number = query.get("db", query.get("virtual_host", "0"))
        return f"unix://{_login(parts)}{parts.path}?db={int(number)}"
    if parts.scheme not in {"redis", "rediss"} or not parts.hostname:
        message = "give redis://:password@host:6379/0 or unix:///path?db=0"
        raise ValueError(message)
    return raw


def broker_url(redis: str) -> str:
    """The same Redis as Celery writes it, for `broker_url` and `result_backend`."""
    parts = urlsplit(redis)
    if parts.scheme != "unix":
        return redis
    number = dict(parse_qsl(parts.query)).get("db", "0")
    return f"redis+socket://{_login(parts)}{parts.path}?virtual_host={number}"


def limits_url(redis: str) -> str:
    """The same Redis as the `limits` library writes it."""
    return redis.replace("unix://", "redis+unix://", 1)


def socket_url(path: Path) -> str:
    """The address of a Redis that listens on a Unix socket."""
    return f"unix://{quote(str(path))}?db=0"


def host_of(url: str) -> str:
    """The host that `url` names, or "" for a Unix socket."""
    return urlsplit(url).hostname or ""


def password_of(url: str) -> str:
    """The password in `url`, or "" when it has none."""
    return unquote(urlsplit(url).password or "")


def _split(url: str) -> SplitResult:
    """Take `url` apart; the port is read here because reading it checks it."""
    parts = urlsplit(text(url))
    try:
        _ = parts.port
    except ValueError as error:
        message = "the port in the address is not a port"
        raise ValueError(message) from error
    return parts


def _login(parts: SplitResult) -> str:
    return f"{parts.netloc.rpartition('@')[0]}@" if "@" in parts.netloc else ""
