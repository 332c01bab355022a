"""The gateway's own ledger, written from what a fake gateway has done."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from replenish.ports import Order
from replenish.sandbox.ledger import Journal


def told(order: Order, intent: str) -> dict[str, Any]:
    """Give what a record says of an order."""
    return {
        "intent": intent,
        "amount": int(order.amount.amount * 100),
        "currency": order.amount.currency.lower(),
        "customer": order.customer,
        "payment_method": order.payment_method,
        "metadata": {"attempt": order.attempt, "account": order.account},
    }


def write(path: Path, records: Iterable[dict[str, Any]]) -> None:
    """Write records in the sandbox's own format."""
    path.unlink(missing_ok=True)
    journal = Journal(path)
    journal.write(
        [
            json.dumps({"seq": number, "at": 0.0, **record}).encode() + b"\n"
            for number, record in enumerate(records, start=1)
        ]
    )
    journal.close()
