"""What a second review of the money's path has found; each was a way to lose some."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from replenish import failpoints
from replenish.adapters.billing.bundled import BundledBilling
from replenish.adapters.sql_billing.order import number
from replenish.domain.enrolment import Overrides
from replenish.domain.trail import Trail
from replenish.errors import AccountLocked, BadInput, BillingUnavailable, Transient
from replenish.pipeline.credits import check_credits
from replenish.pipeline.cutoff import cutoff
from replenish.pipeline.jobs import Turn
from replenish.pipeline.reconcile import reconcile
from replenish.pipeline.replenish import crediting, replenish
from replenish.pipeline.services import Services
from replenish.pipeline.sweep import Kind, Sweep
from replenish.ports import KEY_REFUSED, Calls
from tests.integration.pipeline.test_review import overwritten
from tests.integration.pipeline.test_sweep import ByCalls
from tests.world import World

pytestmark = pytest.mark.integration


def test_a_person_s_stop_outlives_the_refused_key(world: World) -> None:
    """The key works again; what a person has stopped stays stopped."""
    world.services.stops.stop(f"{KEY_REFUSED}: revoked")
    world.services.stops.stop("wrong rates loaded")

    reconcile(world.services)

    assert world.services.stops.reason() == "wrong rates loaded"
    world.services.stops.stop(f"{KEY_REFUSED}: revoked")
    assert world.services.stops.reason() == "wrong rates loaded"


def test_a_stop_that_came_meanwhile_is_not_lifted(world: World) -> None:
    """While the key was tried, a person stopped all charging."""
    world.services.stops.stop(f"{KEY_REFUSED}: revoked")
    check = world.gateway.check

    def meanwhile() -> object:
        world.services.stops.stop("wrong rates loaded")
        return check()

    world.gateway.check = meanwhile  # type: ignore[method-assign, assignment]

    assert not reconcile(world.services).resumed
    assert world.services.stops.reason() == "wrong rates loaded"


class LockedTable:
    """A package whose log of credits is locked: every credit runs into it."""

    knows_low = True

    def __init__(self, world: World) -> None:
        """Stand before the world's own package."""
        self.package = world.services.billing

    def __getattr__(self, name: str) -> object:
        """Do all else."""
        return getattr(self.package, name)

    def apply_credit(self, *_: object, **__: object) -> object:
        """Wait for the lock in vain."""
        msg = "The row is locked."
        raise AccountLocked(msg)


def test_a_locked_table_stops_other_charges_also_while_it_is_tried(
    world: World,
) -> None:
    """Three accounts whose row is locked at once are no accident of theirs."""
    refs = [world.enrol(str(number)) for number in range(1001, 1006)]
    services = replace(world.services, billing=LockedTable(world))  # type: ignore[arg-type]
    for _ in range(7):
        for ref in refs:
            _try(ref, services)
        world.later()

    assert sum(world.gateway.captures.values()) == 3
    charged = "SELECT account_id FROM replenish.attempt WHERE state = 'charged'"
    for (each,) in world.ask(charged):
        assert world.services.ledger.take(str(each), worker="trying")
    assert not crediting(world.services)


def _try(ref: str, services: Services) -> None:
    try:
        replenish(ref, services)
    except Transient:
        return


def test_a_credit_that_was_not_enough_leaves_the_account_low(world: World) -> None:
    """A call cost more than the top-up while the card was charged: service ends."""
    world.enrol(overrides=Overrides(grace=Decimal(1)))
    confirm = world.gateway.confirm

    def a_call_meanwhile(*args: object, **how: object) -> object:
        world.set_balance("-60")
        return confirm(*args, **how)  # type: ignore[arg-type]

    world.gateway.confirm = a_call_meanwhile  # type: ignore[method-assign, assignment]
    assert world.replenish().outcome == "settled"
    world.run("UPDATE replenish.account SET grace = 0")

    cutoff(None, world.services)

    assert world.balance() < 0
    assert world.service() == "suspended"


def test_who_was_funded_is_not_low(world: World) -> None:
    """By the settled step itself; nobody need look again."""
    world.enrol()
    world.replenish()

    assert world.ask("SELECT low_since FROM replenish.account") == [(None,)]


