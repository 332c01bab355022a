"""How long `replenish verify` takes as the books grow.

    python -m benchmarks.verifying [--charges 10000 100000] [--accounts 100] [--json]

The books of few accounts with a long past, the hardest for whatever compares one charge
of an account with its others: so many charges, one a day and account, each with its
attempt, its four events in the hash chain, its call and its credit in the package, and
its records at the gateway. They are written as they would stand, not made by charging.

Each line gives the time of the whole judgement, the slowest invariant, and how much
longer a charge takes than in the shortest books: 1.0 where time follows the books.

Exit code: 0 when nothing is broken and a charge never takes more than twice as long as
in the shortest books, else 1.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import sqlalchemy as sa

from benchmarks.filling import fill, run_sql
from benchmarks.installation import alone, print_table
from replenish import bootstrap
from replenish.bootstrap import Application
from replenish.sandbox.ledger import Journal
from replenish.verify import run

MORE = 2.0  # times as long for a charge, that is still taken for noise

ATTEMPTS = """
    INSERT INTO replenish.attempt (id, account_id, card_id, amount, currency, customer,
      payment_method, fingerprint, state, intent, confirms, available_before,
      claimed_at, changed_at, charged_at, settled_at)
    SELECT gen_random_uuid(), a.id, k.id, 10, 'USD', k.customer, k.payment_method,
      k.fingerprint, 'settled', 'pi_' || a.id || '_' || n, 1, 5,
      at, at + interval '2 s', at + interval '1 s', at + interval '2 s'
    FROM replenish.account a JOIN replenish.card k ON k.account_id = a.id
    CROSS JOIN generate_series(1, {each}) AS s(n)
    CROSS JOIN LATERAL (SELECT now() - interval '1 day' * n AS at) AS c
"""
EVENTS = """
    DO $$
    DECLARE
      step record;
      event replenish.event;
    BEGIN
      FOR step IN
        SELECT t.account_id, t.id, s.before, s.after, t.claimed_at + s.later AS at
        FROM replenish.attempt t CROSS JOIN (VALUES
          (1, NULL, 'claimed', interval '0'), (2, 'claimed', 'charging', interval '0'),
          (3, 'charging', 'charged', interval '1 s'),
          (4, 'charged', 'settled', interval '2 s')) AS s(n, before, after, later)
        ORDER BY t.account_id, t.claimed_at, s.n
      LOOP
        IF event.account_id IS DISTINCT FROM step.account_id THEN
          event.seq := 0;
          event.hash := '';
        END IF;
        event.account_id := step.account_id;
        event.seq := event.seq + 1;
        event.previous := event.hash;
        event.attempt_id := step.id;
        event.kind := 'attempt';
        event.from_state := step.before;
        event.to_state := step.after;
        event.at := step.at;
        event.actor := 'benchmark';
        event.detail := '{{}}';
        event.hash := replenish.digest(event);
        INSERT INTO replenish.event (account_id, seq, attempt_id, kind, from_state,
          to_state, at, actor, detail, previous, hash)
        VALUES (event.account_id, event.seq, event.attempt_id, event.kind,
          event.from_state, event.to_state, event.at, event.actor, event.detail,
          event.previous, event.hash);
      END LOOP;
    END $$
"""
LEDGER = (
    "SET session_replication_role = replica",  # the past is written as it would stand
    "UPDATE replenish.account SET enrolled_at = '2001-01-01'",
    "UPDATE replenish.account SET consent_at = '2001-01-01'",
    "UPDATE replenish.card SET added_at = '2001-01-01'",
    ATTEMPTS,
    EVENTS,
    """
    INSERT INTO replenish.chain (account_id, seq, hash)
    SELECT DISTINCT ON (account_id) account_id, seq, hash FROM replenish.event
    ORDER BY account_id, seq DESC
    """,
    "ANALYZE replenish.attempt",
    "ANALYZE replenish.event",
)
BILLING = (
    "UPDATE billing.account SET balance = 15, opening_balance = 15",
    """
    INSERT INTO billing.refill (reference, account_id, amount, balance_after,
      available_after, source, at, recorded_at)
    SELECT t.id::text, a.id, t.amount, 15, 15, 'card', t.settled_at, t.settled_at
    FROM replenish.attempt t JOIN billing.account a ON a.number = t.account_id
    """,
    """
    INSERT INTO billing.call (call_id, account_id, called, started, seconds,
      billed_seconds, cost, rate_id, available_after)
    SELECT 'call ' || r.id, r.account_id, '4420', r.at, 60, 60, r.amount, 1, 5
    FROM billing.refill r
    """,
    "ANALYZE billing.refill",
)
ORDERS = """
    SELECT id::text AS attempt, account_id AS account, intent, customer, payment_method,
           extract(epoch FROM claimed_at)::float AS at
    FROM replenish.attempt ORDER BY claimed_at
