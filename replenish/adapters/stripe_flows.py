"""How one charge goes over Stripe: which request follows which answer, and why.

Written over `Wire`, so that it stands apart from HTTP and the SDK. Only `confirm`
turns a lost answer into `Unknown`: that is where money moves. A lost look-up is
`Unknown` too, because it leaves us knowing as little as before.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from replenish.adapters import stripe_amounts, stripe_reading
from replenish.adapters.stripe_declines import VAGUE
from replenish.adapters.stripe_refusal import (
    BROKEN,
    GARBLED,
    MISSING,
    NOT_FOUND,
    PAYMENT_REQUIRED,
    WRONG_STATE,
    Answer,
    Json,
    Refusal,
    inner,
    no_list,
    page_of,
    stranger,
    text,
    unanswered,
)
from replenish.domain.account import Card
from replenish.domain.money import Money
from replenish.domain.outcome import (
    PAYMENT_METHOD_MISSING,
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
from replenish.errors import (
    CardNotFound,
    GatewayMisuse,
    GatewayUnavailable,
    ReplenishError,
    Transient,
)
from replenish.ports import Order

CREATE, CONFIRM = "create an intent", "confirm the intent"
LOOK_UP, CANCEL = "look the intent up", "cancel the intent"
LOOK_FOR = "look for the customer"

PAGE = 100  # rows, Stripe's largest page
CREATE_KEYS = 4  # keys that one attempt may use up, one stored 500 each


class Wire(Protocol):
    """One request each: Stripe's JSON, or what came instead of it.

    Raises, from every method:
        GatewayUnavailable: nothing was sent, or nothing ran.
        GatewayKeyRefused: our key.
    """

    def marks(self) -> Mapping[str, str]:
        """Give the metadata that all intents of this installation have."""

    def create(self, order: Order, *, key: str) -> Answer:
        """Create an intent without confirming it."""

    def confirm(self, intent: str, *, key: str) -> Answer:
        """Confirm off-session, with the card that the intent has."""

    def retrieve(self, intent: str) -> Answer:
        """Read an intent with its latest charge."""

    def cancel(self, intent: str) -> Answer:
        """Cancel an intent; the answer has its latest charge."""

    def list_intents(
        self, *, customer: str = "", since: int = 0, after: str = "", limit: int = PAGE
    ) -> Answer:
        """List a page of intents, newest first; `since` in Unix seconds."""

    def payment_method(self, method: str) -> Answer:
        """Read a payment method."""

    def customer(self, customer: str) -> Answer:
        """Read a customer; a deleted one is still there and says so."""

    def list_customers(self, *, limit: int) -> Answer:
        """List a page of customers."""


class Charging:
    """`replenish.ports.CardGateway` over a wire to Stripe."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def create(self, order: Order) -> str | Declined:
        """See the port. The first key is the attempt id itself.

        Stripe stores a 500 under its key and replays it for ever, so after a 500
        the intent is looked for in the list of the customer's intents (a list is
        read-after-write, a search is not). If the 500 was a replay and there is
        still no intent, the next key is used. Should the first request come
        through after all, there are two intents; that is harmless, because only
        the one whose id is stored is ever confirmed, and the other moves no money.
        """
        refusal = Refusal()
        for number in range(1, CREATE_KEYS + 1):
            key = order.attempt if number == 1 else f"{order.attempt}:create:{number}"
            answer = self._wire.create(order, key=key)
            if not isinstance(answer, Refusal):
                return self._checked(order, answer)
            refusal = answer
            if refusal.status != BROKEN:
                break
            known = self._find(order)
            if known:
                return known
            if not refusal.replayed:
                break
        if refusal.blames_card:
            return self._gone(order, refusal)
        raise unanswered(CREATE, order, refusal)

    def _gone(self, order: Order, refusal: Refusal) -> Declined:
        """Call the card gone, unless our key does not know its customer at all.

        With the key of another Stripe account nobody's card is there, and each would
        be given up as dead. A deleted customer can still be read. One account whose
        customer is not there is a person's to look at, and many stop all charging.
        """
        if refusal.code == MISSING:
            answer = self._wire.customer(order.customer)
            if isinstance(answer, Refusal) and answer.status == NOT_FOUND:
                raise stranger(order, answer)
            if isinstance(answer, Refusal):
                raise unanswered(LOOK_FOR, order, answer)
        return stripe_reading.card_gone("", refusal)

    def confirm(self, order: Order, intent: str, *, number: int) -> Outcome:
        """See the port. The key is of this number, so only a repeat replays.

        The card is not named again: an intent that was declined has lost its card,
        and a confirmation that arrives late can then charge nothing.
        """
        key = f"{order.attempt}:confirm:{number}"
        answer = self._wire.confirm(intent, key=key)
        if not isinstance(answer, Refusal):
            return _as_outcome(stripe_reading.evidence(order, intent, answer))
        if answer.lost:
            return Unknown(intent, answer.lost, str(answer))
        if answer.status == PAYMENT_REQUIRED:
            return self._declined(order, intent, answer)
        if answer.code == WRONG_STATE or answer.blames_card:
            return self._explained(order, intent, answer)
        raise unanswered(CONFIRM, order, answer)

    def look_up(self, order: Order, intent: str) -> Evidence:
        """See the port. A single object is read as it was last written.

        One that is not there proves nothing: the key may be another account's.
        """
        answer = self._wire.retrieve(intent)
        if not isinstance(answer, Refusal):
            return stripe_reading.evidence(order, intent, answer)
        if answer.lost:
            return Unknown(intent, answer.lost, str(answer))
        if answer.status == NOT_FOUND:
            return Unknown(intent, "missing", str(answer))
        raise unanswered(LOOK_UP, order, answer)

    def cancel(
        self, order: Order, intent: str
    ) -> Cancelled | Charged | Declined | ActionRequired:
        """See the port; an intent that was declined keeps saying so.

        There is no key of ours: cancelling twice does nothing, while a 500 stored
        under a key would keep the intent from ever being cancelled. An intent that
        is `processing` can be neither cancelled nor called charged; that is
        `GatewayUnavailable` here, and the next look-up says `processing`.
        """
        answer = self._wire.cancel(intent)
        if not isinstance(answer, Refusal):
            evidence = stripe_reading.evidence(order, intent, answer)
        elif answer.code == WRONG_STATE:
            evidence = self.look_up(order, intent)
        else:
            raise unanswered(CANCEL, order, answer)
        if isinstance(evidence, Unknown):
            raise unanswered(CANCEL, order, Refusal(lost=evidence.reason))
        if isinstance(evidence, Unconfirmed):
            raise unanswered(CANCEL, order, Refusal(lost="not_cancelled"))
        return evidence

    def list_since(self, since: datetime) -> Iterator[SeenIntent]:
        """See the port; newest first, and of this installation only."""
        start, after = int(since.timestamp()), ""
        marks = self._wire.marks()
        while True:
            page = page_of(self._wire.list_intents(since=start, after=after))
            rows = page["data"]
            for row in rows:
                seen = stripe_reading.seen(row, marks=marks)
                if seen:
                    yield seen
            if not rows or not page.get("has_more"):
                return
            after = rows[-1]["id"]

    def card(self, customer: str, payment_method: str) -> Card:
        """See the port."""
        answer = self._wire.payment_method(payment_method)
        if not isinstance(answer, Refusal):
            return stripe_reading.card(
                answer, customer=customer, payment_method=payment_method
            )
        if answer.lost:
            msg = f"Stripe did not show the card {payment_method}: {answer}. Try again."
            raise GatewayUnavailable(msg, subject=payment_method)
        msg = (
            f"Stripe has no card {payment_method} ({answer}); check the id, and that it"
            " was saved in the account and mode of STRIPE_API_KEY."
        )
        raise CardNotFound(msg, subject=payment_method)

    def check_amount(self, amount: Money) -> None:
        """See the port."""
        stripe_amounts.check_amount(amount)

    def check(self) -> Sequence[str]:
        """See the port; asks for one customer and one intent, the cheapest requests.

        A key without the right to read customers would be found out by the first card
        that is gone, and would stop all charging then.
        """
        try:
            self._wire.list_customers(limit=1)
            answer = self._wire.list_intents(limit=1)
        except Transient:
            raise
        except ReplenishError as error:
            return [str(error)]
        if isinstance(answer, Refusal) and not answer.lost:
            return [f"Stripe refuses our requests ({answer}); see STRIPE_API_VERSION."]
        why = no_list(answer)
        return [f"That is not Stripe ({why}); check STRIPE_API_BASE."] if why else []

    # ------------------------------------------------------------------ parts

    def _checked(self, order: Order, found: Json) -> str:
        """Give the id of an intent that is what was ordered; else ask again."""
        intent = text(found, "id")
        if not intent:
            raise unanswered(CREATE, order, Refusal(lost=GARBLED))
        if not stripe_reading.mismatch(order, intent, found):
            return intent
        evidence = self.look_up(order, intent)
        if not isinstance(evidence, Unknown):
            return intent
        if evidence.reason != "mismatch":
            raise unanswered(CREATE, order, Refusal(lost=evidence.reason))
        msg = (
            f"Stripe made the intent {intent} for attempt {order.attempt} of account"
            f" {order.account}, but {evidence.detail}; it was not confirmed. Look at it"
            " in Stripe's dashboard before the account is charged again."
        )
        raise GatewayMisuse(msg, subject=order.account)

    def _find(self, order: Order) -> str:
        """Look for the attempt's intent among the customer's newest.

        One page is enough: the caps leave room for a few intents a day, and the
        key that makes a repeat safe lives no longer than that.
        """
        page = page_of(self._wire.list_intents(customer=order.customer))
        for row in page["data"]:
            intent = text(row, "id")
            if not stripe_reading.mismatch(order, intent, row):
                return intent
        return ""

    def _declined(self, order: Order, intent: str, refusal: Refusal) -> Outcome:
        """Read a 402; where it is vague, the charge tells more.

        `duplicate_transaction` says that the bank saw the same amount on the same
        card a moment ago, which may be a success of ours. It is left `Unknown`, and
        the look-up that follows later decides: if the intent is then still
        declined, it did not charge, and that is a soft decline like any other.
        """
        about = inner(refusal.error, "payment_intent")
        if about and text(about, "id") != intent:
            return Unknown(intent, "mismatch", "the decline is of another intent")
        said = stripe_reading.declined(intent, refusal.error)
        if said.code == "duplicate_transaction":
            return Unknown(intent, said.code, str(refusal))
        if said.code not in VAGUE or refusal.error.get("advice_code"):
            return said
        try:
            seen = self.look_up(order, intent)
        except ReplenishError:
            return said
        return said if isinstance(seen, Unknown) else _as_outcome(seen)

    def _explained(self, order: Order, intent: str, refusal: Refusal) -> Outcome:
        """Answer a refused confirmation from what the intent's state proves."""
        evidence = self.look_up(order, intent)
        if not isinstance(evidence, Unconfirmed):
            return _as_outcome(evidence)
        if refusal.blames_card:
            return stripe_reading.card_gone(intent, refusal)
        hard = DeclineClass.HARD
        return Declined(intent, hard, PAYMENT_METHOD_MISSING, str(refusal))


def _as_outcome(evidence: Evidence) -> Outcome:
    """Take evidence as the answer to a confirmation; the next look-up decides."""
    if isinstance(evidence, Unconfirmed):
        return Unknown(evidence.intent, "unconfirmed", "it is not confirmed yet")
    if isinstance(evidence, Cancelled):
        return Unknown(evidence.intent, "cancelled", "it was cancelled meanwhile")
    return evidence
