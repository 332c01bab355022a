"""The summary of a batch: from rows alone, once, and it adds up."""

import pytest

from replenish.domain.outcome import DeclineClass, Declined
from replenish.pipeline.reconcile import reconcile
from replenish.pipeline.summary import in_words, summarise
from tests.world import World

pytestmark = pytest.mark.integration

LOST = Declined("pi", DeclineClass.HARD, "lost_card")


def batch_of(world: World) -> str:
    """Give the one batch there is."""
    ((batch,),) = world.ask("SELECT id FROM replenish.batch")
    return str(batch)


def test_a_batch_is_told_in_a_sentence_that_adds_up(world: World) -> None:
    """What was selected is what was settled, declined and left alone."""
    world.enrol("1001")
    world.enrol("1002")
    world.enrol("1003", card=False)
    world.sweep()
    world.replenish("1001")
    world.gateway.says("confirm", LOST)
    world.replenish("1002")

    summary = summarise(batch_of(world), world.services)

    assert summary is not None
    assert (
        summary.selected
        == 3
        == sum([*summary.counts.values(), *summary.skipped.values()])
    )
    told = in_words(summary)
    assert told == "3 selected: 1 settled (25.00 USD), 1 declined, 1 no_card"


def test_a_batch_with_an_open_attempt_is_closed_by_whoever_ends_it(
    world: World,
) -> None:
    """The chord came too early; reconcile closes it afterwards."""
    world.enrol()
    world.sweep()
    assert summarise(batch_of(world), world.services) is None
    world.replenish()
    world.run("UPDATE replenish.batch SET opened_at = now() - interval '1 minute'")

    assert reconcile(world.services).closed == 1
    assert world.ask("SELECT closed_by FROM replenish.batch") == [("reconcile",)]


def test_closing_a_batch_again_only_reads_it(world: World) -> None:
    """Two chords, or a chord and reconcile, give the same summary."""
    world.enrol()
    world.sweep()
    world.replenish()
    batch = batch_of(world)
    first = summarise(batch, world.services)
    world.run("UPDATE replenish.batch SET opened_at = now() - interval '1 minute'")

    assert summarise(batch, world.services, by="reconcile") == first
    assert world.ask("SELECT closed_by FROM replenish.batch") == [("chord",)]


def test_a_batch_that_never_was_has_no_summary(world: World) -> None:
    """A forged message about a batch changes nothing."""
    nobody = "00000000-0000-0000-0000-000000000000"

    assert summarise(nobody, world.services) is None


def test_an_empty_batch_says_so(world: World) -> None:
    """All its accounts were gone by the time it was claimed."""
    world.run(
        "INSERT INTO replenish.batch (id, kind, selected, claimed, skipped)"
        " VALUES (gen_random_uuid(), 'hot', 0, 0, '{}')"
    )

    summary = summarise(batch_of(world), world.services)

    assert summary is not None
    assert in_words(summary) == "0 selected: none"
