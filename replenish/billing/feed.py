"""The feed of debits: which accounts were debited since a cursor.

Ids of calls are handed out before their transactions commit, so a lower id may
appear after a higher one was read. The cursor remembers each id that was skipped
as a hole and asks for it again, until it appears or is older than any transaction
can be (a call that was rolled back leaves its hole for ever). No debit is passed
over, and nothing is read twice.
"""

import json
from collections.abc import Iterable
from typing import NamedTuple

import sqlalchemy as sa

from replenish.billing.database import statements
from replenish.errors import BadInput

HOLE_SECONDS = 60  # longer than any transaction of the package may last
MOST_HOLES = 1000  # what a cursor remembers; the newest; a restart burns some dozens

NEWEST = sa.text(
    """
    SELECT id, CAST(extract(epoch FROM now()) AS bigint) AS at
      FROM billing.call ORDER BY id DESC LIMIT :limit
    """
)
DEBITED = sa.text(
    """
    WITH fresh AS (
        (SELECT id, account_id FROM billing.call
          WHERE id > :high ORDER BY id LIMIT :limit)
        UNION ALL
        SELECT id, account_id FROM billing.call
         WHERE id = ANY(CAST(:holes AS bigint[]))
    )
    SELECT fresh.id, a.number, clock.at, clock.newest
      FROM (SELECT CAST(extract(epoch FROM now()) AS bigint) AS at,
                   (SELECT max(id) FROM billing.call) AS newest) AS clock
      LEFT JOIN (fresh JOIN billing.account a ON a.id = fresh.account_id) ON true
     ORDER BY fresh.id
    """
)  # always at least one row, for the clock


class _Cursor(NamedTuple):
    """How far the calls were read.

    Attributes:
        high: the highest id read.
        holes: skipped id → when it was first missed, epoch seconds of the database.
    """

    high: int
    holes: dict[int, int]

    def moved(self, seen: Iterable[int], *, now: int) -> "_Cursor":
        """Go on past the ids seen, with new holes noted and old ones forgotten."""
        appeared = set(seen)
        high = max(appeared, default=self.high)
        first = max(self.high + 1, high - 10 * MOST_HOLES)
        holes = {i: at for i, at in self.holes.items() if now - at < HOLE_SECONDS}
        holes.update(dict.fromkeys(range(first, high), now))
        missing = sorted(holes.keys() - appeared)[-MOST_HOLES:]
        return _Cursor(max(high, self.high), {i: holes[i] for i in missing})

    def __str__(self) -> str:
        return json.dumps([self.high, list(self.holes.items())])

    @classmethod
    def parse(cls, text: str) -> "_Cursor":
        try:
            high, holes = json.loads(text)
            return cls(int(high), {int(i): int(at) for i, at in holes})
        except (ArithmeticError, TypeError, ValueError) as error:
            msg = f"The call cursor {text!r} is not one of ours; start without one."
            raise BadInput(msg, subject=text) from error


def debited_since(
    engine: sa.Engine, cursor: str | None, *, limit: int
) -> tuple[list[str], str]:
    """List the numbers of accounts debited after the cursor, and the next cursor.

    None starts at the end, as does a cursor of another or a restored database.

    Raises:
        BadInput: the cursor is not one of this feed.
    """
    with statements(engine) as connection:
        if cursor is None:
            return [], str(_end(connection))
        at = _Cursor.parse(cursor)
        values = {"high": at.high, "limit": limit, "holes": list(at.holes)}
        rows = connection.execute(DEBITED, values).all()
        if (rows[0].newest or 0) < at.high:
            return [], str(_end(connection))
    seen = {row.id: row.number for row in rows if row.id is not None}
    onwards = at.moved(seen.keys(), now=rows[0].at)
    return list(dict.fromkeys(seen.values())), str(onwards)


def _end(connection: sa.Connection) -> _Cursor:
    """Stand after the newest call, remembering what is still open below it."""
    rows = connection.execute(NEWEST, {"limit": MOST_HOLES}).all()
    if not rows:
        return _Cursor(0, {})
    seen = {row.id for row in rows}
    return _Cursor(max(0, max(seen) - MOST_HOLES), {}).moved(seen, now=rows[0].at)
