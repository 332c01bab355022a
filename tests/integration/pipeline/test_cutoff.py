"""The cut-off: who loses service, when, and how it comes back."""

from dataclasses import replace
from decimal import Decimal

import pytest

from replenish import failpoints
from replenish.domain.enrolment import Overrides
from replenish.domain.outcome import DeclineClass, Declined
from replenish.domain.policy import CutOff, Reason
from replenish.errors import BillingUnavailable
from replenish.pipeline.cutoff import cutoff, dry_run, restore_if_ours
from tests.fakes import FakeBilling
from tests.world import World

pytestmark = pytest.mark.integration

LOST = Declined("pi", DeclineClass.HARD, "lost_card")


def exhaust(world: World, ref: str = "1001", balance: str = "0") -> None:
    """Let an account without a card be seen empty by a sweep."""
    world.enrol(ref, balance=balance, card=False)
    world.sweep()


def cut_offs(world: World) -> object:
    """Give the cut-offs as they stand in the rows."""
    return world.ask(
        "SELECT account_id, reason, done_at IS NOT NULL, restored_why"
        " FROM replenish.cut_off ORDER BY id"
    )


def test_the_exhausted_lose_service_with_the_reason(world: World) -> None:
    """Written down, done at the package, told."""
    exhaust(world)

    done = cutoff(None, world.services)

    assert (done.cut, world.service()) == (["1001"], "suspended")
    assert cut_offs(world) == [("1001", "no_card", True, None)]
    assert ("account.cut_off", "1001") in [notice[:2] for notice in world.notices]
    assert str(done) == "1 cut off, 0 restored"


def test_a_repeated_pass_does_nothing_more(world: World) -> None:
    """Nobody is cut off or told twice."""
    exhaust(world)
    cutoff(None, world.services)
    notices = len(world.notices)

    again = cutoff(None, world.services)

    assert (again.cut, again.restored) == ([], [])
    assert len(world.notices) == notices
    assert len(cut_offs(world)) == 1  # type: ignore[arg-type]


def test_while_one_pass_runs_another_does_nothing(world: World) -> None:
    """Its turn ends by itself if it dies."""
    exhaust(world)
    world.services.books.begin("cutoff", seconds=60)

    assert cutoff(None, world.services).cut == []
    world.later()
    assert cutoff(None, world.services).cut == ["1001"]


def test_a_pass_that_cannot_read_cuts_nobody_off_and_says_why(world: World) -> None:
    """The next one begins at once when the package is there again."""
    exhaust(world)
    away = replace(world.services, billing=FakeBilling(away=True))

    with pytest.raises(BillingUnavailable):
        cutoff(None, away)

    query = "SELECT detail, busy_until FROM replenish.job WHERE name = 'cutoff'"
    assert world.ask(query) == [("stopped: The billing package is away.", None)]
    assert cutoff(None, world.services).cut == ["1001"]


def test_a_batch_s_own_pass_waits_for_nobody(world: World) -> None:
    """Only its accounts, at once, also while the periodic pass runs."""
    exhaust(world, "1001")
    ((batch,),) = world.ask("SELECT id FROM replenish.batch")
    exhaust(world, "1002")
    world.services.books.begin("cutoff", seconds=60)

    assert cutoff(str(batch), world.services).cut == ["1001"]
    assert world.service("1002") == "active"


def test_a_low_account_above_its_floor_keeps_its_service(world: World) -> None:
    """Low is not exhausted."""
    exhaust(world, balance="0.01")

    assert cutoff(None, world.services).cut == []


def test_an_account_being_charged_keeps_its_service(world: World) -> None:
    """Nobody with a good card is cut off while the charge is under way."""
    world.enrol(balance="0")
    world.sweep()

    assert cutoff(None, world.services).cut == []
    assert world.service() == "active"


@pytest.mark.security("S20")
def test_past_its_grace_even_an_account_being_charged_is_cut_off(world: World) -> None:
    """The hard floor bounds what can be lost while the gateway does not answer."""
    world.enrol(balance="0")
    world.sweep()
    world.set_balance("-5.01")

    assert cutoff(None, world.services).cut == ["1001"]
    assert cut_offs(world) == [("1001", "past_hard_floor", True, None)]


