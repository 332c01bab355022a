"""Credits that the billing package overwrites: noticed, put right once, never twice."""

from concurrent.futures import ThreadPoolExecutor
from copy import copy
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from replenish import failpoints
from replenish.domain.enrolment import Overrides
from replenish.domain.trail import Trail
from replenish.errors import BillingUnavailable
from replenish.failpoints import InjectedFaultError
from replenish.pipeline import credits as steps
from replenish.pipeline.credits import check_credits
from replenish.verify import run
from tests import checker
from tests.world import DEFAULTS, World

pytestmark = pytest.mark.integration


def credited(world: World, balance: str = "5", ref: str = "1001") -> None:
    """Enrol an account, let it be topped up by 25, and two minutes pass."""
    world.enrol(ref, balance)
    world.settle_all()
    assert world.state(ref) == "settled"
    pass_time(world, "2 minutes")


def pass_time(world: World, span: str) -> None:
    """Let a settled attempt be so much older; nothing in the journal moves."""
    world.run(
        "UPDATE replenish.attempt SET settled_at = settled_at"
        " - CAST(:span AS interval) WHERE state = 'settled'",
        span=span,
    )


def told(world: World) -> list[str]:
    """List what people were told of credits."""
    return [event for event, _, _ in world.notices if event.startswith("credit.")]


def breaks(world: World) -> list[tuple[object, ...]]:
    """Read the breaks: missing, put right, missing again."""
    return [
        tuple(row)
        for row in world.ask(
            "SELECT missing::float, amount::float, put_right_at IS NOT NULL,"
            " again_at IS NOT NULL FROM replenish.credit_break"
        )
    ]


def checked(world: World) -> None:
    """Every invariant holds."""
    world.settle_all()
    for batch in world.services.books.unclosed(older_than=-1):
        world.services.books.close_batch(batch, by="test")
    checker.holds(
        run(
            world.engine,
            world.engine,
            gateway_ledger=None,
            defaults=DEFAULTS,
            quiet=True,
        )
    )


def test_a_credit_that_stands_is_left_alone(world: World) -> None:
    """However much of it was spent since."""
    credited(world)
    world.set_balance("2")

    assert check_credits(world.services).counts == {"sound": 1}
    assert (breaks(world), told(world)) == ([], [])


def test_an_overwritten_credit_is_put_right_once(world: World) -> None:
    """The balance is right again, and a row in the package's report says so."""
    credited(world)
    world.overwrite("5")

    assert check_credits(world.services).counts == {"put_right": 1}

    assert world.balance() == Decimal(30)
    assert breaks(world) == [(25.0, 25.0, True, False)]
    assert told(world) == ["credit.put_right"]
    ((reference, note),) = world.ask(
        "SELECT reference, note FROM billing.refill_report WHERE source = 'correction'"
    )
    assert str(reference).endswith("-again")
    assert "old balance" in str(note)
    kinds = [str(kind) for (kind,) in world.ask("SELECT kind FROM replenish.event")]
    assert kinds.count("credit_missing") == kinds.count("credit_put_right") == 1
    checked(world)


def test_each_credit_is_looked_at_after_a_minute_ten_and_ninety(world: World) -> None:
    """Once at each age, however often the job runs; a later loss is found later."""
    world.enrol()
    world.settle_all()
    looked = []
    for span in ("0", "2 minutes", "0", "10 minutes", "0", "2 hours", "0"):
        pass_time(world, span)
        looked.append(check_credits(world.services).counts["sound"])
    assert looked == [0, 1, 0, 1, 0, 1, 0]


def test_a_credit_lost_after_an_hour_is_found(world: World) -> None:
    """The hourly mail of a package comes long after the first look."""
    credited(world)
    check_credits(world.services)
    world.overwrite("5")
    assert check_credits(world.services).counts == {}

    pass_time(world, "2 hours")

    assert check_credits(world.services).counts["put_right"] == 1
    assert world.balance() == Decimal(30)


