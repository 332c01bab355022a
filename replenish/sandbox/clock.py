"""The sandbox's clock: real time plus whatever a test has added.

Only this clock decides when an idempotency key is forgotten or a pending
payment settles, so a test can let a day pass without waiting for it.
"""

import time


class Clock:
    """Unix time in seconds that only ever moves forward by hand or by itself."""

    def __init__(self) -> None:
        self.offset = 0.0

    def now(self) -> float:
        """Return seconds since 1970-01-01 UTC, the added time included."""
        return time.time() + self.offset

    def advance(self, seconds: float) -> float:
        """Add `seconds` and return the new time.

        Raises:
            ValueError: If `seconds` is negative; time does not run backwards.
        """
        if seconds < 0:
            message = f"The clock cannot go back by {-seconds} s; give 0 or more."
            raise ValueError(message)
        self.offset += seconds
        return self.now()
