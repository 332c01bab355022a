"""Whose service is ended, and the stop switch: two small ports over PostgreSQL."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

import sqlalchemy as sa

from replenish.adapters.ledger.session import transaction
from replenish.adapters.ledger.statements import cut_offs, lows, stops
from replenish.domain.policy import CutOff
from replenish.ports import KEY_REFUSED


class PostgresCutOffs:
    """The cut-offs that stand; `replenish.ports.CutOffs`."""

    def __init__(self, engine: sa.Engine, *, actor: str) -> None:
        self._engine = engine
        self._actor = actor

    def low(self, *, batch: str | None, after: str, limit: int) -> Sequence[str]:
        """Page the accounts last seen low whose service still stands."""
        values = {"batch": batch, "after": after, "limit": limit}
        with transaction(self._engine) as connection:
            return [row.id for row in connection.execute(lows.LOW, values)]

    def begin(self, account: str, cut: CutOff, *, available: Decimal) -> bool:
        """Write a cut-off down before it happens; False if it stands already."""
        values = {
            "account": account,
            "reason": cut.reason,
            "detail": cut.detail,
            "available": available,
            "actor": self._actor,
        }
        with transaction(self._engine) as connection:
            return connection.execute(cut_offs.BEGIN_CUT, values).first() is not None

    def done(self, account: str) -> None:
        """Take note that the package has just ended the service, at our word."""
        values = {"account": account, "actor": self._actor}
        with transaction(self._engine) as connection:
            connection.execute(cut_offs.DONE_CUT, values)

    def standing(self, *, after: str, limit: int) -> Sequence[str]:
        """Page the accounts whose service we have ended, or were about to."""
        values = {"after": after, "limit": limit}
        with transaction(self._engine) as connection:
            rows = connection.execute(cut_offs.STANDING, values)
            return [row.account_id for row in rows]

    def is_standing(self, account: str) -> bool:
        """Say whether this account is one of them."""
        with transaction(self._engine) as connection:
            found = connection.execute(cut_offs.IS_STANDING, {"account": account})
            return found.first() is not None

    def restored(
        self, account: str, *, reason: str, seen: datetime | None = None
    ) -> None:
        """Take note that service is back; a repeat is not told twice."""
        values = {
            "account": account,
            "reason": reason,
            "seen": seen,
            "actor": self._actor,
        }
        with transaction(self._engine) as connection:
            connection.execute(cut_offs.RESTORED, values)


class PostgresStops:
    """The switch that stops all charging; `replenish.ports.Stops`."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def stop(self, reason: str) -> None:
        """Stop; the first reason stands, but for one that would end by itself."""
        values = {"reason": reason, "passing": KEY_REFUSED}
        with transaction(self._engine) as connection:
            connection.execute(stops.STOP, values)

    def reason(self) -> str | None:
        """Give the reason why all charging is stopped, or None."""
        with transaction(self._engine) as connection:
            row = connection.execute(stops.STOP_REASON).first()
        return row.reason if row else None

    def resume(self, seen: str | None = None) -> bool:
        """Lift the stop; only while that reason stands, if one is given."""
        with transaction(self._engine) as connection:
            lifted = connection.execute(stops.RESUME, {"seen": seen})
            return lifted.first() is not None
