"""Every statement of the hot path, named and explained; Python calls names.

They are written out because a payments reviewer should be able to read what
runs. `:open` and `:spent` are arrays of states. `now()` is the database's clock,
which alone decides leases, caps and cooldowns. A local day begins a second after the
last one of the day before: where clocks go back from one to midnight, midnight itself
comes twice, and PostgreSQL would take the second.
"""

import sqlalchemy as sa

# Each repeats the predicate of a partial index.
_OPEN = "('claimed', 'charging', 'unknown', 'charged')"
_IN_FLIGHT = "('claimed', 'charging', 'unknown')"  # may still be declined
_ANSWERED = "('charged', 'settled', 'declined', 'action_required')"

# A breaker that nobody may pass. The rate keeps its own count, unless by hand.
_BREAKER = """
  replenish.breaker b
  WHERE b.ended_at IS NULL AND (b.until IS NULL OR b.until > now())
    AND (b.by_hand OR b.name <> 'charge_rate')"""

# Claims of the last minute; a claim that was released counts until it is over.
_MINUTE = """
  (SELECT coalesce(sum(q.claimed), 0) FROM replenish.batch q
   WHERE q.opened_at > now() - interval '1 minute')"""

WOKEN = 4  # takes up to which a refused attempt goes on as soon as a stop is lifted

LOST = "t.lost + CAST(t.lease IS NOT NULL AND t.next_at <= now() AS int)"
"""Workers lost in a row: a lease that is over and was not given back is one more."""

