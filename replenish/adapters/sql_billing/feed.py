"""The accounts that calls have debited since a cursor.

Ids are given before their rows are committed, so a row may appear behind one that
was read: a hole in the sequence is looked at again for a minute. Where the package
debits in a statement of its own after writing the record, an account is listed once
more a moment later. A table that has lost its newest records (deleted, a restored
backup, a promoted replica) is read on from near its end; one that was emptied is so
short that this is its start.

A package without a usable key is looked at by when calls began; see `by_start`.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import sqlalchemy as sa

from replenish.adapters.sql_billing import by_start
from replenish.adapters.sql_billing.profile import ByStart, Calls, Profile
from replenish.adapters.sql_billing.replica import NOW, Lack, lacking
from replenish.adapters.sql_billing.session import SETTING, transaction
from replenish.errors import BadInput
from replenish.ports import Calls as Debited

HOLE_LASTS = 60.0  # seconds a missing id may still be on its way
MOST_HOLES = 1000


@dataclass
class Cursor:
    """How far the records were read.

    Attributes:
        last: the highest id read.
        holes: missing id → until when it is looked for (the package's clock).
        again: account → when it is listed once more.
        looks: what was looked at when, of a package without a key.
        whole: read by the release before this one, which may still run.
        had, since: what a replica lacks, and since when; see `replica.Lack`.
    """

    last: int = 0
    holes: dict[str, float] = field(default_factory=dict)
    again: dict[str, float] = field(default_factory=dict)
    looks: by_start.Looks = field(default_factory=by_start.Looks)
    whole: float = 0.0
    had: int = 0
    since: float = 0.0

    @classmethod
    def read(cls, text: str) -> "Cursor":
        """Read a cursor back.

        Raises:
            BadInput: it is none of ours.
        """
        try:
            # Those of earlier releases say nothing about a replica, or about parts.
            found: dict[str, Any] = {"had": 0, "since": 0.0, "looks": {}, "whole": 0.0}
            found |= json.loads(text)
            found["looks"] = by_start.Looks(**found["looks"])
            return cls(**{name: found[name] for name in cls.__dataclass_fields__})
        except (ValueError, TypeError, KeyError) as error:
            msg = (
                f"{text[:40]!r} is no cursor of this billing package; run a full sweep"
                " and start without one."
            )
            raise BadInput(msg, subject="cursor") from error

    def __str__(self) -> str:
        return json.dumps(asdict(self), separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class Source:
    """Where call records are read.

    Attributes:
        engine: of the database, or of its replica.
        setting: which address that is.
        original: of the database, where a replica is read.
    """

    engine: sa.Engine
    setting: str = SETTING
    original: sa.Engine | None = None


def debited(
    source: Source, profile: Profile, cursor: str | None, *, limit: int
) -> Debited:
    """List the accounts, each once, and the cursor to go on from.

    Raises:
        ReplicaBehind: a replica is read that stands still.
    """
    at = Cursor.read(cursor) if cursor else None
    lack = _lack(source, profile, at)
    with transaction(source.engine, source.setting) as connection:
        now = float(connection.execute(sa.text(NOW[profile.dialect])).scalar_one())
        if isinstance(profile.calls, ByStart):
            ended = source.original is None
            accounts, onwards = _by_start(
                connection, profile.calls, at, now, ended=ended
            )
        else:
            accounts, onwards = _by_id(connection, profile.calls, at, now, limit=limit)
    return Debited(accounts, str(replace(onwards, had=lack.mark, since=lack.since)))


def _lack(source: Source, profile: Profile, at: Cursor | None) -> Lack:
    if source.original is None:
        return Lack()
    before = Lack(at.had, at.since) if at else Lack()
    return lacking(before, source.original, source.engine, profile)


def _by_id(
    connection: sa.Connection,
    calls: Calls,
    at: Cursor | None,
    now: float,
    *,
    limit: int,
) -> tuple[list[str], Cursor]:
    highest = connection.execute(
        sa.text(f"SELECT MAX({calls.id}) FROM {calls.table}")  # noqa: S608 a profile
    ).scalar()
    if at is None:
        return [], Cursor(last=highest or 0)
    if highest is not None and highest < at.last:
        # The newest are gone. All that is old is not read again: meanwhile no new
        # call would be seen.
        at = Cursor(last=max(0, highest - limit), again=at.again)
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
    return list(accounts), onwards


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
    connection: sa.Connection,
    calls: ByStart,
    at: Cursor | None,
    now: float,
    *,
    ended: bool,
) -> tuple[list[str], Cursor]:
    if at is None:
        return [], Cursor(looks=by_start.begin(now))
    named, looks = by_start.look(connection, calls, at.looks, now, ended=ended)
    return [str(account) for account in named if account is not None], replace(
        at, looks=looks
    )


def _known(rows: Iterable[sa.Row[Any]]) -> Iterator[str]:
    """Leave out calls that nobody was debited for."""
    return (str(row.account) for row in rows if row.account is not None)
