"""The feed of debits: nothing is passed over, whatever commits late."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import sqlalchemy as sa

from replenish.adapters.billing.bundled import BundledBilling
from replenish.billing.feed import HOLE_SECONDS, MOST_HOLES
from replenish.errors import BadInput
from tests.bundled import (
    add_account,
    add_rate,
    call,
    run,
)

pytestmark = pytest.mark.integration


@contextmanager
def holding(engine: sa.Engine, statement: str) -> Iterator[sa.Connection]:
    """Keep a transaction open after a statement, and roll it back."""
    with engine.connect() as connection:
        connection.execute(sa.text(statement))
        yield connection
        connection.rollback()


def test_a_call_that_commits_late_is_not_passed_over(billing: sa.Engine) -> None:
    """Its id is lower than one already read; it is listed when it appears."""
    add_account(billing)
    add_account(billing, "1002")
    add_rate(billing)
    package = BundledBilling(billing)
    start = package.calls_since(None)
    late = (
        "INSERT INTO billing.call (call_id, account_id, called, started, seconds,"
        " billed_seconds, cost, rate_id, available_after) SELECT 'late', id, '44',"
        " now(), 1, 1, 0.01, 1, 9 FROM billing.account WHERE number = '1002'"
    )
    with holding(billing, late) as connection:
        call(billing)
        first = package.calls_since(start.cursor)
        waiting = package.calls_since(first.cursor)
        opened = package.calls_since(None)  # starts in the middle of it
        connection.commit()
    second = package.calls_since(waiting.cursor)

    assert [*first.accounts, "|", *waiting.accounts, "|", *second.accounts] == [
        "1001",
        "|",
        "|",
        "1002",
    ]
    assert list(package.calls_since(second.cursor).accounts) == []
    assert list(package.calls_since(opened.cursor).accounts) == ["1002"]


def test_a_call_that_was_rolled_back_is_forgotten_in_time(billing: sa.Engine) -> None:
    """Its hole is asked for as long as a transaction may last, and no longer."""
    add_account(billing)
    add_rate(billing)
    package = BundledBilling(billing)
    start = package.calls_since(None)
    run(billing, "SELECT nextval(pg_get_serial_sequence('billing.call', 'id'))")
    call(billing)
    high, holes = json.loads(package.calls_since(start.cursor).cursor)

    aged = [[hole, at - HOLE_SECONDS] for hole, at in holes]
    later = package.calls_since(json.dumps([high, aged]))

    assert [hole for hole, _ in holes] == [high - 1]
    assert json.loads(later.cursor) == [high, []]


def test_a_jump_of_the_ids_keeps_the_cursor_small(billing: sa.Engine) -> None:
    """However many ids were skipped, only the newest are remembered."""
    add_account(billing)
    add_rate(billing)
    package = BundledBilling(billing)
    start = package.calls_since(None)
    run(
        billing,
        "SELECT setval(pg_get_serial_sequence('billing.call', 'id'), 900000000)",
    )
    call(billing)

    calls = package.calls_since(start.cursor)

    assert list(calls.accounts) == ["1001"]
    assert len(json.loads(calls.cursor)[1]) == MOST_HOLES


def test_a_cursor_outlives_a_restored_database(billing: sa.Engine) -> None:
    """Ids that have gone back start it over at the end, not never again."""
    add_account(billing)
    add_rate(billing)
    package = BundledBilling(billing)

    moved = package.calls_since("[5000, []]")
    call(billing)

    assert list(moved.accounts) == []
    assert list(package.calls_since(moved.cursor).accounts) == ["1001"]


@pytest.mark.parametrize("cursor", ["", "{}", "[1]", "[Infinity, []]", "[1, [2]]"])
def test_a_cursor_of_something_else_is_refused(billing: sa.Engine, cursor: str) -> None:
    """It gets a sentence, not a driver's error."""
    with pytest.raises(BadInput, match="not one of ours"):
        BundledBilling(billing).calls_since(cursor)
