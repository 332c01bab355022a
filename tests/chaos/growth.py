"""What must not grow however long it goes on: memory, connections, Redis, open work."""

from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass, field
from statistics import median

import sqlalchemy as sa
from redis.exceptions import RedisError

from tests.chaos.installation import Installation

EVERY = 5.0  # seconds between two looks
SETTLED = 600.0  # seconds until what is loaded once is loaded
LOOKS = 12  # whose median is taken at each end: a minute

SESSIONS = sa.text(
    "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"
)
OPEN = sa.text("""
    SELECT count(*) FROM replenish.attempt
    WHERE state IN ('claimed', 'charging', 'unknown', 'charged')
""")

MOST = {"memory": 1.05, "connections": 1.2, "Redis keys": 1.5, "open attempts": 2.0}
"""Measure → the last minute over the first one after it has settled, at most."""
SLACK = {"memory": 0.0, "connections": 5, "Redis keys": 50, "open attempts": 100}


@dataclass
class Growth:
    """Looks now and then; a server that is away is looked at the next time."""

    site: Installation
    looks: dict[str, list[tuple[float, float]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    _due: float = 0.0

    def look(self, now: float) -> None:
        """Measure everything, if it is time."""
        if now < self._due:
            return
        self._due = now + EVERY
        self.looks["memory"].append((now, self.site.crew.memory() / 2**20))
        with suppress(RedisError):
            keys = self.site.redis().dbsize()
            self.looks["Redis keys"].append((now, float(keys)))
        with suppress(sa.exc.SQLAlchemyError):
            sessions = 0
            for engine in (self.site.watching_ledger, self.site.watching_billing):
                with engine.connect() as connection:
                    sessions += connection.execute(SESSIONS).scalar_one()
            self.looks["connections"].append((now, float(sessions)))
            with self.site.watching_ledger.connect() as connection:
                count = connection.execute(OPEN).scalar_one()
            self.looks["open attempts"].append((now, float(count)))

    def found(self) -> dict[str, tuple[float, float]]:
        """Give each measure's first and last minute, once there was time to settle."""
        found = {}
        for name, looks in self.looks.items():
            values = [value for at, value in looks if at >= SETTLED]
            if len(values) >= 2 * LOOKS:
                found[name] = median(values[:LOOKS]), median(values[-LOOKS:])
        return found

    def grown(self) -> list[str]:
        """Say what has grown past what it may."""
        return [
            f"{name} grew from {first:.0f} to {last:.0f}"
            for name, (first, last) in self.found().items()
            if last > first * MOST[name] + SLACK[name]
        ]
