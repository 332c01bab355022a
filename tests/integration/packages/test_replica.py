"""A replica that stands still: a second database with the rows of before."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest
import sqlalchemy as sa

from replenish.adapters.ledger.session import make_engine
from replenish.adapters.sql_billing import replica as replicas
from replenish.adapters.sql_billing.package import SqlBilling
from replenish.adapters.sql_billing.profile import ByStart
from replenish.errors import ReplicaBehind
from replenish.pipeline.sweep import Kind, Sweep
from tests.contract.package_sites import PackageSite, package_site, tried
from tests.integration.packages.conftest import operate
from tests.integration.packages.test_pipeline import enrol
from tests.mariadb import MakeMariaDB
from tests.postgres import MakeDatabase
from tests.world import World, prepare

pytestmark = pytest.mark.integration

HOURS_AGO = "INTERVAL '3' HOUR"


@dataclass
class Copied:
    """A package's database, its replica, and what reads both.

    Nothing is copied but by `debit(..., copied=True)`.
    """

    site: PackageSite
    copy: PackageSite
    package: SqlBilling

    def debit(self, *, copied: bool) -> None:
        """Let a call of 1001 end, and let the replica have it or not."""
        for each in (self.site, self.copy) if copied else (self.site,):
            each.debit("1001", "1")

    def pass_hours(self) -> None:
        """Let everything in both databases be three hours old."""
        calls = self.site.profile.calls
        if isinstance(calls, ByStart):
            for each in (self.site, self.copy):
                operate(
                    each,
                    f"UPDATE {calls.table} SET {calls.started} ="  # noqa: S608 ours
                    f" {calls.started} - {HOURS_AGO}",
                )


@pytest.fixture(params=tried())
def copied(
    request: pytest.FixtureRequest,
    make_database: MakeDatabase,
    make_mariadb: MakeMariaDB,
) -> Iterator[Copied]:
    """Each package with a replica that had all until now."""
    lend = package_site(request.param)
    with (
        lend(make_database, make_mariadb) as site,
        lend(make_database, make_mariadb) as copy,
    ):
        package = SqlBilling(
            site.engine, site.profile, currency="USD", reader=copy.engine
        )
        found = Copied(site, copy, package)
        for each in (site, copy):
            each.add("1001", "50")
        found.debit(copied=True)
        found.pass_hours()
        yield found


def later(cursor: str, seconds: float = replicas.LASTS + 15) -> str:
    """Let time pass for what is known of the replica."""
    found = json.loads(cursor)
    if found["since"]:
        found["since"] -= seconds
    return json.dumps(found)


def test_a_replica_that_stands_still_is_told_after_a_minute(copied: Copied) -> None:
    """By a sentence that says where, for how long and what to do."""
    start = copied.package.calls_since(None).cursor
    copied.debit(copied=False)
    cursor = copied.package.calls_since(start).cursor
    cursor = copied.package.calls_since(later(cursor, 40)).cursor

    with pytest.raises(
        ReplicaBehind, match=r"BILLING_REPLICA_URL .* for 7\d s"
    ) as told:
        copied.package.calls_since(later(cursor, 35))

    assert "lacked call records that the database has (" in str(told.value)
    assert "Mend its replication" in str(told.value)
    assert "or unset BILLING_REPLICA_URL" in str(told.value)


def test_another_process_tells_it_as_well(copied: Copied) -> None:
    """What is known of the replica travels in the cursor."""
    start = copied.package.calls_since(None).cursor
    copied.debit(copied=False)
    cursor = copied.package.calls_since(start).cursor
    other = SqlBilling(
        copied.site.engine,
        copied.site.profile,
        currency="USD",
        reader=copied.copy.engine,
    )

    with pytest.raises(ReplicaBehind):
        other.calls_since(later(cursor))


def test_a_replica_that_catches_up_is_read_on(copied: Copied) -> None:
    """Also when the database is ahead again, by newer calls."""
    start = copied.package.calls_since(None).cursor
    copied.debit(copied=False)
    cursor = later(copied.package.calls_since(start).cursor)
    with pytest.raises(ReplicaBehind):
        copied.package.calls_since(cursor)
    _copy_newest(copied)
    operate(copied.site, *_one_more(copied.site))

    calls = copied.package.calls_since(cursor)

    assert list(calls.accounts) == ["1001"]
    assert json.loads(calls.cursor)["had"] > json.loads(cursor)["had"]
    assert json.loads(calls.cursor)["since"] > json.loads(cursor)["since"]


def _copy_newest(copied: Copied) -> None:
    """Let the call that the replica lacked arrive there."""
    calls = copied.site.profile.calls
    copied.copy.debit("1001", "1")
    if isinstance(calls, ByStart):
        newest = f"SELECT MAX({calls.started}) FROM {calls.table}"  # noqa: S608 ours
        with copied.site.engine.connect() as connection:
            began = connection.exec_driver_sql(newest).scalar_one()
        operate(
            copied.copy,
            f"UPDATE {calls.table} SET {calls.started} = '{began}'"  # noqa: S608 ours
            f" ORDER BY {calls.started} DESC LIMIT 1",
        )


def _one_more(site: PackageSite) -> list[str]:
    """End another call, a minute later where that is what tells it apart."""
    site.debit("1001", "1")
    calls = site.profile.calls
    if not isinstance(calls, ByStart):
        return []
    later_by = f"{calls.started} + INTERVAL 1 MINUTE"
    change = f"UPDATE {calls.table} SET {calls.started} = {later_by}"  # noqa: S608 ours
    return [f"{change} ORDER BY {calls.started} DESC LIMIT 1"]


def test_an_idle_site_is_not_behind(copied: Copied) -> None:
    """No call for hours, and then one that the replica has only a moment later."""
    cursor = copied.package.calls_since(None).cursor
    for _ in range(3):
        cursor = later(copied.package.calls_since(later(cursor)).cursor)
    copied.debit(copied=False)

    calls = copied.package.calls_since(cursor)

    assert json.loads(calls.cursor)["had"] > 0
    _copy_newest(copied)
    calls = copied.package.calls_since(later(calls.cursor))
    assert list(calls.accounts) == ["1001"]
    assert json.loads(calls.cursor)["had"] == 0


def test_a_database_that_lost_its_newest_calls_is_no_replica_behind(
    copied: Copied,
) -> None:
    """The replica will never get what is nowhere any more."""
    start = copied.package.calls_since(None).cursor
    copied.debit(copied=False)
    cursor = copied.package.calls_since(start).cursor
    calls = copied.site.profile.calls
    key = calls.started if isinstance(calls, ByStart) else calls.id
    newest = f"SELECT MAX({key}) FROM {calls.table}"  # noqa: S608 ours
    gone = sa.text(f"DELETE FROM {calls.table} WHERE {key} = :newest")  # noqa: S608 ours
    with copied.site.engine.begin() as connection:
        found = connection.exec_driver_sql(newest).scalar_one()
        connection.execute(gone, {"newest": found})

    cursor = copied.package.calls_since(later(cursor)).cursor

    assert json.loads(cursor)["had"] == 0


@pytest.mark.parametrize(
    "copied", [name for name in tried() if name == "astpp"], indirect=True
)
@pytest.mark.parametrize("dated", ["2037-01-01", "1000-01-01"])
def test_a_call_with_a_senseless_date_is_not_the_newest(
    copied: Copied, dated: str
) -> None:
    """It would hide for years that the replica stands still."""
    for each in (copied.site, copied.copy):
        operate(each, f"UPDATE cdrs SET callstart = '{dated}'")  # noqa: S608 ours
    start = copied.package.calls_since(None).cursor
    copied.debit(copied=False)
    cursor = copied.package.calls_since(start).cursor

    with pytest.raises(ReplicaBehind, match="the newest call began"):
        copied.package.calls_since(later(cursor))


def test_a_hot_sweep_stops_and_goes_on_where_it_was(
    copied: Copied, make_database: MakeDatabase
) -> None:
    """Its job tells why, and no call is passed over meanwhile."""
    engine = make_engine(
        make_database(prepare), statement_timeout_ms=9_000, lock_timeout_ms=3_000
    )
    world = World(engine)
    services = replace(world.services, billing=copied.package)
    enrol(world, "1001")
    list(Sweep(Kind.HOT, services))
    copied.site.debit("1001", "45")
    list(Sweep(Kind.HOT, services))
    world.run(
        "UPDATE replenish.job SET cursor = jsonb_set(cursor::jsonb, '{since}',"
        " to_jsonb((cursor::jsonb ->> 'since')::float - 90))::text"
    )

    with pytest.raises(ReplicaBehind):
        list(Sweep(Kind.HOT, services))
    ((detail,),) = world.ask("SELECT detail FROM replenish.job WHERE cursor <> ''")
    assert "BILLING_REPLICA_URL" in str(detail)
    _copy_newest(copied)
    (claims,) = Sweep(Kind.HOT, services)

    assert [attempt.account for attempt in claims.attempts] == ["1001"]
    engine.dispose()


def test_check_asks_the_replica_too(
    copied: Copied, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All is well; then it is behind."""
    monkeypatch.setattr(replicas, "CHECKED", 0.1)
    assert list(copied.package.check()) == []
    copied.debit(copied=False)

    (sentence,) = copied.package.check()

    assert sentence.startswith("The replica at BILLING_REPLICA_URL is behind: ")
    assert "or unset BILLING_REPLICA_URL" in sentence


def test_check_waits_for_a_replica_that_is_a_moment_late(
    copied: Copied, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Replication takes a moment; that is no fault."""
    copied.debit(copied=False)
    monkeypatch.setattr("time.sleep", lambda _: _copy_newest(copied))

    assert list(copied.package.check()) == []


def test_check_tells_of_a_replica_that_is_not_there(copied: Copied) -> None:
    """In a sentence that names the setting."""
    url = copied.copy.engine.url
    for wrong in (url.set(database="nowhere_at_all"), url.set(port=1, query={})):
        nowhere = sa.create_engine(wrong)
        package = SqlBilling(
            copied.site.engine, copied.site.profile, currency="USD", reader=nowhere
        )
        (sentence,) = package.check()
        assert "BILLING_REPLICA_URL" in sentence
        nowhere.dispose()


def test_check_tells_of_a_table_that_the_replica_lacks(copied: Copied) -> None:
    """Some replicate only a part."""
    table = copied.copy.profile.calls.table
    operate(copied.copy, f"DROP TABLE {table}")

    (sentence,) = copied.package.check()

    assert "lacks what we need" in sentence
    assert "check BILLING_REPLICA_URL" in sentence