SUBJECTS = sa.text(f"""
/* Enrolled accounts with their rule, cards and history, a row each. */
SELECT a.*, now() AS now, z.day_ends, z.month_ends,
       (SELECT s.reason FROM replenish.stop s) AS stopped,
       (SELECT to_jsonb(b) FROM {_BREAKER}
        ORDER BY b.until DESC NULLS FIRST LIMIT 1) AS breaker,
       greatest({_MINUTE} - (SELECT count(*) FROM replenish.attempt t
           WHERE t.id = CAST(:without AS uuid)
             AND t.claimed_at > now() - interval '1 minute'),
         (SELECT sum(q.claimed) - 1  -- in the minute that ended with this claim
          FROM replenish.attempt t JOIN replenish.batch q
            ON q.opened_at > t.claimed_at - interval '1 minute'
              AND q.opened_at <= t.claimed_at
          WHERE t.id = CAST(:without AS uuid))) AS charges_minute,
       (SELECT count(*) FROM (
          SELECT FROM replenish.attempt t
          WHERE t.account_id = a.id AND t.state = 'settled' LIMIT :settled) s
       ) AS settled,
       (SELECT max(t.amount) FROM replenish.attempt t
        WHERE t.account_id = a.id AND t.state = 'settled') AS largest,
       EXISTS (SELECT FROM replenish.cut_off o
               WHERE o.account_id = a.id AND o.restored_at IS NULL) AS cut_off,
       h.*, c.cards
FROM replenish.account a
CROSS JOIN LATERAL (
  SELECT date_trunc('day', now() AT TIME ZONE t.zone) AS day,
         date_trunc('month', now() AT TIME ZONE t.zone) AS month, t.zone
  FROM (SELECT coalesce(a.time_zone, :time_zone) AS zone) t
) l
CROSS JOIN LATERAL (
  SELECT (l.day - s) AT TIME ZONE l.zone + s AS day_from,
         (l.month - s) AT TIME ZONE l.zone + s AS month_from,
         (l.day + interval '1 day' - s) AT TIME ZONE l.zone + s AS day_ends,
         (l.month + interval '1 month' - s) AT TIME ZONE l.zone + s AS month_ends
  FROM (SELECT interval '1 second' AS s) one
) z
CROSS JOIN LATERAL (
  SELECT
    coalesce(sum(t.amount) FILTER (
      WHERE t.state = ANY(:spent) AND t.claimed_at >= z.day_from), 0) AS spent_day,
    coalesce(sum(t.amount) FILTER (
      WHERE t.state = ANY(:spent) AND t.claimed_at >= z.month_from), 0) AS spent_month,
    count(*) FILTER (
      WHERE t.state = ANY(:spent) AND t.claimed_at >= z.day_from) AS count_today,
    coalesce(bool_or(t.state = ANY(:open)), false) AS open_attempt,
    max(t.claimed_at) FILTER (WHERE t.state IN ('charged', 'settled')) AS last_charged,
    count(*) FILTER (
      WHERE t.state IN ('declined', 'action_required')
      AND t.changed_at >= a.episode_at) AS episode_declines
  FROM replenish.attempt t
  WHERE t.account_id = a.id AND t.id IS DISTINCT FROM CAST(:without AS uuid)
    AND (t.claimed_at >= least(z.month_from, a.episode_at, now() - interval '2 days',
                               now() - coalesce(a.cooldown, :cooldown))
         OR t.state IN {_OPEN})
) h
CROSS JOIN LATERAL (
  SELECT coalesce(jsonb_agg(to_jsonb(k) || jsonb_build_object(
           'tried_at', f.tried_at, 'declines_24h', f.declines_24h,
           'declines_30d', f.declines_30d, 'in_flight', f.in_flight,
           'cleared', f.cleared, 'since', y.since, 'place', x.place,
           'dead_elsewhere', x.dead_elsewhere)
         ORDER BY k.priority, k.id), '[]') AS cards
  FROM replenish.card k
  CROSS JOIN LATERAL (
    SELECT (SELECT max(t.claimed_at) FROM replenish.attempt t
            WHERE t.account_id = a.id AND t.card_id = k.id
              AND t.state NOT IN ('released', 'cancelled')
              AND t.id IS DISTINCT FROM CAST(:without AS uuid)) AS tried_at,
           count(*) FILTER (WHERE d.changed_at > now() - interval '1 day')
             AS declines_24h,
           count(*) AS declines_30d,
           (SELECT count(*) FROM replenish.attempt t
            WHERE t.fingerprint = k.fingerprint AND t.fingerprint <> ''
              AND t.state IN {_IN_FLIGHT}
              AND t.id IS DISTINCT FROM CAST(:without AS uuid)) AS in_flight,
           EXISTS (SELECT FROM replenish.clearance e
                   WHERE e.account_id = k.account_id
                     AND e.fingerprint = k.fingerprint) AS cleared
    FROM replenish.attempt d
    WHERE d.fingerprint = k.fingerprint AND d.changed_at > now() - interval '30 days'
      AND d.state IN ('declined', 'action_required')
  ) f
  CROSS JOIN LATERAL (
    SELECT min(o.added_at) AS since FROM replenish.card o
    WHERE o.account_id = k.account_id AND (
      o.id = k.id
      OR (o.fingerprint = k.fingerprint AND o.fingerprint <> ''
          AND (o.removed_at IS NULL OR o.removed_at > now() - interval '30 days')))
  ) y
  CROSS JOIN LATERAL (
    SELECT 1 + count(DISTINCT o.account_id) FILTER (
             WHERE (o.removed_at IS NULL OR o.removed_at > now() - interval '30 days')
               AND (o.added_at, o.account_id) < (y.since, k.account_id)) AS place,
           min(o.dead_reason) FILTER (
             WHERE o.dead_reason = ANY(:dead_for_all)
               AND (o.last4, o.exp_year, o.exp_month)
                 = (k.last4, k.exp_year, k.exp_month)) AS dead_elsewhere
    FROM replenish.card o
    WHERE o.fingerprint = k.fingerprint AND o.fingerprint <> ''
      AND o.account_id <> k.account_id
  ) x
  WHERE k.account_id = a.id AND k.removed_at IS NULL
) c
WHERE a.id = ANY(:accounts)
  AND (NOT :due OR (
    (a.not_before IS NULL OR a.not_before <= now())
    AND NOT EXISTS (SELECT FROM replenish.attempt t
                    WHERE t.account_id = a.id AND t.state IN {_OPEN})))
ORDER BY a.id
""")

