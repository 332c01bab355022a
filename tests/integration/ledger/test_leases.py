"""Leases: whoever holds an attempt may move it on, and nobody else."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa

from replenish.domain.attempt import Attempt, State
from replenish.domain.outcome import SeenIntent
from replenish.errors import LeaseLost
from replenish.ports import Verdict
from tests.factories import usd
from tests.world import World

pytestmark = pytest.mark.integration


def taken(world: World, ref: str = "1001", worker: str = "w") -> Attempt:
    """Enrol, claim and take an account."""
    world.enrol(ref)
    world.sweep()
    attempt = world.services.ledger.take(ref, worker=worker)
    assert attempt is not None
    return attempt


def test_of_many_that_take_an_attempt_one_has_it(world: World) -> None:
    """The others go away empty-handed."""
    world.enrol()
    world.sweep()
    take = world.services.ledger.take

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda n: take("1001", worker=f"w{n}"), range(8)))

    assert sum(attempt is not None for attempt in found) == 1


def test_a_lease_ends_by_the_database_s_clock(world: World) -> None:
    """Then another has it, and the first can do nothing more."""
    first = taken(world)
    assert world.services.ledger.take("1001", worker="other") is None
    world.later()

    second = world.services.ledger.take("1001", worker="other")

    assert second is not None
    assert (second.id, second.takes) == (first.id, 2)
    with pytest.raises(LeaseLost, match="in other hands"):
        world.services.ledger.advance(first, State.CHARGING, intent="pi")
    world.services.ledger.put_back(first, seconds=0, reason="late")
    assert world.services.ledger.advance(second, State.CHARGING, intent="pi").open


def test_a_step_is_taken_from_the_state_it_was_read_in(world: World) -> None:
    """Under the right lease, too."""
    attempt = taken(world)
    world.services.ledger.advance(attempt, State.CHARGING, intent="pi")

    with pytest.raises(LeaseLost):
        world.services.ledger.advance(attempt, State.RELEASED)


def test_what_is_put_back_waits(world: World) -> None:
    """For so long, in nobody's hands; then anybody may go on."""
    attempt = taken(world)
    world.services.ledger.put_back(attempt, seconds=60, reason="busy")

    assert world.services.ledger.take("1001", worker="other") is None
    assert world.ask("SELECT lease, reason FROM replenish.attempt") == [(None, "busy")]
    world.later()
    assert world.services.ledger.take("1001", worker="other") is not None


def test_a_closed_attempt_is_never_taken(world: World) -> None:
    """Nothing leads on from an end."""
    attempt = taken(world)
    closed = world.services.ledger.advance(attempt, State.RELEASED, reason="healthy")

    assert (closed.open, closed.lease) == (False, None)
    assert world.services.ledger.take("1001", worker="other") is None


def test_entering_charging_counts_a_confirmation(world: World) -> None:
    """The count is part of its key at the gateway; the intent's id stays the first."""
    ledger = world.services.ledger
    attempt = ledger.advance(taken(world), State.CHARGING, intent="pi_1")
    unknown = ledger.advance(attempt, State.UNKNOWN, reason="timeout")
    again = ledger.advance(unknown, State.CHARGING, intent="pi_2")

    assert [step.confirms for step in (attempt, unknown, again)] == [1, 1, 2]
    assert again.intent == "pi_1"


def test_the_stranded_are_shared_out(world: World) -> None:
    """Two reconciles at once hand out each attempt once, and not again for a while."""
    refs = [world.enrol(str(1001 + number)) for number in range(30)]
    world.sweep()
    world.later()
    stranded = world.services.ledger.stranded

    with ThreadPoolExecutor(4) as pool:
        found = Counter(
            ref
            for page in pool.map(lambda _: stranded(limit=10), range(4))
            for ref in page
        )

    assert set(found) == set(refs)
    assert set(found.values()) == {1}
    assert stranded(limit=10) == []


