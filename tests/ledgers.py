"""A real ledger for tests: `make_database(prepare)`, then `engine_of(url)`."""

from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from replenish.adapters.ledger import migrations
from replenish.adapters.ledger.session import make_engine

JUDGED = """
    SELECT coalesce(bool_and(
             e.hash = replenish.digest(e)
             AND e.previous = coalesce(p.hash, '')), true)
    FROM replenish.event e
    LEFT JOIN replenish.event p ON p.account_id = e.account_id AND p.seq = e.seq - 1
"""


def prepare(url: str) -> None:
    """Create the schema; to be given to `make_database`."""
    with engine_of(url) as engine:
        migrations.upgrade(engine)


@contextmanager
def engine_of(url: str) -> Iterator[sa.Engine]:
    """Lend an engine and close its connections after."""
    engine = make_engine(
        url, statement_timeout_ms=10_000, lock_timeout_ms=3_000, pool_size=4
    )
    try:
        yield engine
    finally:
        engine.dispose()


def run(engine: sa.Engine, statement: str, **values: object) -> None:
    """Run SQL, as an operator would by hand."""
    with engine.begin() as connection:
        connection.execute(sa.text(statement), values)


def ask(engine: sa.Engine, query: str, **values: object) -> list[tuple[object, ...]]:
    """Give the rows of a query."""
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(sa.text(query), values)]


def chains_hold(engine: sa.Engine) -> bool:
    """Say whether every event has its own hash and that of the one before."""
    [(found,)] = ask(engine, JUDGED)
    return bool(found)
