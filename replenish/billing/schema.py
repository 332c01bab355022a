"""The tables of the billing package, their version, and how they are made.

Amounts keep five places. Prices are quoted per minute to four or five places and
are billed by the second, so a sixtieth of them needs the fifth; the widely used
packages keep four or five as well. Eighteen digits leave thirteen before the point.

The account table is shaped for its debits. `is_low` is a stored generated column,
and the partial index on it is the only index that a change of balance can touch:
only the call that crosses the mark does, so all other debits stay heap-only
(https://www.postgresql.org/docs/current/storage-hot.html). An index whose condition
names `balance` itself would forbid that for every debit. The fill factor leaves
each page the room for the new row versions.
"""

import sqlalchemy as sa

from replenish.billing.database import SETTING, transaction
from replenish.billing.rating import SCALE
from replenish.errors import ConfigurationError

VERSION = 1
RATE_SCALE = 6  # places of a price per minute
SCHEMA = "billing"
LOCK = 7305142  # advisory lock: two processes never create the schema at once

Amount = sa.Numeric(18, SCALE)
Instant = sa.DateTime(timezone=True)
Word = sa.Text(collation="C")

metadata = sa.MetaData(schema=SCHEMA)


def _check(condition: str, name: str) -> sa.CheckConstraint:
    return sa.CheckConstraint(condition, name=name)


meta = sa.Table(
    "meta",
    metadata,
    sa.Column("one", sa.Boolean, primary_key=True, server_default=sa.true()),
    sa.Column("version", sa.Integer, nullable=False),
    _check("one", "meta_one_row"),
)

account = sa.Table(
    "account",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("number", Word, nullable=False, unique=True),
    sa.Column("kind", Word, nullable=False),
    sa.Column("currency", Word, nullable=False),
    sa.Column("balance", Amount, nullable=False),
    sa.Column("opening_balance", Amount, nullable=False),
    sa.Column("credit_limit", Amount, nullable=False, server_default="0"),
    sa.Column("low_mark", Amount, comment="low at or below so much available"),
    sa.Column(
        "is_low",
        sa.Boolean,
        sa.Computed("coalesce(balance + credit_limit <= low_mark, false)", True),  # noqa: FBT003 stored; the argument is positional upstream
    ),
    sa.Column("state", Word, nullable=False, server_default="active"),
    sa.Column("deck", Word, nullable=False, server_default="default"),
    sa.Column("name", sa.Text, nullable=False, server_default=""),
    sa.Column("email", sa.Text, nullable=False, server_default=""),
    sa.Column("created_at", Instant, nullable=False, server_default=sa.func.now()),
    _check("number ~ '^[^[:space:][:cntrl:]]{1,64}$'", "account_number"),
    _check("kind IN ('prepaid', 'real_time')", "account_kind"),
    _check("currency ~ '^[A-Z]{3}$'", "account_currency"),
    # numeric(p, s) refuses infinity but holds NaN, which is above every number
    _check("balance <> 'NaN' AND opening_balance <> 'NaN'", "account_balance"),
    _check("credit_limit >= 0 AND credit_limit <> 'NaN'", "account_credit_limit"),
    _check("kind = 'real_time' OR credit_limit = 0", "account_prepaid_no_credit"),
    _check("low_mark <> 'NaN'", "account_low_mark"),
    _check("state IN ('active', 'suspended', 'blocked', 'closed')", "account_state"),
    postgresql_with={"fillfactor": 80},
)
sa.Index("account_low", account.c.id, postgresql_where=account.c.is_low)

