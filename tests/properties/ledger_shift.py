"""Letting time pass for rows, in PostgreSQL and in memory: they grow older."""

from dataclasses import fields, is_dataclass, replace
from datetime import datetime, timedelta

import sqlalchemy as sa

from tests.memory.rows import Store
from tests.world import World

TIMES = {
    "account": "consent_at paused_at episode_at low_since not_before enrolled_at",
    "card": "retry_at dead_at removed_at added_at",
    "attempt": "next_at nudge_at claimed_at changed_at charged_at settled_at",
    "batch": "opened_at closed_at",
    "skip": "until first_at last_at",
    "cut_off": "begun_at done_at restored_at",
    "job": "busy_until begun_at ended_at",
    "credit_break": "found_at put_right_at again_at",
}
"""Every moment in the rows; `shift` puts them into the past."""


def shift_rows(world: World, seconds: float) -> None:
    """Let so much time have passed in PostgreSQL, past the journal's triggers."""
    with world.engine.begin() as connection:
        connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
        for table, columns in TIMES.items():
            moved = ", ".join(
                f"{name} = {name} - make_interval(secs => :s)"
                for name in columns.split()
            )
            statement = f"UPDATE replenish.{table} SET {moved}"  # noqa: S608 constants
            connection.execute(sa.text(statement), {"s": seconds})


def shift_store(store: Store, seconds: float) -> None:
    """Let so much time have passed in memory."""
    by = timedelta(seconds=seconds)
    seen: set[int] = set()
    rows: list[object] = [*store.cuts]
    for table in (store.accounts, store.attempts, store.batches, store.skips):
        rows += table.values()
    for row in (*rows, *store.jobs.values(), *store.breaks.values()):
        _shift(row, by, seen)
    for _, card in store.cards.values():
        _shift(card, by, seen)
        if card.card.retry_at is not None:
            card.card = replace(card.card, retry_at=card.card.retry_at - by)


def _shift(row: object, by: timedelta, seen: set[int]) -> None:
    assert is_dataclass(row)
    if id(row) in seen:
        return
    seen.add(id(row))
    for item in fields(row):
        value = getattr(row, item.name)
        if isinstance(value, datetime):
            setattr(row, item.name, value - by)
