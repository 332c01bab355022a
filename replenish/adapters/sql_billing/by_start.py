"""Call records that have no key, looked over by when the calls began.

A record appears when its call ends, and stands in the index by when it began. So the
newest beginnings are looked over each time, and older ones in parts of the same
length, one after the other, as far back as the longest call there can be. Of what is
found there only those are named whose call ended since the last look at it, by the
package's own reckoning: beginning plus seconds talked, and the time that a phone may
have rung.

Looking costs more the more calls there are. Each look is followed by a rest of many
times what it cost, so that the package's statements meet it rarely at any number of
calls; the full sweep is the net under it.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import sqlalchemy as sa

from replenish.adapters.sql_billing.profile import ByStart

RINGS = 90.0  # seconds between a call's end by reckoning and its record
PATIENCE = 20.0  # times what a look cost that are rested after it
READING = 0.00005  # seconds that the balance of each account named costs besides
SHORTEST_REST = 0.5  # seconds; below it the sweep comes later anyhow
LONGEST_REST = 60.0


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
    return Looks(newest=now, round=now, round_before=now)


def look(
    connection: sa.Connection, calls: ByStart, at: Looks, now: float
) -> tuple[Sequence[str | int | None], Looks]:
    """Name the accounts of calls that ended lately, each once, or nobody in a rest."""
    found: dict[str | int | None, None] = {}
    if not _rests(at.next, now):
        named, cost = _look_over(connection, calls, 0, now - at.newest)
        at = replace(at, newest=now, next=now + _rest(cost))
        found |= dict.fromkeys(named)
    if not _rests(at.part_next, now):
        if at.part == 1:
            at = replace(at, round=now, round_before=at.round)
        named, cost = _look_over(connection, calls, at.part, now - at.round_before)
        pause = max(calls.every / calls.parts, _rest(cost))
        following = at.part % (calls.parts - 1) + 1
        at = replace(at, part=following, part_next=now + pause)
        found |= dict.fromkeys(named)
    return list(found), at


def _look_over(
    connection: sa.Connection, calls: ByStart, part: int, age: float
) -> tuple[Sequence[str | int | None], float]:
    """Name whose calls began in this part and ended since; and what that cost."""
    longest = calls.longest * 60
    seconds = longest if age < 0 else min(int(age + RINGS), longest)  # or set back
    query = _query(calls, part, seconds=seconds)
    began = time.monotonic()
    named = connection.execute(sa.text(query)).scalars().all()
    return named, time.monotonic() - began + READING * len(named)


def _query(calls: ByStart, part: int, *, seconds: int) -> str:
    oldest = (part + 1) * calls.usual
    # The newest part has no end: the switch's clock may be ahead of the database's.
    newest = part * calls.usual
    end = (
        f" AND {calls.started} <= UTC_TIMESTAMP() - INTERVAL {newest} MINUTE"
        if part
        else ""
    )
    return (
        f"SELECT DISTINCT {calls.account} FROM {calls.table}"  # noqa: S608 a profile
        f" WHERE {calls.started} >= UTC_TIMESTAMP() - INTERVAL {oldest} MINUTE{end}"
        f" AND {calls.started} + INTERVAL {calls.seconds} SECOND"
        f" >= UTC_TIMESTAMP() - INTERVAL {seconds} SECOND"
    )


def _rest(cost: float) -> float:
    rest = min(PATIENCE * cost, LONGEST_REST)
    return rest if rest >= SHORTEST_REST else 0.0


def _rests(until: float, now: float) -> bool:
    """Tell whether a rest goes on; a clock that was set back ends it."""
    return now < until <= now + LONGEST_REST