rate = sa.Table(
    "rate",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("deck", Word, nullable=False),
    sa.Column("currency", Word, nullable=False),
    sa.Column("prefix", Word, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("per_minute", sa.Numeric(12, RATE_SCALE), nullable=False),
    sa.Column("connection_fee", sa.Numeric(12, SCALE), nullable=False),
    sa.Column("initial", sa.Integer, nullable=False),
    sa.Column("subsequent", sa.Integer, nullable=False),
    sa.Column("effective_from", Instant, nullable=False),
    sa.Column("effective_to", Instant, comment="not included; null: until further"),
    sa.UniqueConstraint(
        "deck", "currency", "prefix", "effective_from", name="rate_once"
    ),
    _check("prefix ~ '^[0-9]{1,15}$'", "rate_prefix"),
    _check("currency ~ '^[A-Z]{3}$'", "rate_currency"),
    _check("per_minute >= 0 AND per_minute <> 'NaN'", "rate_per_minute"),
    _check("connection_fee >= 0 AND connection_fee <> 'NaN'", "rate_connection_fee"),
    _check("initial BETWEEN 1 AND 3600", "rate_initial"),
    _check("subsequent BETWEEN 1 AND 3600", "rate_subsequent"),
    _check("effective_to > effective_from", "rate_effective"),
)

call = sa.Table(
    "call",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("call_id", Word, nullable=False, unique=True),
    sa.Column("account_id", sa.ForeignKey(account.c.id), nullable=False),
    sa.Column("called", Word, nullable=False),
    sa.Column("started", Instant, nullable=False),
    sa.Column("seconds", sa.Integer, nullable=False),
    sa.Column("billed_seconds", sa.Integer, nullable=False),
    sa.Column("cost", Amount, nullable=False),
    # no foreign key: its check would lock, and so rewrite, the one popular rate
    # row for each of the calls that are billed by it at the same time
    sa.Column("rate_id", sa.BigInteger, nullable=False),
    sa.Column("available_after", Amount, nullable=False),
    sa.Column("recorded_at", Instant, nullable=False, server_default=sa.func.now()),
    _check("cost >= 0 AND cost <> 'NaN'", "call_cost"),
    _check("seconds >= 0 AND billed_seconds >= seconds", "call_seconds"),
)
sa.Index("call_by_account", call.c.account_id, call.c.started)

refill = sa.Table(
    "refill",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("reference", Word, nullable=False, unique=True),
    sa.Column("account_id", sa.ForeignKey(account.c.id), nullable=False),
    sa.Column("amount", Amount, nullable=False),
    sa.Column("balance_after", Amount, nullable=False),
    sa.Column("available_after", Amount, nullable=False),
    sa.Column("source", Word, nullable=False),
    sa.Column("note", sa.Text, nullable=False, server_default=""),
    sa.Column("at", Instant, nullable=False),
    sa.Column("recorded_at", Instant, nullable=False, server_default=sa.func.now()),
    _check("amount <> 0 AND amount <> 'NaN'", "refill_amount"),
)
sa.Index("refill_by_account", refill.c.account_id, refill.c.at)

VIEWS = (
    """
    CREATE OR REPLACE VIEW billing.refill_report AS
    SELECT a.number AS account, a.name, r.at, r.source, r.amount, a.currency,
           r.balance_after, r.reference, r.note
      FROM billing.refill r JOIN billing.account a ON a.id = r.account_id
    """,
    # every account whose balance is not what its rows add up to; must be empty
    """
    CREATE OR REPLACE VIEW billing.imbalance AS
    SELECT a.number AS account, a.balance, e.expected
      FROM billing.account a
     CROSS JOIN LATERAL (SELECT a.opening_balance
           + coalesce((SELECT sum(r.amount) FROM billing.refill r
                        WHERE r.account_id = a.id), 0)
           - coalesce((SELECT sum(c.cost) FROM billing.call c
                        WHERE c.account_id = a.id), 0) AS expected) e
     WHERE a.balance <> e.expected
    """,
)


def create(engine: sa.Engine) -> None:
    """Create the schema where it is missing; harmless to repeat, also at once.

    Raises:
        ConfigurationError: the database holds another version of it.
        BillingUnavailable: the database is away.
    """
    with transaction(engine) as connection:
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(LOCK)))
        found = version(connection)
        if found is None:
            connection.execute(sa.schema.CreateSchema(SCHEMA, if_not_exists=True))
            metadata.create_all(connection, checkfirst=False)
            for view in VIEWS:
                connection.execute(sa.text(view))
            connection.execute(meta.insert().values(version=VERSION))
        elif found != VERSION:
            raise ConfigurationError(mismatch(found), subject=SETTING)


def version(connection: sa.Connection) -> int | None:
    """Read which version the database holds; None when it holds none."""
    if connection.execute(sa.text("SELECT to_regclass('billing.meta')")).scalar():
        return connection.execute(sa.select(meta.c.version)).scalar()
    return None


def mismatch(found: int | None) -> str:
    """Say in a sentence what is wrong with a version, or '' if nothing is."""
    if found == VERSION:
        return ""
    if found is None:
        return (
            f"The database in {SETTING} has no billing schema;"
            " run `replenish db upgrade` to create it."
        )
    if found < VERSION:
        return (
            f"The billing schema is version {found}, too old for this code, which"
            f" needs {VERSION}; run the release that upgrades it, or restore a newer"
            " backup."
        )
    return (
        f"The billing schema is version {found}, too new for this code, which knows"
        f" {VERSION}; install the release that made it."
    )