@pytest.mark.parametrize("made", [False, True])
def test_a_claim_older_than_the_gateway_s_memory_is_let_go(
    world: World, monkeypatch: pytest.MonkeyPatch, *, made: bool
) -> None:
    """It may come from an old backup, and have been charged long ago."""
    world.enrol()
    (ref,) = world.sweep()
    if made:
        with monkeypatch.context() as patch:
            patch.setattr(
                failpoints, "_actions", failpoints.parse("before_confirm=raise")
            )
            with pytest.raises(failpoints.InjectedFaultError):
                world.replenish(ref)
    world.age("21 hours")
    world.later()

    world.replenish()

    assert world.state() == ("cancelled" if made else "released")
    assert world.gateway.captures == {}


def test_a_cooldown_of_weeks_is_seen_by_the_decision_too(world: World) -> None:
    """Also beyond the month's and the episode's beginning: nobody claims in vain."""
    world.enrol(overrides=Overrides(cooldown=timedelta(days=60)))
    assert world.replenish().outcome == "settled"
    world.age("40 days")
    world.run("UPDATE replenish.account SET episode_at = now()")
    world.set_balance("5")

    assert world.sweep() == []
    assert world.ask("SELECT reason FROM replenish.skip") == [("cooldown",)]


def test_who_waited_is_found_without_a_call(world: World) -> None:
    """He has a new card and, cut off, makes no call by which he would be found."""
    world.enrol(card=False)
    package = ByCalls(world)
    services = replace(world.services, billing=package)  # type: ignore[arg-type]
    package.calls = [Calls(["1001"], "10"), Calls((), "10")]
    assert list(_claimed(services)) == []
    world.register.add_card("1001", world.card("1001"), actor="test")
    world.of_years("1001")

    assert list(_claimed(services)) == ["1001"]


def _claimed(services: Services) -> list[str]:
    return [a.account for page in Sweep(Kind.HOT, services) for a in page.attempts]


def test_a_long_pass_keeps_its_turn_and_how_far_it_came(world: World) -> None:
    """Should its worker be lost as well; asked only when some of the turn is over."""
    books = world.services.books
    begun = books.begin("credits", seconds=-1)
    assert begun is not None
    mine = Turn("credits", books, begun, cursor="7")

    mine.go_on(seconds=60)
    assert books.cursor("credits") is None
    mine.told -= 60
    mine.go_on(seconds=60)

    assert books.cursor("credits") == "7"
    assert books.begin("credits", seconds=60) is None


def unread(world: World, patch: pytest.MonkeyPatch, *refs: str) -> None:
    """Let what became of these accounts' credits take too long to add up."""
    verify = BundledBilling.verify_credit

    def slow(self: BundledBilling, account: str, *, reference: str) -> Trail | None:
        if account in refs:
            msg = "The statement took too long and was ended."
            raise BillingUnavailable(msg)
        return verify(self, account, reference=reference)

    patch.setattr(BundledBilling, "verify_credit", slow)
    assert world


def test_a_credit_that_takes_long_to_add_up_keeps_no_other_waiting(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A few are left to their next age; many are a package in trouble."""
    refs = [str(number) for number in range(1001, 1006)]
    overwritten(world, *refs)
    unread(world, monkeypatch, "1003")

    assert str(check_credits(world.services)) == "4 put_right, 1 unread"

    world.run("UPDATE replenish.job SET cursor = NULL")
    for ref in refs:
        world.overwrite("1", ref)
    unread(world, monkeypatch, *refs)
    with pytest.raises(BillingUnavailable, match="records of 3 credits"):
        check_credits(world.services)


def test_who_waits_for_a_slow_look_is_not_woken_by_a_quick_one(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such scans would come back every few seconds, and the package feel them."""
    world.enrol(overrides=Overrides(cooldown=timedelta(0)))
    assert world.replenish().outcome == "settled"
    world.set_balance("5")
    unread(world, monkeypatch, "1001")
    for _ in range(5):
        _try("1001", world.services)
        world.later()
    _try("1001", world.services)

    reconcile(world.services)

    waits = "SELECT reason, next_at > now() FROM replenish.attempt WHERE lease IS NULL"
    assert ("TrailUnread", True) in world.ask(waits)


def test_a_number_that_somebody_has_edited_is_told() -> None:
    """It ends as a sentence about its account, not as a lost worker."""
    with pytest.raises(BadInput, match="edited"):
        number("25,00 by hand", "1001")
    assert number("25.00", "1001") == Decimal(25)
