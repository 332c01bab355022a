"""Reading whom to charge, and opening a page of attempts with its skips."""

import sqlalchemy as sa

from replenish.adapters.ledger.statements.predicates import BREAKER, IN_FLIGHT, OPEN

# Claims of the last minute; a claim that was released counts until it is over.
_MINUTE = """
  (SELECT coalesce(sum(q.claimed), 0) FROM replenish.batch q
   WHERE q.opened_at > now() - interval '1 minute')"""

SUBJECTS = sa.text(f"""
/* Enrolled accounts with their rule, cards and history, a row each. */
SELECT a.*, now() AS now, z.day_ends, z.month_ends,
       (SELECT s.reason FROM replenish.stop s) AS stopped,
       (SELECT to_jsonb(b) FROM {BREAKER}
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
         OR t.state IN {OPEN})
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
            WHERE t.account_id = a.id AND t.card_id IN (
                SELECT s.id FROM replenish.card s  -- also under an id that is off file
                WHERE s.account_id = a.id
                  AND (s.fingerprint, s.last4, s.exp_year, s.exp_month)
                    = (k.fingerprint, k.last4, k.exp_year, k.exp_month))
              AND t.state NOT IN ('released', 'cancelled')
              AND t.id IS DISTINCT FROM CAST(:without AS uuid)) AS tried_at,
           count(*) FILTER (WHERE d.changed_at > now() - interval '1 day')
             AS declines_24h,
           count(*) AS declines_30d,
           (SELECT count(*) FROM replenish.attempt t
            WHERE t.fingerprint = k.fingerprint AND t.fingerprint <> ''
              AND t.state IN {IN_FLIGHT}
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
             WHERE o.account_id <> k.account_id
               AND (o.removed_at IS NULL OR o.removed_at > now() - interval '30 days')
               AND (o.added_at, o.account_id) < (y.since, k.account_id)) AS place,
           min(o.dead_reason) FILTER (
             WHERE o.dead_reason = ANY(:dead_for_all)
               AND (o.last4, o.exp_year, o.exp_month)
                 = (k.last4, k.exp_year, k.exp_month)) AS dead_elsewhere
    FROM replenish.card o
    WHERE o.fingerprint = k.fingerprint AND o.fingerprint <> ''
      AND (o.account_id <> k.account_id OR o.removed_at IS NOT NULL)
  ) x
  WHERE k.account_id = a.id AND k.removed_at IS NULL
) c
WHERE a.id = ANY(:accounts)
  AND (NOT :due OR (
    (a.not_before IS NULL OR a.not_before <= now())
    AND NOT EXISTS (SELECT FROM replenish.attempt t
                    WHERE t.account_id = a.id AND t.state IN {OPEN})))
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
            AND t.state IN {IN_FLIGHT} AND t.account_id <> a.id) q
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
    AND NOT EXISTS (SELECT FROM {BREAKER})
    AND h.day + p.amount <= p.cap_day AND h.month + p.amount <= p.cap_month
    AND h.today < p.count_day AND NOT h.cooling
) e
WHERE e.nth <= :per_minute - {_MINUTE}
  AND e.tries_day + e.nth_of_number <= :declines_day
  AND e.tries_month + e.nth_of_number <= :declines_month
ORDER BY e.account_id
ON CONFLICT (account_id) WHERE state IN {OPEN} DO NOTHING
RETURNING n.id, n.account_id, n.claimed_at
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
