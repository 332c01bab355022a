"""A card gateway with a memory: intents, keys, captures, and everything that fails.

At the level of the port: what the adapter for Stripe makes of HTTP is its own matter
and tested against the sandbox. Requests may be lost on the way there or on the way
back, be answered by a 500 that is kept with its key, or arrive minutes late.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from random import Random

from replenish.domain.account import Card
from replenish.domain.money import Money
from replenish.domain.outcome import (
    ActionRequired,
    Cancelled,
    Charged,
    DeclineClass,
    Declined,
    Evidence,
    Outcome,
    SeenIntent,
    Unconfirmed,
    Unknown,
)
from replenish.errors import GatewayKeyRefused, GatewayMisuse, GatewayUnavailable
from replenish.ports import Order

FAULTS = {
    "create": (
        *("refused", "429", "lost before", "lost after", "500 before", "500 after"),
        *("late", "key", "misuse"),
    ),
    "confirm": (
        *("refused", "429", "lost before", "lost after", "500 before", "500 after"),
        *("late", "processing", "liar", "key", "misuse"),
    ),
    "look_up": ("refused", "429", "lost before", "liar", "key"),
    "cancel": ("refused", "429", "lost before", "lost after"),
    "list_since": ("refused", "429"),
    "check": ("refused",),
}
"""What may go wrong with each request, by the name the scoreboard has for it."""

ANSWERS: dict[str, tuple[DeclineClass, str]] = {
    "hard": (DeclineClass.HARD, "lost_card"),
    "soft": (DeclineClass.SOFT, "insufficient_funds"),
    "transient": (DeclineClass.TRANSIENT, "processing_error"),
    "fraud": (DeclineClass.FRAUD, "fraudulent"),
    "gone": (DeclineClass.HARD, "payment_method_missing"),
}


@dataclass(slots=True)
class Intent:
    """One PaymentIntent."""

    id: str
    order: Order
    created_at: datetime
    status: str = "unconfirmed"
    decline: Declined | None = None
    captured_at: datetime | None = None


@dataclass(slots=True)
class Plastic:
    """A card as its bank sees it: what it answers, and whether it is attached."""

    nature: str = "good"
    attached: bool = True


@dataclass
class SimulatedGateway:
    """See the module.

    Attributes:
        mood: gives the fault that the stage wants in the present call.
        on_request: is told of each request to create or confirm, as it is sent.
        on_decision: is told of each intent that the bank has decided on.
        late: requests that arrive some time after they were given up.
    """

    rng: Random
    now: Callable[[], datetime]
    mood: Callable[[], str]
    on_request: Callable[[str, Order, str], None]
    on_decision: Callable[[Intent], None]
    plastics: dict[str, Plastic] = field(default_factory=dict)
    intents: dict[str, Intent] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    answers: dict[tuple[str, int], Outcome] = field(default_factory=dict)
    late: list[Callable[[], object]] = field(default_factory=list)
    processing: list[Intent] = field(default_factory=list)
    key_refused: bool = False

    def create(self, order: Order) -> str | Declined:
        """Create the attempt's intent, one per key."""
        self.on_request("create", order, "")
        mood = self._answering()
        if mood == "late":
            self.late.append(lambda: self._create(order, f"{order.attempt}:late"))
        if mood in ("lost before", "500 before", "late"):
            raise GatewayUnavailable("The answer was lost.")
        if mood == "misuse":
            raise GatewayMisuse("The request is malformed.")
        plastic = self.plastics.get(order.payment_method)
        if plastic is None or not plastic.attached:
            return Declined("", *ANSWERS["gone"])
        intent = self._create(order, order.attempt)
        if mood in ("lost after", "500 after"):
            raise GatewayUnavailable("The answer was lost.")
        return intent

    def _create(self, order: Order, key: str) -> str:
        if key not in self.keys:
            intent = Intent(f"pi_{len(self.intents) + 1}", order, self.now())
            self.intents[intent.id] = intent
            self.keys[key] = intent.id
        return self.keys[key]

    def confirm(self, order: Order, intent: str, *, number: int) -> Outcome:
        """Charge once; the same key gets the same answer, a 500 included."""
        self.on_request("confirm", order, intent)
        mood, key = self._answering(), (order.attempt, number)
        if mood == "misuse":
            raise GatewayMisuse("The request is malformed.")
        if mood == "late":
            self.late.append(lambda: self._once(intent, key))
        if mood in ("late", "lost before"):
            return Unknown(intent, "timeout")
        if mood == "500 before" and key not in self.answers:
            self.answers[key] = Unknown(intent, "server_error")
        answer = self._once(intent, key, processing=mood == "processing")
        if mood == "500 after":
            answer = self.answers[key] = Unknown(intent, "server_error")
        if mood == "lost after":
            return Unknown(intent, "connection_lost")
        if mood == "liar":
            return Unknown(intent, "mismatch", "the amount is another")
        return answer

    def _once(
        self, intent: str, key: tuple[str, int], *, processing: bool = False
    ) -> Outcome:
        if key not in self.answers:
            self.answers[key] = self._confirm(self.intents[intent], processing)
        return self.answers[key]

    def _confirm(self, intent: Intent, processing: bool) -> Outcome:  # noqa: FBT001
        if intent.status == "unconfirmed" and processing:
            intent.status = "processing"
            self.processing.append(intent)
        elif intent.status == "unconfirmed":
            self._decide(intent)
        found = self._evidence(intent)
        if isinstance(found, Unconfirmed | Cancelled):
            return Unknown(intent.id, "cancelled")
        return found

    def _decide(self, intent: Intent) -> None:
        """Let the bank answer."""
        plastic = self.plastics[intent.order.payment_method]
        nature = plastic.nature if plastic.attached else "gone"
        if nature == "fickle":
            nature = self.rng.choice(("good", "soft", "transient"))
        if nature == "good":
            intent.status, intent.captured_at = "succeeded", self.now()
        elif nature == "authentication":
            intent.status = "action_required"
        else:
            kind, code = ANSWERS[nature]
            intent.status = "declined"
            intent.decline = Declined(intent.id, kind, code)
        self.on_decision(intent)

    def settle_processing(self) -> None:
        """Let the bank decide what it was still at."""
        while self.processing:
            intent = self.processing.pop()
            intent.status = "unconfirmed"
            self._decide(intent)

    def look_up(self, order: Order, intent: str) -> Evidence:
        """Tell what became of it."""
        del order
        mood = self._answering()
        if mood == "lost before":
            return Unknown(intent, "timeout")
        if mood == "liar":
            return Unknown(intent, "mismatch", "the customer is another")
        return self._evidence(self.intents[intent])

    def cancel(
        self, order: Order, intent: str
    ) -> Cancelled | Charged | Declined | ActionRequired:
        """Cancel what is not decided."""
        del order
        mood, found = self._answering(), self.intents[intent]
        if mood == "lost before" or found.status == "processing":
            raise GatewayUnavailable("It could not be cancelled.")
        if found.status in ("unconfirmed", "action_required"):
            found.status = "cancelled"
        if mood == "lost after":
            raise GatewayUnavailable("The answer was lost.")
        evidence = self._evidence(found)
        assert not isinstance(evidence, Unknown | Unconfirmed)
        return evidence

    def _evidence(self, intent: Intent) -> Evidence:
        match intent.status:
            case "succeeded":
                return Charged(intent.id, f"ch_{intent.id}")
            case "declined":
                assert intent.decline is not None
                return intent.decline
            case "action_required":
                return ActionRequired(intent.id)
            case "cancelled":
                return Cancelled(intent.id)
            case "processing":
                return Unknown(intent.id, "processing")
            case _:
                return Unconfirmed(intent.id)

    def list_since(self, since: datetime) -> Iterator[SeenIntent]:
        """List the newest first."""
        self._answering()
        for intent in reversed(self.intents.values()):
            if intent.created_at >= since:
                order = intent.order
                charged = intent.status == "succeeded"
                yield SeenIntent(
                    intent.id, order.attempt, order.account, order.amount, charged
                )

    def card(self, customer: str, payment_method: str) -> Card:
        """Not asked for by the pipeline's steps."""
        raise NotImplementedError

    def check_amount(self, amount: Money) -> None:
        """Take any amount."""

    def check(self) -> Sequence[str]:
        """Say whether the key works."""
        self._answering()
        return []

    def _answering(self) -> str:
        """Give the present fault, after those that let nothing through."""
        mood = self.mood()
        if mood == "key":
            self.key_refused = True
        if self.key_refused:
            raise GatewayKeyRefused("The key is refused.")
        if mood in ("refused", "429"):
            msg = f"The gateway could not be asked: {mood}."
            raise GatewayUnavailable(msg)
        return mood
