"""Call records that have no key, looked over by when the calls began.

A record appears when its call ends, and stands in the index by when it began. So the
newest beginnings are looked over each time, and older ones in parts of the same
length, one after the other, as far back as the longest call there can be: all of them
in a minute. Of what is found there only those are named whose call ended since the
last look at it, by the package's own reckoning: beginning plus seconds talked. How long
the phone rang, a switch's clock that is behind and a record that was written late are
allowed for: by a minute and a half in the newest part, by five minutes in the others,
so that whom the first passes over the second finds.

Looking costs more the more calls there are. A look that costs much is followed by a
rest of many times as long, so that the package's statements meet it rarely at any
number of calls; the next look goes back further by as much. The full sweep is the net
under it.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import sqlalchemy as sa

from replenish.adapters.sql_billing.profile import ByStart
from replenish.adapters.sql_billing.session import too_slow

Name = str | int | None

LATE_NEWEST = 90.0  # seconds between a call's end by reckoning and its record
LATE_OLDER = 300.0
PATIENCE = 20.0  # times what a look cost that are rested after it
READING = 0.00005  # seconds that the balance of each account named costs besides
SHORTEST_REST = 0.5  # seconds; below it the sweep comes later anyhow
REST_NEWEST = 10.0  # the longest rest: nearly everybody is found there
REST_OLDER = 60.0


@dataclass(frozen=True, slots=True)
class Looks:
    """What was looked at when, by the package's clock (Unix seconds).

    Attributes:
        newest: when the newest beginnings were looked over.
        next: when they are again.
        part: which older part comes next, 1 for the one before the newest.
        part_next: when it does.
        round: when the present round over the older parts began.
        round_before: when the one before it did.
    """

    newest: float = 0.0
    next: float = 0.0
    part: int = 1
    part_next: float = 0.0
    round: float = 0.0
    round_before: float = 0.0


def begin(now: float) -> Looks:
    """Start at the end: whoever was debited before is the full sweep's."""
    return Looks(newest=now, part_next=now, round=now, round_before=now)


def look(
    connection: sa.Connection, calls: ByStart, at: Looks, now: float, *, ended: bool
) -> tuple[Sequence[Name], Looks]:
    """Name the accounts of calls that ended lately, each once, or nobody in a rest.

    With `ended` those are left out that ended before the last look; not so where
    records come in later than they were written, as at a replica.
    """
    named, at = _newest(connection, calls, at, now, ended=ended)
    found = dict.fromkeys(named)
    for _ in range(calls.parts - 1):
        if _rests(at.part_next, now):
            break
        named, at = _older(connection, calls, at, now, ended=ended)
        found |= dict.fromkeys(named)
    return list(found), at


def _newest(
    connection: sa.Connection, calls: ByStart, at: Looks, now: float, *, ended: bool
) -> tuple[Sequence[Name], Looks]:
    if _rests(at.next, now):
        return (), at
    age = _age(calls, at.newest, now)
    late = age + LATE_NEWEST if ended else calls.longest * 60
    query = _query(calls, oldest=calls.usual * 60 + age, newest=None, ended=late)
    named, cost = _ask(connection, query)
    rest = _rest(cost, REST_NEWEST)
    return named, replace(at, newest=now, next=now + rest)


def _older(
    connection: sa.Connection, calls: ByStart, at: Looks, now: float, *, ended: bool
) -> tuple[Sequence[Name], Looks]:
    asleep = replace(at, part_next=now + REST_OLDER)
    if at.part == 1:
        at = replace(at, round=now, round_before=at.round)
    age = _age(calls, at.round_before, now)
    late = age + LATE_OLDER if ended else calls.longest * 60
    newest = at.part * calls.usual * 60
    last = at.part == calls.parts - 1
    oldest = newest + calls.usual * 60 + (age if last else 0)
    query = _query(calls, oldest=oldest, newest=newest, ended=late)
    try:
        named, cost = _ask(connection, query)
    except sa.exc.OperationalError as error:
        if not too_slow(error):
            raise
        return (), asleep  # whom the newest part has named is not lost
    pause = calls.every / calls.parts
    due = max(at.part_next, now - calls.every) + pause
    due = max(due, now + _rest(cost, REST_OLDER))
    return named, replace(at, part=at.part % (calls.parts - 1) + 1, part_next=due)


def _ask(connection: sa.Connection, query: str) -> tuple[Sequence[Name], float]:
    """Give the accounts, and what asking and following them costs, in seconds."""
    began = time.monotonic()
    named = connection.execute(sa.text(query)).scalars().all()
    return named, time.monotonic() - began + READING * len(named)


def _query(calls: ByStart, *, oldest: float, newest: float | None, ended: float) -> str:
    """Ask for calls that began between so many seconds ago, and ended since so many.

    The newest part has no end: the switch's clock may be ahead of the database's.
    """
    longest = calls.longest * 60
    until = (
        ""
        if newest is None
        else f" AND {calls.started} <= UTC_TIMESTAMP() - INTERVAL {newest:.0f} SECOND"
    )
    return (
        f"SELECT DISTINCT {calls.account} FROM {calls.table}"  # noqa: S608 a profile
        f" WHERE {calls.started} >= UTC_TIMESTAMP() - INTERVAL {oldest:.0f} SECOND"
        f"{until} AND {calls.started} + INTERVAL {calls.seconds} SECOND"
        f" >= UTC_TIMESTAMP() - INTERVAL {min(ended, longest):.0f} SECOND"
    )


def _age(calls: ByStart, since: float, now: float) -> float:
    """Give how long ago that was; a clock that was set back counts as long ago."""
    longest = calls.longest * 60
    return min(now - since, longest) if since <= now else longest


def _rest(cost: float, longest: float) -> float:
    rest = min(PATIENCE * cost, longest)
    return rest if rest >= SHORTEST_REST else 0.0


def _rests(until: float, now: float) -> bool:
    """Tell whether a rest goes on; a clock that was set back ends it."""
    return now < until <= now + REST_OLDER
