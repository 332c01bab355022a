"""Recovery from rows, and charges that have none."""

import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from replenish.domain.outcome import DeclineClass, Declined, SeenIntent
from replenish.errors import GatewayKeyRefused, LedgerUnavailable, ReplenishError
from replenish.pipeline.reconcile import Found, orphans, reconcile
from replenish.pipeline.services import Services
from tests.factories import usd
from tests.world import World


def _seen(account: str = "1001", *, charged: bool = True) -> SeenIntent:
    return SeenIntent("pi_lost", str(uuid.uuid4()), account, usd("25"), charged)


def test_what_nobody_works_on_is_handed_out_once_a_while(world: World) -> None:
    """A claim whose message was lost is found, and not again at once."""
    world.enrol()
    world.sweep()
    assert reconcile(world.services).accounts == ()
    world.later()

    assert reconcile(world.services).accounts == ("1001",)
    assert reconcile(world.services).accounts == ()
    assert world.replenish().outcome == "settled"


def test_charges_that_are_not_credited_are_handed_out_first(world: World) -> None:
    """Others may have to wait for them."""
    for ref in ("1001", "1002", "1003"):
        world.enrol(ref)
    world.sweep()
    advance = "UPDATE replenish.attempt SET state = :to WHERE account_id = '1003'"
    for state in ("charging", "charged"):
        world.run(advance, to=state)
    world.later()

    assert reconcile(world.services).accounts[0] == "1003"


def test_a_batch_whose_chord_was_lost_is_closed(world: World) -> None:
    """Its summary is counted from the rows."""
    world.enrol()
    world.sweep()
    world.replenish()
    world.run("UPDATE replenish.batch SET opened_at = now() - interval '1 minute'")

    found = reconcile(world.services)

    assert found.closed == 1
    assert str(found) == ("0 attempts handed out, 1 batches closed, 0 orphans adopted")
    assert world.ask("SELECT closed_by, counts FROM replenish.batch") == [
        ("reconcile", {"settled": 1})
    ]


def test_a_pass_under_way_keeps_others_out(world: World) -> None:
    """Two beats ask twice; one of them does the work."""
    world.services.books.begin("reconcile", seconds=60)
    world.services.books.begin("orphans", seconds=60)

    assert reconcile(world.services) == Found()
    assert orphans(world.services) == Found()


@pytest.mark.parametrize(
    ("job", "step", "fails"),
    [
        ("reconcile", reconcile, ("breakers", "look")),
        ("orphans", orphans, ("gateway", "list_since")),
    ],
)
@pytest.mark.parametrize("error", [LedgerUnavailable("gone"), GatewayKeyRefused("no")])
def test_a_pass_that_fails_keeps_nobody_out(
    world: World,
    job: str,
    step: Callable[[Services], Found],
    fails: tuple[str, str],
    error: ReplenishError,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Found under chaos: one dead line cost recovery its next twenty seconds."""

    def away(*_: object) -> None:
        raise error

    port, method = fails
    with monkeypatch.context() as patch:
        patch.setattr(type(getattr(world.services, port)), method, away)
        with pytest.raises(type(error)):
            step(world.services)

    query = "SELECT detail, busy_until FROM replenish.job WHERE name = :job"
    assert world.ask(query, job=job) == [(f"stopped: {error}", None)]


def test_a_charge_without_a_row_is_adopted_and_credited_once(world: World) -> None:
    """After a restore from a backup, what the gateway took is not lost."""
    world.enrol()
    world.gateway.listed = [_seen(), _seen(charged=False)]

    assert orphans(world.services).adopted == ("1001",)
    assert orphans(world.services).adopted == ()
    assert world.replenish().outcome == "settled"
    assert world.credits() == 1
    assert "orphan.adopted" in world.told()


def test_a_known_charge_is_no_orphan(world: World) -> None:
    """Charges that have their row are passed over."""
    world.enrol()
    world.replenish()
    ((attempt,),) = world.ask("SELECT id::text FROM replenish.attempt")
    world.gateway.listed = [
        SeenIntent("pi_1", str(attempt), "1001", usd("25"), charged=True)
    ]

    assert orphans(world.services).adopted == ()


def test_a_stranger_s_charge_is_written_down_and_told_once(world: World) -> None:
    """Of an account that is not enrolled, people must decide."""
    world.gateway.listed = [_seen("9999")]

    assert orphans(world.services).adopted == ()
    assert orphans(world.services).adopted == ()
    assert world.ask("SELECT adopted, note FROM replenish.orphan") == [
        (False, "the account is not enrolled in that currency")
    ]
    assert world.told().count("orphan.unsettled") == 1


def test_a_charge_of_an_attempt_we_hold_for_closed_is_told(world: World) -> None:
    """Somebody confirmed it later, in the gateway's dashboard."""
    world.enrol()
    world.gateway.says("confirm", Declined("pi", DeclineClass.HARD, "lost_card"))
    world.replenish()
    ((attempt,),) = world.ask("SELECT id::text FROM replenish.attempt")
    seen = SeenIntent("pi_1", str(attempt), "1001", usd("25"), charged=True)
    world.gateway.listed = [seen]

    assert orphans(world.services).adopted == ()
    ((_, account, text),) = [n for n in world.notices if n[0] == "orphan.unsettled"]
    assert account == "1001"
    assert "its attempt is declined; refund it, or credit it by hand" in text


def test_a_mark_that_is_no_attempt_s_stops_nobody(world: World) -> None:
    """Metadata can be written by anybody who has a key."""
    world.enrol()
    forged = replace(_seen(), attempt="nonsense", intent="pi_forged")
    world.gateway.listed = [forged, _seen()]

    assert orphans(world.services).adopted == ("1001",)
    assert "orphan.unsettled" in world.told()


def test_an_orphan_waits_for_an_open_attempt_however_long_it_takes(
    world: World,
) -> None:
    """The look-back goes on to where it stood until then."""
    world.enrol()
    world.sweep()
    world.now = datetime(2026, 3, 1, 12, tzinfo=UTC)
    world.gateway.listed = [_seen()]
    orphans(world.services)
    world.now += timedelta(hours=3)
    assert orphans(world.services).adopted == ()
    assert world.replenish().outcome == "settled"

    assert orphans(world.services).adopted == ("1001",)
    assert world.gateway.listed_since[-1] == world.now - timedelta(days=1)
    assert world.replenish().outcome == "settled"
    assert world.credits() == 2


def test_the_next_look_starts_where_the_last_one_ended(world: World) -> None:
    """The first goes a day back, the next overlaps a little."""
    world.now = datetime(2026, 3, 1, 12, tzinfo=UTC)
    orphans(world.services)
    world.gateway.listed = [_seen(charged=False)]
    orphans(world.services)

    assert world.gateway.listed_since == [
        world.now - timedelta(days=1),
        world.now - timedelta(minutes=5),
    ]
