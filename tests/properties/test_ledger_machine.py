"""An attempt's life on PostgreSQL, step for step beside the ledger in memory.

Whatever is done to one is done to the other, legal or not, in time or too late: the
answers and the rows must be the same. It holds the simulation's ledger to what the
real one promises.
"""

import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from replenish.adapters.ledger import attempts, pages
from replenish.adapters.ledger.attempts import PostgresLedger
from replenish.adapters.ledger.session import make_engine
from replenish.domain.attempt import OPEN, State
from replenish.domain.enrolment import Overrides
from replenish.domain.policy import CutOff, Leave, Reason, Wait
from replenish.ports import Standing, Verdict
from tests import ledgers
from tests.memory import ledger
from tests.postgres import MakeDatabase
from tests.properties.ledger_twins import Pair, Twins, state_of
from tests.world import DEFAULTS, World, prepare

pytestmark = [
    pytest.mark.integration,
    pytest.mark.faults,
    pytest.mark.timeout(600),
]

EXAMPLES = 100 if os.environ.get("FAULTS") == "all" else 15
ACCOUNTS = 3
OWN = (
    Overrides(),
    Overrides(count_day=2, cooldown=timedelta(0), time_zone="Asia/Tokyo"),
    Overrides(
        cap_day=Decimal(60), cap_month=Decimal(90), cooldown=timedelta(seconds=1800)
    ),
)
REFUSED = frozenset({State.RELEASED, State.DECLINED, State.ACTION_REQUIRED})
ENDS = (
    (State.RELEASED,),
    (State.CHARGING, State.CHARGED, State.SETTLED),
    (State.CHARGING, State.CHARGED, State.SETTLED),
    (State.CHARGING, State.DECLINED),
    (State.CHARGING, State.UNKNOWN, State.ACTION_REQUIRED),
    (State.CHARGING, State.UNKNOWN, State.CHARGING, State.CANCELLED),
)
LEASE = 1200.0
SLOWED = {"CREDIT_LEASE": 600.0, "RECHECK": 3600.0}
"""Waits of minutes: what the machine itself takes must not end one of them."""

WHICH = st.integers(0, ACCOUNTS - 1)
CARDS = st.sampled_from(("", "b", "c"))
MENDED = Verdict("payment_method_missing"), Verdict("authentication_required")
"""Of cards that live again when their customer has saved them again."""


