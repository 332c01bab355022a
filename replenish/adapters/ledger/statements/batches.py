"""The pages of sweeps, opened, counted and closed."""

import sqlalchemy as sa

from replenish.adapters.ledger.statements.predicates import OPEN

OPEN_BATCH = sa.text("""
/* A page of a sweep: what it selected, claimed and left alone, and why. */
INSERT INTO replenish.batch (id, kind, selected, claimed, skipped)
VALUES (CAST(:id AS uuid), :kind, :selected, 0, CAST(:skipped AS jsonb))
""")

COUNT_CLAIMED = sa.text("""
/* Claims that lost a race are skips too, so that the page always adds up. */
UPDATE replenish.batch
SET claimed = :claimed,
    skipped = CASE WHEN :lost = 0 THEN skipped
              ELSE skipped || jsonb_build_object('already_claimed', CAST(:lost AS int))
              END
WHERE id = CAST(:id AS uuid)
""")

CLOSE_BATCH = sa.text(f"""
/* Close a batch by counting its rows; not while an attempt of it is open. */
UPDATE replenish.batch b
SET closed_at = now(), closed_by = :by,
    counts = (SELECT coalesce(jsonb_object_agg(c.state, c.n), '{{}}') FROM (
      SELECT state, count(*) AS n FROM replenish.attempt
      WHERE batch_id = b.id GROUP BY state) c),
    amounts = (SELECT coalesce(jsonb_object_agg(c.currency, c.amount), '{{}}') FROM (
      SELECT currency, sum(amount)::text AS amount FROM replenish.attempt
      WHERE batch_id = b.id AND state = 'settled' GROUP BY currency) c),
    cut_off = (SELECT count(*) FROM replenish.cut_off o
      WHERE o.begun_at >= b.opened_at AND (
        o.account_id IN (SELECT account_id FROM replenish.attempt
                         WHERE batch_id = b.id)
        OR o.account_id IN (SELECT account_id FROM replenish.skip
                            WHERE batch_id = b.id)))
WHERE b.id = CAST(:id AS uuid) AND b.closed_at IS NULL
  AND NOT EXISTS (SELECT FROM replenish.attempt t
                  WHERE t.batch_id = b.id AND t.state IN {OPEN})
""")

BATCH = sa.text("SELECT * FROM replenish.batch WHERE id = CAST(:id AS uuid)")

UNCLOSED = sa.text(f"""
/* Batches that could be closed and were not: their chord was lost. */
SELECT b.id FROM replenish.batch b
WHERE b.closed_at IS NULL AND b.opened_at < now() - make_interval(secs => :older)
  AND NOT EXISTS (SELECT FROM replenish.attempt t
                  WHERE t.batch_id = b.id AND t.state IN {OPEN})
ORDER BY b.opened_at LIMIT 500
""")
