"""Copying the three books side by side, into scratch tables of one transaction."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from replenish.adapters.sql_billing.profile import Profile
from replenish.domain.rule import Rule
from replenish.errors import BadInput
from replenish.sandbox import ledger as gateway

# https://docs.stripe.com/currencies: sent without decimals, and with three
WHOLE = frozenset(
    [
        "BIF",
        "CLP",
        "DJF",
        "GNF",
        "JPY",
        "KMF",
        "KRW",
        "MGA",
        "PYG",
        "RWF",
        "VND",
        "VUV",
        "XAF",
        "XOF",
        "XPF",
    ]
)
THOUSANDTHS = frozenset(["BHD", "JOD", "KWD", "OMR", "TND"])

ESCAPED = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"})

SCRATCH = """
CREATE TEMP TABLE g (intent text, attempt text, account text, ours boolean,
  amount numeric, currency text, charges int, refunded boolean) ON COMMIT DROP;
CREATE TEMP TABLE g_request (kind text, intent text, attempt text, account text,
  ours boolean, amount numeric, currency text, customer text, payment_method text,
  key text, at timestamptz) ON COMMIT DROP;
CREATE TEMP TABLE b_account (account text, available numeric, balance numeric,
  expected numeric, state text) ON COMMIT DROP;
CREATE TEMP TABLE b_credit (reference text, account text, amount numeric,
  currency text, correction boolean GENERATED ALWAYS AS (right(reference, 6) = '-again')
  STORED) ON COMMIT DROP;
CREATE TEMP TABLE b_refill (reference text, account text, amount numeric,
  before numeric, at timestamptz) ON COMMIT DROP;
CREATE TEMP TABLE b_read (at timestamptz) ON COMMIT DROP;
CREATE TEMP TABLE h (account text, kind text) ON COMMIT DROP;
"""

KEYS = """
CREATE INDEX ON rule (account_id);
CREATE INDEX ON b_account (account);
CREATE INDEX ON b_credit (reference);
CREATE INDEX ON b_refill (reference);
CREATE INDEX ON b_refill (account, at);
CREATE INDEX ON g (attempt);
CREATE INDEX ON g_request (attempt);
ANALYZE rule, b_account, b_credit, b_refill, g, g_request;
"""
"""Without these a long history would be joined row by row."""

RULE = sa.text("""
CREATE TEMP TABLE rule ON COMMIT DROP AS
SELECT id AS account_id,
  coalesce(threshold, :threshold) AS threshold,
  coalesce(cap_charge, :cap_charge) AS cap_charge,
  coalesce(cap_day, :cap_day) AS cap_day,
  coalesce(cap_month, :cap_month) AS cap_month,
  coalesce(count_day, :count_day) AS count_day,
  coalesce(floor, :floor) AS floor,
  coalesce(grace, :grace) AS grace,
  coalesce(cooldown, :cooldown) AS cooldown,
  coalesce(time_zone, :time_zone) AS time_zone,
  CASE WHEN coalesce(top_up_kind, CASE WHEN top_up IS NULL THEN :kind END) = 'target'
       THEN ceil(coalesce(top_up, :top_up) - coalesce(threshold, :threshold))
       ELSE coalesce(top_up, :top_up) END AS one_top_up,
  coalesce((SELECT max(e.at) FROM replenish.event e
            WHERE e.account_id = a.id AND e.kind = 'rule_changed'),
           '-infinity') AS since
FROM replenish.account a
""")

B_ACCOUNTS = sa.text("""
SELECT a.number AS account, a.balance + a.credit_limit AS available, a.balance,
       a.opening_balance
       + coalesce((SELECT sum(r.amount) FROM billing.refill r
                   WHERE r.account_id = a.id AND r.source <> 'correction'), 0)
       - coalesce((SELECT sum(c.cost) FROM billing.call c
                   WHERE c.account_id = a.id), 0) AS expected, a.state