"""


@dataclass(frozen=True, slots=True)
class Measured:
    """Books of one size; times in seconds."""

    charges: int
    seconds: float
    slowest: str
    slowest_seconds: float
    more: float
    violations: int


def main() -> int:
    """Measure each size and print the table."""
    given = _arguments()
    found: list[Measured] = []
    with alone(CHARGES_PER_MINUTE="1000000") as app:
        for charges in sorted(given.charges):
            sys.stderr.write(f"Books of {charges:,} charges …\n")
            found.append(_measure(app, charges, given.accounts, found))
    _print(found, as_json=given.json)
    good = all(each.more <= MORE and not each.violations for each in found)
    return 0 if good else 1


def _measure(
    app: Application, charges: int, accounts: int, before: Sequence[Measured]
) -> Measured:
    fill(app, accounts, low=0)
    run_sql(app.ledger_engine, LEDGER, each=charges // accounts)
    run_sql(app.billing_engine, BILLING)
    with tempfile.TemporaryDirectory() as folder:
        book = Path(folder) / "gateway.jsonl"
        _write_gateway(app, book)
        began = time.perf_counter()
        report = run(
            app.ledger_engine,
            app.billing_engine,
            gateway_ledger=book,
            defaults=app.defaults,
            limits=bootstrap.limits(app.settings),
            history=(),
            quiet=True,
        )
        seconds = time.perf_counter() - began
    slowest = max(report.findings, key=lambda each: each.seconds)
    shortest = before[0].seconds / before[0].charges if before else seconds / charges
    return Measured(
        charges,
        round(seconds, 2),
        slowest.invariant,
        round(slowest.seconds, 2),
        round(seconds / charges / shortest, 2),
        report.violations,
    )


def _write_gateway(app: Application, book: Path) -> None:
    """Write what the gateway would have: an order, its confirmation, its charge."""
    with app.ledger_engine.connect() as connection:
        orders = connection.execute(sa.text(ORDERS)).mappings().all()
    kinds = ("intent.created", "intent.confirmed", "charge.succeeded")
    records = [
        {
            "kind": kind,
            "at": order["at"],
            "intent": order["intent"],
            "amount": 1000,
            "currency": "usd",
            "customer": order["customer"],
            "payment_method": order["payment_method"],
            "metadata": {"attempt": order["attempt"], "account": order["account"]},
            "idempotency_key": f"{order['attempt']}:{kind.rpartition('.')[2]}",
        }
        for order in orders
        for kind in kinds
    ]
    journal = Journal(book)
    journal.write(
        [
            json.dumps({"seq": number, **record}).encode() + b"\n"
            for number, record in enumerate(records, start=1)
        ]
    )
    journal.close()


def _print(found: Sequence[Measured], *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps([asdict(each) for each in found]) + "\n")
        return
    names = ("charges", "verify s", "slowest", "its s", "a charge ÷ first", "broken")
    rows = [
        (
            f"{each.charges:,}",
            f"{each.seconds:.2f}",
            each.slowest,
            f"{each.slowest_seconds:.2f}",
            f"{each.more:.2f}",
            str(each.violations),
        )
        for each in found
    ]
    print_table("How long the books take to judge", names, rows)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--charges", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--accounts", type=int, default=100)
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