def test_past_its_grace_even_a_good_card_not_yet_charged_does_not_help(
    world: World,
) -> None:
    """Held while it fell; by the time it is let go, too much is owed."""
    world.enrol(balance="3")
    world.register.pause("1001", "on holiday", actor="test")
    world.sweep()
    world.register.resume("1001", actor="test")
    world.set_balance("-6")

    assert cutoff(None, world.services).cut == ["1001"]
    assert cut_offs(world) == [("1001", "past_hard_floor", True, None)]
    assert world.sweep() == ["1001"]
    assert world.replenish().outcome == "settled"
    assert world.service() == "active"


def test_the_charge_that_comes_after_all_gives_service_back(world: World) -> None:
    """Cut off at the hard floor, then charged: restored by the credit itself."""
    world.enrol(balance="0")
    world.sweep()
    world.set_balance("-5.01")
    cutoff(None, world.services)
    world.set_balance("-4")  # a call's correction; still exhausted

    assert world.replenish().outcome == "settled"
    assert world.service() == "active"
    assert cut_offs(world) == [("1001", "past_hard_floor", True, "settled")]


def test_a_decline_at_the_floor_ends_service(world: World) -> None:
    """The card is lost: no other way to fund it."""
    world.enrol(balance="0")
    world.sweep()
    world.gateway.says("confirm", LOST)
    world.replenish()

    assert cutoff(None, world.services).cut == ["1001"]
    assert cut_offs(world) == [("1001", "card_dead", True, None)]


def test_an_account_paid_in_real_time_is_cut_off_at_its_limit(world: World) -> None:
    """Available is balance plus credit limit, so its balance is negative then."""
    world.enrol(balance="-20", card=False, kind="real_time", credit_limit=Decimal(20))
    world.sweep()

    assert cutoff(None, world.services).cut == ["1001"]