CLAIM = sa.text(f"""
/* Open attempts: one statement for a page. The caps and the cooldown are checked
   once more here, against what has committed since they were read; the partial
   unique index lets one attempt per account through. In account order, so that two
   claims never wait for each other crosswise.

   What is limited over many accounts (charges a minute, declines of one card number)
   counts what is in flight and this page itself. Two claims at once do not see each
   other; the second look after the commit does, and gives up what is too much. */
INSERT INTO replenish.attempt AS n
  (id, account_id, card_id, amount, currency, customer, payment_method, fingerprint,
   state, batch_id, available_before, actor, next_at, nudge_at, evidence)
SELECT e.id, e.account_id, e.card_id, e.amount, e.currency, e.customer,
       e.payment_method, e.fingerprint, 'claimed', CAST(:batch AS uuid),
       e.available, :actor, now(), now() + make_interval(secs => :patience), '{{}}'
FROM (
  SELECT p.*, k.customer, k.payment_method, k.fingerprint, f.day AS tries_day,
         f.month AS tries_month,
         row_number() OVER (ORDER BY p.account_id) AS nth,
         row_number() OVER (PARTITION BY coalesce(nullif(k.fingerprint, ''),
                                                  p.account_id)
                            ORDER BY p.account_id) AS nth_of_number
  FROM unnest(
    CAST(:ids AS uuid[]), CAST(:accounts AS text[]), CAST(:cards AS bigint[]),
    CAST(:amounts AS numeric[]), CAST(:currencies AS text[]),
    CAST(:availables AS numeric[]), CAST(:cap_days AS numeric[]),
    CAST(:cap_months AS numeric[]), CAST(:count_days AS int[]),
    CAST(:cooldowns AS float8[]), CAST(:zones AS text[])
  ) AS p(id, account_id, card_id, amount, currency, available, cap_day, cap_month,
         count_day, cooldown, zone)
  JOIN replenish.account a ON a.id = p.account_id
  JOIN replenish.card k ON k.id = p.card_id AND k.account_id = a.id
  CROSS JOIN LATERAL (
    SELECT (date_trunc('day', l) - s) AT TIME ZONE p.zone + s AS day_from,
           (date_trunc('month', l) - s) AT TIME ZONE p.zone + s AS month_from,
           now() - make_interval(secs => p.cooldown) AS cool_from
    FROM (SELECT now() AT TIME ZONE p.zone AS l, interval '1 second' AS s) here
  ) z
  CROSS JOIN LATERAL (
    SELECT
      coalesce(sum(t.amount) FILTER (
        WHERE t.state = ANY(:spent) AND t.claimed_at >= z.day_from), 0) AS day,
      coalesce(sum(t.amount) FILTER (
        WHERE t.state = ANY(:spent) AND t.claimed_at >= z.month_from), 0) AS month,
      count(*) FILTER (
        WHERE t.state = ANY(:spent) AND t.claimed_at >= z.day_from) AS today,
      coalesce(bool_or(t.claimed_at > z.cool_from AND (
        t.state IN ('charged', 'settled')
        OR (t.state NOT IN ('released', 'cancelled') AND t.card_id IN (
              SELECT s.id FROM replenish.card s  -- the same card entered twice is one
              WHERE s.account_id = a.id
                AND (s.fingerprint, s.last4, s.exp_year, s.exp_month)
                  = (k.fingerprint, k.last4, k.exp_year, k.exp_month)))
        )), false) AS cooling
    FROM replenish.attempt t
    WHERE t.account_id = a.id AND t.claimed_at >= least(z.month_from, z.cool_from)
  ) h
  CROSS JOIN LATERAL (
    SELECT count(d.id) FILTER (WHERE d.changed_at > now() - interval '1 day') + q.open
             AS day,
           count(d.id) + q.open AS month
    FROM (SELECT count(*) AS open FROM replenish.attempt t
          WHERE t.fingerprint = k.fingerprint AND t.fingerprint <> ''
            AND t.state IN {_IN_FLIGHT} AND t.account_id <> a.id) q
    LEFT JOIN replenish.attempt d
      ON d.fingerprint = k.fingerprint AND d.changed_at > now() - interval '30 days'
        AND d.state IN ('declined', 'action_required')
    GROUP BY q.open
  ) f
  WHERE a.paused_at IS NULL AND a.consent_at IS NOT NULL
    AND a.currency = p.currency
    AND k.removed_at IS NULL AND k.dead_reason IS NULL
    AND k.country <> ALL(:refused_countries)
    AND NOT EXISTS (SELECT FROM replenish.stop)
    AND NOT EXISTS (SELECT FROM {_BREAKER})
    AND h.day + p.amount <= p.cap_day AND h.month + p.amount <= p.cap_month
    AND h.today < p.count_day AND NOT h.cooling
) e
WHERE e.nth <= :per_minute - {_MINUTE}
  AND e.tries_day + e.nth_of_number <= :declines_day
  AND e.tries_month + e.nth_of_number <= :declines_month
ORDER BY e.account_id
ON CONFLICT (account_id) WHERE state IN {_OPEN} DO NOTHING
RETURNING n.id, n.account_id, n.claimed_at
""")

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
WHERE t.account_id = :account AND t.state IN {_OPEN} AND t.next_at <= now()
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

