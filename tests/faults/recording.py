"""A fake gateway that keeps the ledger which the checker compares with ours."""

from dataclasses import dataclass, field
from typing import Any

from replenish.domain.outcome import Declined, Outcome
from replenish.ports import Order
from tests.fake_gateway import FakeGateway
from tests.faults.gateway_file import told


@dataclass
class RecordingGateway(FakeGateway):
    """Writes down each request with an effect, as the gateway's own side saw it.

    Attributes:
        records: in the form of the sandbox's ledger; may be shared by many gateways.
    """

    records: list[dict[str, Any]] = field(default_factory=list)

    def create(self, order: Order) -> str | Declined:
        """Create the attempt's one intent."""
        known = f"pi_{order.attempt}" in self.states
        intent = super().create(order)
        if isinstance(intent, str) and not known:
            self._record("intent.created", order, intent, f"{order.attempt}:create")
        return intent

    def confirm(self, order: Order, intent: str, *, number: int) -> Outcome:
        """Confirm, and charge unless told otherwise."""
        before = self.captures[order.attempt]
        outcome = super().confirm(order, intent, number=number)
        key = f"{order.attempt}:confirm:{number}"
        self._record("intent.confirmed", order, intent, key)
        if self.captures[order.attempt] > before:
            self._record("charge.succeeded", order, intent, key)
        return outcome

    def _record(self, kind: str, order: Order, intent: str, key: str) -> None:
        self.records.append(
            {"kind": kind, "idempotency_key": key, **told(order, intent)}
        )
