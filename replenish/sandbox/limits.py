"""An optional real rate limiter: so many requests a second on each endpoint.

Stripe's default is 25 a second per endpoint (docs.stripe.com/rate-limits). It
stands before the idempotency layer, so what it refuses has not run. It counts
real seconds: advancing the sandbox clock does not refill it.
"""

import time

from replenish.sandbox.errors import too_many


class RateLimiter:
    """A token bucket of one second per endpoint; `None` means no limit."""

    def __init__(self, per_second: float | None) -> None:
        self.per_second = per_second
        self._buckets: dict[str, tuple[float, float]] = {}

    def check(self, endpoint: str) -> None:
        """Take one token of the endpoint's bucket.

        Raises:
            ApiError: 429 with `Stripe-Rate-Limited-Reason: endpoint-rate`.
        """
        if self.per_second is None:
            return
        now = time.monotonic()
        tokens, seen = self._buckets.get(endpoint, (self.per_second, now))
        tokens = min(self.per_second, tokens + (now - seen) * self.per_second)
        if tokens < 1:
            self._buckets[endpoint] = (tokens, now)
            raise too_many(reason="endpoint-rate")
        self._buckets[endpoint] = (tokens - 1, now)

    def clear(self) -> None:
        """Fill every bucket."""
        self._buckets.clear()
