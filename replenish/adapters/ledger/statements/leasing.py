"""One attempt on its way: leased, moved on, given back, and what follows."""

import sqlalchemy as sa

from replenish.adapters.ledger.statements.predicates import BREAKER, LOST, OPEN

_COLUMNS = """
  t.id, t.account_id, t.card_id, t.amount, t.currency, t.customer, t.payment_method,
  t.fingerprint, t.state, t.batch_id, t.intent, t.confirms, t.lease, t.takes, t.lost,
  t.claimed_at"""

TAKE = sa.text(f"""
/* Lease an account's open attempt, unless somebody holds it, it waits, or it has lost
   too many workers: those are taken on alone. The loss of the worker before is counted
   here, before the work. */
UPDATE replenish.attempt t
SET lease = CAST(:lease AS uuid), takes = takes + 1, actor = :worker, lost = {LOST},
    next_at = now() + make_interval(secs => :seconds),
    nudge_at = now() + make_interval(secs => :seconds)
WHERE t.account_id = :account AND t.state IN {OPEN} AND t.next_at <= now()
  AND (:alone OR ({LOST} < :most AND NOT EXISTS (
    SELECT FROM replenish.account q
    WHERE q.id = t.account_id AND q.quarantined_at IS NOT NULL)))
RETURNING {_COLUMNS}
""")

ADVANCE = sa.text(f"""
/* Take a step as the lease's holder; the journal's trigger checks and records it. A
   lease that was over when the intent came stays over: what was looked at is old. */
UPDATE replenish.attempt t
SET state = :to, reason = :reason, evidence = CAST(:evidence AS jsonb),
    intent = coalesce(t.intent, :intent),
    confirms = t.confirms + CAST(:to = 'charging' AS int),
    lease = CASE WHEN :ends THEN NULL ELSE t.lease END, lost = 0,
    next_at = CASE WHEN :to = 'charging' AND t.next_at <= now() THEN t.next_at
              ELSE now() + make_interval(secs => :seconds) END,
    nudge_at = now() + make_interval(secs => :seconds)
WHERE t.id = CAST(:id AS uuid) AND t.lease = CAST(:lease AS uuid) AND t.state = :old
RETURNING {_COLUMNS}
""")

HOLDS = sa.text(f"""
/* Whether the lease stands by our clock, and nobody has stopped the charge since it was
   looked at. */
SELECT t.next_at > now() AND a.paused_at IS NULL
       AND NOT EXISTS (SELECT FROM replenish.stop)
       AND NOT EXISTS (SELECT FROM {BREAKER})
FROM replenish.attempt t JOIN replenish.account a ON a.id = t.account_id
WHERE t.id = CAST(:id AS uuid) AND t.lease = CAST(:lease AS uuid)
""")

PUT_BACK = sa.text("""
/* Give a lease back; the attempt goes on after a while, in anybody's hands. */
UPDATE replenish.attempt
SET lease = NULL, lost = 0, reason = :reason,
    next_at = now() + make_interval(secs => :seconds),
    nudge_at = now() + make_interval(secs => :seconds)
WHERE id = CAST(:id AS uuid) AND lease = CAST(:lease AS uuid)
""")

CAME_LATE = sa.text(f"""
/* A worker that comes late was slow, not lost: count anew. */
UPDATE replenish.attempt SET lost = 0
WHERE id = CAST(:id AS uuid) AND state IN {OPEN} AND lost > 0
""")

MARK_CARD = sa.text("""
/* What a decline means for the card; a card already dead stays as it is. */
UPDATE replenish.card
SET dead_reason = coalesce(dead_reason, :dead),
    dead_at = CASE WHEN dead_reason IS NULL AND CAST(:dead AS text) IS NOT NULL
              THEN now() ELSE dead_at END,
    retry_at = coalesce(:retry_at, retry_at)
WHERE id = :card
""")

PAUSE = sa.text("""
/* Hold an account for a person, and say so; a reason that comes to one already held is
   added once, so that whoever resumes it is told of both. */
WITH held AS (
  UPDATE replenish.account
  SET paused_at = coalesce(paused_at, now()),
      pause_reason = concat_ws('; ',
        CASE WHEN paused_at IS NOT NULL THEN left(pause_reason, 500) END,
        left(:reason, 500))
  WHERE id = :account
    AND (paused_at IS NULL OR pause_reason IS NULL
         OR strpos(pause_reason, left(:reason, 500)) = 0)
  RETURNING id)
SELECT replenish.record_event(
  held.id, NULL, 'paused', NULL, NULL, :actor, jsonb_build_object('reason', :reason))
FROM held
""")

FUNDED = sa.text("""
/* A settled account waits for nothing and begins a new episode. Nor is it low, unless
   the credit was not enough: calls may have cost more than that meanwhile. */
WITH told AS (DELETE FROM replenish.skip WHERE account_id = :account)
UPDATE replenish.account
SET episode_at = now(), not_before = NULL,
    low_since = CASE WHEN CAST(:available AS numeric)
                       <= coalesce(threshold, CAST(:threshold AS numeric))
                THEN coalesce(low_since, now()) END
WHERE id = :account
""")

LOOK_AGAIN = sa.text("""
/* After an attempt that did not fund it, the next sweep looks at once. */
UPDATE replenish.account SET not_before = NULL
WHERE id = :account AND not_before IS NOT NULL
""")
