"""The rate limit that all workers share, and what replaces it without Redis.

Why a limit of our own, why this window and what it costs: decision 0021.
"""

import logging
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import limits
from limits.errors import StorageError
from limits.storage import MemoryStorage, RedisStorage
from limits.strategies import SlidingWindowCounterRateLimiter
from redis.backoff import NoBackoff
from redis.retry import Retry

from replenish.errors import ConfigurationError, GatewayUnavailable

logger = logging.getLogger(__name__)

LONGEST_WAIT = 5.0  # seconds; with the gateway's timeout it stays below a lease
REDIS_TIMEOUT = 0.25  # seconds, to connect and to answer; then Redis counts as away
REDIS_PAUSE = 5.0  # seconds before an absent Redis is asked again
SHARE = 4  # processes that are assumed to charge while nobody counts them
LONGEST_NAP = 0.5  # seconds between two tries for a place


@dataclass(frozen=True, slots=True)
class _Counter:
    """One place where requests are counted."""

    strategy: SlidingWindowCounterRateLimiter
    item: limits.RateLimitItem

    def hit(self, endpoint: str) -> bool:
        return self.strategy.hit(self.item, endpoint)


class RateLimit:
    """So many requests per time to each endpoint, over all workers together.

    Built once a process and used by all its threads. It connects on first use, never
    raises because of Redis, and never waits longer than `longest_wait`.
    """

    def __init__(
        self,
        spec: str,
        redis_url: str | None,
        *,
        longest_wait: float = LONGEST_WAIT,
        share: int = SHARE,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Read the limit; nothing is connected yet.

        Args:
            spec: such as `20/second` or `100/5 minutes`.
            redis_url: as the `limits` library writes it; None: this process alone.
            longest_wait: seconds that one request may wait for its place.
            share: while Redis is away, each process allows itself 1/share.
            sleep: how to wait, in seconds.

        Raises:
            ConfigurationError: `spec` or `redis_url` is not to be understood.
        """
        self.spec = spec
        self._longest_wait = longest_wait
        self._sleep = sleep
        self._item = _parse(spec)
        self._gap = self._item.get_expiry() / self._item.amount
        self._shared = _on_redis(redis_url, self._item) if redis_url else None
        self._share = share if redis_url else 1
        self._lock = threading.Lock()
        self._own: _Counter | None = None
        self._away_until = 0.0

    def acquire(self, endpoint: str) -> None:
        """Take a place for one request, waiting for it if need be.

        Raises:
            GatewayUnavailable: there was none within the longest wait; nothing
                was sent.
        """
        end = time.monotonic() + self._longest_wait
        nap = min(self._gap, LONGEST_NAP)
        while not self._hit(endpoint):
            left = end - time.monotonic()
            if left <= 0:
                msg = (
                    f"No place for a request ({endpoint}) to Stripe within"
                    f" {self._longest_wait:g} s at STRIPE_RATE_LIMIT={self.spec}; it"
                    " is tried again. If this stays, ask Stripe for a higher rate"
                    " and raise the setting."
                )
                raise GatewayUnavailable(msg, subject="STRIPE_RATE_LIMIT")
            # Spread, so that those who wait do not come back together.
            self._sleep(min(left, nap * random.uniform(0.5, 1.0)))  # noqa: S311 - no secret
            nap = min(nap * 2, LONGEST_NAP)

    def _hit(self, endpoint: str) -> bool:
        if self._shared is None or time.monotonic() < self._away_until:
            return self._alone().hit(endpoint)
        try:
            taken = self._shared.hit(endpoint)
        except StorageError as error:
            self._mark_away(error)
            return self._alone().hit(endpoint)
        if self._away_until:
            self._away_until = 0.0
            logger.info("Redis counts requests to Stripe again.")
        return taken

    def _mark_away(self, error: Exception) -> None:
        if not self._away_until:
            logger.warning(
                "Redis cannot count requests to Stripe (%s); each process counts for"
                " itself, at 1/%d of %s.",
                type(error.__cause__ or error).__name__,
                self._share,
                self.spec,
            )
        self._away_until = time.monotonic() + REDIS_PAUSE

    def _alone(self) -> _Counter:
        with self._lock:
            if self._own is None:
                item = type(self._item)(
                    max(1, self._item.amount // self._share), self._item.multiples
                )
                strategy = SlidingWindowCounterRateLimiter(MemoryStorage())
                self._own = _Counter(strategy, item)
            return self._own


def _parse(spec: str) -> limits.RateLimitItem:
    try:
        return limits.parse(spec)
    except ValueError as error:
        msg = f"STRIPE_RATE_LIMIT is {spec!r}; give a rate such as 20/second."
        raise ConfigurationError(msg, subject="STRIPE_RATE_LIMIT") from error


def _on_redis(url: str, item: limits.RateLimitItem) -> _Counter:
    """Build the shared counter; every request is one script, one round trip."""
    try:
        storage = RedisStorage(
            url,
            key_prefix="replenish:stripe",
            wrap_exceptions=True,
            socket_timeout=REDIS_TIMEOUT,
            socket_connect_timeout=REDIS_TIMEOUT,
            retry=Retry(NoBackoff(), 0),  # type: ignore[arg-type]  # passed on to redis
        )
    except ValueError as error:
        msg = "REDIS_URL is not an address of Redis; give redis://host:6379/0."
        raise ConfigurationError(msg, subject="REDIS_URL") from error
    return _Counter(SlidingWindowCounterRateLimiter(storage), item)
