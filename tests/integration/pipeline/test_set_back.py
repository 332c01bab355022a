"""Our database was set back: what stands at package and gateway is not undone."""

from datetime import UTC, datetime
from decimal import Decimal
from unittest.mock import Mock

import pytest

from replenish.domain.attempt import Attempt
from replenish.errors import BadInput
from replenish.pipeline.replenish import order_of
from replenish.pipeline.sweep import Kind, Sweep
from tests.world import World


def claimed(world: World) -> Attempt:
    """Give the attempt that the database still has, as it was when claimed."""
    (claims,) = Sweep(Kind.HOT, world.services)
    return claims.attempts[0]


def charged(world: World, attempt: Attempt) -> None:
    """Charge the card, of which our database has lost the rows."""
    order = order_of(attempt)
    intent = world.gateway.create(order)
    assert isinstance(intent, str)
    world.gateway.confirm(order, intent, number=1)


def credited(world: World, attempt: Attempt) -> None:
    """Credit the account, of which our database has lost the row."""
    world.services.billing.apply_credit(
        attempt.account,
        attempt.amount,
        reference=attempt.id,
        note="",
        at=datetime.now(UTC),
    )


def again(world: World) -> str:
    """Run the account once more, when its wait is over."""
    world.later()
    return world.replenish().outcome


def test_a_charge_and_its_credit_are_taken_back_into_the_books(world: World) -> None:
    """Released, it would count in no cap, and a person would credit it once more."""
    world.enrol()
    attempt = claimed(world)
    charged(world, attempt)
    credited(world, attempt)

    assert str(world.replenish()) == "waiting credited_before"
    assert again(world) == "settled"
    assert sum(world.gateway.captures.values()) == world.credits() == 1
    assert world.balance() == Decimal(30)


def test_a_credit_without_a_charge_charges_nobody(world: World) -> None:
    """The balance is healthy: an intent that nobody had confirmed is cancelled."""
    world.enrol()
    credited(world, claimed(world))

    assert str(world.replenish()) == "waiting credited_before"
    assert again(world) == "cancelled"
    assert not world.gateway.captures


def test_a_claim_that_is_too_old_gets_no_second_intent(world: World) -> None:
    """The gateway has forgotten its key; people are told of the charge by its mark."""
    world.enrol()
    attempt = claimed(world)
    credited(world, attempt)
    world.age("21 hours")

    assert world.replenish().outcome == "released"
    assert world.gateway.calls == []


def test_a_credit_whose_words_were_edited_is_one(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only that it is there was asked; what it was the gateway tells."""
    world.enrol()
    attempt = claimed(world)
    charged(world, attempt)
    credited(world, attempt)
    odd = Mock(side_effect=BadInput("The note of this refill is no number."))
    monkeypatch.setattr(world.services.billing, "find_credit", odd)

    assert str(world.replenish()) == "waiting credited_before"
    assert again(world) == "settled"


def test_a_credit_overwritten_before_it_was_repeated_is_put_right(world: World) -> None:
    """Not charged for once more: the later look compares with what it had left."""
    world.enrol()
    attempt = claimed(world)
    credited(world, attempt)
    world.overwrite("5")
    assert world.replenish().outcome == "settled"

    world.age("1 hour")
    world.settle_all()

    assert sum(world.gateway.captures.values()) == 1
    assert world.balance() == Decimal(30)


@pytest.mark.parametrize("balance", ["-2", "4"])
def test_a_repeated_credit_does_not_hide_who_is_low_by_now(
    world: World, balance: str
) -> None:
    """Its receipt tells what was left when it was made; calls have gone on since."""
    world.enrol()
    attempt = claimed(world)
    credited(world, attempt)
    world.set_balance(balance)

    assert world.replenish().outcome == "settled"
    assert world.credits() == 1
    assert world.ask("SELECT low_since IS NULL FROM replenish.account") == [(False,)]
