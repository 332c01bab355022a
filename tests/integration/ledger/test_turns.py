"""Lost workers are told from ordinary waiting, and three in a row are enough."""

import pytest

from replenish import failpoints
from replenish.domain.attempt import State
from replenish.failpoints import InjectedFaultError
from replenish.pipeline.reconcile import reconcile
from replenish.pipeline.replenish import STUCK, crediting, replenish
from tests.world import World

pytestmark = pytest.mark.integration


def lose_worker(world: World, ref: str = "1001") -> None:
    """Let a worker take the attempt and be heard of no more."""
    assert world.services.ledger.take(ref, worker="doomed")
    world.later()


def lose_turn(world: World, ref: str = "1001") -> None:
    """Let a worker begin a turn without an attempt and be heard of no more."""
    assert world.services.turns.begin(ref, worker="doomed")
    world.run("UPDATE replenish.turn SET until = now() - interval '1 second'")


def claimed(world: World, ref: str = "1001") -> None:
    """Enrol and claim an account."""
    world.enrol(ref)
    world.sweep()


def test_three_lost_workers_quarantine_an_account(world: World) -> None:
    """It is held with a reason, recorded, told once, and in nobody's hands."""
    claimed(world)
    for _ in range(3):
        lose_worker(world)

    first, again = reconcile(world.services), reconcile(world.services)

    assert (first.quarantined, again.quarantined) == (("1001",), ())
    assert "1 accounts quarantined" in str(first)
    assert first.accounts == ()
    assert world.services.ledger.take("1001", worker="w") is None
    assert world.told() == ["account.quarantined"]
    assert world.ask(
        "SELECT detail ->> 'lost', detail ->> 'state', detail ->> 'worker'"
        " FROM replenish.event WHERE kind = 'quarantined'"
    ) == [("3", "claimed", "doomed")]


def test_what_lost_three_workers_is_taken_by_nobody_before_it_is_held(
    world: World,
) -> None:
    """Between two passes of reconcile a redelivered message may come."""
    claimed(world)
    for _ in range(3):
        lose_worker(world)

    assert world.services.ledger.take("1001", worker="fourth") is None


def test_waiting_is_no_loss(world: World) -> None:
    """A lease that was given back, however often, counts for nothing."""
    claimed(world)
    for _ in range(5):
        taken = world.services.ledger.take("1001", worker="w")
        assert taken
        world.services.ledger.put_back(taken, seconds=0, reason="busy")
        world.later()

    assert reconcile(world.services).quarantined == ()


def test_a_step_forward_ends_the_row(world: World) -> None:
    """Workers that die at one step each are bad luck, not the account's doing."""
    claimed(world)
    lose_worker(world)
    lose_worker(world)
    taken = world.services.ledger.take("1001", worker="w")
    assert taken
    world.services.ledger.advance(taken, State.CHARGING, intent="pi_1")
    world.later()  # and that worker is lost as well

    assert reconcile(world.services).quarantined == ()
    assert world.services.ledger.take("1001", worker="w")


def test_suspects_are_handed_out_one_at_a_time(world: World) -> None:
    """So that the third loss is the right account's; others are not held up."""
    for ref in ("1001", "1002", "1003"):
        claimed(world, ref)
    for ref in ("1001", "1002"):
        lose_worker(world, ref)
        lose_worker(world, ref)

    first = reconcile(world.services)
    world.run("UPDATE replenish.job SET busy_until = NULL")
    meanwhile = reconcile(world.services)
    (suspect,) = set(first.accounts) - {"1003"}
    cleared = world.replenish(suspect)
    world.run("UPDATE replenish.job SET busy_until = NULL")
    after = reconcile(world.services)

    assert sorted(first.accounts) == sorted([suspect, "1003"])
    assert meanwhile.accounts == ()
    assert set(after.accounts) == {"1001", "1002"} - {suspect}
    assert cleared.cleared, "so the next one need not wait for a pass of reconcile"
    assert not world.replenish("1003").cleared


def test_turns_without_an_attempt_count_as_well(world: World) -> None:
    """A task that kills its worker before any claim is quarantined too."""
    world.enrol(balance="50")
    for _ in range(3):
        lose_turn(world)

    assert not world.services.turns.begin("1001", worker="fourth")
    found = reconcile(world.services)

    assert found.quarantined == ("1001",)
    assert str(world.replenish()) == "left quarantined"


