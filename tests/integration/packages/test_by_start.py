"""Call records without a key: nobody is passed over, and looking stays rare."""

import json
from collections.abc import Sequence

import pytest
import sqlalchemy as sa

from replenish.adapters.sql_billing import by_start
from replenish.adapters.sql_billing.package import SqlBilling
from replenish.errors import BillingUnavailable
from tests.contract.package_sites import PackageSite, tried
from tests.integration.packages.conftest import is_mariadb
from tests.integration.packages.test_feed import seen

pytestmark = [
    pytest.mark.integration,
    pytest.mark.parametrize(
        "site", [name for name in tried() if name == "astpp"], indirect=True
    ),
]

RECORD = """
    INSERT INTO cdrs (accountid, callerid, translated_dst, callstart, billseconds,
      debit, pattern, notes, reseller_code, provider_code, provider_code_destination,
      provider_call_cost, call_direction)
    VALUES (%(ref)s, '', '', UTC_TIMESTAMP() - INTERVAL %(began)s SECOND, %(talked)s, 1,
      '', '', '', '', '', 0, 'outbound')
"""
LONG = (
    "COUNT(*) FROM information_schema.columns a, information_schema.columns b,"
    " information_schema.columns c"
)
AGE = "UPDATE cdrs SET callstart = callstart - INTERVAL %(step)s SECOND"


def record(site: PackageSite, ref: str, *, began: int, talked: int) -> None:
    """Write the record of a call that has just ended, seconds after it began."""
    values = {"ref": int(ref), "began": began, "talked": talked}
    with site.engine.begin() as connection:
        connection.exec_driver_sql(RECORD, values)


def passed(cursor: str, seconds: float) -> str:
    """Let time pass for what a cursor remembers."""
    found = json.loads(cursor)
    for name in ("newest", "next", "part_next", "round", "round_before"):
        found["looks"][name] -= seconds
    return json.dumps(found)


def walk(
    site: PackageSite, cursor: str, *, looks: int, step: int = 3
) -> tuple[list[str], str]:
    """Look so many times, some seconds after each other, while the records age."""
    named: list[str] = []
    for _ in range(looks):
        with site.engine.begin() as connection:
            connection.exec_driver_sql(AGE, {"step": step})
        found, cursor = seen(site, passed(cursor, step))
        named += found
    return named, cursor


@pytest.mark.parametrize("minutes", [0, 4, 6, 59, 119])
def test_a_call_of_any_length_is_found(site: PackageSite, minutes: int) -> None:
    """Within about a minute, whichever part of the past it began in."""
    _, cursor = seen(site, None)
    record(site, "1002", began=minutes * 60 + 30, talked=minutes * 60)

    found, _ = walk(site, cursor, looks=22)

    assert set(found) == {"1002"}


def test_a_long_call_that_ends_while_the_parts_are_looked_over_is_found(
    site: PackageSite,
) -> None:
    """Its part may have been looked over a moment before."""
    _, cursor = seen(site, None)
    cursor = walk(site, cursor, looks=12)[1]
    record(site, "1003", began=17 * 60, talked=17 * 60)

    found, _ = walk(site, cursor, looks=24)

    assert set(found) == {"1003"}


@pytest.mark.parametrize("late", [120, 280])
def test_a_record_that_comes_late_is_found_a_little_later(
    site: PackageSite, late: int
) -> None:
    """The phone rang for long, or the switch's clock is behind the database's."""
    _, cursor = seen(site, None)
    record(site, "1003", began=late + 60, talked=60)

    found, _ = walk(site, cursor, looks=100)

    assert set(found) == {"1003"}


@pytest.mark.parametrize("talked", [280, 100 * 60, 119 * 60])
def test_rests_pass_nobody_over(
    site: PackageSite, talked: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So many calls that every look is rested from for as long as there is."""
    _, cursor = seen(site, None)
    monkeypatch.setattr(by_start, "_rest", lambda _cost, longest: longest)
    record(site, "1002", began=talked + 10, talked=talked)

    found, _ = walk(site, cursor, looks=30, step=61)

    assert "1002" in found


def test_a_call_that_ended_long_ago_is_not_named_again(site: PackageSite) -> None:
    """Its balance is not read each second for as long as it stands in the index."""
    _, cursor = seen(site, None)
    record(site, "1001", began=250, talked=10)

    assert walk(site, cursor, looks=2)[0] == []


def test_at_a_replica_it_is_named_all_the_same(site: PackageSite) -> None:
    """A replica that catches up has it long after it was written."""
    copied = SqlBilling(site.engine, site.profile, currency="USD", reader=site.engine)
    _, cursor = seen(site, None)
    record(site, "1001", began=250, talked=10)

    assert list(copied.calls_since(passed(cursor, 3)).accounts) == ["1001"]


def older_ask(monkeypatch: pytest.MonkeyPatch, instead: str) -> list[str]:
    """Let the server be asked something else for each older part; tell what was."""
    asked: list[str] = []

    def ask(
        connection: sa.Connection, query: str
    ) -> tuple[Sequence[by_start.Name], float]:
        older = "<=" in query
        asked.append("older" if older else "newest")
        return usual(connection, instead if older else query)

    usual = by_start._ask  # noqa: SLF001 what it stands in for
    monkeypatch.setattr(by_start, "_ask", ask)
    return asked


def test_an_older_part_that_is_too_slow_costs_nobody_of_the_newest(
    site: PackageSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is tried again after a minute; the newest are named each time."""
    slow = (
        f"SET STATEMENT max_statement_time = 0.05 FOR SELECT {LONG}"
        if is_mariadb(site)
        else f"SELECT /*+ MAX_EXECUTION_TIME(50) */ {LONG}"
    )
    asked = older_ask(monkeypatch, slow)
    _, cursor = seen(site, None)
    record(site, "1001", began=5, talked=5)

    first, cursor = seen(site, cursor)
    second, cursor = seen(site, passed(cursor, 3))
    third, _ = seen(site, passed(cursor, 60))

    assert first == second == third == ["1001"]
    assert asked == ["newest", "older", "newest", "newest", "older"]


def test_a_line_that_breaks_at_an_older_part_is_an_outage(
    site: PackageSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not a slow part: nothing was committed, and the look is repeated."""
    older_ask(monkeypatch, "KILL CONNECTION_ID()")
    _, cursor = seen(site, None)

    with pytest.raises(BillingUnavailable):
        seen(site, cursor)


def test_a_look_that_cost_much_is_followed_by_a_rest(
    site: PackageSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twenty times as long, so that it stays rare at any number of calls."""
    _, start = seen(site, None)
    record(site, "1001", began=5, talked=5)
    monkeypatch.setattr(by_start, "READING", 0.1)

    first, cursor = seen(site, start)
    resting, cursor = seen(site, cursor)
    rested, _ = seen(site, passed(cursor, 10))

    assert (first, resting, rested) == (["1001"], [], ["1001"])


def test_a_clock_that_was_set_back_ends_a_rest(site: PackageSite) -> None:
    """Nobody is passed over until it has caught up."""
    _, cursor = seen(site, None)
    record(site, "1001", began=5, talked=5)

    assert seen(site, passed(cursor, -7200))[0] == ["1001"]


def test_a_cursor_of_an_earlier_release_looks_at_everything_at_once(
    site: PackageSite,
) -> None:
    """It does not say what was looked at when; nor does one after a long stop."""
    found = json.loads(seen(site, None)[1])
    del found["looks"]
    record(site, "1001", began=7000, talked=6000)

    assert seen(site, json.dumps(found))[0] == ["1001"]
