"""The cut-offs that stand, and the switch that stops all charging."""

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest

from replenish.domain.policy import CutOff, Leave, Reason
from replenish.ports import Standing
from tests.world import World

pytestmark = pytest.mark.integration

CUT = CutOff(Reason.NO_CARD)


def test_a_cut_off_is_begun_once(world: World) -> None:
    """However many see the account empty at the same time."""
    world.enrol()
    begin = world.services.cut_offs.begin

    with ThreadPoolExecutor(8) as pool:
        begun = list(
            pool.map(lambda _: begin("1001", CUT, available=Decimal(0)), range(8))
        )

    assert sum(begun) == 1
    assert world.services.cut_offs.is_standing("1001")
    events = "SELECT count(*) FROM replenish.event WHERE kind = 'cut_off'"
    assert world.ask(events) == [(1,)]


def test_a_restoration_is_told_once_and_makes_room_for_the_next(world: World) -> None:
    """An account may be cut off again later, and its history shows both."""
    world.enrol()
    cut_offs = world.services.cut_offs
    for _ in range(2):
        assert cut_offs.begin("1001", CUT, available=Decimal(0))
        cut_offs.done("1001")
        cut_offs.restored("1001", reason="funded")
        cut_offs.restored("1001", reason="again")

    assert not cut_offs.is_standing("1001")
    rows = "SELECT restored_why, done_at IS NOT NULL FROM replenish.cut_off"
    assert world.ask(rows) == [("funded", True), ("funded", True)]
    events = "SELECT count(*) FROM replenish.event WHERE kind = 'restored'"
    assert world.ask(events) == [(2,)]


def test_the_standing_are_paged_in_order(world: World) -> None:
    """By account, each once."""
    refs = [world.enrol(str(1001 + number)) for number in range(5)]
    for ref in reversed(refs):
        world.services.cut_offs.begin(ref, CUT, available=Decimal(0))

    first = world.services.cut_offs.standing(after="", limit=3)
    second = world.services.cut_offs.standing(after=first[-1], limit=3)

    assert [*first, *second] == refs


def test_who_is_cut_off_is_not_low_any_more_to_the_next_pass(world: World) -> None:
    """Only those whose service still stands are looked at for cutting."""
    world.enrol("1001", card=False)
    world.enrol("1002", card=False)
    world.sweep()
    world.services.cut_offs.begin("1001", CUT, available=Decimal(0))

    assert world.services.cut_offs.low(batch=None, after="", limit=9) == ["1002"]


def test_the_first_reason_of_a_stop_stands_until_it_is_lifted(world: World) -> None:
    """A second stop does not hide why the first was made."""
    stops = world.services.stops
    stops.stop("first")
    stops.stop("second")

    assert stops.reason() == "first"
    stops.resume()
    assert stops.reason() is None


def test_lifting_a_stop_lets_what_waited_for_it_go_on_at_once(world: World) -> None:
    """The accounts left alone for it, and the attempts that met the refused key."""
    for ref in ("1001", "1002", "1003"):
        world.enrol(ref)
    left = [
        Standing("1001", Leave(Reason.CHARGER_STOPPED), Decimal(5)),
        Standing("1002", Leave(Reason.NO_CARD), Decimal(5)),
    ]
    ledger = world.services.ledger
    ledger.claim([], kind="hot", standings=left)
    world.sweep()
    attempt = ledger.take("1003", worker="w")
    assert attempt is not None
    ledger.put_back(attempt, seconds=60, reason="gateway_key_refused")
    assert ledger.take("1003", worker="w") is None

    world.services.stops.resume()

    assert ledger.take("1003", worker="w") is not None
    waits = "SELECT id FROM replenish.account WHERE not_before IS NOT NULL"
    assert world.ask(waits) == [("1002",)]


def test_lifting_a_stop_takes_nothing_from_who_holds_it(world: World) -> None:
    """Nor does what waits for another reason go on."""
    for ref in ("1001", "1002"):
        world.enrol(ref)
    world.sweep()
    ledger = world.services.ledger
    held, waiting = (ledger.take(ref, worker="w") for ref in ("1001", "1002"))
    assert held is not None
    assert waiting is not None
    world.run("UPDATE replenish.attempt SET reason = 'gateway_key_refused'")
    ledger.put_back(waiting, seconds=60, reason="busy")

    world.services.stops.resume()

    assert [ledger.take(ref, worker="x") for ref in ("1001", "1002")] == [None, None]


def test_a_batch_s_low_accounts_are_paged_alone(world: World) -> None:
    """Those it charged and those it left; another batch's are another chord's."""
    refs = [world.enrol(ref) for ref in ("1001", "1002")]
    refs += [world.enrol(ref, card=False) for ref in ("1003", "1004")]
    world.sweep()
    world.run("UPDATE replenish.account SET low_since = now()")
    low = world.services.cut_offs.low
    pages = [
        low(batch=str(batch), after="", limit=9)
        for (batch,) in world.ask("SELECT id FROM replenish.batch ORDER BY opened_at")
    ]

    assert pages == [["1001", "1002", "1003"], ["1004"]]
    first = low(batch=None, after="", limit=3)
    assert [*first, *low(batch=None, after=first[-1], limit=3)] == refs