class Life(RuleBasedStateMachine):
    """Three accounts; workers who may hold on to what they took for too long."""

    twins: Twins

    def __init__(self) -> None:
        super().__init__()
        self.refs: list[str] = []
        self.turns: dict[str, Pair] = {}
        self.proposals: list[Pair] = []
        self.held: list[Pair] = []

    @initialize()
    def enrol(self) -> None:
        """Begin with accounts of one's own."""
        self.twins.both("stops", "resume")
        self.refs = [self.twins.enrol(own) for own in OWN]

    # ---------------------------------------------------------------- claims

    @rule(which=WHICH, amount=st.sampled_from((20, 25, 45)))
    def propose(self, which: int, amount: int) -> None:
        """Read an account; what was read may be old when it is claimed."""
        pair = self.twins.propose(self.refs[which], amount)
        if pair:
            self.proposals.append(pair)

    @rule(amount=st.sampled_from((20, 25, 45)))
    def claim_at_once(self, amount: int) -> None:
        """Claim all accounts, as a sweep's page does."""
        pairs = [self.twins.propose(ref, amount) for ref in self.refs]
        self.twins.claim([pair for pair in pairs if pair], [])

    @rule(data=st.data())
    def claim_old(self, data: st.DataObject) -> None:
        """Claim what was read some time ago."""
        if self.proposals:
            at = data.draw(st.integers(0, len(self.proposals) - 1))
            self.twins.claim([self.proposals.pop(at)], [])

    @rule(
        which=WHICH,
        decision=st.sampled_from(
            (Leave(Reason.NO_CARD), Leave(Reason.PAUSED, "x"), CutOff(Reason.CARD_DEAD))
        ),
    )
    def leave(self, which: int, decision: Leave | CutOff | Wait) -> None:
        """Write down why an account is left alone."""
        standing = Standing(self.refs[which], decision, Decimal(5))
        self.twins.claim([], [standing])

    @rule(
        which=WHICH,
        amount=st.sampled_from((20, 25, 45)),
        end=st.sampled_from(ENDS),
        verdict=st.sampled_from((Verdict(), Verdict("lost"), *MENDED)),
    )
    def live(
        self, which: int, amount: int, end: tuple[State, ...], verdict: Verdict
    ) -> None:
        """Claim an account and take its attempt all the way."""
        ref = self.refs[which]
        proposed = self.twins.propose(ref, amount)
        if not proposed or not self.twins.claim([proposed], []):
            return
        pair = self.twins.take(ref)
        assert pair is not None
        for to in end:
            dead = {"verdict": verdict} if to in REFUSED else {}
            pair = self.twins.advance(pair, to, evidence={"available": "30"}, **dead)
            assert pair is not None

    # ---------------------------------------------------------------- workers

    @rule(which=WHICH)
    def take(self, which: int) -> None:
        """Take an attempt on; others may have it."""
        pair = self.twins.take(self.refs[which])
        if pair:
            state_of(pair)
            self.held.append(pair)

    @rule(
        data=st.data(),
        to=st.sampled_from(State),
        intent=st.sampled_from((None, "pi_1", "pi_2")),
    )
    def any_step(self, data: st.DataObject, to: State, intent: str | None) -> None:
        """Take any step, from however old a reading."""
        self._advance(data, to, intent=intent, reason="r")

    @rule(data=st.data(), card=st.booleans())
    def next_step(self, data: st.DataObject, *, card: bool) -> None:
        """Go on as the protocol does, to a charge or to a decline."""
        if not self.held:
            return
        at = data.draw(st.integers(0, len(self.held) - 1))
        state = state_of(self.held[at])
        on = {
            State.CLAIMED: State.CHARGING,
            State.CHARGING: State.DECLINED if card else State.CHARGED,
            State.UNKNOWN: State.CHARGED,
            State.CHARGED: State.SETTLED,
        }
        if state in on:
            self._step(at, on[state], evidence={"available": "30"})

    @rule(
        data=st.data(),
        verdict=st.sampled_from((Verdict("lost"), Verdict(pause="p"), *MENDED)),
    )
    def decline(self, data: st.DataObject, verdict: Verdict) -> None:
        """Decline for good, or with a hold."""
        self._advance(data, State.DECLINED, verdict=verdict)

    @rule(data=st.data(), seconds=st.sampled_from((0, 900, 50_000)))
    def put_back(self, data: st.DataObject, seconds: float) -> None:
        """Give a lease back that may long be another's."""
        if self.held:
            at = data.draw(st.integers(0, len(self.held) - 1))
            theirs, mine = self.held.pop(at)
            ledger = self.twins.world.services.ledger
            ledger.put_back(theirs, seconds=seconds, reason="back")
            self.twins.ledger.put_back(mine, seconds=seconds, reason="back")

    @rule(seconds=st.sampled_from((720, 1500, 2400, 42_000, 90_000)))
    def pass_time(self, seconds: int) -> None:
        """Let leases end, cooldowns pass, days go by."""
        self.twins.let_pass(seconds)

    @rule()
    def recover(self) -> None:
        """Find what was left lying, and close what can be closed."""
        found = self.twins.both("ledger", "stranded", limit=1000)
        theirs, mine = (
            sorted(ref for ref in each if ref in self.refs) for each in found
        )
        assert mine == theirs
        self.twins.close_batches()
        reasons = ("back", "BillingUnavailable")
        self.twins.same("ledger", "uncredited", reasons, limit=3)

    @rule()
    def wake(self) -> None:
        """What some of them wait for is over."""
        theirs, mine = self.twins.both("ledger", "waiting", "back")
        assert (theirs is None) == (mine is None)
        self.twins.same("ledger", "wake", "back")

    @rule(which=WHICH)
    def adopt(self, which: int) -> None:
        """Find a charge that has no row."""
        self.twins.adopt(self.refs[which], 25)

    # ----------------------------------------------------------------- people

    @rule(which=WHICH)
    def pause(self, which: int) -> None:
        """Hold an account."""
        self.twins.world.register.pause(self.refs[which], "by hand", actor="test")
        self.twins.register.pause(self.refs[which], "by hand")

    @rule(which=WHICH)
    def resume(self, which: int) -> None:
        """Let it go."""
        self.twins.world.register.resume(self.refs[which], actor="test")
        self.twins.register.resume(self.refs[which])

    @rule(which=WHICH, given=st.booleans())
    def consent(self, which: int, *, given: bool) -> None:
        """Change one's mind about being charged."""
        self.twins.consent(self.refs[which], given=given)

    @rule(which=WHICH, suffix=CARDS, saved=st.sampled_from(("", "_again")))
    def add_card(self, which: int, suffix: str, saved: str) -> None:
        """Put a card on file, perhaps one that is there or was refused.

        Saved again, it is the same card under another id.
        """
        ref = self.refs[which]
        card = self.twins.world.card(ref, suffix)
        card = replace(card, payment_method=card.payment_method + saved)
        self.twins.card(lambda hands, how: hands.add_card(ref, card, **how))

    @rule(which=WHICH, suffix=CARDS, saved=st.sampled_from(("", "_again")))
    def remove_card(self, which: int, suffix: str, saved: str) -> None:
        """Take a card off file."""
        ref = self.refs[which]
        method = f"pm_{ref}{suffix}{saved}"
        self.twins.card(lambda hands, how: hands.remove_card(ref, method, **how))

    @rule(stop=st.booleans())
    def switch(self, *, stop: bool) -> None:
        """Stop all charging, or let it go on."""
        self.twins.both("stops", "stop", "x") if stop else self.twins.both(
            "stops", "resume"
        )

    @rule(which=WHICH, what=st.sampled_from(("begin", "done", "back", "withdraw")))
    def cut_off(self, which: int, what: str) -> None:
        """End service, give it back, or think better of it."""
        ref, cut = self.refs[which], CutOff(Reason.NO_CARD)
        if what == "begin":
            self.twins.same("cut_offs", "begin", ref, cut, available=Decimal(-1))
        elif what == "done":
            self.twins.same("cut_offs", "done", ref)
        else:
            seen = (
                None if what == "back" else self.twins.store.now() - timedelta(days=1)
            )
            self.twins.same("cut_offs", "restored", ref, reason=what, seen=seen)
        self.twins.same("cut_offs", "is_standing", ref)

    @rule(available=st.sampled_from((10, 11)))
    def seen(self, available: int) -> None:
        """Look at the balances: at the threshold, or above it."""
        seen = dict.fromkeys(self.refs, Decimal(available))
        self.twins.same("books", "low_of", seen)
        self.twins.same("books", "recovered", seen)

    @rule(job=st.sampled_from(("sweep", "cutoff")), ends=st.booleans())
    def turn(self, job: str, *, ends: bool) -> None:
        """Take a job's turn, or give back the last one that was had."""
        if not ends:
            theirs, mine = self.twins.both("books", "begin", job, seconds=1200.0)
            assert (theirs is None) == (mine is None), job
            if theirs:
                self.turns[job] = theirs, mine
        elif job in self.turns:
            self.twins.end(job, self.turns[job], cursor="7")
        self.twins.same("books", "cursor", job)

    # ------------------------------------------------------------- what must hold

    @invariant()
    def the_rows_are_the_same(self) -> None:
        """Of both, and what the policy is told."""
        if self.refs:
            self.twins.compare(self.refs)

    @invariant()
    def one_attempt_is_open_at_most(self) -> None:
        """Whoever did what."""
        for ref in self.refs:
            rows = self.twins.store.accounts[ref].attempts
            assert sum(row.state in OPEN for row in rows) <= 1

    def _advance(self, data: st.DataObject, to: State, **how: Any) -> None:  # noqa: ANN401
        if self.held:
            self._step(data.draw(st.integers(0, len(self.held) - 1)), to, **how)

    def _step(self, at: int, to: State, **how: Any) -> None:  # noqa: ANN401
        moved = self.twins.advance(self.held[at], to, **how)
        if moved:
            state_of(moved)
            self.held.append(moved)  # the old reading stays, as a late worker's