def test_an_overwritten_credit_is_put_right_and_the_card_not_charged_again(
    world: World,
) -> None:
    """The account looks low, and its customer has paid already."""
    world.enrol(overrides=Overrides(cooldown=timedelta(0)))
    world.settle_all()
    world.overwrite("5")

    world.settle_all()

    assert world.balance() == Decimal(30)
    assert sum(world.gateway.captures.values()) == 1
    assert told(world) == ["credit.put_right"]
    states = world.ask("SELECT state FROM replenish.attempt ORDER BY claimed_at")
    assert [state for (state,) in states] == ["settled", "released"]


def test_a_credit_that_goes_missing_once_more_holds_the_account(world: World) -> None:
    """Something keeps taking the money: a person must look, and no card is charged."""
    credited(world)
    world.overwrite("5")
    check_credits(world.services)
    world.overwrite("5")
    pass_time(world, "20 minutes")

    assert check_credits(world.services).counts == {"held": 1}
    pass_time(world, "2 hours")
    assert check_credits(world.services).counts == {"held": 1}

    assert world.balance() == Decimal(5)
    assert breaks(world) == [(25.0, 25.0, True, True)]
    assert told(world) == ["credit.put_right", "credit.lost_again"]
    ((reason,),) = world.ask("SELECT pause_reason FROM replenish.account")
    assert "overwritten again" in str(reason)
    world.settle_all()
    assert sum(world.gateway.captures.values()) == 1


def test_what_nothing_explains_is_told_and_not_guessed(world: World) -> None:
    """Half of the credit, or much more than it, is not what an old balance leaves."""
    credited(world)
    world.overwrite("-40")

    assert check_credits(world.services).counts == {"unclear": 1}
    pass_time(world, "20 minutes")
    check_credits(world.services)

    assert world.balance() == Decimal(-40)
    assert breaks(world) == [(70.0, None, False, False)]
    assert told(world) == ["credit.unclear"]


def test_what_a_person_was_told_of_is_left_to_them(world: World) -> None:
    """Though it later looks like an old balance: they may be at it."""
    credited(world)
    world.overwrite("-40")
    check_credits(world.services)
    world.overwrite("5")
    pass_time(world, "20 minutes")

    assert check_credits(world.services).counts == {"unclear": 1}
    assert world.balance() == Decimal(5)
    assert told(world) == ["credit.unclear"]


def test_two_beats_look_once(world: World) -> None:
    """Whoever comes second finds the turn taken."""
    credited(world)
    assert world.services.books.begin(steps.JOB, seconds=steps.TURN)

    assert str(check_credits(world.services)) == "no credits to check"


def test_a_credit_whose_row_was_deleted_is_told(world: World) -> None:
    """Nobody can add up what became of it; its customer is not charged anew."""
    credited(world)
    world.run("DELETE FROM billing.refill")
    world.overwrite("5")

    assert check_credits(world.services).counts == {"held": 1}
    assert told(world) == ["credit.gone"]
    assert "no longer has the credit of 25.00 USD" in (
        world.register.need("1001").paused or ""
    )


def test_before_a_charge_a_credit_that_is_gone_holds_the_account(world: World) -> None:
    """The package's database has lost its last moments, and the balance is low."""
    credited(world)
    world.run("DELETE FROM billing.refill")
    world.overwrite("5")
    world.age("1 hour")
    world.later()
    before = dict(world.gateway.captures)

    world.sweep()
    world.replenish()

    assert world.gateway.captures == before
    assert world.register.need("1001").paused
    world.register.resume("1001", actor="test")
    assert world.replenish().outcome == "settled"


