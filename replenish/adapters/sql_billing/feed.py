"""The accounts that calls have debited since a cursor.

Ids are given before their rows are committed, so a row may appear behind one that
was read: a hole in the sequence is looked at again for a minute. Where the package
debits in a statement of its own after writing the record, an account is listed once
more a moment later. A table that was emptied begins again at its start.

A package without a usable key is looked at by when calls began: each time over the
last minutes, and now and then over the longest call there can be.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import sqlalchemy as sa

from replenish.adapters.sql_billing.profile import ByStart, Calls, Profile
from replenish.adapters.sql_billing.session import transaction
from replenish.errors import BadInput
from replenish.ports import Calls as Debited

HOLE_LASTS = 60.0  # seconds a missing id may still be on its way
MOST_HOLES = 1000

NOW = {
    "mysql": "SELECT UNIX_TIMESTAMP(NOW(6))",
    "postgresql": "SELECT extract(epoch FROM clock_timestamp())",
}


@dataclass
class Cursor:
    """How far the records were read.

    Attributes:
        last: the highest id read.
        holes: missing id → until when it is looked for (the package's clock).
        again: account → when it is listed once more.
        whole: when the longest look-back was done, of a package without a key.
    """

    last: int = 0
    holes: dict[str, float] = field(default_factory=dict)
    again: dict[str, float] = field(default_factory=dict)
    whole: float = 0.0

    @classmethod
    def read(cls, text: str) -> "Cursor":
        """Read a cursor back.

        Raises:
            BadInput: it is none of ours.
        """
        try:
            found = json.loads(text)
            return cls(**{name: found[name] for name in cls.__dataclass_fields__})
        except (ValueError, TypeError, KeyError) as error:
            msg = (
                f"{text[:40]!r} is no cursor of this billing package; run a full sweep"
                " and start without one."
            )
            raise BadInput(msg, subject="cursor") from error

    def __str__(self) -> str:
        return json.dumps(asdict(self), separators=(",", ":"))


def debited(
    engine: sa.Engine, profile: Profile, cursor: str | None, *, limit: int
) -> Debited:
    """List the accounts, each once, and the cursor to go on from."""
    at = Cursor.read(cursor) if cursor else None
    with transaction(engine) as connection:
        now = float(connection.execute(sa.text(NOW[profile.dialect])).scalar_one())
        if isinstance(profile.calls, ByStart):
            return _by_start(connection, profile.calls, at, now)
        return _by_id(connection, profile.calls, at, now, limit=limit)


def _by_id(
    connection: sa.Connection,
    calls: Calls,
    at: Cursor | None,
    now: float,
    *,
    limit: int,
) -> Debited:
    highest = connection.execute(
        sa.text(f"SELECT MAX({calls.id}) FROM {calls.table}")  # noqa: S608 a profile
    ).scalar()
    if at is None:
        return Debited((), str(Cursor(last=highest or 0)))
    if highest is not None and highest < at.last:
        at = Cursor(again=at.again)  # emptied, and begun again
    rows = _rows(connection, calls, at.last, limit)
    late = _late(connection, calls, at, now)
    seen = dict.fromkeys(_known([*late, *rows]))
    due = [account for account, when in at.again.items() if when <= now]
    accounts = dict.fromkeys([*due, *seen])
    onwards = Cursor(
        last=rows[-1].id if rows else at.last,
        holes=_holes(at, rows, late, now),
        again=_again(at, seen, calls.settles, now),
    )
    return Debited(list(accounts), str(onwards))


def _rows(
    connection: sa.Connection, calls: Calls, last: int, limit: int
) -> list[sa.Row[Any]]:
    query = sa.text(
        f"SELECT {calls.id} AS id, {calls.account} AS account"  # noqa: S608
        f" FROM {calls.table} {calls.by_key}"
        f" WHERE {calls.id} > :last ORDER BY {calls.id} LIMIT :limit"
    )
    return list(connection.execute(query, {"last": last, "limit": limit}))


def _late(
    connection: sa.Connection, calls: Calls, at: Cursor, now: float
) -> list[sa.Row[Any]]:
    """Read what has come into the holes meanwhile."""
    open_ = [int(number) for number, until in at.holes.items() if until > now]
    if not open_:
        return []
    query = sa.text(
        f"SELECT {calls.id} AS id, {calls.account} AS account FROM {calls.table}"  # noqa: S608
        f" WHERE {calls.id} IN :ids"
    ).bindparams(sa.bindparam("ids", expanding=True))
    return list(connection.execute(query, {"ids": open_}))


def _holes(
    at: Cursor, rows: list[sa.Row[Any]], late: list[sa.Row[Any]], now: float
) -> dict[str, float]:
    came = {str(row.id) for row in late}
    holes = {
        number: until
        for number, until in at.holes.items()
        if until > now and number not in came
    }
    previous = at.last
    for row in rows:
        missing = range(previous + 1, row.id)
        for number in missing[-MOST_HOLES:]:
            holes[str(number)] = now + HOLE_LASTS
        previous = row.id
    newest = sorted(holes, key=int)[-MOST_HOLES:]
    return {number: holes[number] for number in newest}


def _again(
    at: Cursor, seen: Iterable[str], settles: float, now: float
) -> dict[str, float]:
    waiting = {account: when for account, when in at.again.items() if when > now}
    if settles:
        waiting |= dict.fromkeys(seen, now + settles)
    return waiting


def _by_start(
    connection: sa.Connection, calls: ByStart, at: Cursor | None, now: float
) -> Debited:
    if at is None:
        return Debited((), str(Cursor(whole=now)))
    whole = now - at.whole >= calls.every
    minutes = calls.longest if whole else calls.usual
    query = sa.text(
        f"SELECT DISTINCT {calls.account} AS account FROM {calls.table}"  # noqa: S608
        f" WHERE {calls.started} >= UTC_TIMESTAMP() - INTERVAL {minutes} MINUTE"
    )
    rows = connection.execute(query).all()
    onwards = Cursor(whole=now if whole else at.whole)
    return Debited(list(_known(rows)), str(onwards))


def _known(rows: Iterable[sa.Row[Any]]) -> Iterator[str]:
    """Leave out calls that nobody was debited for."""
    return (str(row.account) for row in rows if row.account is not None)
