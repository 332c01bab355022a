"""What people ask of the ledger: read-only, off the hot path."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from replenish.adapters.ledger.session import transaction
from replenish.domain.story import Event


@dataclass(frozen=True, slots=True)
class Tally:
    """One line of the report.

    Attributes:
        section: batches, charges, declines, …
        name: what is counted in it, such as a decline code.
        currency: of `amount`, or empty.
    """

    section: str
    name: str
    count: int
    currency: str = ""
    amount: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Delays:
    """Seconds from the claim of a low account to its credit, over a period."""

    count: int
    median: Decimal | None
    p99: Decimal | None


@dataclass(frozen=True, slots=True)
class JobRun:
    """A periodic job's last run; times are aware UTC by the database's clock.

    Attributes:
        busy: it is running now.
        age: seconds since a run last ended.
        detail: what that run did.
        unfinished: it was a turn of a full sweep, and others follow.
    """

    name: str
    begun_at: datetime | None
    ended_at: datetime | None
    busy: bool
    age: float | None
    detail: str
    unfinished: bool

    @property
    def failed(self) -> bool:
        """Whether that run was ended by a service that is away."""
        return self.detail.startswith("stopped")

    def ran_since(self, moment: datetime) -> bool:
        """Say whether a run has begun after a moment (aware UTC), and ended."""
        if self.begun_at is None or self.ended_at is None or self.unfinished:
            return False
        return moment <= self.begun_at <= self.ended_at


@dataclass(frozen=True, slots=True)
class Ages:
    """How long the oldest has waited, in seconds by the database's clock; None: none.

    Attributes:
        open: of the attempts that are open, since they were claimed.
        unknown: of those whose outcome the gateway could not say, since then.
        uncredited: of the charges whose account is not credited, since the charge.
        unheard: of the claims that nobody has ever taken on, when for a minute nobody
            has taken on or settled anything else either.
        quarantined: accounts in quarantine, a count.
    """

    open: float | None
    unknown: float | None
    uncredited: float | None
    unheard: float | None
    quarantined: int


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the batches of a sweep have come; `attempts` include `open` ones."""

    batches: int
    unclosed: int
    attempts: int
    open: int


_TALLIES = sa.text("""
/* Everything the report counts, a row each. */
SELECT 'batches' AS section, kind AS name, count(*) AS count, '' AS currency,
       CAST(NULL AS numeric) AS amount
FROM replenish.batch WHERE opened_at >= :since GROUP BY kind
UNION ALL
SELECT 'batches', 'not yet closed', count(*), '', NULL
FROM replenish.batch WHERE opened_at >= :since AND closed_at IS NULL
HAVING count(*) > 0
UNION ALL
SELECT 'charges', 'settled', count(*), currency, sum(amount)
FROM replenish.attempt WHERE settled_at >= :since GROUP BY currency
UNION ALL
SELECT 'charges', state, count(*), currency, sum(amount)
FROM replenish.attempt WHERE state IN ('claimed', 'charging', 'unknown', 'charged')
GROUP BY state, currency
UNION ALL
SELECT 'charges', state, count(*), currency, sum(amount)
FROM replenish.attempt
WHERE state IN ('released', 'cancelled') AND changed_at >= :since
GROUP BY state, currency
UNION ALL
SELECT 'declines', reason, count(*), currency, sum(amount)
FROM replenish.attempt
WHERE state IN ('declined', 'action_required') AND changed_at >= :since
GROUP BY reason, currency
UNION ALL
SELECT 'cut off', reason, count(*), '', NULL
FROM replenish.cut_off WHERE begun_at >= :since GROUP BY reason
UNION ALL
SELECT 'cut off', 'restored', count(*), '', NULL
FROM replenish.cut_off WHERE restored_at >= :since HAVING count(*) > 0
UNION ALL
SELECT 'cut off', 'standing now', count(*), '', NULL
FROM replenish.cut_off WHERE restored_at IS NULL HAVING count(*) > 0
UNION ALL
SELECT 'left alone', reason, count(*), '', NULL
FROM replenish.skip WHERE last_at >= :since GROUP BY reason
UNION ALL
SELECT 'breakers', name, count(*), '', NULL
FROM replenish.breaker WHERE since >= :since GROUP BY name
UNION ALL
SELECT 'breakers', 'standing now', count(*), '', NULL
FROM replenish.breaker
WHERE ended_at IS NULL AND (until IS NULL OR until > now()) HAVING count(*) > 0
UNION ALL
SELECT 'orphans', CASE WHEN adopted THEN 'adopted' ELSE 'not adopted' END,
       count(*), currency, sum(amount)
FROM replenish.orphan WHERE seen_at >= :since GROUP BY adopted, currency
UNION ALL
SELECT 'credits', CASE WHEN b.again_at IS NOT NULL THEN 'lost again, held'
                       WHEN b.amount IS NULL THEN 'unclear'
                       WHEN b.put_right_at IS NULL THEN 'overwritten'
                       ELSE 'put right' END AS name,
       count(*), t.currency, sum(coalesce(b.amount, b.missing))
FROM replenish.credit_break b JOIN replenish.attempt t ON t.id = b.attempt_id
WHERE b.found_at >= :since GROUP BY 2, t.currency
ORDER BY section, count DESC, name, currency
""")

_DELAYS = sa.text("""
SELECT count(*) AS count,
       round(CAST(percentile_cont(0.5) WITHIN GROUP (ORDER BY d.delay) AS numeric), 3)
         AS median,
       round(CAST(percentile_cont(0.99) WITHIN GROUP (ORDER BY d.delay) AS numeric), 3)
         AS p99
FROM (SELECT extract(epoch FROM settled_at - claimed_at)::float8 AS delay
      FROM replenish.attempt WHERE settled_at >= :since) d
""")

