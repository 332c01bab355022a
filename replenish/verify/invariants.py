"""The invariants, each a query that must return no row.

Scratch tables: `g` (one row per intent of the gateway), `g_request` (one per request
with an effect), `b_account`, `b_credit`, `b_refill` (the billing package's: accounts,
our credits, all its refills), `h` (what the operator or a test did by hand), `rule`
(each account's rule with the defaults filled in, and since when). `attempt`, `event` …
are our own.
Every query gives `subject`, whom it concerns, and `what`, a few words.
"""

from dataclasses import dataclass

OPEN = "('claimed', 'charging', 'unknown', 'charged')"
SPENT = "('claimed', 'charging', 'unknown', 'charged', 'settled')"
NO = "('declined', 'action_required')"
FINAL = """('lost_card', 'stolen_card', 'pickup_card', 'restricted_card',
  'expired_card', 'incorrect_number', 'invalid_account', 'fraudulent',
  'revocation_of_authorization', 'revocation_of_all_authorizations',
  'stop_payment_order', 'transaction_not_allowed', 'do_not_try_again')"""
# https://docs.stripe.com/declines/codes: not to be tried again


@dataclass(frozen=True, slots=True)
class Invariant:
    """One thing that must hold.

    Attributes:
        name: as in the documentation, I1a, I1b, …
        sentence: what holds, for people.
        looks_at: a query counting what it was checked on.
        broken_by: a query whose rows break it.
        always: holds at every instant; otherwise only when nothing is under way.
        needs_gateway: cannot be judged without the gateway's ledger.
        needs_sums: cannot be judged where a package's calls are not added up.
        needs_history: cannot be judged without what was done by hand.
    """

    name: str
    sentence: str
    looks_at: str
    broken_by: str
    always: bool = True
    needs_gateway: bool = False
    needs_sums: bool = False
    needs_history: bool = False


ATTEMPTS = "SELECT count(*) FROM replenish.attempt"
EVENTS = "SELECT count(*) FROM replenish.event"
ACCOUNTS = "SELECT count(*) FROM replenish.account"
CREDITS = "SELECT count(*) FROM b_credit"
CHARGES = "SELECT count(*) FROM g WHERE charges > 0"
CUT_OFFS = "SELECT count(*) FROM replenish.cut_off"
BATCHES = "SELECT count(*) FROM replenish.batch"

_LOCAL = "a.claimed_at AT TIME ZONE r.time_zone"

# A rule that was changed since binds only from then on: what an earlier one allowed
# is judged no more.
_UNDER_RULE = "a.claimed_at > r.since"
_LAST_UNDER_RULE = "max(a.claimed_at) > max(r.since)"

FENCE = "interval '1 minute'"  # longer than any request that was under way already
SKEW = "interval '5 seconds'"  # between the clocks of two databases