FROM billing.account a
""")

B_CREDITS = sa.text("""
SELECT r.reference, a.number AS account, r.amount, a.currency
FROM billing.refill r JOIN billing.account a ON a.id = r.account_id
WHERE r.source IN ('card', 'correction', 'refund')
""")

B_REFILLS = sa.text("""
SELECT r.reference, a.number AS account, r.amount,
       r.available_after - r.amount AS before, r.recorded_at AS at
FROM billing.refill r JOIN billing.account a ON a.id = r.account_id
""")


@dataclass(frozen=True, slots=True)
class Deed:
    """What somebody did by hand, outside of all three books.

    Attributes:
        kind: `blocked`, when the account was taken out of service for good.
    """

    account: str
    kind: str


@dataclass(frozen=True, slots=True)
class Billing:
    """The billing package as it stood at `at` (its own clock, aware UTC).

    Attributes:
        accounts: account, available, balance, expected, state.
        credits: ours: reference, account, amount, currency.
        refills: all of them, with what was available before; where they are read.
        sums: whether `expected` was added up from refills and calls.
    """

    at: datetime
    accounts: Sequence[Mapping[Any, Any]]
    credits: Sequence[Mapping[Any, Any]]
    sums: bool
    refills: Sequence[Mapping[Any, Any]] = ()


def take_time(connection: sa.Connection) -> None:
    """Let this transaction read for minutes, and wait while other books are read.

    The engines bound both by seconds, for the pipeline's sake. MariaDB and MySQL
    have no such bounds on what only reads through them.
    """
    if connection.dialect.name != "postgresql":
        return
    connection.execute(sa.text("SET LOCAL statement_timeout = '5min'"))
    connection.execute(sa.text("SET LOCAL idle_in_transaction_session_timeout = 0"))


def reader(profile: Profile | None, *, currency: str) -> Callable[[sa.Engine], Billing]:
    """Give how a package is read: the bundled one where there is no profile."""
    if profile is None:
        return read_billing
    return partial(read_package, profile=profile, currency=currency)


def read_billing(engine: sa.Engine) -> Billing:
    """Read accounts, credits and what each balance should be, in one snapshot."""
    with engine.connect() as plain:
        connection = plain.execution_options(isolation_level="REPEATABLE READ")
        take_time(connection)
        at = connection.execute(sa.text("SELECT now()")).scalar_one()
        return Billing(
            at,
            [dict(row) for row in connection.execute(B_ACCOUNTS).mappings()],
            [dict(row) for row in connection.execute(B_CREDITS).mappings()],
            sums=True,
            refills=[dict(row) for row in connection.execute(B_REFILLS).mappings()],
        )


def read_package(engine: sa.Engine, profile: Profile, *, currency: str) -> Billing:
    """Read a package that a profile describes, in one snapshot where it can.

    Its balances are taken as they are: what calls, fees and services have cost is
    spread over tables that we do not read.
    """
    of = profile.accounts
    states = {of.active: "active", of.suspended: "suspended"}
    query = (
        f"SELECT {of.id} AS id, {of.available} AS available, {of.state} AS state"
        f" FROM {of.table} WHERE {of.only}"
    )
    with engine.connect() as plain:
        connection = plain.execution_options(isolation_level="REPEATABLE READ")
        take_time(connection)
        at = datetime.now(UTC)
        facts = {
            name: connection.execute(sa.text(fact)).scalar()
            for name, fact in profile.facts.items()
        }
        accounts = [
            {
                "account": str(row.id),
                "available": row.available,
                "balance": row.available,
                "expected": row.available,
                "state": states.get(row.state, "other"),
            }
            for row in connection.execute(sa.text(query), facts)
        ]
        found = [
            {
                "reference": row.reference,
                "account": str(row.account),
                "amount": row.amount,
                "currency": currency,
            }
            for row in connection.execute(sa.text(profile.credits))
        ]
    return Billing(at, accounts, found, sums=False)


def fill(
    connection: sa.Connection,
    billing: Billing,
    defaults: Rule,
    history: Sequence[Deed] = (),
) -> None:
    """Make the scratch tables, copy the billing package and the history into them."""
    connection.exec_driver_sql(SCRATCH)
    connection.execute(
        RULE,
        {
            "threshold": defaults.threshold,
            "cap_charge": defaults.cap_charge,
            "cap_day": defaults.cap_day,
            "cap_month": defaults.cap_month,
            "count_day": defaults.count_day,
            "floor": defaults.floor,
            "grace": defaults.grace,
            "cooldown": defaults.cooldown,
            "time_zone": defaults.time_zone,
            "top_up": defaults.top_up,
            "kind": str(defaults.kind),
        },
    )
    _insert(connection, "b_account", billing.accounts)
    _insert(connection, "b_credit", billing.credits)
    _insert(connection, "b_refill", billing.refills)
    _insert(connection, "b_read", [{"at": billing.at}])
    _insert(connection, "h", [asdict(deed) for deed in history])


def make_keys(connection: sa.Connection) -> None:
    """Let the filled scratch tables be searched, and the planner know how long."""
    connection.exec_driver_sql(KEYS)


def fill_gateway(connection: sa.Connection, path: Path) -> None:
    """Copy the gateway's own ledger.

    Raises:
        BadInput: there is no such file, or it is not such a ledger.
    """
    try:
        records = list(gateway.read(path))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        msg = f"The gateway's ledger {path} cannot be read: {error}."
        raise BadInput(msg, subject=str(path)) from error
    _insert(connection, "g_request", [_request(r) for r in _orders(records)])
    _insert(connection, "g", list(_intents(records).values()))


def _orders(records: Iterable[gateway.Record]) -> Iterable[gateway.Record]:
    return (r for r in records if r.kind in ("intent.created", "intent.confirmed"))


def _intents(records: Iterable[gateway.Record]) -> dict[str, dict[str, Any]]:
    intents: dict[str, dict[str, Any]] = {}
    for record in records:
        if record.kind == "intent.created":
            intents[record.intent or ""] = {
                **_marks(record),
                "amount": units(record),
                "currency": record.currency.upper(),
                "charges": 0,
                "refunded": False,
            }
        elif record.kind == "charge.succeeded" and record.intent in intents:
            intents[record.intent]["charges"] += 1
        elif record.kind == "refund.created" and record.intent in intents:
            intents[record.intent]["refunded"] = True
    return intents


def _request(record: gateway.Record) -> dict[str, Any]:
    return {
        **_marks(record),
        "kind": record.kind,
        "amount": units(record),
        "currency": record.currency.upper(),
        "customer": record.customer,
        "payment_method": record.payment_method,
        "key": record.idempotency_key,
        "at": datetime.fromtimestamp(record.at, UTC),
    }


def _marks(record: gateway.Record) -> dict[str, Any]:
    return {
        "intent": record.intent,
        "attempt": record.metadata.get("attempt", ""),
        "account": record.metadata.get("account", ""),
        "ours": "attempt" in record.metadata,
    }


def units(record: gateway.Record) -> Decimal:
    """Give a record's amount in currency units, by the checker's own reckoning."""
    code = record.currency.upper()
    places = 0 if code in WHOLE else 3 if code in THOUSANDTHS else 2
    return Decimal(record.amount).scaleb(-places)


def _insert(
    connection: sa.Connection, table: str, rows: Sequence[Mapping[Any, Any]]
) -> None:
    """Copy rows into a scratch table; a hundred thousand are few."""
    if not rows:
        return
    columns = list(rows[0])
    lines = ("\t".join(_copied(row[name]) for name in columns) for row in rows)
    named = f"COPY {table} ({', '.join(columns)}) FROM STDIN"
    cursor: Any = connection.connection.cursor()
    cursor.copy_expert(named, StringIO("\n".join(lines) + "\n"))
    cursor.close()


def _copied(value: object) -> str:
    """Write a value as https://www.postgresql.org/docs/current/sql-copy.html says."""
    return r"\N" if value is None else str(value).translate(ESCAPED)
