"""A small, healthy history in all three books, for tests that spoil it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from replenish.billing.refills import refill
from replenish.domain.money import Money
from replenish.domain.outcome import DeclineClass, Declined
from replenish.domain.rule import Limits
from replenish.pipeline.credits import put_right_before
from replenish.pipeline.cutoff import cutoff
from replenish.sandbox.ledger import Journal
from replenish.verify import Deed, Report, run
from tests.world import DEFAULTS, World

ORDERS = """
    SELECT t.id, t.account_id, t.intent, t.amount, t.currency, t.customer,
           t.payment_method, t.confirms, t.state
    FROM replenish.attempt t WHERE t.intent IS NOT NULL ORDER BY t.account_id
"""


@dataclass
class Books:
    """The ledger and the package in a database, the gateway's ledger in a file."""

    world: World
    path: Path
    records: list[dict[str, Any]] = field(default_factory=list)

    def write(self) -> None:
        """Write the gateway's records, in the sandbox's own format."""
        self.path.unlink(missing_ok=True)
        journal = Journal(self.path)
        journal.write(
            [
                json.dumps({"seq": number, "at": 0.0, **record}).encode() + b"\n"
                for number, record in enumerate(self.records, start=1)
            ]
        )
        journal.close()

    def verify(
        self,
        *,
        quiet: bool = True,
        gateway: bool = True,
        limits: Limits | None = None,
        history: Sequence[Deed] | None = None,
    ) -> Report:
        """Run the checker."""
        return run(
            self.world.engine,
            self.world.engine,
            gateway_ledger=self.path if gateway else None,
            defaults=DEFAULTS,
            limits=limits or Limits(),
            history=history,
            quiet=quiet,
        )

    def spoil(self, *statements: str) -> None:
        """Run SQL that no trigger sees and no constraint refuses."""
        with self.world.engine.begin() as connection:
            connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
            for statement in statements:
                connection.exec_driver_sql(statement)


def healthy(world: World, path: Path) -> Books:
    """Make a history in which everything that can be right is right.

    1001 was charged after a lost answer, and its credit overwritten and put right;
    1002's card is lost and it is cut off; 1003 was cut off and restored when somebody
    paid at the counter.
    """
    world.enrol("1001")
    world.gateway.says("confirm", "lost after")
    world.replenish("1001")
    world.overwrite("5")
    put_right_before("1001", world.services)
    world.enrol("1002", balance="0")
    world.gateway.says("confirm", Declined("pi", DeclineClass.HARD, "lost_card"))
    world.replenish("1002")
    world.enrol("1003", balance="0", card=False)
    world.sweep()
    cutoff(None, world.services)
    refill(
        world.engine,
        "1003",
        amount=Money(Decimal(50), "USD"),
        reference="receipt 7",
        source="cash",
        note="",
        at=datetime.now(UTC),
    )
    world.services.books.recovered({"1003": Decimal(50)})
    cutoff(None, world.services)
    for batch in world.services.books.unclosed(older_than=-1):
        world.services.books.close_batch(batch, by="test")
    books = Books(world, path, _gateway_s(world))
    books.write()
    return books


def _gateway_s(world: World) -> list[dict[str, Any]]:
    """Write what the gateway would have written of our attempts."""
    records = []
    for row in world.ask(ORDERS):
        attempt, account, intent, amount, currency, customer, method, confirms, _ = row
        told = {
            "intent": intent,
            "amount": int(Decimal(str(amount)) * 100),
            "currency": str(currency).lower(),
            "customer": customer,
            "payment_method": method,
            "metadata": {"attempt": str(attempt), "account": account},
        }
        key = f"{attempt}:create"
        records.append({"kind": "intent.created", "idempotency_key": key, **told})
        key = f"{attempt}:confirm:{confirms}"
        records.append({"kind": "intent.confirmed", "idempotency_key": key, **told})
        if account == "1001":
            records.append({"kind": "charge.succeeded", "charge": "ch_1", **told})
    return records
