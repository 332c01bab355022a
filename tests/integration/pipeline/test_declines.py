"""What a no means for the card, the account and its customer."""

from decimal import Decimal

import pytest

from replenish.domain.attempt import State
from replenish.domain.outcome import ActionRequired, DeclineClass, Declined
from replenish.pipeline import declines
from tests.world import World


@pytest.mark.parametrize(
    ("answer", "state", "dead", "paused"),
    [
        (Declined("pi", DeclineClass.HARD, "expired_card"), "declined", True, False),
        (Declined("pi", DeclineClass.FRAUD, "stolen_card"), "declined", True, True),
        (
            Declined("pi", DeclineClass.AUTHENTICATION, "authentication_required"),
            "action_required",
            True,
            False,
        ),
        (ActionRequired("pi"), "action_required", True, False),
        (Declined("pi", DeclineClass.SOFT, "do_not_honor"), "declined", False, False),
        (
            Declined("pi", DeclineClass.TRANSIENT, "processing_error", charge="ch_1"),
            "declined",
            False,
            False,
        ),
    ],
)
def test_each_class_of_decline_has_its_consequence(
    world: World, answer: Declined, state: str, *, dead: bool, paused: bool
) -> None:
    """Hard ends the card, fraud holds the account, soft waits; people are told."""
    world.enrol()
    world.gateway.says("confirm", answer)

    assert world.replenish().outcome == state
    ((dead_reason, retry_at),) = world.ask(
        "SELECT dead_reason, retry_at FROM replenish.card"
    )
    assert (dead_reason == answer.code) is dead
    assert (retry_at is None) is dead
    assert bool(world.register.need("1001").paused) is paused
    assert world.told() == [f"card.{state}"]
    assert not world.gateway.captures


def test_soft_declines_are_spaced_ever_further(world: World) -> None:
    """The second wait of an episode is longer than the first."""
    world.enrol()
    world.gateway.says(
        "confirm", *[Declined("pi", DeclineClass.SOFT, "insufficient_funds")] * 2
    )
    waits = []
    for _ in range(2):
        assert world.replenish().outcome == "declined"
        ((wait,),) = world.ask(
            "SELECT extract(epoch FROM retry_at - now()) FROM replenish.card"
        )
        waits.append(float(str(wait)))
        world.run("UPDATE replenish.card SET retry_at = now() - interval '1 s'")
        world.age("1 hour")

    assert waits[1] > 2 * waits[0] > 0


def test_the_next_card_is_tried_only_after_a_known_decline(world: World) -> None:
    """A second card saves the account at the next look."""
    world.enrol()
    world.register.add_card(
        "1001",
        world.card("1001", "b"),
        priority=1,
        actor="test",
    )
    world.gateway.says("confirm", Declined("pi", DeclineClass.HARD, "expired_card"))
    assert world.replenish().outcome == "declined"

    world.settle_all()

    assert world.balance() == Decimal(30)
    assert world.credits() == 1


def test_a_soft_decline_of_an_account_no_longer_enrolled_marks_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The attempt is closed all the same."""
    world.enrol()
    world.sweep()
    attempt = world.services.ledger.take("1001", worker="w")
    assert attempt is not None
    charging = world.services.ledger.advance(attempt, State.CHARGING)
    monkeypatch.setattr(type(world.services.ledger), "subjects", lambda *_, **__: [])

    closed = declines.record(
        charging, Declined("pi", DeclineClass.SOFT, "do_not_honor"), world.services
    )

    assert closed.state == "declined"
