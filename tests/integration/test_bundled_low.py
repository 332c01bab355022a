"""How the bundled package knows who is low, and what that costs a debit."""

from decimal import Decimal

import pytest
import sqlalchemy as sa

from replenish.adapters.billing.bundled import LOW_PAGE, BundledBilling
from replenish.errors import BadInput
from tests.bundled import (
    add_account,
    add_rate,
    ask,
    call,
    engine_of,
    run,
)

pytestmark = pytest.mark.integration


def heap_only_share(engine: sa.Engine) -> float:
    """Give the share of the account updates so far that touched no index."""
    with engine.connect() as connection:
        connection.execute(sa.text("SELECT pg_stat_force_next_flush()"))
        connection.commit()
        row = connection.execute(
            sa.text(
                "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables"
                " WHERE schemaname = 'billing' AND relname = 'account'"
            )
        ).one()
    return float(row.n_tup_hot_upd / row.n_tup_upd)


def drain(url: str) -> float:
    """Debit 40 watched accounts five times each; the share of heap-only updates."""
    with engine_of(url) as engine:  # one connection, so its statistics are all
        add_rate(engine)
        for number in range(40):
            add_account(engine, str(number), balance="100", low_mark="5")
        for turn in range(200):
            call(engine, str(turn % 40), call_id=f"call-{turn}")
        return heap_only_share(engine)


def test_debits_stay_heap_only(billing_url: str) -> None:
    """The index of low accounts costs a debit nothing until it crosses the mark."""
    assert drain(billing_url) > 0.95


def test_an_index_on_the_balance_would_cost_every_debit(billing_url: str) -> None:
    """The obvious partial index, for contrast: no debit stays heap-only."""
    with engine_of(billing_url) as engine:
        run(
            engine,
            "CREATE INDEX obvious ON billing.account (id) WHERE balance < low_mark",
        )

    assert drain(billing_url) == 0


def test_the_low_are_found_by_their_index(billing: sa.Engine) -> None:
    """Twenty thousand accounts are not read to find three."""
    run(
        billing,
        "INSERT INTO billing.account (number, kind, currency, balance,"
        " opening_balance, low_mark) SELECT i::text, 'prepaid', 'USD',"
        " CASE WHEN i % 7000 = 0 THEN 1 ELSE 50 END, 50, 5"
        " FROM generate_series(1, 20000) i",
    )
    run(billing, "ANALYZE billing.account")

    with billing.connect() as connection:
        plan = connection.execute(
            sa.text(f"EXPLAIN {LOW_PAGE.text}"), {"after": 0, "limit": 500}
        ).scalars()
        lines = "\n".join(plan)

    assert "account_low" in lines
    assert len(BundledBilling(billing).accounts(low=True).accounts) == 2


def test_a_watch_touches_only_what_changes(billing: sa.Engine) -> None:
    """Setting the same thresholds again rewrites no row."""
    add_account(billing)
    package = BundledBilling(billing)
    package.watch({"1001": Decimal(5)})
    row = "SELECT xmin::text, low_mark FROM billing.account"
    before = ask(billing, row)
    package.watch({"1001": Decimal("5.00")})

    assert ask(billing, row) == before


def test_pages_refuse_a_place_that_is_none(billing: sa.Engine) -> None:
    """A place to go on from is what a page gave, nothing else."""
    for after in ("", "-1", "x", "\uff11"):
        with pytest.raises(BadInput, match="place to go on from"):
            BundledBilling(billing).accounts(after=after)


@pytest.mark.parametrize("mark", ["1e20", "1e999999"])
def test_a_threshold_beyond_all_balances_is_refused(
    billing: sa.Engine, mark: str
) -> None:
    """However large, it gets a sentence."""
    add_account(billing)

    with pytest.raises(BadInput):
        BundledBilling(billing).watch({"1001": Decimal(mark)})
