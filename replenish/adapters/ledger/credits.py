"""Credits after they were made; `replenish.ports.Credits` over PostgreSQL."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from replenish.adapters.ledger.session import transaction
from replenish.domain.money import Money
from replenish.ports import Break, Credited, Settled

_COLUMNS = """
    t.id, t.account_id, t.amount, t.currency, t.settled_at,
    (t.evidence ->> 'available')::numeric AS after
"""

SETTLED = sa.text(f"""
/* Credits in the order they were made. */
SELECT {_COLUMNS} FROM replenish.attempt t
WHERE t.state = 'settled' AND t.evidence ? 'available'
  AND (t.settled_at, t.id) > (CAST(:at AS timestamptz), CAST(:id AS uuid))
  AND t.settled_at <= now() - make_interval(secs => :age)
ORDER BY t.settled_at, t.id LIMIT :limit
""")  # noqa: S608 constants

LATEST = sa.text(f"""
SELECT {_COLUMNS} FROM replenish.attempt t
WHERE t.account_id = :account AND t.state = 'settled' AND t.evidence ? 'available'
  AND t.settled_at > now() - make_interval(secs => :within)
ORDER BY t.claimed_at DESC LIMIT 1
""")  # noqa: S608 constants

UNFINISHED = sa.text(f"""
SELECT {_COLUMNS} FROM replenish.credit_break b
JOIN replenish.attempt t ON t.id = b.attempt_id
WHERE b.amount IS NOT NULL AND b.put_right_at IS NULL
ORDER BY b.found_at LIMIT :limit
""")  # noqa: S608 constants

ALONE = sa.text("""
/* Of two that find two credits of one account missing, one goes first. */
SELECT 1 FROM replenish.chain WHERE account_id = :account FOR UPDATE
""")

BROKEN = sa.text("""
/* Write a missing credit down, once; not while another of the account is put right. */
WITH found AS (
  INSERT INTO replenish.credit_break (attempt_id, account_id, missing, amount)
  SELECT CAST(:attempt AS uuid), :account, :missing, CAST(:amount AS numeric)
  WHERE NOT EXISTS (SELECT FROM replenish.credit_break b
                    WHERE b.account_id = :account AND b.amount IS NOT NULL
                      AND b.put_right_at IS NULL AND b.again_at IS NULL)
  ON CONFLICT (attempt_id) DO NOTHING RETURNING account_id, attempt_id)
SELECT replenish.record_event(
  found.account_id, found.attempt_id, 'credit_missing', NULL, NULL, :actor,
  jsonb_strip_nulls(jsonb_build_object(
    'missing', CAST(:missing AS text), 'amount', CAST(:amount AS text))))
FROM found
""")

THE_BREAK = sa.text("""
SELECT amount, put_right_at FROM replenish.credit_break WHERE attempt_id = :attempt
""")

PUT_RIGHT = sa.text("""
WITH mended AS (
  UPDATE replenish.credit_break SET put_right_at = now(), put_right_how = :how
  WHERE attempt_id = :attempt AND put_right_at IS NULL
  RETURNING account_id, attempt_id, amount)
SELECT replenish.record_event(
  mended.account_id, mended.attempt_id, 'credit_put_right', NULL, NULL, :actor,
  jsonb_build_object('amount', mended.amount::text, 'how', CAST(:how AS text)))
FROM mended
""")

AGAIN = sa.text("""
/* Hold the account for a person; said once a credit. */
WITH again AS (
  UPDATE replenish.credit_break SET again_at = now()
  WHERE attempt_id = :attempt AND again_at IS NULL RETURNING account_id),
held AS (
  UPDATE replenish.account a SET paused_at = now(), pause_reason = :reason
  FROM again WHERE a.id = again.account_id AND a.paused_at IS NULL RETURNING a.id)
SELECT account_id, (SELECT replenish.record_event(
  held.id, NULL, 'paused', NULL, NULL, :actor,
  jsonb_build_object('reason', CAST(:reason AS text))) FROM held)
FROM again
""")

FIRST = "00000000-0000-0000-0000-000000000000"
BEGINNING = "-infinity"


class PostgresCredits:
    """Whether credits still stand."""

    def __init__(self, engine: sa.Engine, *, actor: str) -> None:
        self._engine = engine
        self._actor = actor

    def settled(self, *, after: str | None, age: float, limit: int) -> Settled:
        """Page the credits at least so many seconds old, from the oldest on."""
        at, _, attempt = (after or f"{BEGINNING}|{FIRST}").partition("|")
        values = {"at": at, "id": attempt, "age": age, "limit": limit}
        found = self._read(SETTLED, values)
        if not found:
            return Settled((), after)
        last = found[-1]
        return Settled(found, f"{last.settled_at.isoformat()}|{last.attempt}")

    def latest(self, account: str, *, within: float) -> Credited | None:
        """Give the last credit of an account, if it is not older than so long."""
        found = self._read(LATEST, {"account": account, "within": within})
        return found[0] if found else None

    def unfinished(self, *, limit: int) -> Sequence[Credited]:
        """List those written down as broken that are to be put right and are not."""
        return self._read(UNFINISHED, {"limit": limit})

    def broken(
        self, credit: Credited, *, missing: Decimal, amount: Decimal | None
    ) -> Break:
        """Write down that a credit is missing; the first row of an attempt stands."""
        values = {
            "attempt": credit.attempt,
            "account": credit.account,
            "missing": missing,
            "amount": amount,
            "actor": self._actor,
        }
        with transaction(self._engine) as connection:
            connection.execute(ALONE, values)
            new = connection.execute(BROKEN, values).first() is not None
            row = connection.execute(THE_BREAK, values).first()
        if row is None:
            return Break(None, put_right=False, new=False)
        return Break(row.amount, put_right=row.put_right_at is not None, new=new)

    def put_right(self, credit: Credited, *, how: str) -> None:
        """Take note that a broken credit is in its balance again."""
        values = {"attempt": credit.attempt, "how": how, "actor": self._actor}
        with transaction(self._engine) as connection:
            connection.execute(PUT_RIGHT, values)

    def broken_again(self, credit: Credited, *, reason: str) -> bool:
        """Hold the account for a person; False if that was done before."""
        values = {"attempt": credit.attempt, "reason": reason, "actor": self._actor}
        with transaction(self._engine) as connection:
            return connection.execute(AGAIN, values).first() is not None

    def _read(self, query: sa.TextClause, values: dict[str, Any]) -> list[Credited]:
        with transaction(self._engine) as connection:
            return [_credited(row) for row in connection.execute(query, values)]


def _credited(row: sa.Row[Any]) -> Credited:
    settled_at: datetime = row.settled_at
    return Credited(
        attempt=str(row.id),
        account=row.account_id,
        amount=Money(row.amount, row.currency),
        after=row.after,
        settled_at=settled_at,
    )