@pytest.fixture
def twins(
    make_database: MakeDatabase, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Twins]:
    """Give both ledgers, empty, whose seconds last for minutes."""
    for name, seconds in SLOWED.items():
        ours = attempts if hasattr(attempts, name) else pages
        monkeypatch.setattr(ours, name, seconds)
        monkeypatch.setattr(ledger, name, seconds)
    engine = make_engine(
        make_database(prepare), statement_timeout_ms=9_000, lock_timeout_ms=3_000
    )
    world = World(engine)
    slow = PostgresLedger(engine, defaults=DEFAULTS, lease=LEASE, actor="test")
    world.services = replace(world.services, ledger=slow)
    yield Twins(world, lease=LEASE)
    engine.dispose()


def test_both_ledgers_live_the_same_life(twins: Twins) -> None:
    """The journal of the real one stays whole."""

    class OfTwins(Life):
        pass

    OfTwins.twins = twins
    run_state_machine_as_test(
        OfTwins,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=40,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )

    assert ledgers.chains_hold(twins.world.engine)


@pytest.mark.parametrize("verdict", [*MENDED, Verdict("lost_card")])
def test_both_ledgers_treat_a_card_that_was_saved_again_the_same(
    twins: Twins, verdict: Verdict
) -> None:
    """The new entry takes the place of a dead one, or is refused, in both."""
    ref = twins.enrol(Overrides())
    proposed = twins.propose(ref, 25)
    assert proposed is not None
    assert twins.claim([proposed], []) == [ref]
    pair = twins.take(ref)
    assert pair is not None
    assert twins.advance(pair, State.RELEASED, verdict=verdict)

    again = replace(twins.world.card(ref), payment_method="pm_again")
    twins.card(lambda hands, how: hands.add_card(ref, again, **how))

    twins.compare([ref])
    [card] = twins.world.register.cards(ref)
    mended = verdict in MENDED
    assert (card.payment_method == "pm_again") is (card.dead_reason is None) is mended