@pytest.mark.parametrize("place", ["after_break", "after_correction"])
def test_a_crash_while_putting_right_is_finished_by_the_next_pass(
    world: World, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once, and the row says so."""
    credited(world)
    world.overwrite("5")
    actions = failpoints.parse(f"{place}=raise")
    monkeypatch.setattr(failpoints, "_actions", actions)
    with pytest.raises(InjectedFaultError):
        check_credits(world.services)
    monkeypatch.setattr(failpoints, "_actions", {})
    world.later()

    check_credits(world.services)

    assert world.balance() == Decimal(30)
    assert breaks(world) == [(25.0, 25.0, True, False)]
    checked(world)


def test_eight_who_find_it_at_once_put_it_right_once(world: World) -> None:
    """Nobody takes the others' correction for a second loss."""
    credited(world)
    world.overwrite("5")
    crowd = [replace(world.services, credits=world.services.credits) for _ in range(8)]

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda each: steps.put_right_before("1001", each), crowd))

    assert world.balance() == Decimal(30)
    assert breaks(world) == [(25.0, 25.0, True, False)]


@pytest.mark.parametrize("when", ["before", "after"])
def test_two_credits_that_one_overwriting_explains_are_put_right_once(
    world: World, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    """Two workers, each of whom takes it to be another credit that is gone."""
    world.enrol(overrides=Overrides(cooldown=timedelta(0)))
    world.settle_all()
    world.set_balance("5")
    world.settle_all()
    assert world.credits() == 2
    pass_time(world, "2 minutes")
    world.overwrite("5")
    broken = type(world.services.credits).broken
    others: list[str] = []

    def overtaken(port: object, credit: object, **what: object) -> object:
        found = broken(port, credit, **what) if when == "after" else None  # type: ignore[arg-type]
        if not others:
            others.append("one")
            steps.put_right_before("1001", world.services)
        return found or broken(port, credit, **what)  # type: ignore[arg-type]

    monkeypatch.setattr(type(world.services.credits), "broken", overtaken)
    check_credits(world.services)

    assert world.balance() == 30
    checked(world)


def test_who_is_overtaken_while_looking_corrects_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor do they take the other's correction for a second loss."""
    credited(world)
    world.overwrite("5")
    verify = world.services.billing.verify_credit
    seen: list[Trail | None] = []

    def overtaken(account: str, *, reference: str) -> Trail | None:
        trail = verify(account, reference=reference)
        if not seen:
            seen.append(trail)
            steps.put_right_before(account, world.services)
        return trail

    billing = copy(world.services.billing)
    monkeypatch.setattr(billing, "verify_credit", overtaken)
    steps.put_right_before("1001", replace(world.services, billing=billing))

    assert world.balance() == Decimal(30)
    assert breaks(world) == [(25.0, 25.0, True, False)]
    assert told(world) == ["credit.put_right"]


def test_the_cut_off_get_their_service_back_with_their_money(world: World) -> None:
    """They had paid."""
    credited(world, "0.5")
    world.overwrite("0.5")
    world.set_balance("0")
    world.run("UPDATE replenish.account SET cooldown = interval '0'")
    world.run("UPDATE replenish.card SET dead_reason = 'lost_card', dead_at = now()")
    world.settle_all()
    assert world.service() == "suspended"

    check_credits(world.services)

    assert world.balance() == Decimal(25)
    assert world.service() == "active"


def test_a_package_that_is_away_loses_no_look(world: World) -> None:
    """The next pass goes on where this one ended."""
    credited(world)
    world.overwrite("5")

    class Away:
        def balances(self, _refs: object) -> None:
            raise BillingUnavailable("away", subject="")

    away = replace(world.services, billing=Away())  # type: ignore[arg-type]
    with pytest.raises(BillingUnavailable):
        check_credits(away)

    assert check_credits(world.services).counts == {"put_right": 1}


def test_an_account_that_is_gone_stops_nobody(world: World) -> None:
    """The others are looked at."""
    credited(world, ref="1001")
    credited(world, ref="1002")
    world.run(
        "DELETE FROM billing.refill WHERE account_id ="
        " (SELECT id FROM billing.account WHERE number = '1001')"
    )
    world.run("DELETE FROM billing.account WHERE number = '1001'")
    world.overwrite("5", ref="1002")

    assert check_credits(world.services).counts["put_right"] == 1
    assert world.balance("1002") == Decimal(30)
