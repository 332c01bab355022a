"""What must hold, judged by what the gateway, the package and the harness have seen.

Cheap enough to be asked at every call: each invariant looks at the one thing that has
just happened. It knows rows, intents and movements, and none of the pipeline's helpers.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, NoReturn

from replenish.domain.money import Money
from replenish.domain.rule import Limits
from replenish.ports import Order
from tests.memory.rows import AttemptRow, EventRow, Store
from tests.simulation.allowed import OPEN, Claim, as_new, faults
from tests.simulation.billing import SimulatedBilling
from tests.simulation.gateway import Intent, SimulatedGateway
from tests.simulation.stage import Stage, Turn

NO = frozenset({"declined", "action_required"})
STEPS = {
    (None, "claimed"),
    (None, "charged"),
    ("claimed", "charging"),
    ("claimed", "released"),
    *(("charging", to) for to in ("unknown", "charged", "cancelled", *NO)),
    *(("unknown", to) for to in ("charging", "charged", "cancelled", *NO)),
    ("charged", "settled"),
}
PROOF = {
    "charged": {"succeeded"},
    "settled": {"succeeded"},
    "declined": {"declined"},
    "action_required": {"action_required", "cancelled"},
    "cancelled": {"cancelled"},
}
"""Where an attempt stands, and what the gateway must say of its intent then."""


class ViolationError(BaseException):
    """Something that must always hold did not; nothing may catch it."""

    def __init__(self, invariant: str, what: str) -> None:
        super().__init__(f"{invariant}: {what}")
        self.invariant, self.what = invariant, what


@dataclass
class Checker:
    """See the module.

    Attributes:
        held: accounts that nobody may charge, by what people have done.
        dead: the cards of an account that its bank has refused for good.
        ended_seq: when the operator has ended an account's service.
        suspected: cut-offs that were wrong if the attempt then open was settled.
    """

    store: Store
    limits: Limits
    now: Any
    stage: Stage = field(init=False)
    gateway: SimulatedGateway = field(init=False)
    billing: SimulatedBilling = field(init=False)
    claims: dict[str, Claim] = field(default_factory=dict)
    of_account: dict[str, list[Claim]] = field(default_factory=dict)
    open_of: dict[str, str] = field(default_factory=dict)
    captured: Counter[str] = field(default_factory=Counter)
    dead: dict[str, set[str]] = field(default_factory=dict)
    declined_at: dict[str, list[datetime]] = field(default_factory=dict)
    episode: Counter[str] = field(default_factory=Counter)
    credit_seq: dict[str, tuple[int, str]] = field(default_factory=dict)
    suspected: list[tuple[str, str]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    ended_seq: dict[str, int] = field(default_factory=dict)
    seen: int = 0

    # ------------------------------------------------------------ calls and events

    def watch(
        self,
        turn: Turn | None,
        service: str,
        method: str,
        args: Sequence[Any],
        value: Any,  # noqa: ANN401 whatever the call gave
    ) -> None:
        """Look at a call that was made."""
        if len(self.store.events) > self.seen:
            self.read_journal()
        if turn is None:
            return
        if method == "balances":
            for ref, account in value.items():
                turn.balances[ref] = (self.stage.seq, account.available.amount)
        elif service == "ledger" and method == "subjects":
            for ref in args[0]:
                turn.subjects[ref] = (self.stage.seq, self._facts(ref))

    def _facts(self, ref: str) -> tuple[str | None, str | None]:
        """Give why an account may not be charged now, and its open attempt."""
        return self.held(ref), self.open_of.get(ref)

    def held(self, ref: str) -> str | None:
        """Say why nobody may charge an account, by its row."""
        row = self.store.accounts.get(ref)
        if row is None:
            return "not enrolled"
        if row.paused_at is not None:
            return "paused"
        return "without consent" if row.consent_at is None else None

    def read_journal(self) -> None:
        """Look at what was journalled since the last time."""
        events = self.store.events
        while self.seen < len(events):
            event = events[self.seen]
            self.seen += 1
            if event.kind == "attempt":
                self._step(event)
            elif event.kind in ("credit_missing", "credit_put_right"):
                self.counts[event.kind.replace("_", " ")] += 1
            elif event.kind in ("resumed", "card_added", "enrolled"):
                self.episode[event.account] = 0

    def _step(self, event: EventRow) -> None:
        attempt, to = str(event.attempt), str(event.to_state)
        claim = self.claims.get(attempt)
        before = claim.state if claim else None
        old = str(event.from_state) if event.from_state else None
        if old != before or (old, to) not in STEPS:
            self._fail("I11", f"attempt {attempt} went from {before} to {to}")
        self.counts["steps of attempts"] += 1
        if claim is None:
            self._claimed(event.account, self.store.attempts[attempt])
            return
        self._proved(attempt, claim, to)
        if claim.state == "unknown" and to != "unknown":
            self.counts["unknown resolved"] += 1
        claim.state = to
        self.counts[to] += 1
        if to not in OPEN:
            self.open_of.pop(claim.account, None)
        if to in NO:
            self.declined_at.setdefault(claim.imprint[0], []).append(event.at)
            self.episode[claim.account] += 1
        elif to == "settled":
            self.episode[claim.account] = 0

    def _proved(self, attempt: str, claim: Claim, to: str) -> None:
        """I12: what a row says of the money is what the gateway says of it."""
        if to not in OPEN and to != "settled" and self.captured[attempt]:
            self._fail("I1b", f"attempt {attempt} is {to}, and was charged")
        allowed = PROOF.get(to)
        if allowed is None:
            return
        row = self.store.attempts[attempt]
        intent = self.gateway.intents.get(row.intent or "")
        status = intent.status if intent else "nowhere"
        if status not in allowed:
            self._fail("I12", f"attempt {attempt} became {to}, its intent is {status}")
        if claim.state == "unknown" and not row.evidence:
            self._fail("I12", f"attempt {attempt} left unknown without evidence")

    # --------------------------------------------------------------------- claims

    def _claimed(self, ref: str, row: AttemptRow) -> None:
        found = self.store.cards.get(row.card_id or 0)
        claim = Claim(
            ref,
            row.amount,
            row.card.payment_method,
            found[1].card.imprint if found else ("",),
            self.stage.seq,
            row.claimed_at,
            state=str(row.state),
            adopted=row.card_id is None,
        )
        if ref in self.open_of:
            self._fail("I2", f"{ref} has {self.open_of[ref]} and {row.id} open")
        self.counts["claims"] += 1
        earlier = self.of_account.setdefault(ref, [])
        if not claim.adopted:
            self._allowed(claim, earlier)
        elif not self.captured[row.id]:
            self._fail("I13", f"{row.id} was adopted and was never charged")
        self.claims[row.id], self.open_of[ref] = claim, row.id
        earlier.append(claim)

    def _allowed(self, claim: Claim, earlier: Sequence[Claim]) -> None:
        ref, rule = claim.account, self.store.accounts[claim.account].rule
        if reason := self.held(ref):
            self._fail("I6", f"{ref} was claimed while {reason}")
        if claim.method in self.dead.get(ref, ()):
            self._fail("I5", f"{ref}: {claim.method} was refused for good before")
        since = claim.at - timedelta(days=1)
        refused = [
            at for at in self.declined_at.get(claim.imprint[0], ()) if at > since
        ]
        if len(refused) >= self.limits.card_declines_24h:
            self._fail("I5", f"{ref}: its card was declined {len(refused)} times today")
        if self.episode[ref] >= self.limits.declines_per_episode:
            self._fail("I5", f"{ref} was declined {self.episode[ref]} times in a row")
        if self.store.stop is not None:
            self._fail("I6b", f"{ref} was claimed while all charging is stopped")
        if claim.at < self.store.accounts[ref].enrolled_at + self.limits.new_for:
            rule = as_new(rule, self.limits)
        for invariant, what in faults(claim, earlier, rule):
            self._fail(invariant, what)

    # -------------------------------------------------------------------- gateway

    def requested(self, kind: str, order: Order, intent: str) -> None:
        """Look at a request that goes out."""
        claim = self.claims.get(order.attempt)
        if claim is None:
            self._fail("I10", f"{order.attempt} was never claimed")
        told = (order.account, order.amount, order.payment_method)
        if told != (claim.account, claim.amount, claim.method):
            self._fail("I10", f"{order.attempt}: told {told}")
        if kind == "create" or self.stage.turn is None:
            return
        if self.gateway.intents[intent].order != order:
            self._fail("I10", f"{intent} is not the intent of {order.attempt}")
        self._justified(order, claim, self.stage.turn)

    def _justified(self, order: Order, claim: Claim, turn: Turn) -> None:
        """I3, I6: whoever confirms has looked since the claim, and it was right."""
        ref, rule = order.account, self.store.accounts[order.account].rule
        at, available = turn.balances.get(ref, (-1, None))
        if at <= claim.seq:
            self._fail("I3", f"{order.attempt} was confirmed on an old balance")
        if available is None or available > rule.threshold:
            self._fail("I3", f"{order.attempt} was confirmed at {available}")
        read, facts = turn.subjects.get(ref, (-1, (None, None)))
        if read <= claim.seq or facts[0]:
            self._fail("I6", f"{order.attempt} was confirmed while {facts[0]}")
        claim.read = at

    def decided(self, intent: Intent) -> None:
        """Look at what the bank has decided."""
        order = intent.order
        claim = self.claims[order.attempt]
        claim.asked = True
        if intent.status != "succeeded":
            self.counts[f"{intent.status} at the bank"] += 1
            hard = intent.decline and intent.decline.kind in ("hard", "fraud")
            if hard or intent.status == "action_required":
                self.dead.setdefault(order.account, set()).add(order.payment_method)
            return
        self.counts["charges"] += 1
        self.captured[order.attempt] += 1
        if self.captured[order.attempt] > 1:
            self._fail("I1c", f"{order.attempt} was charged twice")
        if claim.state not in OPEN:
            self._fail("I6", f"{order.attempt} was charged when it was {claim.state}")
        seq, reference = self.credit_seq.get(order.account, (-1, ""))
        if seq > claim.read and reference != order.attempt:
            self._fail("I3", f"{order.attempt} answers what {reference} has answered")

    # -------------------------------------------------------------------- package

    def credited(self, ref: str, amount: Money, reference: str) -> None:
        """I1a: each credit has its charge."""
        self.counts["credits"] += 1
        claim = self.claims.get(reference)
        owed = (claim.account, claim.amount) if claim else None
        if not self.captured[reference] or owed != (ref, amount):
            self._fail("I1a", f"{ref} was credited {amount} for nothing")
        if self.billing.given[reference] > 1:
            self._fail("I1d", f"{ref} was credited twice for {reference}")
        self.credit_seq[ref] = (self.stage.seq, reference)

    def cut(self, ref: str, available: Decimal) -> None:
        """Look at a service that we have just ended."""
        self.counts["cut off"] += 1
        rule, turn = self.store.accounts[ref].rule, self.stage.turn
        if available > rule.floor:
            self._fail("I7", f"{ref} was cut off at {available}")
        if turn is None or available <= rule.floor - rule.grace:
            return
        _, facts = turn.subjects.get(ref, (-1, (None, None)))
        attempt = facts[1]
        if attempt is not None:
            self.suspected.append((ref, attempt))

    def restored(self, ref: str, whose: str) -> None:
        """I8: nothing but our own cut-offs is lifted.

        One that was written down, and of which nobody knows whether it was carried
        out, is taken to be: a state alone does not tell whose it is.
        """
        self.counts["restored"] += 1
        cut, turn = self.store.standing.get(ref), self.stage.turn
        read, _ = turn.subjects.get(ref, (-1, None)) if turn else (0, None)
        if whose == "us" or self.ended_seq.get(ref, -1) >= read:
            return
        if cut is not None and cut.done_at is None:
            self.counts["restored, whoever had ended it"] += 1
            return
        self._fail("I8", f"{ref} was given service that {whose} had ended")

    def _fail(self, invariant: str, what: str) -> NoReturn:
        raise ViolationError(invariant, what)