INVARIANTS = (
    Invariant(
        "I1a",
        "every credit has exactly one charge of its amount",
        CREDITS,
        """
        SELECT c.account AS subject, 'credited ' || c.amount || ', charged '
               || coalesce(g.amount::text, 'nothing') AS what
        FROM b_credit c LEFT JOIN g ON g.attempt = c.reference AND g.charges > 0
        WHERE NOT c.correction
          AND (g.intent IS NULL OR g.amount <> c.amount OR g.currency <> c.currency
               OR g.account <> c.account)
        """,
        needs_gateway=True,
    ),
    Invariant(
        "I1b",
        "every charge is credited once, in full",
        CHARGES,
        """
        SELECT g.account AS subject, g.intent || ' took ' || g.amount
               || ' and was not credited' AS what
        FROM g LEFT JOIN b_credit c ON c.reference = g.attempt AND c.amount = g.amount
        WHERE g.charges > 0 AND NOT g.refunded AND g.ours AND c.reference IS NULL
        """,
        always=False,
        needs_gateway=True,
    ),
    Invariant(
        "I1c",
        "no attempt is charged twice",
        CHARGES,
        """
        SELECT min(account) AS subject, attempt || ' was charged '
               || sum(charges) || ' times' AS what
        FROM g WHERE ours GROUP BY attempt HAVING sum(charges) > 1
        """,
        needs_gateway=True,
    ),
    Invariant(
        "I1d",
        "every credit of ours belongs to a charged attempt, one to each",
        CREDITS,
        """
        SELECT c.account AS subject, 'credit ' || c.reference || ' has '
               || coalesce('an attempt that is ' || t.state, 'no attempt') AS what
        FROM b_credit c LEFT JOIN replenish.attempt t ON t.id::text = c.reference
        WHERE NOT c.correction
          AND (t.id IS NULL OR t.state NOT IN ('charged', 'settled')
               OR t.amount <> c.amount OR t.account_id <> c.account)
        UNION ALL
        SELECT min(account), 'credit ' || reference || ' stands ' || count(*)
               || ' times'
        FROM b_credit GROUP BY reference HAVING count(*) > 1
        """,
    ),
    Invariant(
        "I1e",
        "every settled attempt is credited",
        "SELECT count(*) FROM replenish.attempt WHERE state = 'settled'",
        """
        SELECT t.account_id AS subject, 'attempt ' || t.id || ' has no credit' AS what
        FROM replenish.attempt t LEFT JOIN b_credit c ON c.reference = t.id::text
        WHERE t.state = 'settled' AND t.settled_at < (SELECT at FROM b_read)
          AND c.reference IS NULL
        """,
    ),
    Invariant(
        "I1f",
        "a credit is put right once at most, by no more than was lost",
        "SELECT count(*) FROM replenish.credit_break",
        """
        SELECT c.account AS subject, 'correction ' || c.reference || ' of ' || c.amount
               || CASE WHEN b.attempt_id IS NULL THEN ' has no break'
                       ELSE ' is not what was lost of ' || t.amount END AS what
        FROM b_credit c
        LEFT JOIN replenish.credit_break b ON b.attempt_id::text || '-again'
          = c.reference
        LEFT JOIN replenish.attempt t ON t.id = b.attempt_id
        WHERE c.correction AND (b.amount IS DISTINCT FROM c.amount
          OR c.amount > t.amount OR c.account <> b.account_id)
        """,
    ),
    Invariant(
        "I1g",
        "every credit that was overwritten is put right",
        "SELECT count(*) FROM replenish.credit_break",
        """
        SELECT account_id AS subject, amount || ' of attempt ' || attempt_id
               || ' is still missing' AS what
        FROM replenish.credit_break
        WHERE amount IS NOT NULL AND put_right_at IS NULL
        """,
        always=False,
    ),
    Invariant(
        "I2",
        "one open attempt an account",
        ATTEMPTS,
        f"""
        SELECT account_id AS subject, count(*) || ' attempts are open' AS what
        FROM replenish.attempt WHERE state IN {OPEN}
        GROUP BY account_id HAVING count(*) > 1
        UNION ALL
        SELECT account_id, 'attempt ' || attempt_id || ' began while '
               || open - 1 || ' others were open'
        FROM (
          SELECT e.*, sum(CASE WHEN from_state IS NULL THEN 1
                               WHEN to_state NOT IN {OPEN} THEN -1 ELSE 0 END)
                        OVER (PARTITION BY account_id ORDER BY seq) AS open
          FROM replenish.event e WHERE kind = 'attempt'
        ) e WHERE from_state IS NULL AND open > 1
        """,
    ),
    Invariant(
        "I3",
        "one shortfall is answered by one charge",
        ATTEMPTS,
        f"""
        SELECT a.account_id AS subject, 'attempt ' || a.id
               || ' was claimed at ' || a.available_before || ' available' AS what
        FROM replenish.attempt a JOIN rule r ON r.account_id = a.account_id
        WHERE a.state IN ('charged', 'settled') AND {_UNDER_RULE}
          AND a.available_before > r.threshold
        UNION ALL
        SELECT a.account_id, 'attempt ' || a.id || ' was credited at ' || c.before
               || ' available, not low at any time since its claim'
        FROM replenish.attempt a JOIN rule r ON r.account_id = a.account_id
        JOIN b_refill c ON c.reference = a.id::text
        WHERE a.card_id IS NOT NULL AND {_UNDER_RULE}
          AND c.before - coalesce((
            SELECT sum(o.amount) FROM b_refill o
            WHERE o.account = c.account AND o.reference <> c.reference
              AND o.amount > 0 AND o.at <= c.at AND o.at > a.claimed_at - {SKEW}
          ), 0) > r.threshold
        UNION ALL
        SELECT account_id, 'attempt ' || id || ' overlaps with the one before'
        FROM (
          SELECT id, account_id, claimed_at, max(settled_at) OVER (
            PARTITION BY account_id ORDER BY claimed_at, id
            ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS last
          FROM replenish.attempt WHERE state = 'settled'
        ) s WHERE claimed_at < last
        """,
    ),
    Invariant(
        "I4",
        "no cap is exceeded, money in flight included",
        ATTEMPTS,
        f"""
        SELECT a.account_id AS subject, 'spent ' || sum(a.amount) || ' in a day' AS what
        FROM replenish.attempt a JOIN rule r ON r.account_id = a.account_id
        WHERE a.state IN {SPENT} AND a.reason <> 'orphan_adopted'
        GROUP BY a.account_id, date_trunc('day', {_LOCAL}), r.cap_day, r.count_day
        HAVING (sum(a.amount) > r.cap_day OR count(*) > r.count_day)
          AND {_LAST_UNDER_RULE}
        UNION ALL
        SELECT a.account_id, 'spent ' || sum(a.amount) || ' in a month'
        FROM replenish.attempt a JOIN rule r ON r.account_id = a.account_id
        WHERE a.state IN {SPENT} AND a.reason <> 'orphan_adopted'
        GROUP BY a.account_id, date_trunc('month', {_LOCAL}), r.cap_month
        HAVING sum(a.amount) > r.cap_month AND {_LAST_UNDER_RULE}
        UNION ALL
        SELECT a.account_id, 'charged ' || a.amount || ' at once'
        FROM replenish.attempt a JOIN rule r ON r.account_id = a.account_id
        WHERE a.amount > r.cap_charge AND a.card_id IS NOT NULL AND {_UNDER_RULE}
        """,
    ),
    Invariant(
        "I4b",
        "a new account or card stays within its lower caps",
        ATTEMPTS,
        f"""
        SELECT a.account_id AS subject, 'spent ' || a.day || ' in a day, ' || a.month
               || ' in a month, being new' AS what
        FROM (
          SELECT a.*,
            sum(a.amount) FILTER (WHERE a.state IN {SPENT}) OVER (
              PARTITION BY a.account_id, date_trunc('day', {_LOCAL})
              ORDER BY a.claimed_at) AS day,
            sum(a.amount) FILTER (WHERE a.state IN {SPENT}) OVER (
              PARTITION BY a.account_id, date_trunc('month', {_LOCAL})
              ORDER BY a.claimed_at) AS month
          FROM replenish.attempt a JOIN rule r ON r.account_id = a.account_id
          WHERE a.card_id IS NOT NULL
        ) a
        JOIN rule r ON r.account_id = a.account_id
        JOIN replenish.account c ON c.id = a.account_id
        JOIN replenish.card k ON k.id = a.card_id
        CROSS JOIN LATERAL (
          SELECT min(o.added_at) AS since FROM replenish.card o
          WHERE o.account_id = k.account_id
            AND (o.id = k.id OR o.fingerprint = k.fingerprint)) f
        WHERE a.state IN {SPENT} AND {_UNDER_RULE}
          AND (a.claimed_at < c.enrolled_at + CAST(:new_for AS interval)
            OR (a.claimed_at >= k.added_at
                AND a.claimed_at < f.since + CAST(:new_for AS interval)))
          AND (a.day > greatest(r.cap_day * :new_percent / 100, r.one_top_up)
            OR a.month > greatest(r.cap_month * :new_percent / 100, r.one_top_up))
        """,
    ),
    Invariant(
        "I5",
        "a dead card is not tried again, a failing one not often",
        ATTEMPTS,
        f"""
        SELECT a.account_id AS subject, 'card ' || a.card_id
               || ' was tried after it had died' AS what
        FROM replenish.attempt a JOIN replenish.card k ON k.id = a.card_id
        WHERE k.dead_at IS NOT NULL AND a.claimed_at > k.dead_at
          AND a.state <> 'released'
        UNION ALL
        SELECT a.account_id, 'card ' || a.card_id || ' was tried again after a final '
               || (e.detail ->> 'code')
        FROM replenish.event e
        JOIN replenish.attempt d ON d.id = e.attempt_id
        JOIN replenish.attempt a ON a.account_id = d.account_id
          AND a.payment_method = d.payment_method AND a.claimed_at > d.changed_at
        WHERE e.kind = 'attempt' AND a.state <> 'released'
          AND (e.to_state = 'action_required' OR (e.to_state = 'declined'
               AND (e.detail ->> 'class' IN ('hard', 'fraud', 'authentication')
                    OR e.detail ->> 'code' IN {FINAL})))
          AND NOT EXISTS (SELECT FROM replenish.event c
                          WHERE c.account_id = e.account_id AND c.kind LIKE 'card%'
                            AND c.seq > e.seq)
        UNION ALL
        SELECT a.account_id, 'card ' || a.card_id || ' was tried again after '
               || date_trunc('second', a.claimed_at - a.last)
        FROM (
          SELECT a.*, lag(claimed_at) OVER (
            PARTITION BY account_id, fingerprint, payment_method
            ORDER BY claimed_at, id) AS last
          FROM replenish.attempt a WHERE state NOT IN ('released', 'cancelled')
        ) a JOIN rule r ON r.account_id = a.account_id
        WHERE a.last > a.claimed_at - r.cooldown
          AND a.card_id IS NOT NULL AND {_UNDER_RULE}
        UNION ALL
        SELECT min(account_id), 'a card was declined ' || max(day)
               || ' times in a day, ' || max(month) || ' times in 30 days'
        FROM (
          SELECT account_id, fingerprint, count(*) OVER (
            PARTITION BY fingerprint ORDER BY changed_at
            RANGE BETWEEN interval '1 day' PRECEDING AND CURRENT ROW) AS day,
          count(*) OVER (
            PARTITION BY fingerprint ORDER BY changed_at
            RANGE BETWEEN interval '30 days' PRECEDING AND CURRENT ROW) AS month
          FROM replenish.attempt WHERE state IN {NO}
        ) d WHERE day > :card_declines_24h OR month > :card_declines_30d
        GROUP BY fingerprint
        UNION ALL
        SELECT a.account_id, 'card ' || a.card_id || ' was tried after '
               || o.account_id || ' had found it ' || o.dead_reason
        FROM replenish.attempt a
        JOIN replenish.card k ON k.id = a.card_id
        JOIN replenish.card o ON o.fingerprint = k.fingerprint
          AND (o.exp_year, o.exp_month) = (k.exp_year, k.exp_month)
          AND o.account_id <> k.account_id
        WHERE k.fingerprint <> '' AND a.state <> 'released'
          AND o.dead_reason IN ('lost_card', 'stolen_card', 'pickup_card')
          AND a.claimed_at > o.dead_at + interval '5 seconds'
        """,
    ),
    Invariant(
        "I5b",
        "a card number is charged for no more accounts than may use it",
        ATTEMPTS,
        """
        SELECT a.account_id AS subject, 'attempt ' || a.id || ' was of account '
               || u.place || ' with its card number' AS what
        FROM replenish.attempt a
        JOIN replenish.card k ON k.id = a.card_id
        CROSS JOIN LATERAL (
          SELECT min(o.added_at) AS since FROM replenish.card o
          WHERE o.account_id = k.account_id AND o.fingerprint = k.fingerprint) f
        CROSS JOIN LATERAL (
          SELECT 1 + count(DISTINCT o.account_id) AS place FROM replenish.card o
          WHERE o.fingerprint = k.fingerprint AND o.account_id <> k.account_id
            AND (o.added_at, o.account_id) < (f.since, k.account_id)
            AND o.added_at < a.claimed_at - interval '5 seconds'
            AND (o.removed_at IS NULL
                 OR o.removed_at > a.claimed_at - interval '30 days')) u
        WHERE k.fingerprint <> '' AND a.state <> 'released'
          AND u.place > :card_accounts
          AND NOT EXISTS (SELECT FROM replenish.clearance e
            WHERE e.account_id = a.account_id AND e.fingerprint = k.fingerprint
              AND e.cleared_at <= a.claimed_at)
        """,
    ),
    Invariant(
        "I5c",
        "no more charges are started in a minute than are allowed",
        ATTEMPTS,
        """
        SELECT account_id AS subject, 'attempt ' || id || ' was number ' || n
               || ' within a minute' AS what
        FROM (
          SELECT id, account_id, count(*) OVER (
            ORDER BY claimed_at RANGE BETWEEN interval '59.9 seconds' PRECEDING
            AND CURRENT ROW) AS n
          FROM replenish.attempt WHERE state <> 'released' AND card_id IS NOT NULL
        ) d WHERE n > :charges_per_minute
        """,
    ),
    Invariant(
        "I5d",
        "a charge far above an account's history has a person's word",
        ATTEMPTS,
        """
        SELECT a.account_id AS subject, 'attempt ' || a.id || ' took ' || a.amount
               || ', the largest of ' || h.n || ' before was ' || h.largest AS what
        FROM replenish.attempt a
        JOIN replenish.account c ON c.id = a.account_id
        JOIN (
          SELECT id, is_claim, count(*) FILTER (WHERE NOT is_claim) OVER before AS n,
                 max(amount) FILTER (WHERE NOT is_claim) OVER before AS largest
          FROM (
            SELECT id, account_id, amount, claimed_at AS at, true AS is_claim
            FROM replenish.attempt
            UNION ALL
            SELECT id, account_id, amount, settled_at, false
            FROM replenish.attempt WHERE state = 'settled'
          ) s WINDOW before AS (PARTITION BY account_id ORDER BY at, is_claim DESC, id
                                ROWS UNBOUNDED PRECEDING)
        ) h ON h.id = a.id AND h.is_claim
        WHERE a.state <> 'released' AND a.card_id IS NOT NULL
          AND h.n >= :unusual_after
          AND a.amount > greatest(h.largest * :unusual_times, c.released_up_to)
        """,
    ),
    Invariant(
        "I6",
        "nobody is charged without consent or while held",
        ATTEMPTS,
        f"""
        SELECT a.account_id AS subject, 'attempt ' || a.id
               || ' was claimed without consent' AS what
        FROM replenish.attempt a JOIN replenish.account c ON c.id = a.account_id
        WHERE a.card_id IS NOT NULL AND a.state <> 'released'
          AND (c.consent_at IS NULL OR c.consent_at > a.claimed_at)
        UNION ALL
        SELECT a.account_id, 'attempt ' || a.id || ' was claimed while held'
        FROM replenish.attempt a JOIN replenish.account c ON c.id = a.account_id
        WHERE c.paused_at IS NOT NULL AND a.claimed_at > c.paused_at
          AND a.state <> 'released' AND a.card_id IS NOT NULL
        UNION ALL
        SELECT q.account, 'attempt ' || q.attempt || ' was confirmed long after '
               || CASE WHEN q.at > c.paused_at + {FENCE} THEN 'the account was held'
                       ELSE 'all charging was stopped' END
        FROM g_request q LEFT JOIN replenish.account c ON c.id = q.account
        LEFT JOIN replenish.stop s ON q.at > s.since + {FENCE}
        WHERE q.kind = 'intent.confirmed' AND q.ours
          AND (s.since IS NOT NULL OR q.at > c.paused_at + {FENCE})
        """,
    ),
    Invariant(
        "I6b",
        "nothing new is charged while all charging is stopped",
        ATTEMPTS,
        """
        SELECT a.account_id AS subject, 'attempt ' || a.id || ' was claimed after '
               || b.name AS what
        FROM replenish.attempt a
        JOIN (
          SELECT name, since, least(coalesce(ended_at, 'infinity'),
                                    coalesce(until, 'infinity')) AS ended
          FROM replenish.breaker WHERE by_hand OR name <> 'charge_rate'
          UNION ALL
          SELECT 'the stop', since, 'infinity' FROM replenish.stop
        ) b ON a.claimed_at > b.since + interval '5 seconds' AND a.claimed_at < b.ended
        WHERE a.state <> 'released' AND a.card_id IS NOT NULL
        """,
    ),
    Invariant(
        "I7",
        "nobody above the hard floor is cut off while a charge may save them",
        CUT_OFFS,
        """
        SELECT o.account_id AS subject, 'cut off at ' || o.available
               || ' while attempt ' || a.id || ' was open' AS what
        FROM replenish.cut_off o
        JOIN rule r ON r.account_id = o.account_id
        JOIN LATERAL (
          SELECT * FROM replenish.attempt t
          WHERE t.account_id = o.account_id AND t.state = 'settled'
            AND t.claimed_at < o.begun_at
          ORDER BY t.claimed_at DESC LIMIT 1
        ) a ON a.charged_at > o.begun_at
        WHERE o.available > r.floor - r.grace AND o.done_at > a.claimed_at
        """,
    ),
    Invariant(
        "I8",
        "a funded account that we cut off has its service back",
        CUT_OFFS,
        """
        SELECT o.account_id AS subject, 'has ' || b.available
               || ' and is still cut off' AS what
        FROM replenish.cut_off o
        JOIN b_account b ON b.account = o.account_id
        JOIN rule r ON r.account_id = o.account_id
        WHERE o.restored_at IS NULL AND b.available > r.floor
        """,
        always=False,
    ),
    Invariant(
        "I8b",
        "what somebody else has blocked stays blocked",
        "SELECT count(*) FROM h WHERE kind = 'blocked'",
        """
        SELECT h.account AS subject, 'was blocked by the operator and is ' || b.state
               AS what
        FROM h JOIN b_account b ON b.account = h.account
        WHERE h.kind = 'blocked' AND b.state IN ('active', 'suspended')
        """,
        needs_history=True,
    ),
    Invariant(
        "I9",
        "every balance is what its credits and calls add up to",
        "SELECT count(*) FROM b_account",
        """
        SELECT account AS subject, 'balance ' || balance || ', rows add up to '
               || expected AS what
        FROM b_account WHERE balance IS DISTINCT FROM expected
        """,
        needs_sums=True,
    ),
    Invariant(
        "I10",
        "one attempt is one intent, told the same thing every time",
        "SELECT count(*) FROM g_request",
        """
        SELECT min(q.account) AS subject, 'attempt ' || q.attempt || ' has '
               || count(DISTINCT q.intent) || ' confirmed intents or '
               || count(DISTINCT (q.amount, q.currency, q.customer, q.payment_method))
               || ' different orders' AS what
        FROM g_request q WHERE q.kind = 'intent.confirmed' AND q.ours
        GROUP BY q.attempt
        HAVING count(DISTINCT q.intent) > 1 OR count(DISTINCT
          (q.amount, q.currency, q.customer, q.payment_method)) > 1
        UNION ALL
        SELECT min(account), 'key ' || key || ' served several attempts'
        FROM g_request WHERE ours GROUP BY key HAVING count(DISTINCT attempt) > 1
        UNION ALL
        SELECT q.account, 'attempt ' || q.attempt || ' was sent under the key ' || q.key
               || ', which is not its own'
        FROM g_request q WHERE q.ours AND q.key IS NOT NULL
          AND (left(q.key, length(q.attempt)) <> q.attempt
            OR substr(q.key, length(q.attempt) + 1) !~ '^(:[a-z]+(:[0-9]{1,3})?)?$')
        UNION ALL
        SELECT t.account_id, 'attempt ' || t.id || ' and the gateway disagree'
        FROM replenish.attempt t JOIN g_request q ON q.attempt = t.id::text
        WHERE t.card_id IS NOT NULL AND (q.amount <> t.amount
           OR q.currency <> t.currency OR q.account <> t.account_id
           OR q.customer <> t.customer OR q.payment_method <> t.payment_method)
        """,
        needs_gateway=True,
    ),
    Invariant(
        "I11",
        "attempts only take the steps there are, each one recorded",
        EVENTS,
        """
        SELECT account_id AS subject, 'attempt ' || attempt_id || ' went from '
               || coalesce(from_state, 'nothing') || ' to ' || to_state AS what
        FROM (
          SELECT e.*, lag(to_state) OVER (PARTITION BY attempt_id ORDER BY seq) AS prev
          FROM replenish.event e WHERE kind = 'attempt'
        ) e
        WHERE e.from_state IS DISTINCT FROM e.prev
           OR (coalesce(e.from_state, ''), e.to_state) NOT IN (
             ('', 'claimed'), ('', 'charged'),
             ('claimed', 'charging'), ('claimed', 'released'),
             ('charging', 'unknown'), ('charging', 'charged'),
             ('charging', 'declined'), ('charging', 'action_required'),
             ('charging', 'cancelled'), ('unknown', 'charging'),
             ('unknown', 'charged'), ('unknown', 'declined'),
             ('unknown', 'action_required'), ('unknown', 'cancelled'),
             ('charged', 'settled'))
        UNION ALL
        SELECT t.account_id, 'attempt ' || t.id || ' is ' || t.state
               || ', its last event says ' || coalesce(e.to_state, 'nothing')
        FROM replenish.attempt t LEFT JOIN LATERAL (
          SELECT to_state FROM replenish.event e
          WHERE e.attempt_id = t.id AND e.kind = 'attempt' ORDER BY seq DESC LIMIT 1
        ) e ON true WHERE e.to_state IS DISTINCT FROM t.state
        """,
    ),
    Invariant(
        "I12",
        "unknown is left on the gateway's word only",
        "SELECT count(*) FROM replenish.event WHERE from_state = 'unknown'",
        """
        SELECT account_id AS subject, 'attempt ' || attempt_id || ' left unknown for '
               || to_state || ' without evidence' AS what
        FROM replenish.event
        WHERE from_state = 'unknown' AND NOT (
          (to_state = 'charged' AND detail ? 'charge')
          OR (to_state IN ('declined', 'action_required') AND detail ? 'code')
          OR (to_state = 'cancelled' AND detail ? 'cancelled')
          OR (to_state = 'charging' AND detail ->> 'reason' = 'unconfirmed'))
        """,
    ),
    Invariant(
        "I13",
        "every charge with our mark has an attempt",
        CHARGES,
        """
        SELECT g.account AS subject, g.intent || ' took ' || g.amount
               || ' and no attempt knows of it' AS what
        FROM g LEFT JOIN replenish.attempt t ON t.id::text = g.attempt
        WHERE g.charges > 0 AND g.ours AND t.id IS NULL
        """,
        always=False,
        needs_gateway=True,
    ),
    Invariant(
        "I15",
        "nothing is stuck, and nobody low is forgotten",
        ACCOUNTS,
        f"""
        SELECT t.account_id AS subject, 'attempt ' || t.id || ' is still ' || t.state
               AS what
        FROM replenish.attempt t WHERE t.state IN {OPEN}
        UNION ALL
        SELECT b.account, 'has ' || b.available || ', is low, and nothing says why'
        FROM b_account b JOIN rule r ON r.account_id = b.account
        WHERE b.available <= r.threshold AND b.state IN ('active', 'suspended')
          AND NOT EXISTS (SELECT FROM replenish.skip k WHERE k.account_id = b.account)
          AND NOT EXISTS (SELECT FROM replenish.attempt t
                          WHERE t.account_id = b.account AND t.state IN {OPEN})
        """,
        always=False,
    ),
    Invariant(
        "I16",
        "every batch adds up: selected is claimed plus skipped",
        BATCHES,
        """
        SELECT b.id::text AS subject, b.selected || ' selected, ' || c.claimed
               || ' claimed, ' || s.skipped || ' skipped' AS what
        FROM replenish.batch b
        CROSS JOIN LATERAL (SELECT count(*) AS claimed FROM replenish.attempt t
                            WHERE t.batch_id = b.id) c
        CROSS JOIN LATERAL (SELECT coalesce(sum(value::int), 0) AS skipped
                            FROM jsonb_each_text(b.skipped)) s
        WHERE b.selected <> c.claimed + s.skipped OR b.claimed <> c.claimed
        UNION ALL
        SELECT b.id::text, 'its counts are not those of its rows'
        FROM replenish.batch b WHERE b.closed_at IS NOT NULL
          AND b.claimed <> (SELECT coalesce(sum(value::int), 0)
                            FROM jsonb_each_text(b.counts))
        """,
    ),
    Invariant(
        "I16b",
        "every batch is closed",
        BATCHES,
        """
        SELECT id::text AS subject, 'opened at ' || opened_at || ', never closed'
               AS what
        FROM replenish.batch WHERE closed_at IS NULL
        """,
        always=False,
    ),
    Invariant(
        "I17",
        "amounts are above zero, in the account's currency",
        ATTEMPTS,
        """
        SELECT t.account_id AS subject, 'attempt ' || t.id || ' is of ' || t.amount
               || ' ' || t.currency AS what
        FROM replenish.attempt t JOIN replenish.account a ON a.id = t.account_id
        WHERE t.amount <= 0 OR t.amount = 'NaN' OR t.currency <> a.currency
        """,
    ),
    Invariant(
        "I20",
        "the journal is whole: no event edited, none missing",
        EVENTS,
        """
        SELECT e.account_id AS subject, 'event ' || e.seq || ' does not fit its chain'
               AS what
        FROM (
          SELECT e.*,
                 lag(hash, 1, '') OVER w AS prev_hash, row_number() OVER w AS n
          FROM replenish.event e WINDOW w AS (PARTITION BY account_id ORDER BY seq)
        ) e
        WHERE e.previous <> e.prev_hash OR e.seq <> e.n OR e.hash <> encode(sha256(
          convert_to(concat_ws(E'\\x1f', e.previous, e.account_id, e.seq,
            coalesce(e.attempt_id::text, ''), e.kind, coalesce(e.from_state, ''),
            coalesce(e.to_state, ''), (extract(epoch FROM e.at) * 1000000)::bigint,
            e.actor, e.detail::text), 'UTF8')), 'hex')
        UNION ALL
        SELECT c.account_id, 'the chain ends at event ' || c.seq || ', the rows at '
               || coalesce(l.seq, 0)
        FROM replenish.chain c LEFT JOIN LATERAL (
          SELECT seq, hash FROM replenish.event e WHERE e.account_id = c.account_id
          ORDER BY seq DESC LIMIT 1) l ON true
        WHERE c.seq <> coalesce(l.seq, 0) OR c.hash <> coalesce(l.hash, '')
        """,
    ),
    Invariant(
        "I22",
        "the exhausted are cut off",
        "SELECT count(*) FROM b_account",
        """
        SELECT b.account AS subject, 'has ' || b.available || ' and still has service'
               AS what
        FROM b_account b JOIN rule r ON r.account_id = b.account
        WHERE b.available <= r.floor AND b.state = 'active'
          AND (b.available <= r.floor - r.grace OR NOT EXISTS (
            SELECT FROM replenish.stop UNION ALL
            SELECT FROM replenish.breaker WHERE ended_at IS NULL))
        """,
        always=False,
    ),
)

NOT_JUDGED = {
    "I14": "refunds and disputes are not taken in yet",
    "I18": "webhooks are not taken in yet",
    "I19": "needs a run with a poisoned account (python -m benchmarks.poison)",
    "I21": "needs logs and memory, not rows; see the tests of the log",
}
"""Invariants that rows alone cannot decide; never counted as holding."""
