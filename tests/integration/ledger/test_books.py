"""Batches, turns of periodic jobs, and who is low."""

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest

from replenish.adapters.ledger.books import installation
from replenish.domain.attempt import State
from replenish.domain.enrolment import Overrides
from replenish.domain.policy import CutOff, Reason
from replenish.pipeline.cutoff import cutoff
from replenish.ports import Summary
from tests import ledgers
from tests.postgres import MakeDatabase
from tests.world import World

pytestmark = pytest.mark.integration

CUT = CutOff(Reason.NO_CARD)


def test_one_of_many_takes_a_job_s_turn(world: World) -> None:
    """The others are told so; the turn ends by itself."""
    begin = world.services.books.begin

    with ThreadPoolExecutor(8) as pool:
        turns = list(pool.map(lambda _: begin("sweep.hot", seconds=60), range(8)))

    (begun,) = filter(None, turns)
    assert begin("sweep.full", seconds=60)
    world.services.books.end("sweep.hot", begun)
    assert begin("sweep.hot", seconds=-1)
    assert begin("sweep.hot", seconds=60)


def test_a_cursor_stays_until_a_new_one_is_given(world: World) -> None:
    """Ending without one keeps how far the job came."""
    books = world.services.books
    assert books.cursor("orphans") is None
    for values in ({"detail": "so far", "cursor": "42"}, {}):
        begun = books.begin("orphans", seconds=60)
        assert begun is not None
        books.end("orphans", begun, **values)

    assert books.cursor("orphans") == "42"


def test_who_is_late_neither_ends_nor_keeps_another_s_turn(world: World) -> None:
    """A turn that was over when its worker came back may be somebody else's by then."""
    books = world.services.books
    late = books.begin("orphans", seconds=-1)
    assert late is not None
    assert books.begin("orphans", seconds=60)

    books.end("orphans", late, detail="old", cursor="1")
    books.extend("orphans", late, seconds=-1, cursor="1")

    assert books.begin("orphans", seconds=60) is None
    assert books.cursor("orphans") is None


def test_a_turn_is_kept_by_who_goes_on(world: World) -> None:
    """A long listing asks for more time, page after page."""
    books = world.services.books
    begun = books.begin("orphans", seconds=-1)
    assert begun is not None

    books.extend("orphans", begun, seconds=60, cursor="3")

    assert books.begin("orphans", seconds=60) is None
    assert books.cursor("orphans") == "3"


def test_low_goes_by_the_account_s_own_threshold(world: World) -> None:
    """Or by the installation's; accounts not enrolled are nobody's business."""
    world.enrol("1001")
    world.enrol("1002", overrides=Overrides(threshold=Decimal(3)))
    seen = {"1001": Decimal(10), "1002": Decimal("3.01"), "9999": Decimal(0)}

    assert world.services.books.low_of(seen) == ["1001"]


def test_an_account_recovers_above_its_own_threshold(world: World) -> None:
    """Whether that is higher than the installation's or lower."""
    for ref, threshold in (("1001", 20), ("1002", 3)):
        own = Overrides(threshold=Decimal(threshold))
        world.enrol(ref, overrides=own, card=False)
    world.run("UPDATE replenish.account SET low_since = now()")

    world.services.books.recovered({"1001": Decimal(15), "1002": Decimal(5)})

    low = "SELECT id FROM replenish.account WHERE low_since IS NOT NULL"
    assert world.ask(low) == [("1001",)]


def test_who_was_not_low_goes_on_as_before(world: World) -> None:
    """A healthy account seen healthy again begins no new episode."""
    world.enrol()
    before = world.register.need("1001")

    world.services.books.recovered({"1001": Decimal(99)})

    assert world.register.need("1001") == before


