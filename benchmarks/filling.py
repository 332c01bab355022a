"""Many accounts at once, by set-based SQL; and clean rows between two runs."""

import sqlalchemy as sa

from replenish.bootstrap import Application

BILLING = (
    "TRUNCATE billing.account, billing.call, billing.refill CASCADE",
    """
    INSERT INTO billing.account (number, kind, currency, balance, opening_balance,
      low_mark)
    SELECT lpad(n::text, 8, '0'), 'prepaid', 'USD', b, b, 10
    FROM (SELECT n, CASE WHEN n <= {low} THEN 5 ELSE 50 END AS b
          FROM generate_series(1, {accounts}) AS s(n)) AS r
    """,
    "ANALYZE billing.account",
)

LEDGER = (
    "SET session_replication_role = replica",
    (
        "TRUNCATE replenish.account, replenish.card, replenish.attempt,"
        " replenish.event, replenish.chain, replenish.batch, replenish.skip,"
        " replenish.cut_off CASCADE"
    ),
    """
    INSERT INTO replenish.account (id, currency, consent_at, consent_text,
      consent_source)
    SELECT lpad(n::text, 8, '0'), 'USD', now(), 'v1', 'benchmark'
    FROM generate_series(1, {accounts}) AS s(n)
    """,
    """
    INSERT INTO replenish.card (account_id, customer, payment_method, brand, last4,
      exp_month, exp_year, fingerprint)
    SELECT id, 'cus_' || id, 'pm_' || id, 'visa', '4242', 12, 2040, 'print_' || id
    FROM replenish.account
    """,
    "ANALYZE replenish.account",
    "ANALYZE replenish.card",
)

EMPTY = (
    "SET session_replication_role = replica",  # the journal refuses to be emptied
    (
        "TRUNCATE replenish.attempt, replenish.event, replenish.chain, replenish.batch,"
        " replenish.skip, replenish.job CASCADE"
    ),
    (
        "UPDATE replenish.account SET low_since = NULL, not_before = NULL"
        " WHERE low_since IS NOT NULL"
    ),
)


def fill(app: Application, accounts: int, low: int) -> None:
    """Make so many accounts, enrolled, each with a card; the first `low` are low."""
    run_sql(app.billing_engine, BILLING, accounts=accounts, low=low)
    run_sql(app.ledger_engine, LEDGER, accounts=accounts, low=low)


def enrol(app: Application, accounts: int) -> None:
    """Enrol accounts 1, 2, 3 … of another package, each with a card."""
    statements = tuple(
        each.replace("lpad(n::text, 8, '0')", "n::text") for each in LEDGER
    )
    run_sql(app.ledger_engine, statements, accounts=accounts)


def empty_rows(app: Application) -> None:
    """Forget every attempt, batch and reason."""
    run_sql(app.ledger_engine, EMPTY)


def run_sql(engine: sa.Engine, statements: tuple[str, ...], **numbers: int) -> None:
    """Run statements one by one, without bounds of time, numbers put in."""
    plain = engine.execution_options(isolation_level="AUTOCOMMIT")
    with plain.connect() as connection:
        connection.exec_driver_sql("SET statement_timeout = 0")
        connection.exec_driver_sql("SET lock_timeout = 0")
        for statement in statements:
            connection.exec_driver_sql(statement.format(**numbers))
        connection.invalidate()  # its settings were for this alone
