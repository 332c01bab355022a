"""Breakers: they stop new charges and nothing else, say so, and end."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from replenish.domain.attempt import State
from replenish.domain.breaker import Tolerance
from replenish.domain.decision import Reason
from replenish.domain.outcome import DeclineClass, Declined, Unknown
from replenish.domain.rule import Limits
from replenish.errors import GatewayKeyRefused, GatewayUnavailable
from replenish.pipeline import breakers
from replenish.pipeline.cutoff import cutoff
from replenish.pipeline.reconcile import reconcile
from replenish.pipeline.replenish import order_of
from tests.world import World

pytestmark = pytest.mark.integration

NO = Declined("pi", DeclineClass.HARD, "expired_card")
AWAY = GatewayUnavailable("The gateway does not answer.", subject="gateway")


def tolerant(world: World, *, per_minute: int = 600, **changes: object) -> World:
    """Give the same installation with breakers that trip as told."""
    return World(
        world.engine,
        gateway=world.gateway,
        limits=replace(Limits(), charges_per_minute=per_minute),
        tolerance=replace(Tolerance(), **changes),  # type: ignore[arg-type]
    )


def standing(world: World) -> list[str]:
    """Give the breakers that stand."""
    return [breaker.reason for breaker in world.services.breakers.standing()]


def declined(world: World, *refs: str, enrol: bool = True) -> None:
    """Let each of these accounts be charged, and its card declined."""
    world.gateway.says("confirm", *[NO] * len(refs))
    for ref in refs:
        if enrol:
            world.enrol(ref)
        world.replenish(ref)


def ages(world: World, table: str, column: str, seconds: int) -> None:
    """Let what stands in a column be older by so much."""
    world.run("ALTER TABLE replenish.attempt DISABLE TRIGGER journal_step")
    world.run(
        f"UPDATE replenish.{table}"  # noqa: S608 ours
        f" SET {column} = {column} - make_interval(secs => {seconds})"
    )
    world.run("ALTER TABLE replenish.attempt ENABLE TRIGGER journal_step")


def waits(world: World, *refs: str) -> None:
    """Let each be claimed, and find no gateway for its charge."""
    world.gateway.says("create", *[AWAY] * len(refs))
    for ref in refs:
        world.enrol(ref)
        with pytest.raises(GatewayUnavailable):
            world.replenish(ref)


def look(world: World) -> None:
    """Do what reconcile does every few seconds, now."""
    world.run("UPDATE replenish.job SET busy_until = NULL")
    reconcile(world.services)


@pytest.mark.security("S17")
def test_many_declines_stop_all_charging_at_once(world: World) -> None:
    """With the decline that is one too many; people are told once, in a sentence."""
    world = tolerant(world, decline_count=3, decline_percent=60)
    world.enrol("1000")
    world.replenish("1000")
    declined(world, "1001", "1002")

    assert standing(world) == [Reason.DECLINE_SHARE]
    told = [text for event, _, text in world.notices if event == "breaker.tripped"]
    assert len(told) == 1
    assert told[0].startswith(
        "New charges are stopped: 2 of the last 3 answers within 15 min were declines,"
        " 60% are allowed; it goes on by itself at "
    )
    world.enrol("1003")
    found = world.replenish("1003")
    assert (found.outcome, found.reason) == ("left", Reason.DECLINE_SHARE)
    assert world.sweep() == []


def test_a_few_declines_stop_nobody(world: World) -> None:
    """Five dead cards are five dead cards; and a good many answers dilute them."""
    world = tolerant(world, decline_count=3, decline_percent=60)
    declined(world, "1001", "1002")
    world.enrol("1003")

    assert world.replenish("1003").outcome == "settled"
    world.enrol("1004")
    assert world.replenish("1004").outcome == "settled"
    assert standing(world) == []


def test_a_claim_made_before_the_breaker_does_not_reach_the_card(world: World) -> None:
    """The second look sees it; and so does one who goes on in the middle."""
    world = tolerant(world, decline_count=2)
    claimed, created = world.enrol("1001"), world.enrol("1002")
    assert world.sweep() == [claimed, created]
    attempt = world.services.ledger.take(created, worker="w")
    assert attempt is not None
    intent = world.gateway.create(order_of(attempt))
    assert isinstance(intent, str)
    moved = world.services.ledger.advance(attempt, State.CHARGING, intent=intent)
    world.services.ledger.put_back(moved, seconds=0, reason="")
    declined(world, "1003", "1004")

    assert world.replenish(claimed).outcome == "released"
    assert world.replenish(created).outcome == "cancelled"
    assert sum(world.gateway.captures.values()) == 0


def test_money_taken_is_credited_whatever_stands(world: World) -> None:
    """A breaker stops new charges, not looking up, not crediting, not restoring."""
    world = tolerant(world, decline_count=1)
    world.enrol("1001")
    world.gateway.says("confirm", "lost after")
    world.gateway.says("look_up", Unknown("pi", "processing"))
    assert world.replenish("1001").outcome == "waiting"
    declined(world, "1002")
    assert standing(world) == [Reason.DECLINE_SHARE]
    world.later()

    world.replenish("1001")

    assert world.state("1001") == "settled"


def test_a_breaker_ends_by_itself_and_counts_anew(world: World) -> None:
    """What tripped it does not trip it again."""
    world = tolerant(world, decline_count=2)
    declined(world, "1001", "1002")
    world.enrol("1003")
    assert world.sweep() == []
    ages(world, "breaker", "until", 900)

    world.later()
    assert world.sweep() == ["1003"]  # before anybody has looked
    look(world)

    assert world.replenish("1003").outcome == "settled"
    assert "breaker.ended" in world.told()
    assert standing(world) == []
    declined(world, "1004")
    assert standing(world) == []


def test_by_hand_it_stands_until_a_person_lifts_it(world: World) -> None:
    """As configured; what waited for it is looked at in the next sweep."""
    world = tolerant(world, decline_count=2, by_hand=True)
    declined(world, "1001", "1002")
    world.enrol("1003")
    assert world.sweep() == []
    (breaker,) = world.services.breakers.standing()
    assert (breaker.until, breaker.by_hand) == (None, True)
    ages(world, "breaker", "since", 86_400)
    look(world)
    world.run("UPDATE replenish.job SET busy_until = NULL")
    assert world.sweep() == []

    assert world.services.breakers.lift(breaker.reason, by="ada")
    assert not world.services.breakers.lift(breaker.reason, by="bob")

    world.run("UPDATE replenish.job SET busy_until = NULL")
    assert world.sweep() == ["1003"]
    assert world.ask("SELECT ended_by FROM replenish.breaker") == [("ada",)]


@pytest.mark.security("S17")
def test_too_many_charges_a_minute_are_told_and_the_minute_ends(world: World) -> None:
    """The rate holds by its own count; the row is there to be shown."""
    world = tolerant(world, per_minute=1)
    world.enrol("1001")
    world.sweep()
    look(world)
    assert standing(world) == [Reason.CHARGE_RATE]
    assert world.replenish("1001").outcome == "settled"
    assert [e for e in world.told() if e.startswith("breaker")] == ["breaker.tripped"]

    ages(world, "batch", "opened_at", 61)
    ages(world, "breaker", "until", 61)
    look(world)
    assert standing(world) == []


def test_too_many_charges_a_minute_may_want_a_person(world: World) -> None:
    """By hand, the end of the minute ends nothing."""
    world = tolerant(world, per_minute=1, by_hand=True)
    world.enrol("1001")
    world.sweep()
    world.replenish("1001")
    look(world)
    ages(world, "batch", "opened_at", 61)
    world.enrol("1002")

    world.run("UPDATE replenish.job SET busy_until = NULL")
    assert world.sweep() == []
    assert world.replenish("1002").reason == Reason.CHARGE_RATE


def test_a_gateway_that_is_away_has_no_new_charges_begun(world: World) -> None:
    """Several wait for it and none had an answer: the others are not even claimed."""
    world = tolerant(world, gateway_failures=3)
    waits(world, "1001", "1002")
    look(world)
    assert standing(world) == []
    waits(world, "1003")
    world.enrol("1004")

    look(world)

    assert standing(world) == [Reason.GATEWAY_DOWN]
    assert world.replenish("1004").reason == Reason.GATEWAY_DOWN
    told = world.notices[-1][2]
    assert told == (
        "New charges are stopped: 3 charges wait for the gateway and none has had an"
        " answer for 20 s; it goes on when the gateway answers."
    )


def test_a_gateway_that_answers_others_is_not_away(world: World) -> None:
    """One bad hour of requests among good ones is no outage."""
    world = tolerant(world, gateway_failures=2)
    world.enrol("1000")
    world.replenish("1000")
    waits(world, "1001", "1002")
    look(world)
    assert standing(world) == []

    ages(world, "attempt", "changed_at", 21)
    look(world)
    assert standing(world) == [Reason.GATEWAY_DOWN]


@pytest.mark.parametrize("bad", [AWAY, GatewayKeyRefused("No.", subject="key"), None])
def test_charging_goes_on_when_the_gateway_answers(
    world: World, bad: Exception | None
) -> None:
    """Reconcile asks it; what waits goes on at once, and not after its long wait."""
    world = tolerant(world, gateway_failures=2)
    waits(world, "1001", "1002")
    world.enrol("1003")
    look(world)
    world.sweep()
    look(world)
    assert standing(world) == [Reason.GATEWAY_DOWN]  # not in its first seconds
    ages(world, "breaker", "since", 21)
    if bad is None:
        world.gateway.problems.append("The key may not create PaymentIntents.")
    else:
        world.gateway.says("check", bad)
    look(world)
    assert standing(world) == [Reason.GATEWAY_DOWN]

    world.gateway.problems.clear()
    look(world)

    assert standing(world) == []
    assert world.notices[-1][0] == "breaker.ended"
    for ref in ("1001", "1002"):
        assert world.replenish(ref).outcome == "settled"
    world.run("UPDATE replenish.job SET busy_until = NULL")
    assert world.sweep() == ["1003"]


def test_only_a_hand_lifts_what_wants_a_hand(world: World) -> None:
    """Also when the gateway has long been back."""
    world = tolerant(world, gateway_failures=1, by_hand=True)
    waits(world, "1001")
    look(world)
    world.now = datetime.now(UTC) + timedelta(days=1)
    look(world)

    assert standing(world) == [Reason.GATEWAY_DOWN]


def test_lifting_it_twice_is_told_once(world: World) -> None:
    """Two reconciles, or a person in between."""
    world = tolerant(world, gateway_failures=1)
    waits(world, "1001")
    look(world)
    ages(world, "breaker", "since", 21)
    stands = world.services.breakers.standing()
    breakers.probe(world.services)
    before = list(world.notices)

    class Stale:
        """What another reconcile had read."""

        def standing(self, **_: object) -> object:
            return stands

        def __getattr__(self, name: str) -> object:
            return getattr(world.services.breakers, name)

    breakers.probe(replace(world.services, breakers=Stale()))  # type: ignore[arg-type]

    assert world.notices == before


def test_nobody_with_a_good_card_is_cut_off_for_a_breaker(world: World) -> None:
    """Down to the hard floor; who has no card is cut off at the floor as ever."""
    world = tolerant(world, gateway_failures=1)
    waits(world, "1000")
    look(world)
    world.enrol("1001", balance="-4.99")
    world.enrol("1002", balance="-4.99", card=False)
    world.enrol("1003", balance="-5")

    world.sweep()
    cut = cutoff(None, world.services).cut

    assert cut == ["1002", "1003"]
    assert world.service("1001") == "active"