@pytest.mark.security("S20")
def test_a_credit_between_reading_and_suspending_is_not_overlooked(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The package's own statement compares; the cut-off written down is taken back."""
    exhaust(world)
    begin = type(world.services.cut_offs).begin

    def slow(port: object, account: str, cut: CutOff, *, available: Decimal) -> bool:
        begun = begin(port, account, cut, available=available)  # type: ignore[arg-type]
        world.set_balance("50")
        return begun

    monkeypatch.setattr(type(world.services.cut_offs), "begin", slow)

    assert cutoff(None, world.services).cut == []
    assert world.service() == "active"
    assert cut_offs(world) == [
        ("1001", "no_card", False, "funded or blocked meanwhile")
    ]


def test_of_two_passes_at_once_one_cuts_off(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other finds the cut-off written down already."""
    exhaust(world)
    ((batch,),) = world.ask("SELECT id FROM replenish.batch")
    begin = type(world.services.cut_offs).begin
    inner: list[list[str]] = []

    def slow(port: object, account: str, cut: CutOff, *, available: Decimal) -> bool:
        if not inner:
            inner.append([])
            inner[0] = cutoff(str(batch), world.services).cut
        return begin(port, account, cut, available=available)  # type: ignore[arg-type]

    monkeypatch.setattr(type(world.services.cut_offs), "begin", slow)

    assert cutoff(None, world.services).cut == []
    assert inner == [["1001"]]


def test_a_pass_that_comes_second_leaves_the_cut_off_standing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another had ended the service meanwhile: whoever pays must get it back."""
    exhaust(world)
    ((batch,),) = world.ask("SELECT id FROM replenish.batch")
    begin = type(world.services.cut_offs).begin

    def overtaken(
        port: object, account: str, cut: CutOff, *, available: Decimal
    ) -> bool:
        begun = begin(port, account, cut, available=available)  # type: ignore[arg-type]
        assert cutoff(None, world.services).cut == ["1001"]
        return begun

    monkeypatch.setattr(type(world.services.cut_offs), "begin", overtaken)
    assert cutoff(str(batch), world.services).cut == []

    world.set_balance("50")
    assert cutoff(None, world.services).restored == ["1001"]
    assert world.service() == "active"


def test_a_cut_off_taken_back_too_early_is_written_down_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By whoever has just ended the service; whoever pays must get it back."""
    exhaust(world)
    done = type(world.services.cut_offs).done

    def late(port: object, account: str) -> None:
        world.services.cut_offs.restored(account, reason="funded or blocked meanwhile")
        done(port, account)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(type(world.services.cut_offs), "done", late)
        assert cutoff(None, world.services).cut == ["1001"]

    world.set_balance("50")
    assert cutoff(None, world.services).restored == ["1001"]
    assert world.service() == "active"


def test_service_ended_anew_while_it_was_given_back_stays_ours(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The money was gone again at once; the slower of the two takes nothing back."""
    exhaust(world)
    cutoff(None, world.services)
    world.set_balance("50")
    restored = type(world.services.cut_offs).restored

    def late(port: object, account: str, **how: object) -> None:
        world.set_balance("0")
        assert cutoff(None, world.services).cut == ["1001"]
        restored(port, account, **how)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(type(world.services.cut_offs), "restored", late)
        restore_if_ours("1001", world.services, reason="settled")

    assert world.service() == "suspended"
    world.set_balance("50")
    assert cutoff(None, world.services).restored == ["1001"]


def test_past_its_grace_it_must_still_be_when_it_is_ended(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A payment meanwhile that is not enough for the floor is enough to wait."""
    world.enrol(balance="-6")
    world.sweep()
    begin = type(world.services.cut_offs).begin

    def slow(port: object, account: str, cut: CutOff, *, available: Decimal) -> bool:
        assert cut.reason is Reason.PAST_HARD_FLOOR
        world.set_balance("-1")
        return begin(port, account, cut, available=available)  # type: ignore[arg-type]

    monkeypatch.setattr(type(world.services.cut_offs), "begin", slow)

    assert cutoff(None, world.services).cut == []
    assert world.service() == "active"


def test_the_funded_get_their_service_back(world: World) -> None:
    """However they were funded: by hand, by bank transfer, by an agent."""
    exhaust(world)
    cutoff(None, world.services)
    world.set_balance("1")

    done = cutoff(None, world.services)

    assert (done.restored, world.service()) == (["1001"], "active")
    assert cut_offs(world) == [("1001", "no_card", True, "funded")]
    assert "account.restored" in world.told()


def test_an_operator_s_own_suspension_is_never_lifted(world: World) -> None:
    """Only what stands in our rows is restored."""
    world.enrol(balance="0", card=False)
    world.run("UPDATE billing.account SET state = 'suspended'")
    world.sweep()
    cutoff(None, world.services)
    world.set_balance("50")

    assert cutoff(None, world.services).restored == []
    assert world.service() == "suspended"
    assert not restore_if_ours("1001", world.services, reason="by hand")


def test_an_account_closed_after_our_cut_off_stays_closed(world: World) -> None:
    """The package's own state wins; our cut-off is over."""
    exhaust(world)
    cutoff(None, world.services)
    world.run("UPDATE billing.account SET state = 'closed'")
    world.set_balance("50")

    cutoff(None, world.services)

    assert world.service() == "closed"


def test_the_cut_off_of_an_account_that_vanished_stands(world: World) -> None:
    """It harms nobody, and a pass says and notes nothing more of it."""
    exhaust(world)
    cutoff(None, world.services)
    world.run("DELETE FROM billing.account")
    before = world.told(), world.ask("SELECT count(*) FROM replenish.event")

    world.run("UPDATE replenish.job SET busy_until = NULL")
    assert str(cutoff(None, world.services)) == "0 cut off, 0 restored"

    assert cut_offs(world) == [("1001", "no_card", True, None)]
    after = world.told(), world.ask("SELECT count(*) FROM replenish.event")
    assert after == before


def test_service_given_back_by_hand_without_money_is_ended_again(world: World) -> None:
    """Nobody without money talks on."""
    exhaust(world)
    cutoff(None, world.services)
    world.run("UPDATE billing.account SET state = 'active'")

    assert cutoff(None, world.services).cut == ["1001"]
    assert world.service() == "suspended"


def test_service_given_back_by_hand_is_left_while_a_charge_is_under_way(
    world: World,
) -> None:
    """Above the hard floor: the money is about to come; past it, it is ended."""
    exhaust(world, balance="-1")
    cutoff(None, world.services)
    world.register.add_card("1001", world.card("1001"), actor="test")
    world.run("UPDATE billing.account SET state = 'active'")
    assert world.sweep() == ["1001"]

    assert cutoff(None, world.services).cut == []
    assert world.service() == "active"
    world.set_balance("-6")
    assert cutoff(None, world.services).cut == ["1001"]


def test_what_an_operator_ended_after_our_restoring_is_never_lifted(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor by a pass that had listed the account when the cut-off was still ours."""
    exhaust(world)
    cutoff(None, world.services)
    standing = type(world.services.cut_offs).standing

    def old(port: object, **page: object) -> object:
        listed = standing(port, **page)  # type: ignore[arg-type]
        world.set_balance("50")
        restore_if_ours("1001", world.services, reason="settled")
        world.run("UPDATE billing.account SET state = 'suspended'")
        return listed

    monkeypatch.setattr(type(world.services.cut_offs), "standing", old)

    assert cutoff(None, world.services).restored == []
    assert world.service() == "suspended"


def test_a_crash_between_writing_down_and_doing_is_made_good(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next pass does what was written down."""
    exhaust(world)
    suspend = type(world.services.billing).suspend

    def dies(*_: object, **__: object) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr(type(world.services.billing), "suspend", dies)
    with pytest.raises(KeyboardInterrupt):
        cutoff(None, world.services)
    monkeypatch.setattr(type(world.services.billing), "suspend", suspend)
    world.later()

    assert cutoff(None, world.services).cut == ["1001"]
    assert cut_offs(world) == [("1001", "no_card", True, None)]


@pytest.mark.parametrize("seam", ["before_restore", "after_restore"])
def test_a_crash_while_restoring_is_made_good(
    world: World, seam: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Service is back and told once, whoever finished it."""
    exhaust(world)
    cutoff(None, world.services)
    world.set_balance("50")
    crash = failpoints.parse(f"{seam}=raise")
    monkeypatch.setattr(failpoints, "_actions", crash)
    with pytest.raises(failpoints.InjectedFaultError):
        cutoff(None, world.services)
    monkeypatch.setattr(failpoints, "_actions", {})
    world.later()

    cutoff(None, world.services)

    assert world.service() == "active"
    events = "SELECT count(*) FROM replenish.event WHERE kind = 'restored'"
    assert world.ask(events) == [(1,)]


def test_a_dry_run_says_who_and_touches_nothing(world: World) -> None:
    """The same eyes, no hands."""
    exhaust(world)

    assert dry_run(world.services).would == [
        ("1001", CutOff(Reason.NO_CARD), Decimal(0))
    ]
    assert world.service() == "active"
    assert cut_offs(world) == []


def test_many_are_cut_off_and_restored_page_by_page(world: World) -> None:
    """More than a page of either."""
    refs = [str(1001 + number) for number in range(7)]
    for ref in refs:
        world.enrol(ref, balance="0", card=False)
    world.sweep()

    assert cutoff(None, world.services).cut == refs
    world.run("UPDATE billing.account SET balance = 50")
    assert cutoff(None, world.services).restored == refs


def test_an_account_that_left_the_package_is_passed_over(world: World) -> None:
    """The others go on."""
    exhaust(world, "1001")
    exhaust(world, "1002")
    world.run("DELETE FROM billing.account WHERE number = '1001'")

    assert cutoff(None, world.services).cut == ["1002"]


def test_an_account_with_its_own_floor_is_cut_off_there(world: World) -> None:
    """A floor above zero ends service earlier."""
    world.enrol("1001", balance="2", card=False, overrides=Overrides(floor=Decimal(2)))
    world.enrol("1002", balance="2", card=False)
    world.sweep()

    assert cutoff(None, world.services).cut == ["1001"]