PUT_BACK = sa.text("""
/* Give a lease back; the attempt goes on after a while, in anybody's hands. */
UPDATE replenish.attempt
SET lease = NULL, lost = 0, reason = :reason,
    next_at = now() + make_interval(secs => :seconds),
    nudge_at = now() + make_interval(secs => :seconds)
WHERE id = CAST(:id AS uuid) AND lease = CAST(:lease AS uuid)
""")

HOLDS = sa.text(f"""
/* Whether the lease stands by our clock, and nobody has stopped the charge since it was
   looked at. */
SELECT t.next_at > now() AND a.paused_at IS NULL
       AND NOT EXISTS (SELECT FROM replenish.stop)
       AND NOT EXISTS (SELECT FROM {_BREAKER})
FROM replenish.attempt t JOIN replenish.account a ON a.id = t.account_id
WHERE t.id = CAST(:id AS uuid) AND t.lease = CAST(:lease AS uuid)
""")

CAME_LATE = sa.text(f"""
/* A worker that comes late was slow, not lost: count anew. */
UPDATE replenish.attempt SET lost = 0
WHERE id = CAST(:id AS uuid) AND state IN {_OPEN} AND lost > 0
""")

UNCREDITED = sa.text("""
/* Charges that wait because the package cannot be credited, or are being tried once
   more; a few will do. */
SELECT count(*) FROM (
  SELECT FROM replenish.attempt
  WHERE state = 'charged' AND reason = ANY(CAST(:reasons AS text[]))
  LIMIT :limit) AS waiting
""")

# Charged ones are left out: their waits are short, and need no more than that. So are
# quarantined accounts: theirs grow on purpose.
_WAITS = f"""
  state IN {_IN_FLIGHT} AND lease IS NULL AND reason = :reason AND next_at > now()
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

STRANDED = sa.text(f"""
/* Open attempts that nobody works on; pushed on, so as not to be listed at once
   again. SKIP LOCKED: two reconciles share them out. Of the suspects, whose worker was
   lost twice, one at a time: should another worker be lost, it is known with whom. The
   next one may follow as soon as one has come a step further. Charges that are not
   credited come first: others wait for those. */
WITH due AS (
  SELECT t.id, t.nudge_at, {LOST} AS lost FROM replenish.attempt t
  WHERE t.state IN {_OPEN} AND t.nudge_at <= now() AND t.next_at <= now()
    AND {LOST} < :most AND NOT EXISTS (
      SELECT FROM replenish.account q
      WHERE q.id = t.account_id AND q.quarantined_at IS NOT NULL)
  ORDER BY t.state <> 'charged', t.nudge_at LIMIT :limit
  FOR UPDATE OF t SKIP LOCKED),
suspect AS (
  SELECT d.id FROM due d
  WHERE d.lost = :most - 1 AND NOT EXISTS (
    SELECT FROM replenish.attempt t
    WHERE t.state IN {_OPEN} AND t.nudge_at > now() AND {LOST} = :most - 1)
  ORDER BY d.nudge_at LIMIT 1),
stranded AS (
  SELECT id FROM due WHERE lost < :most - 1 UNION ALL SELECT id FROM suspect)
UPDATE replenish.attempt t
SET nudge_at = now() + make_interval(secs => :patience)
FROM stranded WHERE t.id = stranded.id
RETURNING t.account_id, t.state
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
  ON CONFLICT (account_id) WHERE state IN {_OPEN} DO NOTHING
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

