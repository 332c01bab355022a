"""Whether a replica keeps up with the database that it copies.

A replica that stands still answers as ever: no call ends there, and the balances are
those of before. So its newest call record is compared with the database's own. Times
in the records say little, since packages write them in zones of their own; so it is
noted what the database had and since when, and the replica has a minute to get that.
The note travels in the cursor of the calls, which is kept in the ledger: the next sweep
may run in another process.
"""

import time
from dataclasses import dataclass

import sqlalchemy as sa

from replenish.adapters.sql_billing.profile import ByStart, Profile
from replenish.adapters.sql_billing.session import transaction
from replenish.errors import ReplicaBehind

SETTING = "BILLING_REPLICA_URL"
LASTS = 60.0  # seconds a replica may lack what the database had
CHECKED = 5.0  # seconds `replenish check` waits for it
HOW = (
    f"Mend its replication (SHOW REPLICA STATUS or pg_stat_replication tells), or unset"
    f" {SETTING}."
)

NOW = {
    "mysql": "SELECT UNIX_TIMESTAMP(NOW(6))",
    "postgresql": "SELECT extract(epoch FROM clock_timestamp())",
}


@dataclass(frozen=True, slots=True)
class Newest:
    """The newest call record of a database.

    Attributes:
        mark: its id; without a key, the second in which the newest call began. 0: none.
        now: what time it was, by the clock of that database.
    """

    mark: int
    now: float


@dataclass(frozen=True, slots=True)
class Lack:
    """What the replica lacks: the mark that the database had, and since when."""

    mark: int = 0
    since: float = 0.0


def newest(engine: sa.Engine, profile: Profile, setting: str) -> Newest:
    """Read it from the end of an index."""
    query = sa.text(f"SELECT ({NOW[profile.dialect]}) AS now, {_mark(profile)}")
    with transaction(engine, setting) as connection:
        row = connection.execute(query).one()
    # Below 0 are only calls without a date, which ASTPP writes as of the year 1000.
    return Newest(max(0, int(row.mark or 0)), float(row.now))


def _mark(profile: Profile) -> str:
    """Give the mark's expression and its table.

    A call dated far ahead by somebody's clock would be the newest for years, whatever
    came after it, and is left out.
    """
    calls = profile.calls
    if isinstance(calls, ByStart):
        return (
            f"TIMESTAMPDIFF(SECOND, '2000-01-01', MAX({calls.started})) AS mark"
            f" FROM {calls.table}"
            f" WHERE {calls.started} < UTC_TIMESTAMP() + INTERVAL 1 DAY"
        )
    return f"MAX({calls.id}) AS mark FROM {calls.table}"


def lacking(
    before: Lack, primary: sa.Engine, replica: sa.Engine, profile: Profile
) -> Lack:
    """Give what the replica lacks now, from what it lacked at the last look.

    Raises:
        ReplicaBehind: it has lacked that for more than a minute.
    """
    ours = newest(primary, profile, "BILLING_DATABASE_URL")
    copied = newest(replica, profile, SETTING).mark
    # The database itself may have lost its newest records, and the replica them too.
    if copied >= min(before.mark, ours.mark):
        return Lack(ours.mark, ours.now) if copied < ours.mark else Lack()
    seconds = ours.now - before.since
    if seconds <= LASTS:
        return before
    msg = (
        f"The replica at {SETTING} stands still or is far behind: for"
        f" {seconds:.0f} s it has lacked call records that the database has"
        f" ({_apart(profile, ours.mark - copied)}), so that nobody would be found low"
        f" by them. {HOW}"
    )
    raise ReplicaBehind(msg, subject=SETTING)


def stays_behind(
    primary: sa.Engine, replica: sa.Engine, profile: Profile
) -> str | None:
    """Say that the replica does not get what the database has now; wait a little."""
    ours = newest(primary, profile, "BILLING_DATABASE_URL").mark
    copied = newest(replica, profile, SETTING).mark
    if copied < ours:
        time.sleep(CHECKED)
        copied = newest(replica, profile, SETTING).mark
    if copied >= ours:
        return None
    return (
        f"The replica at {SETTING} is behind: after {CHECKED:.0f} s it still lacks call"
        f" records that the database had ({_apart(profile, ours - copied)}); after"
        f" {LASTS:.0f} s the hot sweep stops. {HOW}"
    )


def _apart(profile: Profile, marks: int) -> str:
    if isinstance(profile.calls, ByStart):
        return f"the newest call began {marks} s before the database's"
    return f"its newest record is {marks} ids before the database's"
