"""What the register answers of accounts and cards that lack something."""

from dataclasses import replace

import pytest

from replenish.errors import BadInput
from tests.world import World

pytestmark = pytest.mark.integration


def test_the_enrolled_are_told_from_the_others(world: World) -> None:
    """Of accounts that the billing package names."""
    world.enrol("1001")
    world.enrol("1002")

    assert world.register.enrolled_among(["1002", "9999"]) == {"1002"}
    assert world.register.enrolled_among([]) == frozenset()


def test_an_account_without_a_card_has_an_empty_list(world: World) -> None:
    """It is enrolled, so that is no error."""
    world.enrol(card=False)

    assert world.register.cards("1001") == []


def test_an_account_without_consent_reads_back_as_such(world: World) -> None:
    """Nobody is charged who has not agreed, and it must show."""
    world.enrol("1001", consent=False)
    world.enrol("1002")

    assert world.register.need("1001").consent is None
    assert world.register.need("1002").consent is not None


@pytest.mark.parametrize("fingerprint", ["", "print_1001"])
def test_a_dead_card_is_known_by_its_fingerprint_if_it_has_one(
    world: World, fingerprint: str
) -> None:
    """Two cards of which the gateway does not tell it are not one card."""
    world.enrol()
    world.run(
        "UPDATE replenish.card SET dead_reason = 'lost_card', fingerprint = :print",
        print=fingerprint,
    )
    dead = replace(world.card("1001"), fingerprint=fingerprint)
    again = replace(dead, payment_method="pm_again")

    with pytest.raises(BadInput, match="lost_card"):
        world.register.add_card("1001", dead, actor="test")
    if fingerprint:
        with pytest.raises(BadInput, match=r"pm_again .* refused for good"):
            world.register.add_card("1001", again, actor="test")
    else:
        assert world.register.add_card("1001", again, actor="test").id
