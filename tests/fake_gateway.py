"""A card gateway in memory that behaves like Stripe, and does as it is told.

Intents have states, creating is idempotent per attempt, a second confirmation of a
charged intent changes nothing. Answers and failures of the next calls are scripted;
what really happened is in `captures`.
"""

from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from replenish.domain.account import Card
from replenish.domain.money import Money
from replenish.domain.outcome import (
    ActionRequired,
    Cancelled,
    Charged,
    Declined,
    Evidence,
    Outcome,
    SeenIntent,
    Unconfirmed,
    Unknown,
)
from replenish.ports import Order

Scripted = Outcome | Evidence | Exception | str


@dataclass
class FakeGateway:
    """See the module. `script[verb]` holds what the next calls of it answer.

    For `confirm`, `"lost after"` charges and then loses the answer, `"lost before"`
    loses the request; anything else scripted is the answer itself.
    """

    script: dict[str, deque[Scripted]] = field(default_factory=dict)
    calls: list[tuple[str, str]] = field(default_factory=list)
    captures: Counter[str] = field(default_factory=Counter)
    states: dict[str, Evidence] = field(default_factory=dict)
    listed: list[SeenIntent] = field(default_factory=list)
    listed_since: list[datetime] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def says(self, verb: str, *answers: Scripted) -> None:
        """Script the next answers of a verb."""
        self.script.setdefault(verb, deque()).extend(answers)

    def create(self, order: Order) -> str | Declined:
        """Create the attempt's one intent."""
        answer = self._next("create", order)
        if isinstance(answer, Declined):
            return answer
        intent = f"pi_{order.attempt}"
        self.states.setdefault(intent, Unconfirmed(intent))
        return intent

    def confirm(self, order: Order, intent: str, *, number: int) -> Outcome:
        """Charge, unless told otherwise or charged before."""
        answer = self._next("confirm", order, f"confirm {number}")
        if answer == "lost before":
            return Unknown(intent, "timeout")
        if isinstance(answer, Declined | ActionRequired):
            self.states[intent] = answer
            return answer
        if isinstance(answer, Unknown):
            return answer
        if isinstance(self.states[intent], Unconfirmed):
            self.captures[order.attempt] += 1
            self.states[intent] = Charged(intent, f"ch_{order.attempt}")
        if answer == "lost after":
            return Unknown(intent, "connection_lost", "cut after the charge")
        found = self.states[intent]
        if isinstance(found, Cancelled):
            return Unknown(intent, "cancelled")
        assert not isinstance(found, Unconfirmed)
        return found

    def look_up(self, order: Order, intent: str) -> Evidence:
        """Tell what became of it, unless told otherwise."""
        answer = self._next("look_up", order)
        assert not isinstance(answer, str | Exception)
        return answer or self.states[intent]

    def cancel(
        self, order: Order, intent: str
    ) -> Cancelled | Charged | Declined | ActionRequired:
        """Cancel what is not charged."""
        self._next("cancel", order)
        found = self.states[intent]
        if isinstance(found, Unconfirmed | Unknown):
            found = self.states[intent] = Cancelled(intent)
        assert not isinstance(found, Unconfirmed | Unknown)
        return found

    def list_since(self, since: datetime) -> Iterable[SeenIntent]:
        """List what the test put there."""
        self.listed_since.append(since)
        return iter(self.listed)

    def card(self, customer: str, payment_method: str) -> Card:
        """Not asked for by these steps."""
        raise NotImplementedError

    def check_amount(self, amount: Money) -> None:
        """Take any amount."""

    def check(self) -> Sequence[str]:
        """Say what the test wants."""
        self._next("check", None)
        return self.problems

    def _next(self, verb: str, order: Order | None, told: str = "") -> Scripted | None:
        self.calls.append((told or verb, order.account if order else ""))
        queue = self.script.get(verb)
        answer = queue.popleft() if queue else None
        if isinstance(answer, Exception):
            raise answer
        return answer