def test_a_turn_that_ends_in_order_leaves_nothing(world: World) -> None:
    """Also one that ended with a refusal or a wait."""
    world.enrol(balance="50")
    lose_turn(world)

    world.replenish()

    assert world.ask("SELECT * FROM replenish.turn") == []


def test_turns_at_the_same_time_are_no_loss(world: World) -> None:
    """A duplicate of a message is not the end of a worker."""
    world.enrol(balance="50")
    for number in range(5):
        assert world.services.turns.begin("1001", worker=f"w{number}")

    world.services.turns.end("1001", worker="w0")
    assert world.ask("SELECT worker, lost FROM replenish.turn") == [("w4", 0)]


def test_who_is_not_enrolled_leaves_no_row(world: World) -> None:
    """Whoever writes into the broker cannot fill our tables."""
    assert world.services.turns.begin("nobody", worker="w")

    assert world.ask("SELECT * FROM replenish.turn") == []


def test_a_resumed_account_goes_on_at_once(world: World) -> None:
    """By hand: the row of losses begins anew and the attempt is settled."""
    claimed(world)
    for _ in range(3):
        lose_worker(world)
    reconcile(world.services)

    assert world.register.resume("1001", actor="test")

    world.replenish()
    assert world.state() == "settled"
    assert (
        world.ask("SELECT * FROM replenish.account WHERE paused_at IS NOT NULL") == []
    )


@pytest.mark.parametrize(
    ("seam", "lost_at", "ended"),
    [
        ("before_create", "claimed", "released"),
        ("before_confirm", "charging", "cancelled"),
        ("before_credit", "charged", "settled"),
    ],
)
def test_alone_a_quarantined_account_is_finished_and_not_charged(
    world: World, seam: str, lost_at: str, ended: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was charged is credited; what was not never is, and it stays held."""
    claimed(world)
    monkeypatch.setattr(failpoints, "_actions", failpoints.parse(f"{seam}/1001=raise"))
    for _ in range(3):
        with pytest.raises(InjectedFaultError):
            world.replenish()
        world.later()
    assert reconcile(world.services).quarantined == ("1001",)
    assert world.state() == lost_at
    assert world.services.turns.alone(limit=10) == ["1001"]
    monkeypatch.setattr(failpoints, "_actions", {})

    crowd = world.replenish()
    result = replenish("1001", world.services, alone=True)

    assert (crowd.reason, result.outcome) == ("quarantined", ended)
    assert world.credits() == (ended == "settled")
    assert world.services.turns.alone(limit=10) == []
    assert world.sweep() == []


def waits_for_its_credit(world: World, ref: str) -> None:
    """Charge an account's card, and find the package away."""
    ledger = world.services.ledger
    attempt = ledger.take(ref, worker="one")
    assert attempt
    attempt = ledger.advance(attempt, State.CHARGING, intent=f"pi_{ref}")
    attempt = ledger.advance(attempt, State.CHARGED)
    ledger.put_back(attempt, seconds=60, reason="BillingUnavailable")


def test_credits_that_nobody_tries_keep_no_card_from_being_charged(
    world: World,
) -> None:
    """A quarantined account's charge waits for a person, not for the package."""
    for number in range(STUCK):
        claimed(world, str(1001 + number))
        waits_for_its_credit(world, str(1001 + number))
    assert not crediting(world.services)

    world.run("UPDATE replenish.account SET quarantined_at = now()")

    assert crediting(world.services)


def test_alone_it_is_tried_again_after_growing_waits(world: World) -> None:
    """Should it kill that process too, the next one is started later and later."""
    claimed(world)
    for _ in range(3):
        lose_worker(world)
    reconcile(world.services)
    alone = world.services.turns.alone
    gaps = []
    for gap in (0, 60, 120, 240):
        world.run(
            "UPDATE replenish.attempt SET next_at = now() - make_interval(secs => :s)",
            s=gap - 1 if gap else 0,
        )
        early = alone(limit=1) if gap else []
        world.run(
            "UPDATE replenish.attempt SET next_at = now() - make_interval(secs => :s)",
            s=gap + 1,
        )
        gaps.append((early, alone(limit=1)))
        assert world.services.ledger.take("1001", worker="w", alone=True)

    assert gaps == [([], ["1001"])] * 4


def test_an_account_that_a_person_holds_keeps_the_reason(world: World) -> None:
    """The quarantine adds to it."""
    claimed(world)
    world.register.pause("1001", "dispute", actor="test")
    for _ in range(3):
        lose_worker(world)

    reconcile(world.services)

    (found,) = world.register.page(quarantined=True)
    assert found.paused == "dispute"
