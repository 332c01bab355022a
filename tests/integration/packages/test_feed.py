"""Call records after a cursor: late ones, emptied tables, debits that come after."""

import json
from collections.abc import Iterator
from decimal import Decimal

import pytest
import sqlalchemy as sa

from replenish.adapters.sql_billing import feed
from replenish.adapters.sql_billing.profile import Calls
from replenish.errors import BadInput
from tests.contract.package_sites import PackageSite, package_site, tried
from tests.mariadb import MakeMariaDB
from tests.postgres import MakeDatabase

pytestmark = pytest.mark.integration

KEYED = [name for name in tried() if name != "astpp"]


@pytest.fixture(params=KEYED)
def site(
    request: pytest.FixtureRequest,
    make_database: MakeDatabase,
    make_mariadb: MakeMariaDB,
) -> Iterator[PackageSite]:
    """Each package whose call records have a key."""
    with package_site(request.param)(make_database, make_mariadb) as found:
        for ref in ("1001", "1002", "1003"):
            found.add(ref, "50")
        yield found


def record(site: PackageSite, number: int, ref: str) -> None:
    """Write a call record under an id of its own, as a late commit would."""
    calls = site.profile.calls
    assert isinstance(calls, Calls)
    statement = (
        site.writes.end["record"]
        .replace("(", f"({calls.id}, ", 1)
        .replace("VALUES (", "VALUES (:number, ")
    )
    values = {"number": number, "id": int(ref), "cost": 1, "seconds": 1}
    with site.engine.begin() as connection:
        connection.execute(sa.text(statement), values)


def seen(site: PackageSite, cursor: str | None) -> tuple[list[str], str]:
    """Look once."""
    calls = site.package.calls_since(cursor)
    return list(calls.accounts), calls.cursor


def older(cursor: str, seconds: float) -> str:
    """Let time pass for what a cursor remembers."""
    found = json.loads(cursor)
    for name in ("holes", "again"):
        found[name] = {key: until - seconds for key, until in found[name].items()}
    return json.dumps(found)


def test_a_record_that_was_committed_late_is_found(site: PackageSite) -> None:
    """Its id is lower than one that was read already."""
    record(site, 10, "1001")
    _, start = seen(site, None)
    record(site, 13, "1002")
    first, cursor = seen(site, start)
    record(site, 11, "1003")

    late, cursor = seen(site, cursor)

    assert (first, late) == (["1002"], ["1003"])
    assert seen(site, cursor)[0] == []


def test_a_hole_is_not_looked_at_for_ever(site: PackageSite) -> None:
    """After a minute its transaction was rolled back, not late."""
    record(site, 10, "1001")
    _, start = seen(site, None)
    record(site, 13, "1002")
    _, cursor = seen(site, start)

    _, cursor = seen(site, older(cursor, feed.HOLE_LASTS + 1))

    assert json.loads(cursor)["holes"] == {}


def test_many_holes_are_bounded(site: PackageSite) -> None:
    """A jump of the sequence by a million is no million of ids to ask for."""
    record(site, 10, "1001")
    _, start = seen(site, None)
    record(site, 1_000_010, "1002")

    found, cursor = seen(site, start)

    assert found == ["1002"]
    assert len(json.loads(cursor)["holes"]) == feed.MOST_HOLES
    assert seen(site, cursor)[0] == []


def test_an_emptied_table_begins_again(site: PackageSite) -> None:
    """Operators purge call records, and the sequence may start anew."""
    record(site, 100, "1001")
    _, cursor = seen(site, None)
    calls = site.profile.calls
    with site.engine.begin() as connection:
        connection.exec_driver_sql(f"DELETE FROM {calls.table}")  # noqa: S608 ours
    empty, cursor = seen(site, cursor)
    record(site, 1, "1002")

    assert (empty, seen(site, cursor)[0]) == ([], ["1002"])


def test_a_table_that_lost_its_newest_record_is_read_on_near_its_end(
    site: PackageSite,
) -> None:
    """A replica promoted without the last seconds: no history is read before."""
    for number, ref in ((1, "1001"), (7_000, "1002"), (7_001, "1003")):
        record(site, number, ref)
    _, cursor = seen(site, None)
    calls = site.profile.calls
    assert isinstance(calls, Calls)
    with site.engine.begin() as connection:
        connection.exec_driver_sql(f"DELETE FROM {calls.table} WHERE {calls.id} > 7000")  # noqa: S608 ours
    record(site, 7_000 - 1, "1003")

    found, cursor = seen(site, cursor)

    assert found == ["1003", "1002"]  # not those of thousands of calls ago
    assert json.loads(cursor)["last"] == 7_000
    record(site, 7_002, "1001")
    assert seen(site, cursor)[0] == ["1001"]


def test_a_cursor_of_an_earlier_release_goes_on(site: PackageSite) -> None:
    """It says nothing about a replica."""
    record(site, 10, "1001")
    found = json.loads(seen(site, None)[1])
    del found["had"], found["since"]
    record(site, 11, "1002")

    assert seen(site, json.dumps(found))[0] == ["1002"]


def test_a_debit_that_comes_after_its_record_is_not_missed(site: PackageSite) -> None:
    """The account is listed once more a moment later, where that can be."""
    calls = site.profile.calls
    assert isinstance(calls, Calls)
    record(site, 10, "1001")
    _, start = seen(site, None)
    record(site, 11, "1002")
    first, cursor = seen(site, start)

    again, cursor = seen(site, older(cursor, calls.settles + 0.5))

    assert first == ["1002"]
    assert again == (["1002"] if calls.settles else [])
    assert seen(site, older(cursor, 60))[0] == []


@pytest.mark.parametrize("site", ["astpp", "pyfreebilling"], indirect=True)
def test_a_call_that_nobody_was_debited_for_is_passed_over(site: PackageSite) -> None:
    """Refused at the gate, it has no account in its record."""
    _, start = seen(site, None)
    record_it = sa.text(site.writes.end["record"])
    with site.engine.begin() as connection:
        for account in (None, 1002):
            values = {"id": account, "cost": Decimal(0), "seconds": 0}
            connection.execute(record_it, values)

    assert seen(site, start)[0] == ["1002"]


@pytest.mark.parametrize("text", ["", "[]", "7", '{"last": 1}', "null"])
def test_a_cursor_of_another_package_is_refused(text: str) -> None:
    """In a sentence that says what to do."""
    with pytest.raises(BadInput, match="run a full sweep"):
        feed.Cursor.read(text)