_EVENTS = sa.text("""
SELECT seq, at, kind, actor, attempt_id, from_state, to_state, detail::text AS detail
FROM replenish.event
WHERE account_id = :account AND (CAST(:before AS bigint) IS NULL OR seq < :before)
ORDER BY seq DESC LIMIT :limit
""")

_FACES = sa.text("""
SELECT id, brand || ' ' || last4 AS face FROM replenish.card
WHERE account_id = :account
""")

_JOBS = sa.text("""
SELECT name, begun_at, ended_at, coalesce(busy_until > now(), false) AS busy,
       extract(epoch FROM now() - ended_at)::float8 AS age, detail,
       name = 'sweep.full' AND coalesce(cursor, '') <> '' AS unfinished
FROM replenish.job ORDER BY name
""")

_AGES = sa.text("""
/* What waits, and for how long; from the partial indexes of what is open. */
WITH waiting AS (
  SELECT state, takes, lease IS NOT NULL AND next_at > now() AS held,
         extract(epoch FROM now() - claimed_at)::float8 AS claimed,
         extract(epoch FROM now() - changed_at)::float8 AS changed
  FROM replenish.attempt
  WHERE state IN ('claimed', 'charging', 'unknown', 'charged'))
SELECT max(claimed) AS open,
       max(changed) FILTER (WHERE state = 'unknown') AS unknown,
       max(changed) FILTER (WHERE state = 'charged') AS uncredited,
       CASE WHEN coalesce(bool_or(held OR (takes > 0 AND changed < 60)), false)
              OR EXISTS (SELECT FROM replenish.attempt
                         WHERE state = 'settled'
                           AND settled_at > now() - interval '1 minute') THEN NULL
            ELSE max(claimed) FILTER (WHERE takes = 0) END AS unheard,
       (SELECT count(*) FROM replenish.account
        WHERE quarantined_at IS NOT NULL) AS quarantined
FROM waiting
""")

_PROGRESS = sa.text("""
SELECT count(DISTINCT b.id) AS batches,
       count(DISTINCT b.id) FILTER (WHERE b.closed_at IS NULL) AS unclosed,
       count(t.id) AS attempts,
       count(t.id) FILTER (
         WHERE t.state IN ('claimed', 'charging', 'unknown', 'charged')) AS open
FROM replenish.batch b LEFT JOIN replenish.attempt t ON t.batch_id = b.id
WHERE b.kind = :kind AND b.opened_at >= :since
""")

_COUNTS = sa.text("""
SELECT count(*) AS enrolled, count(low_since) AS low, count(paused_at) AS paused,
       (SELECT count(*) FROM replenish.cut_off WHERE restored_at IS NULL) AS cut_off
FROM replenish.account
""")


class Reading:
    """Questions to the ledger; each is one short read-only transaction.

    Every method raises `LedgerUnavailable` when the database is away.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def now(self) -> datetime:
        """Give the database's clock, aware UTC."""
        now: datetime = self._rows(sa.text("SELECT now() AS now"))[0]["now"]
        return now

    def history(
        self, account: str, *, limit: int = 100, before: int | None = None
    ) -> Sequence[Event]:
        """Read an account's last events, oldest first; `before` a `seq` pages back."""
        rows = self._rows(_EVENTS, account=account, limit=limit, before=before)
        return [_event(row) for row in reversed(rows)]

    def card_faces(self, account: str) -> Mapping[str, str]:
        """Give what people call the account's cards, removed ones too, by our id."""
        rows = self._rows(_FACES, account=account)
        return {str(row["id"]): row["face"] for row in rows}

    def report(self, since: datetime) -> Sequence[Tally]:
        """Count what has happened since (aware UTC), and what is open now."""
        return [Tally(**row) for row in self._rows(_TALLIES, since=since)]

    def delays(self, since: datetime) -> Delays:
        """Measure how long claims took to be credited, of those settled since."""
        return Delays(**self._rows(_DELAYS, since=since)[0])

    def jobs(self) -> Sequence[JobRun]:
        """List the periodic jobs and their last runs."""
        return [JobRun(**row) for row in self._rows(_JOBS)]

    def ages(self) -> Ages:
        """Say how long the oldest of what is open has waited."""
        return Ages(**self._rows(_AGES)[0])

    def progress(self, kind: str, *, since: datetime) -> Progress:
        """Say how far the batches of a kind, opened since (aware UTC), have come."""
        return Progress(**self._rows(_PROGRESS, kind=kind, since=since)[0])

    def counts(self) -> Mapping[str, int]:
        """Count the enrolled, low, paused and cut-off accounts."""
        return dict(self._rows(_COUNTS)[0])

    def _rows(self, query: sa.TextClause, **values: object) -> list[dict[Any, Any]]:
        with transaction(self._engine) as connection:
            connection.execute(sa.text("SET TRANSACTION READ ONLY"))
            return [dict(row) for row in connection.execute(query, values).mappings()]


def _event(row: Mapping[Any, Any]) -> Event:
    return Event(
        at=row["at"],
        kind=row["kind"],
        actor=row["actor"],
        detail=json.loads(row["detail"], parse_float=Decimal),
        attempt=str(row["attempt_id"]) if row["attempt_id"] else None,
        from_state=row["from_state"],
        to_state=row["to_state"],
        seq=row["seq"],
    )
