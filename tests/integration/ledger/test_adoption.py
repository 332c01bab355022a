"""Charges that our rows do not explain: into the books, or told to a person once."""

from dataclasses import replace

import pytest

from replenish.domain.attempt import State
from replenish.domain.outcome import SeenIntent
from replenish.ports import Adoption
from tests.factories import usd
from tests.world import World

pytestmark = pytest.mark.integration

SEEN = SeenIntent(
    intent="pi_lost",
    attempt="3d9c4a52-6a7e-4b2e-9a56-0a8f3a1f2b11",
    account="1001",
    amount=usd("25"),
    charged=True,
)


def adopt(world: World, seen: SeenIntent) -> Adoption:
    """Compare one charge with the rows."""
    return world.services.ledger.adopt([seen])


def attempts(world: World) -> int:
    """Count the attempts."""
    return int(str(world.ask("SELECT count(*) FROM replenish.attempt")[0][0]))


def test_a_lost_charge_is_adopted_once(world: World) -> None:
    """As charged, under its own id, so that the ordinary steps credit it."""
    world.enrol()

    assert adopt(world, SEEN) == Adoption(adopted=["1001"], waiting=[])
    assert adopt(world, SEEN) == Adoption(adopted=[], waiting=[])
    rows = "SELECT id::text, state, intent, amount FROM replenish.attempt"
    assert world.ask(rows) == [(SEEN.attempt, "charged", SEEN.intent, 25)]
    told = "SELECT adopted, note FROM replenish.orphan"
    assert world.ask(told) == [(True, "")]


def test_an_orphan_waits_while_another_attempt_is_open(world: World) -> None:
    """And is adopted when that is over; what was noted of it then is gone."""
    world.enrol()
    world.sweep()
    assert adopt(world, SEEN) == Adoption(adopted=[], waiting=["1001"])
    assert adopt(world, SEEN) == Adoption(adopted=[], waiting=["1001"])
    assert attempts(world) == 1
    attempt = world.services.ledger.take("1001", worker="w")
    assert attempt is not None
    world.services.ledger.advance(attempt, State.RELEASED)

    assert adopt(world, SEEN).adopted == ["1001"]
    told = "SELECT adopted, note FROM replenish.orphan"
    assert world.ask(told) == [(True, "")]


@pytest.mark.parametrize(
    ("seen", "why"),
    [
        (replace(SEEN, account="9999"), "is not enrolled in that currency"),
        (
            replace(SEEN, amount=replace(SEEN.amount, currency="EUR")),
            "is not enrolled in that currency",
        ),
        (replace(SEEN, attempt="7"), "is none of ours"),
        (replace(SEEN, attempt=SEEN.attempt.upper()), "is none of ours"),
        (replace(SEEN, attempt=""), "is none of ours"),
    ],
)
def test_what_is_not_ours_is_told_once_and_never_credited(
    world: World, seen: SeenIntent, why: str
) -> None:
    """With the amount, the account and the gateway's id, and what to do."""
    world.enrol()

    first, second = adopt(world, seen), adopt(world, seen)

    sentence = first.unsettled[seen.account]
    assert why in sentence
    assert f"({seen.intent})" in sentence
    assert str(seen.amount) in sentence
    assert second == Adoption(adopted=[], waiting=[])
    assert attempts(world) == 0


def test_a_charge_that_our_rows_contradict_is_told_once(world: World) -> None:
    """We hold the attempt for given up, and the money was taken all the same."""
    world.enrol()
    world.sweep()
    attempt = world.services.ledger.take("1001", worker="w")
    assert attempt is not None
    world.services.ledger.advance(attempt, State.RELEASED)
    seen = replace(SEEN, attempt=attempt.id)

    assert "its attempt is released" in adopt(world, seen).unsettled["1001"]
    assert adopt(world, seen).unsettled == {}
    assert attempts(world) == 1


def test_a_new_contradiction_is_told_anew(world: World) -> None:
    """Of a charge that was known for another reason."""
    world.enrol()
    assert adopt(world, replace(SEEN, account="9999")).unsettled

    assert adopt(world, replace(SEEN, attempt="7")).unsettled


def test_the_charges_in_the_books_are_no_orphans(world: World) -> None:
    """In flight or settled, they go their way."""
    world.enrol()
    world.sweep()
    attempt = world.services.ledger.take("1001", worker="w")
    assert attempt is not None
    known = replace(SEEN, attempt=attempt.id)

    assert adopt(world, known) == Adoption(adopted=[], waiting=[])
    assert world.ask("SELECT count(*) FROM replenish.orphan") == [(0,)]
