"""Who is low, and who no longer."""

import sqlalchemy as sa

from replenish.adapters.ledger.statements.predicates import OPEN

LOW_OF = sa.text("""
/* Of these accounts, the enrolled ones at or below their own threshold. */
SELECT a.id
FROM unnest(CAST(:accounts AS text[]), CAST(:availables AS numeric[]))
  AS s(account_id, available)
JOIN replenish.account a ON a.id = s.account_id
WHERE s.available <= coalesce(a.threshold, :threshold)
ORDER BY a.id
""")

RECOVERED = sa.text(f"""
/* Accounts seen above their threshold: no longer low, and a new episode begins. Not
   while an attempt is open: sweeps leave such an account out, so nobody would find it
   low again, and whoever spends the money meanwhile would never be cut off. */
WITH seen AS (
  SELECT * FROM unnest(CAST(:accounts AS text[]), CAST(:availables AS numeric[]))
    AS s(account_id, available)
),
fine AS (
  UPDATE replenish.account a
  SET low_since = NULL, not_before = NULL, episode_at = now()
  FROM seen s
  WHERE a.id = s.account_id AND a.low_since IS NOT NULL
    AND s.available > coalesce(a.threshold, :threshold)
    AND NOT EXISTS (SELECT FROM replenish.attempt t
                    WHERE t.account_id = a.id AND t.state IN {OPEN})
  RETURNING a.id
)
DELETE FROM replenish.skip k USING fine WHERE k.account_id = fine.id
""")

DUE = sa.text(f"""
/* Accounts seen low whose wait is over, for a package that does not know who is low:
   they may make no calls by which they would be found. */
SELECT a.id FROM replenish.account a
WHERE a.low_since IS NOT NULL AND a.id > :after
  AND (a.not_before IS NULL OR a.not_before <= now())
  AND NOT EXISTS (SELECT FROM replenish.attempt t
                  WHERE t.account_id = a.id AND t.state IN {OPEN})
ORDER BY a.id LIMIT :limit
""")

LOW = sa.text("""
/* Accounts last seen low whose service still stands. */
SELECT a.id FROM replenish.account a
WHERE a.low_since IS NOT NULL AND a.id > :after
  AND NOT EXISTS (SELECT FROM replenish.cut_off o
                  WHERE o.account_id = a.id AND o.restored_at IS NULL)
  AND (CAST(:batch AS uuid) IS NULL
       OR EXISTS (SELECT FROM replenish.attempt t
                  WHERE t.account_id = a.id AND t.batch_id = CAST(:batch AS uuid))
       OR EXISTS (SELECT FROM replenish.skip k
                  WHERE k.account_id = a.id AND k.batch_id = CAST(:batch AS uuid)))
ORDER BY a.id LIMIT :limit
""")
