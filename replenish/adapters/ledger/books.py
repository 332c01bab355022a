"""Batches and periodic jobs: `replenish.ports.Books` over PostgreSQL."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal

import sqlalchemy as sa

from replenish.adapters.ledger.session import transaction
from replenish.adapters.ledger.statements import batches, jobs, lows, stops
from replenish.ports import LastRun, Summary


def installation(engine: sa.Engine) -> str:
    """Give what tells this installation's charges from others on the same gateway.

    It was drawn when the schema was made, and comes back with a restored backup.
    """
    with transaction(engine) as connection:
        return str(connection.execute(stops.INSTALLATION).scalar_one())


class PostgresBooks:
    """Batches, jobs and who is low.

    Args:
        engine: the ledger's database.
        threshold: the installation's default, for accounts without their own.
    """

    def __init__(self, engine: sa.Engine, *, threshold: Decimal) -> None:
        self._engine = engine
        self._threshold = threshold

    def close_batch(self, batch: str, *, by: str) -> Summary | None:
        """Close a batch by counting its rows; None while it has open attempts."""
        with transaction(self._engine) as connection:
            connection.execute(batches.CLOSE_BATCH, {"id": batch, "by": by})
            row = connection.execute(batches.BATCH, {"id": batch}).mappings().first()
        if row is None or row["closed_at"] is None:
            return None
        return Summary(
            batch=batch,
            selected=row["selected"],
            counts=row["counts"],
            skipped=row["skipped"],
            amounts={code: Decimal(text) for code, text in row["amounts"].items()},
            cut_off=row["cut_off"],
        )

    def unclosed(self, *, older_than: float) -> Sequence[str]:
        """List batches older than so many seconds that could be closed."""
        with transaction(self._engine) as connection:
            rows = connection.execute(batches.UNCLOSED, {"older": older_than})
            return [str(row.id) for row in rows]

    def low_of(self, available: Mapping[str, Decimal]) -> Sequence[str]:
        """Of these accounts, give the enrolled ones at or below their threshold."""
        with transaction(self._engine) as connection:
            rows = connection.execute(lows.LOW_OF, self._seen(available))
            return [row.id for row in rows]

    def recovered(self, available: Mapping[str, Decimal]) -> None:
        """Take note that these are funded, where they are above their threshold."""
        with transaction(self._engine) as connection:
            connection.execute(lows.RECOVERED, self._seen(available))

    def due(self, *, after: str, limit: int) -> Sequence[str]:
        """Page the accounts seen low whose wait is over and that nobody has claimed."""
        values = {"after": after, "limit": limit}
        with transaction(self._engine) as connection:
            return [row.id for row in connection.execute(lows.DUE, values)]

    def begin(self, job: str, *, seconds: float) -> datetime | None:
        """Take a job's turn for so long; None: somebody else has it."""
        values = {"name": job, "seconds": seconds}
        with transaction(self._engine) as connection:
            begun = connection.execute(jobs.BEGIN_JOB, values)
            return begun.scalar_one_or_none()

    def extend(
        self, job: str, begun: datetime, *, seconds: float, cursor: str | None
    ) -> None:
        """Keep the turn that began then for so long from now, if it still is ours."""
        values = {"name": job, "begun": begun, "seconds": seconds, "cursor": cursor}
        with transaction(self._engine) as connection:
            connection.execute(jobs.EXTEND_JOB, values)

    def end(
        self, job: str, begun: datetime, *, detail: str = "", cursor: str | None = None
    ) -> None:
        """Give back the turn that began then, if it still is ours."""
        values = {"name": job, "begun": begun, "detail": detail, "cursor": cursor}
        with transaction(self._engine) as connection:
            connection.execute(jobs.END_JOB, values)

    def cursor(self, job: str) -> str | None:
        """Read how far a job came."""
        with transaction(self._engine) as connection:
            row = connection.execute(jobs.CURSOR, {"name": job}).first()
        return row.cursor if row else None

    def last_runs(self) -> Mapping[str, LastRun]:
        """Say of each job when it last ended; one read."""
        with transaction(self._engine) as connection:
            rows = connection.execute(jobs.LAST_RUNS)
            return {row.name: LastRun(row.ended_at, row.age, row.busy) for row in rows}

    def _seen(self, available: Mapping[str, Decimal]) -> dict[str, object]:
        return {
            "accounts": list(available),
            "availables": list(available.values()),
            "threshold": self._threshold,
        }