MARK_LOW = sa.text("""
/* Claimed accounts are low; the cut-off step looks at the low ones. */
UPDATE replenish.account SET low_since = now()
WHERE id = ANY(:accounts) AND low_since IS NULL
""")

NOTE = sa.text("""
/* Why accounts are left alone: one row each, an event only when the reason is new.
   `last_at` and `times` tell how often it was found since. */
WITH seen AS (
  SELECT * FROM unnest(
    CAST(:accounts AS text[]), CAST(:decisions AS text[]), CAST(:reasons AS text[]),
    CAST(:details AS text[]), CAST(:untils AS timestamptz[]),
    CAST(:availables AS numeric[])
  ) AS s(account_id, decision, reason, detail, until, available)
),
before AS (
  SELECT k.account_id, k.decision, k.reason, k.detail FROM replenish.skip k
  JOIN seen USING (account_id)
),
kept AS (
  INSERT INTO replenish.skip AS k
    (account_id, decision, reason, detail, until, available, batch_id)
  SELECT s.account_id, s.decision, s.reason, s.detail, s.until, s.available,
         CAST(:batch AS uuid)
  FROM seen s ORDER BY s.account_id
  ON CONFLICT (account_id) DO UPDATE SET
    decision = excluded.decision, reason = excluded.reason, detail = excluded.detail,
    until = excluded.until, available = excluded.available,
    batch_id = excluded.batch_id, last_at = now(), times = k.times + 1,
    first_at = CASE WHEN (k.reason, k.detail) = (excluded.reason, excluded.detail)
               THEN k.first_at ELSE now() END
),
held AS (
  UPDATE replenish.account a
  SET low_since = coalesce(a.low_since, now()),
      not_before = least(coalesce(s.until, now() + make_interval(secs => :recheck)),
                         now() + make_interval(secs => :recheck))
  FROM seen s WHERE a.id = s.account_id
)
SELECT replenish.record_event(
  s.account_id, NULL, 'skipped', NULL, NULL, :actor, jsonb_build_object(
    'decision', s.decision, 'reason', s.reason, 'detail', s.detail,
    'until', s.until, 'available', s.available))
FROM seen s LEFT JOIN before b USING (account_id)
WHERE (s.decision, s.reason, s.detail) IS DISTINCT FROM
      (b.decision, b.reason, b.detail)
ORDER BY s.account_id
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
                    WHERE t.account_id = a.id AND t.state IN {_OPEN})
  RETURNING a.id
)
DELETE FROM replenish.skip k USING fine WHERE k.account_id = fine.id
""")

LOW_OF = sa.text("""
/* Of these accounts, the enrolled ones at or below their own threshold. */
SELECT a.id
FROM unnest(CAST(:accounts AS text[]), CAST(:availables AS numeric[]))
  AS s(account_id, available)
JOIN replenish.account a ON a.id = s.account_id
WHERE s.available <= coalesce(a.threshold, :threshold)
ORDER BY a.id
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
                  WHERE t.batch_id = b.id AND t.state IN {_OPEN})
""")

BATCH = sa.text("SELECT * FROM replenish.batch WHERE id = CAST(:id AS uuid)")

UNCLOSED = sa.text(f"""
/* Batches that could be closed and were not: their chord was lost. */
SELECT b.id FROM replenish.batch b
WHERE b.closed_at IS NULL AND b.opened_at < now() - make_interval(secs => :older)
  AND NOT EXISTS (SELECT FROM replenish.attempt t
                  WHERE t.batch_id = b.id AND t.state IN {_OPEN})
ORDER BY b.opened_at LIMIT 500
""")

BEGIN_JOB = sa.text("""
/* Take a periodic job's turn, if nobody has it. */
INSERT INTO replenish.job AS j (name, busy_until, begun_at)
VALUES (:name, now() + make_interval(secs => :seconds), now())
ON CONFLICT (name) DO UPDATE
SET busy_until = excluded.busy_until, begun_at = excluded.begun_at
WHERE j.busy_until IS NULL OR j.busy_until <= now()
RETURNING begun_at
""")

EXTEND_JOB = sa.text("""
/* Keep a turn longer, unless it is over and somebody else's. */
UPDATE replenish.job SET busy_until = now() + make_interval(secs => :seconds),
    cursor = coalesce(:cursor, cursor)
WHERE name = :name AND begun_at = :begun
""")

