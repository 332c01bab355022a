"""A bundled billing package with a few accounts and rates, for tests."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal

import sqlalchemy as sa

from replenish.adapters.billing.bundled import BundledBilling
from replenish.billing import schema
from replenish.billing.calls import Debit, place_call
from replenish.billing.database import make_engine
from replenish.domain.money import Money
from replenish.ports import Receipt

NOW = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)
LONDON = "+442079460000"


def prepare(url: str) -> None:
    """Create the schema; to be given to `make_database`."""
    with engine_of(url) as engine:
        schema.create(engine)


@contextmanager
def engine_of(url: str, **options: int) -> Iterator[sa.Engine]:
    """Lend an engine and close its connections after."""
    engine = make_engine(url, **options)
    try:
        yield engine
    finally:
        engine.dispose()


def add_account(
    engine: sa.Engine, number: str = "1001", balance: str = "10", **changes: object
) -> None:
    """Open an account; prepaid, active, in USD unless told otherwise."""
    values = {"kind": "prepaid", "currency": "USD", "opening_balance": balance}
    with engine.begin() as connection:
        connection.execute(
            schema.account.insert(),
            {"number": number, "balance": balance, **values, **changes},
        )


def add_rate(engine: sa.Engine, prefix: str = "44", **changes: object) -> None:
    """Add a rate of 0.60 a minute by the second, effective since 2020."""
    values = {
        "deck": "default",
        "currency": "USD",
        "name": f"Destination {prefix}",
        "per_minute": "0.60",
        "connection_fee": "0",
        "initial": 1,
        "subsequent": 1,
        "effective_from": datetime(2020, 1, 1, tzinfo=UTC),
    }
    with engine.begin() as connection:
        connection.execute(
            schema.rate.insert(), {**values, "prefix": prefix, **changes}
        )


def call(
    engine: sa.Engine,
    number: str = "1001",
    *,
    seconds: int = 60,
    call_id: str = "call-1",
    called: str = LONDON,
    started: datetime = NOW,
) -> Debit:
    """Report a call."""
    return place_call(
        engine,
        number,
        called=called,
        seconds=seconds,
        started=started,
        call_id=call_id,
    )


def run(engine: sa.Engine, statement: str, **values: object) -> None:
    """Run SQL, as an operator would by hand."""
    with engine.begin() as connection:
        connection.execute(sa.text(statement), values)


def ask(engine: sa.Engine, query: str, **values: object) -> list[tuple[object, ...]]:
    """Give the rows of a query."""
    with engine.connect() as connection:
        rows = connection.execute(sa.text(query), values).all()
    return [tuple(row) for row in rows]


def balance(engine: sa.Engine, number: str = "1001") -> Decimal:
    """Give an account's balance."""
    query = "SELECT balance FROM billing.account WHERE number = :number"
    [(found,)] = ask(engine, query, number=number)
    assert isinstance(found, Decimal)
    return found


def credit(
    engine: sa.Engine, *, amount: str = "25", reference: str = "att-1"
) -> Receipt:
    """Credit account 1001."""
    return BundledBilling(engine).apply_credit(
        "1001",
        Money(Decimal(amount), "USD"),
        reference=reference,
        note="Automatic top-up",
        at=NOW,
    )
