"""Whose turns lose their workers: `replenish.ports.Turns` over PostgreSQL.

A turn on an open attempt is its lease: one that is over and was neither moved on nor
given back has lost its worker (`predicates.LOST`, counted by the next who takes it). A
turn without an attempt is a row of `turn`, gone when it ended in order.
"""

from collections.abc import Sequence

import sqlalchemy as sa

from replenish.adapters.ledger.session import transaction
from replenish.adapters.ledger.statements.predicates import LOST, OPEN
from replenish.domain.attempt import LOST_WORKERS
from replenish.ports import Lost

PATIENCE = 10.0  # seconds a turn without an attempt may last: some reads and a claim
FIRST_GAP, LONGEST_GAP = 60.0, 3600.0  # seconds between two tries alone, doubling
FORGOTTEN = 86_400.0  # seconds after which a lost turn is history

_BEGIN = sa.text("""
/* Begin a turn, or learn that the account has lost too many workers. The one before
   is counted here, before the work. */
WITH begun AS (
  INSERT INTO replenish.turn AS u (account_id, worker, until)
  SELECT a.id, :worker, now() + make_interval(secs => :patience)
  FROM replenish.account a WHERE a.id = :account AND a.quarantined_at IS NULL
  ON CONFLICT (account_id) DO UPDATE
  SET lost = u.lost + CAST(u.until <= now() AS int), worker = excluded.worker,
      until = excluded.until
  WHERE u.lost + CAST(u.until <= now() AS int) < :most
  RETURNING account_id)
SELECT NOT EXISTS (SELECT FROM begun)
   AND EXISTS (SELECT FROM replenish.account WHERE id = :account) AS held
""")

_END = sa.text("""
DELETE FROM replenish.turn WHERE account_id = :account AND worker = :worker
""")

_LOST = sa.text(f"""
/* Accounts that have lost too many workers and are not held yet. */
SELECT s.* FROM (
  SELECT t.account_id, t.state, {LOST} AS lost, t.actor AS worker
  FROM replenish.attempt t
  WHERE t.state IN {OPEN} AND t.next_at <= now() AND {LOST} >= :most
  UNION ALL
  SELECT u.account_id, '', u.lost + 1, u.worker FROM replenish.turn u
  WHERE u.until <= now() AND u.lost + 1 >= :most
) s JOIN replenish.account a ON a.id = s.account_id
WHERE a.quarantined_at IS NULL ORDER BY s.account_id LIMIT 100
""")  # noqa: S608 built from constants only

_HEAD = sa.text("SELECT 1 FROM replenish.chain WHERE account_id = :account FOR UPDATE")

_HOLD = sa.text("""
/* Quarantine one account; an account that a person holds stays in their words. */
UPDATE replenish.account
SET quarantined_at = now(), paused_at = coalesce(paused_at, now()),
    pause_reason = coalesce(pause_reason, :reason)
WHERE id = :account AND quarantined_at IS NULL
RETURNING 1
""")

_RECORD = sa.text("""
SELECT replenish.record_event(
  :account, NULL, 'quarantined', NULL, NULL, :actor, jsonb_build_object(
    'lost', CAST(:lost AS int), 'state', CAST(:state AS text),
    'worker', CAST(:worker AS text)))
""")

_FORGET = sa.text("""
DELETE FROM replenish.turn WHERE until < now() - make_interval(secs => :old)
""")

_ALONE = sa.text(f"""
/* Quarantined accounts whose open attempt may be tried alone: at once, then after
   waits that grow with the workers lost since. */
SELECT t.account_id FROM replenish.attempt t
JOIN replenish.account a ON a.id = t.account_id
WHERE a.quarantined_at IS NOT NULL AND t.state IN {OPEN}
  AND t.next_at + make_interval(secs => CASE WHEN t.lost < :most THEN 0
        ELSE least(:first * 2 ^ least(t.lost - :most, 20), :longest) END) <= now()
ORDER BY t.next_at LIMIT :limit
""")  # noqa: S608 built from constants only

_RELEASE = sa.text(f"""
/* Let anybody take a quarantined account on again, at once, and count anew. */
WITH held AS (
  SELECT id FROM replenish.account
  WHERE id = :account AND quarantined_at IS NOT NULL),
forgotten AS (
  DELETE FROM replenish.turn WHERE account_id IN (SELECT id FROM held))
UPDATE replenish.attempt
SET lost = 0, lease = NULL, next_at = now(), nudge_at = now()
WHERE account_id IN (SELECT id FROM held) AND state IN {OPEN}
""")  # noqa: S608 built from constants only


class PostgresTurns:
    """Turns and the quarantine; every method is one short transaction an account."""

    def __init__(self, engine: sa.Engine, *, actor: str) -> None:
        self._engine = engine
        self._actor = actor

    def begin(self, account: str, *, worker: str) -> bool:
        """Begin a turn without an attempt; False: the account is quarantined.

        An account that is not enrolled leaves no row.
        """
        values = {
            "account": account,
            "worker": worker,
            "patience": PATIENCE,
            "most": LOST_WORKERS,
        }
        with transaction(self._engine) as connection:
            return not connection.execute(_BEGIN, values).scalar_one()

    def end(self, account: str, *, worker: str) -> None:
        """End it in order; a turn that another has begun since is left to him."""
        with transaction(self._engine) as connection:
            connection.execute(_END, {"account": account, "worker": worker})

    def quarantine(self) -> Sequence[Lost]:
        """Hold the accounts that have lost too many workers; each is told once."""
        with transaction(self._engine) as connection:
            connection.execute(_FORGET, {"old": FORGOTTEN})
            rows = connection.execute(_LOST, {"most": LOST_WORKERS}).all()
        found = [Lost(row.account_id, row.state, row.lost, row.worker) for row in rows]
        return [lost for lost in found if self._hold(lost)]

    def alone(self, *, limit: int) -> Sequence[str]:
        """List quarantined accounts whose open attempt may be tried alone again."""
        values = {
            "limit": limit,
            "most": LOST_WORKERS,
            "first": FIRST_GAP,
            "longest": LONGEST_GAP,
        }
        with transaction(self._engine) as connection:
            return [row.account_id for row in connection.execute(_ALONE, values)]

    def _hold(self, lost: Lost) -> bool:
        """Hold and record in one transaction; the chain's head is locked first."""
        values = {
            "account": lost.account,
            "reason": f"{lost.workers} workers in a row were lost in its turn",
            "actor": self._actor,
            "lost": lost.workers,
            "state": lost.state,
            "worker": lost.worker,
        }
        with transaction(self._engine) as connection:
            connection.execute(_HEAD, values)
            if connection.execute(_HOLD, values).first() is None:
                return False
            connection.execute(_RECORD, values)
        return True


def release(connection: sa.Connection, account: str) -> None:
    """Undo what keeps others from a quarantined account; the first part of a resume."""
    connection.execute(_RELEASE, {"account": account})
