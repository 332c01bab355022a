"""The switch that stops all charging, and whose installation this is."""

import sqlalchemy as sa

from replenish.adapters.ledger.statements.predicates import OPEN

INSTALLATION = sa.text("SELECT mark FROM replenish.installation")

WOKEN = 4  # takes up to which a refused attempt goes on as soon as a stop is lifted

STOP = sa.text("""
/* Stop all charging; the first reason stands until it is lifted, but for one that
   would end by itself. */
INSERT INTO replenish.stop AS s (id, reason) VALUES (1, :reason)
ON CONFLICT (id) DO UPDATE SET reason = excluded.reason, since = now()
WHERE starts_with(s.reason, :passing) AND NOT starts_with(excluded.reason, :passing)
""")

STOP_REASON = sa.text("SELECT reason FROM replenish.stop")

RESUME = sa.text(f"""
/* Lift the stop, and let what waited for that go on at once; no more than a few times,
   or an account whose ids the key never knows would stop all others again each time. */
WITH lifted AS (
  DELETE FROM replenish.stop
  WHERE CAST(:seen AS text) IS NULL OR reason = :seen RETURNING id
),
left_alone AS (
  UPDATE replenish.account a SET not_before = NULL
  FROM replenish.skip k
  WHERE k.account_id = a.id AND k.reason = 'charger_stopped'
    AND (CAST(:seen AS text) IS NULL OR EXISTS (SELECT FROM lifted))
),
woken AS (
  UPDATE replenish.attempt SET next_at = now(), nudge_at = now()
  WHERE state IN {OPEN} AND lease IS NULL AND reason = 'gateway_key_refused'
    AND takes <= {WOKEN}
    AND (CAST(:seen AS text) IS NULL OR EXISTS (SELECT FROM lifted))
)
SELECT id FROM lifted
""")