def test_a_reconcile_never_waits_for_another(world: World) -> None:
    """It leaves out what another is just handing out, and takes the rest."""
    for ref in ("1001", "1002"):
        world.enrol(ref)
    world.sweep()
    world.later()
    row = "SELECT 1 FROM replenish.attempt WHERE account_id = '1001' FOR UPDATE"
    with world.engine.begin() as held:
        held.execute(sa.text(row))

        assert world.services.ledger.stranded(limit=10) == ["1002"]


def test_what_is_held_is_not_stranded(world: World) -> None:
    """A worker at work is left alone."""
    taken(world)
    world.run("UPDATE replenish.attempt SET nudge_at = now() - interval '1 minute'")

    assert world.services.ledger.stranded(limit=10) == []


def test_a_verdict_on_an_adopted_charge_marks_no_card(world: World) -> None:
    """Its card is not known to us."""
    world.enrol()
    seen = SeenIntent(
        intent="pi_lost",
        attempt="3d9c4a52-6a7e-4b2e-9a56-0a8f3a1f2b11",
        account="1001",
        amount=usd("25"),
        charged=True,
    )
    assert world.services.ledger.adopt([seen]).adopted == ["1001"]
    attempt = world.services.ledger.take("1001", worker="w")
    assert attempt is not None

    world.services.ledger.advance(
        attempt, State.SETTLED, verdict=Verdict(pause="look at it")
    )

    assert world.ask("SELECT dead_reason FROM replenish.card") == [(None,)]
    assert world.register.need("1001").paused


def test_a_verdict_is_the_card_s_alone(world: World) -> None:
    """The account goes on with its others; the first reason of death stands."""
    attempt = world.services.ledger.advance(taken(world), State.CHARGING)
    world.run("UPDATE replenish.card SET dead_reason = 'lost_card'")
    later = datetime(2099, 1, 1, tzinfo=UTC)

    verdict = Verdict(dead="stolen_card", retry_at=later)
    world.services.ledger.advance(attempt, State.DECLINED, verdict=verdict)

    cards = "SELECT dead_reason, retry_at FROM replenish.card"
    assert world.ask(cards) == [("lost_card", later)]
    assert not world.register.need("1001").paused


def test_an_account_held_already_is_held_for_both_reasons(world: World) -> None:
    """A person who has just held it reads their own words, and ours after them."""
    attempt = world.services.ledger.advance(taken(world), State.CHARGING)
    world.register.pause("1001", "by hand", actor="person")

    verdict = Verdict(pause="fraud")
    world.services.ledger.advance(attempt, State.DECLINED, verdict=verdict)

    assert world.register.need("1001").paused == "by hand; fraud"
    paused = "SELECT actor FROM replenish.event WHERE kind = 'paused' ORDER BY id"
    assert world.ask(paused) == [("person",), ("test",)]


def test_an_account_is_looked_at_again_after_an_attempt_in_vain(world: World) -> None:
    """Another card may serve it at once; while it goes on, nothing changes."""
    attempt = taken(world)
    world.run("UPDATE replenish.account SET not_before = now() + interval '1 hour'")
    charging = world.services.ledger.advance(attempt, State.CHARGING)
    assert world.register.need("1001").not_before is not None

    world.services.ledger.advance(charging, State.DECLINED)

    assert world.register.need("1001").not_before is None


def test_a_settled_account_waits_for_nothing_and_begins_anew(world: World) -> None:
    """Not low, no reason to be left alone, and its declines count no more."""
    attempt = taken(world)
    old = datetime(2026, 1, 1, tzinfo=UTC)
    world.run(
        "UPDATE replenish.account SET not_before = now(), episode_at = :old", old=old
    )
    world.run(
        "INSERT INTO replenish.skip (account_id, decision, reason)"
        " VALUES ('1001', 'wait', 'cooldown')"
    )
    for state in (State.CHARGING, State.CHARGED, State.SETTLED):
        attempt = world.services.ledger.advance(attempt, state)

    found = world.register.need("1001")
    assert (found.low_since, found.not_before) == (None, None)
    assert found.episode_at > old
    assert world.ask("SELECT count(*) FROM replenish.skip") == [(0,)]
