"""What nobody works on, what waits, and charges that have no row."""

import sqlalchemy as sa

from replenish.adapters.ledger.statements.predicates import IN_FLIGHT, LOST, OPEN

STRANDED = sa.text(f"""
/* Open attempts that nobody works on; pushed on, so as not to be listed at once
   again. SKIP LOCKED: two reconciles share them out. Of the suspects, whose worker was
   lost twice, one at a time: should another worker be lost, it is known with whom. The
   next one may follow as soon as one has come a step further. Charges that are not
   credited come first: others wait for those. */
WITH due AS (
  SELECT t.id, t.nudge_at, {LOST} AS lost FROM replenish.attempt t
  WHERE t.state IN {OPEN} AND t.nudge_at <= now() AND t.next_at <= now()
    AND {LOST} < :most AND NOT EXISTS (
      SELECT FROM replenish.account q
      WHERE q.id = t.account_id AND q.quarantined_at IS NOT NULL)
  ORDER BY t.state <> 'charged', t.nudge_at LIMIT :limit
  FOR UPDATE OF t SKIP LOCKED),
suspect AS (
  SELECT d.id FROM due d
  WHERE d.lost = :most - 1 AND NOT EXISTS (
    SELECT FROM replenish.attempt t
    WHERE t.state IN {OPEN} AND t.nudge_at > now() AND {LOST} = :most - 1)
  ORDER BY d.nudge_at LIMIT 1),
stranded AS (
  SELECT id FROM due WHERE lost < :most - 1 UNION ALL SELECT id FROM suspect)
UPDATE replenish.attempt t
SET nudge_at = now() + make_interval(secs => :patience)
FROM stranded WHERE t.id = stranded.id
RETURNING t.account_id, t.state
""")

UNCREDITED = sa.text("""
/* Charges that wait because the package cannot be credited, or are being tried once
   more; a few will do. */
SELECT count(*) FROM (
  SELECT FROM replenish.attempt
  WHERE state = 'charged' AND reason = ANY(CAST(:reasons AS text[]))
    AND NOT EXISTS (  -- nobody tries those, so they tell nothing of the package
      SELECT FROM replenish.account q
      WHERE q.id = account_id AND q.quarantined_at IS NOT NULL)
  LIMIT :limit) AS waiting
""")

MISUSED = sa.text("""
/* Accounts held because the gateway refused a request of ours, of late and since it
   last charged a card: while others are charged, it is those accounts' own trouble.
   Asked only when one more is refused, so the accounts need no index. */
SELECT count(*) FROM (
  SELECT FROM replenish.account
  WHERE starts_with(pause_reason, :reason)
    AND paused_at > greatest(now() - interval '15 minutes', (
      SELECT max(t.charged_at) FROM replenish.attempt t
      WHERE t.state IN ('charged', 'settled')
        AND t.changed_at > now() - interval '15 minutes'))
  LIMIT :limit) AS held
""")

# Charged ones are left out: their waits are short, and need no more than that. So are
# quarantined accounts: theirs grow on purpose.
_WAITS = f"""
  state IN {IN_FLIGHT} AND lease IS NULL AND reason = :reason AND next_at > now()
  AND NOT EXISTS (SELECT FROM replenish.account q
                  WHERE q.id = account_id AND q.quarantined_at IS NOT NULL)"""

WAITING = sa.text(f"""
/* One of those that wait for the same. */
SELECT account_id FROM replenish.attempt WHERE {_WAITS} ORDER BY next_at LIMIT 1
""")

WAKE = sa.text(f"""
/* What attempts have waited for is over: they may go on. */
UPDATE replenish.attempt SET next_at = now(), nudge_at = now() WHERE {_WAITS}
""")

KNOWN = sa.text("""
/* The states of those of these attempts that we know. */
SELECT t.id, t.state FROM replenish.attempt t WHERE t.id = ANY(CAST(:ids AS uuid[]))
""")

ADOPT = sa.text(f"""
/* Take a charge with our mark and no row into the books, as charged, so that the
   ordinary steps credit it, and have cut-offs watch it as they watch whoever is
   claimed. Not while another attempt of the account is open.
   `enrolled`: whether there is such an account at all. */
WITH account AS (
  SELECT id FROM replenish.account WHERE id = :account AND currency = :currency
),
adopted AS (
  INSERT INTO replenish.attempt
    (id, account_id, amount, currency, customer, payment_method, fingerprint, state,
     intent, actor, reason, charged_at)
  SELECT CAST(:id AS uuid), a.id, :amount, :currency, '', '', '', 'charged', :intent,
         'reconcile', 'orphan_adopted', now()
  FROM account a
  ON CONFLICT (account_id) WHERE state IN {OPEN} DO NOTHING
  RETURNING account_id
),
watched AS (
  UPDATE replenish.account a SET low_since = coalesce(a.low_since, now())
  FROM adopted WHERE a.id = adopted.account_id
)
SELECT EXISTS (SELECT FROM account) AS enrolled, EXISTS (SELECT FROM adopted) AS adopted
""")

ORPHAN = sa.text("""
/* Remember an orphan charge, adopted or not, for `replenish report`; `told` is
   whether the same was known of it before. */
WITH before AS (SELECT note FROM replenish.orphan WHERE intent = :intent)
INSERT INTO replenish.orphan
  (intent, attempt_id, account_id, amount, currency, adopted, note)
VALUES (:intent, :attempt, :account, :amount, :currency, :adopted, :note)
ON CONFLICT (intent) DO UPDATE SET adopted = excluded.adopted, note = excluded.note
RETURNING note IS NOT DISTINCT FROM (SELECT note FROM before) AS told
""")