END_JOB = sa.text("""
/* Give the turn back, with what was done and how far it came; not another's turn. */
UPDATE replenish.job
SET busy_until = NULL, ended_at = now(), detail = :detail,
    cursor = coalesce(:cursor, cursor)
WHERE name = :name AND begun_at = :begun
""")

CURSOR = sa.text("SELECT cursor FROM replenish.job WHERE name = :name")

LAST_RUNS = sa.text("""
/* When each job last ended, and whether somebody has its turn. */
SELECT name, ended_at, extract(epoch FROM now() - ended_at)::float8 AS age,
       coalesce(busy_until > now(), false) AS busy
FROM replenish.job
""")

DUE = sa.text(f"""
/* Accounts seen low whose wait is over, for a package that does not know who is low:
   they may make no calls by which they would be found. */
SELECT a.id FROM replenish.account a
WHERE a.low_since IS NOT NULL AND a.id > :after
  AND (a.not_before IS NULL OR a.not_before <= now())
  AND NOT EXISTS (SELECT FROM replenish.attempt t
                  WHERE t.account_id = a.id AND t.state IN {_OPEN})
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

BEGIN_CUT = sa.text("""
/* Write a cut-off down before it happens, so that only ours is ever lifted. */
WITH cut AS (
  INSERT INTO replenish.cut_off (account_id, reason, detail, available)
  VALUES (:account, :reason, :detail, :available)
  ON CONFLICT (account_id) WHERE restored_at IS NULL DO NOTHING
  RETURNING account_id)
SELECT replenish.record_event(
  cut.account_id, NULL, 'cut_off', NULL, NULL, :actor, jsonb_build_object(
    'reason', CAST(:reason AS text), 'detail', CAST(:detail AS text),
    'available', CAST(:available AS numeric)))
FROM cut
""")

DONE_CUT = sa.text("""
/* The package has ended the service; what was taken back too early stands again. */
WITH done AS (
  UPDATE replenish.cut_off SET done_at = now()
  WHERE account_id = :account AND restored_at IS NULL
  RETURNING account_id),
again AS (
  INSERT INTO replenish.cut_off (account_id, reason, detail, available, done_at)
  SELECT o.account_id, o.reason, o.detail, o.available, now()
  FROM replenish.cut_off o
  WHERE o.account_id = :account AND NOT EXISTS (SELECT FROM done)
  ORDER BY o.id DESC LIMIT 1
  ON CONFLICT (account_id) WHERE restored_at IS NULL DO NOTHING
  RETURNING account_id, reason, detail, available)
SELECT replenish.record_event(
  again.account_id, NULL, 'cut_off', NULL, NULL, :actor, jsonb_build_object(
    'reason', again.reason, 'detail', again.detail, 'available', again.available))
FROM again
""")

STANDING = sa.text("""
/* Accounts whose service we have ended, or were about to. */
SELECT account_id FROM replenish.cut_off
WHERE restored_at IS NULL AND account_id > :after
ORDER BY account_id LIMIT :limit
""")

IS_STANDING = sa.text("""
SELECT 1 FROM replenish.cut_off WHERE account_id = :account AND restored_at IS NULL
""")

RESTORED = sa.text("""
/* Service is back; told once. Not where it was ended anew since it was looked at. */
WITH back AS (
  UPDATE replenish.cut_off SET restored_at = now(), restored_why = :reason
  WHERE account_id = :account AND restored_at IS NULL
    AND (done_at IS NULL OR CAST(:seen AS timestamptz) IS NULL OR done_at <= :seen)
  RETURNING account_id, done_at)
SELECT replenish.record_event(
  back.account_id, NULL, 'restored', NULL, NULL, :actor,
  jsonb_build_object('reason', CAST(:reason AS text)))
FROM back
""")

INSTALLATION = sa.text("SELECT mark FROM replenish.installation")

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
  WHERE state IN {_OPEN} AND lease IS NULL AND reason = 'gateway_key_refused'
    AND takes <= {WOKEN}
    AND (CAST(:seen AS text) IS NULL OR EXISTS (SELECT FROM lifted))
)
SELECT id FROM lifted
""")