def test_only_who_was_low_recovers(world: World) -> None:
    """At the threshold is still low."""
    for ref in ("1001", "1002", "1003"):
        world.enrol(ref, card=False)
    world.sweep()
    world.services.books.recovered({"1001": Decimal("10.01"), "1002": Decimal(10)})

    low = "SELECT id FROM replenish.account WHERE low_since IS NOT NULL ORDER BY 1"
    assert world.ask(low) == [("1002",), ("1003",)]
    assert world.ask("SELECT account_id FROM replenish.skip ORDER BY 1") == [
        ("1002",),
        ("1003",),
    ]


def test_a_batch_is_unclosed_only_when_it_could_be_closed(world: World) -> None:
    """Young ones are left to their chord, and open ones to their attempts."""
    world.enrol()
    world.sweep()
    books = world.services.books
    assert books.unclosed(older_than=-1) == []
    world.replenish()

    assert books.unclosed(older_than=60) == []
    (batch,) = books.unclosed(older_than=-1)
    summary = books.close_batch(batch, by="reconcile")
    assert summary is not None
    assert (summary.counts, summary.amounts) == ({"settled": 1}, {"USD": Decimal(25)})
    assert books.unclosed(older_than=-1) == []


def test_an_installation_s_mark_is_its_own_and_stays(
    world: World, make_database: MakeDatabase
) -> None:
    """Drawn with the schema; another database has another."""
    with ledgers.engine_of(make_database(ledgers.prepare)) as other:
        assert installation(other) != installation(world.engine)
    assert installation(world.engine) == installation(world.engine)


def test_a_batch_counts_the_cut_offs_that_came_of_it(world: World) -> None:
    """Of accounts that it charged in vain or left alone."""
    world.enrol(balance="0", card=False)
    world.sweep()
    cutoff(None, world.services)
    (batch,) = world.services.books.unclosed(older_than=-1)
    summary = world.services.books.close_batch(batch, by="chord")

    assert summary is not None
    assert summary.cut_off == 1


def test_a_cut_off_from_before_is_not_the_batch_s(world: World) -> None:
    """It came of an earlier one, and was lifted in between."""
    world.enrol(balance="0", card=False)
    world.run(
        "INSERT INTO replenish.cut_off (account_id, reason, available, begun_at,"
        " restored_at) VALUES ('1001', 'no_card', 0, now() - interval '1 day', now())"
    )
    world.sweep()
    (batch,) = world.services.books.unclosed(older_than=-1)
    summary = world.services.books.close_batch(batch, by="chord")

    assert summary is not None
    assert summary.cut_off == 0


def test_a_batch_is_closed_once_by_counting_its_rows(world: World) -> None:
    """Not while an attempt of it is open; only settled money is an amount."""
    refs = [world.enrol(ref) for ref in ("1001", "1002", "1003")]
    world.sweep()
    ((batch,),) = world.ask("SELECT id::text FROM replenish.batch")
    books = world.services.books
    end(world, refs[1], State.CHARGING, State.DECLINED)
    end(world, refs[2], State.RELEASED)
    assert books.close_batch(str(batch), by="chord") is None
    world.replenish(refs[0])

    first = books.close_batch(str(batch), by="chord")

    assert first == Summary(
        batch=str(batch),
        selected=3,
        counts={"settled": 1, "declined": 1, "released": 1},
        skipped={},
        amounts={"USD": Decimal(25)},
        cut_off=0,
    )
    world.services.cut_offs.begin("1002", CUT, available=Decimal(0))
    assert books.close_batch(str(batch), by="reconcile") == first
    assert world.ask("SELECT closed_by FROM replenish.batch") == [("chord",)]


def test_a_batch_that_nobody_knows_is_not_closed(world: World) -> None:
    """A chord may come from before a restored backup."""
    unknown = "00000000-0000-0000-0000-000000000001"

    assert world.services.books.close_batch(unknown, by="chord") is None


def end(world: World, ref: str, *states: State) -> None:
    """Take the account's claimed attempt these steps."""
    attempt = world.services.ledger.take(ref, worker="w")
    assert attempt is not None
    for state in states:
        attempt = world.services.ledger.advance(attempt, state)
