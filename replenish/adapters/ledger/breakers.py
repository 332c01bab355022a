"""Breakers: tripped and ended by what stands in the rows; `replenish.ports.Breakers`.

Not on the hot path: looked over after each decline and by every reconcile. Claims and
second looks read the row that stands in their own statements (`statements`).
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from replenish.adapters.ledger.session import transaction
from replenish.domain.breaker import GATEWAY_QUIET, Breaker, Tolerance
from replenish.domain.decision import Reason
from replenish.domain.rule import Limits

NO_GATEWAY = ["GatewayUnavailable", "timeout", "connection_lost", "server_error"]
"""What stands on an open attempt that found no gateway, or lost its answer."""

_END = sa.text("""
/* What has stood long enough. */
UPDATE replenish.breaker SET ended_at = until, ended_by = 'by itself'
WHERE ended_at IS NULL AND until <= now()
RETURNING *
""")

_TRIP = sa.text("""
/* Look at all that is claimed, answered and waiting; one row a breaker stands. */
INSERT INTO replenish.breaker (name, by_hand, until, detail)
SELECT found.name, :by_hand,
       CASE WHEN NOT :by_hand THEN now() + found.lasts END, found.detail
FROM (
  SELECT 'charge_rate' AS name, interval '1 minute' AS lasts,
         format('%s charges were started within a minute, %s are allowed',
                m.n, CAST(:per_minute AS int)) AS detail
  FROM (SELECT coalesce(sum(q.claimed), 0) AS n FROM replenish.batch q
        WHERE q.opened_at > now() - interval '1 minute') m
  WHERE m.n >= :per_minute
  UNION ALL
  SELECT 'decline_share', CAST(:window AS interval),
         format('%s of the last %s answers within %s min were declines, %s%% are'
                ' allowed', m.no, m.n, round(extract(epoch FROM CAST(:window AS
                interval)) / 60), CAST(:percent AS int))
  FROM (SELECT count(*) AS n,
               count(*) FILTER (WHERE t.state IN ('declined', 'action_required')) AS no
        FROM replenish.attempt t
        WHERE t.state IN ('charged', 'settled', 'declined', 'action_required')
          AND t.changed_at > greatest(
            now() - CAST(:window AS interval),
            (SELECT max(b.ended_at) FROM replenish.breaker b
             WHERE b.name = 'decline_share'))) m
  WHERE m.n >= :count AND m.no * 100 >= m.n * :percent
  UNION ALL
  SELECT 'gateway_down', NULL,
         format('%s charges wait for the gateway and none has had an answer for %s s',
                m.n, round(extract(epoch FROM CAST(:quiet AS interval))))
  FROM (SELECT count(*) AS n FROM (
          SELECT FROM replenish.attempt t
          WHERE t.state IN ('claimed', 'charging', 'unknown', 'charged')
            AND t.state <> 'charged' AND t.reason = ANY(:no_gateway)
            AND NOT EXISTS (  -- nobody asks the gateway for them
              SELECT FROM replenish.account q
              WHERE q.id = t.account_id AND q.quarantined_at IS NOT NULL)
          LIMIT :failures) w) m
  WHERE m.n >= :failures AND NOT EXISTS (
    SELECT FROM replenish.attempt t
    WHERE t.state IN ('charged', 'settled', 'declined', 'action_required')
      AND t.changed_at > now() - CAST(:quiet AS interval))
) found
ON CONFLICT (name) WHERE ended_at IS NULL DO NOTHING
RETURNING *
""")

_STANDING = sa.text("""
SELECT * FROM replenish.breaker b
WHERE b.ended_at IS NULL AND (b.until IS NULL OR b.until > now())
  AND b.since <= now() - CAST(:at_least AS interval)
ORDER BY b.since
""")

_LIFT = sa.text("""
/* Lift it, and let what waited for it go on at once. */
WITH lifted AS (
  UPDATE replenish.breaker SET ended_at = now(), ended_by = :by
  WHERE name = :name AND ended_at IS NULL RETURNING *),
left_alone AS (
  UPDATE replenish.account a SET not_before = NULL
  FROM replenish.skip k
  WHERE k.account_id = a.id AND k.reason = :name AND EXISTS (SELECT FROM lifted)),
going_on AS (
  UPDATE replenish.attempt SET next_at = now(), nudge_at = now()
  WHERE state IN ('claimed', 'charging', 'unknown', 'charged') AND lease IS NULL
    AND :name = 'gateway_down' AND reason = ANY(:no_gateway)
    AND EXISTS (SELECT FROM lifted))
SELECT * FROM lifted
""")


class PostgresBreakers:
    """The breakers of one installation."""

    def __init__(
        self, engine: sa.Engine, *, limits: Limits, tolerance: Tolerance
    ) -> None:
        self._engine = engine
        self._values = {
            "per_minute": limits.charges_per_minute,
            "percent": tolerance.decline_percent,
            "count": tolerance.decline_count,
            "window": tolerance.decline_window,
            "failures": tolerance.gateway_failures,
            "quiet": GATEWAY_QUIET,
            "by_hand": tolerance.by_hand,
            "no_gateway": NO_GATEWAY,
        }

    def look(self) -> Sequence[Breaker]:
        """End what has stood long enough, trip what must be; give both, told once."""
        with transaction(self._engine) as connection:
            ended = connection.execute(_END).mappings().all()
            tripped = connection.execute(_TRIP, self._values).mappings().all()
        return [_breaker(row) for row in (*ended, *tripped)]

    def standing(self, *, at_least: timedelta = timedelta(0)) -> Sequence[Breaker]:
        """List the breakers that stand, for so long already; the oldest first."""
        with transaction(self._engine) as connection:
            values = {"at_least": at_least}
            rows = connection.execute(_STANDING, values).mappings().all()
        return [_breaker(row) for row in rows]

    def lift(self, reason: Reason, *, by: str) -> bool:
        """Lift a breaker; False if it does not stand."""
        values = {"name": reason, "by": by, "no_gateway": NO_GATEWAY}
        with transaction(self._engine) as connection:
            return connection.execute(_LIFT, values).first() is not None


def _breaker(row: Mapping[Any, Any]) -> Breaker:
    return Breaker(
        reason=Reason(row["name"]),
        since=row["since"],
        until=row["until"],
        by_hand=row["by_hand"],
        detail=row["detail"],
        ended_by=row["ended_by"],
    )
