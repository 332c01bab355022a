"""Turns in memory: workers are lost all the time there, and nobody is held for it.

The quarantine is tried where it stands, on PostgreSQL: `test_turns` and `test_poison`.
"""

from collections.abc import Sequence

from replenish.ports import Lost


class MemoryTurns:
    """`replenish.ports.Turns` that counts nothing."""

    def begin(self, account: str, *, worker: str) -> bool:
        """Let everybody begin."""
        del account, worker
        return True

    def end(self, account: str, *, worker: str) -> None:
        """Forget it."""

    def quarantine(self) -> Sequence[Lost]:
        """Hold nobody."""
        return ()

    def alone(self, *, limit: int) -> Sequence[str]:
        """Have nobody taken on alone."""
        del limit
        return ()
