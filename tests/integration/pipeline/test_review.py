"""One bad account, a slow worker, an odd moment: what none of them may do to others."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa

from replenish.adapters.billing.bundled import BundledBilling
from replenish.adapters.ledger.session import make_engine
from replenish.adapters.ledger.statements import leasing
from replenish.domain.breaker import Tolerance
from replenish.domain.enrolment import Overrides
from replenish.domain.money import Money
from replenish.domain.outcome import (
    Cancelled,
    DeclineClass,
    Declined,
    SeenIntent,
    Unknown,
)
from replenish.errors import (
    BadInput,
    BillingUnavailable,
    GatewayKeyRefused,
    GatewayUnavailable,
)
from replenish.pipeline.credits import check_credits
from replenish.pipeline.cutoff import cutoff
from replenish.pipeline.reconcile import orphans, reconcile
from replenish.pipeline.services import Services
from replenish.pipeline.sweep import Kind
from replenish.ports import Order, Receipt
from tests.world import DEFAULTS, World

pytestmark = pytest.mark.integration


def unclear(world: World, ref: str = "1001") -> None:
    """Let the account's charge be asked for, and nobody know what became of it."""
    world.gateway.says("confirm", "lost before")
    world.gateway.says("look_up", *[Unknown("pi", "processing")] * 20)
    world.replenish(ref)


def test_nobody_talks_on_without_money_while_a_charge_is_unclear(world: World) -> None:
    """Also who was funded in between, so that he was not low for a moment."""
    world.enrol()
    unclear(world)
    assert world.state() == "unknown"
    world.set_balance("50")  # cash
    world.sweep(Kind.FULL)
    cutoff(None, world.services)
    world.set_balance("-500")

    for _ in range(3):
        world.run("UPDATE replenish.job SET busy_until = NULL")
        world.run("UPDATE replenish.account SET not_before = NULL")
        world.sweep(Kind.FULL)
        world.sweep()
        world.run("UPDATE replenish.job SET busy_until = NULL")
        cutoff(None, world.services)

    assert world.state() == "unknown"
    assert world.service() == "suspended"


def test_a_wait_of_days_still_ends(world: World) -> None:
    """However often an attempt was taken on."""
    world.enrol()
    unclear(world)
    world.later()
    world.run("UPDATE replenish.attempt SET takes = 1100")

    assert str(world.replenish()) == "waiting processing"


def test_an_outage_of_days_quarantines_nobody(world: World) -> None:
    """The charge is credited when the package is back, after whatever time."""
    world.enrol()
    away = BillingUnavailable("The package is away.")
    credit = world.services.billing.apply_credit

    def nothing(*_: object, **__: object) -> Receipt:
        raise away

    world.services.billing.apply_credit = nothing  # type: ignore[method-assign]
    with pytest.raises(BillingUnavailable):
        world.replenish()
    world.run("UPDATE replenish.attempt SET takes = 1100")
    for _ in range(4):
        world.later()
        for ref in reconcile(world.services).accounts:
            world.replenish(ref)
    world.services.billing.apply_credit = credit  # type: ignore[method-assign]
    world.later()
    for ref in reconcile(world.services).accounts:
        world.replenish(ref)

    assert "account.quarantined" not in world.told()
    assert world.state() == "settled"


def test_one_account_of_the_other_mode_does_not_stop_all_for_ever(
    world: World,
) -> None:
    """A customer of test mode under a live key is that account's trouble."""
    world.enrol("1001")
    told: list[int] = []
    create = world.gateway.create

    def other_mode(order: Order) -> str | Declined:
        if order.account == "1001":
            raise GatewayKeyRefused("a similar object exists in test mode")
        return create(order)

    world.gateway.create = other_mode  # type: ignore[method-assign]
    for number in range(12):  # a reconcile, then a sweep, every few seconds
        if number == 1:
            world.enrol("1002")
        told.append(world.told().count("charger.stopped"))
        world.run("UPDATE replenish.job SET busy_until = NULL")
        for ref in reconcile(world.services).accounts:
            world.replenish(ref)
        world.run("UPDATE replenish.account SET not_before = NULL")
        for ref in world.sweep():
            world.replenish(ref)

    assert world.state("1002") == "settled", told
    assert told[-1] < 8


@contextmanager
def somebody_locks(world: World, ref: str) -> Iterator[Services]:
    """Hold an account's row at the package; give services that wait for it briefly."""
    url = world.engine.url.render_as_string(hide_password=False)
    hasty = make_engine(url, statement_timeout_ms=9_000, lock_timeout_ms=300)
    query = sa.text("SELECT 1 FROM billing.account WHERE number = :ref FOR UPDATE")
    with world.engine.connect() as other:
        other.execute(query, {"ref": ref})
        yield replace(world.services, billing=BundledBilling(hasty))
        other.rollback()
    hasty.dispose()


def test_a_locked_account_keeps_no_other_from_being_restored(world: World) -> None:
    """A row that somebody holds is one account's trouble; the pass says so."""
    for ref in ("1001", "1002", "1003"):
        world.enrol(ref, "-1", card=False)
    world.sweep()
    cutoff(None, world.services)
    for ref in ("1001", "1003"):
        world.set_balance("40", ref)

    with somebody_locks(world, "1001") as services:
        told = str(cutoff(None, services))

    assert told == "0 cut off, 1 restored, 1 locked"
    assert (world.service("1001"), world.service("1003")) == ("suspended", "active")
    assert cutoff(None, world.services).restored == ["1001"]


def test_a_locked_account_keeps_no_other_from_being_cut_off(world: World) -> None:
    """Nor does it stay in service once the row is free."""
    for ref in ("1001", "1002"):
        world.enrol(ref, "-1", card=False)
    world.sweep()

    with somebody_locks(world, "1001") as services:
        assert cutoff(None, services).cut == ["1002"]

    assert cutoff(None, world.services).cut == ["1001"]


def overwritten(world: World, *refs: str) -> None:
    """Let these be charged and credited, and the package write old balances over it."""
    for ref in refs:
        world.enrol(ref)
        world.replenish(ref)
        world.overwrite("5", ref)
    world.run("ALTER TABLE replenish.attempt DISABLE TRIGGER journal_step")
    world.run(
        "UPDATE replenish.attempt SET settled_at = now() - make_interval("
        " secs => 120 + 1002 - account_id::int)"
    )
    world.run("ALTER TABLE replenish.attempt ENABLE TRIGGER journal_step")


def test_a_locked_account_keeps_no_other_credit_from_being_put_right(
    world: World,
) -> None:
    """The one whose row is held is put right by a later pass."""
    overwritten(world, "1001", "1002")

    with somebody_locks(world, "1001") as services:
        assert str(check_credits(services)) == "1 locked, 1 put_right"

    assert world.balance("1002") == 30
    assert check_credits(world.services).counts["put_right"] == 1
    assert world.balance("1001") == 30


def test_a_credit_that_cannot_be_put_right_keeps_no_other_waiting(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """People are told of it, each time it is tried."""
    overwritten(world, "1001", "1002")
    correct = BundledBilling.correct_credit

    def refused(self: BundledBilling, ref: str, *given: Any, **named: Any) -> Receipt:  # noqa: ANN401
        if ref == "1001":
            raise BadInput("The amount would take the balance past its column.")
        return correct(self, ref, *given, **named)

    monkeypatch.setattr(BundledBilling, "correct_credit", refused)

    assert str(check_credits(world.services)) == "1 put_right, 1 refused"
    assert world.balance("1002") == 30
    assert "credit.refused" in world.told()


def test_slow_workers_are_not_lost_workers(world: World) -> None:
    """Whoever comes back after his lease was alive all the time."""
    world.enrol()
    ledger, create = world.services.ledger, world.gateway.create

    def slowly(order: Order) -> str | Declined:
        for worker in ("second", "third"):  # reconcile has handed it out again
            world.later()
            assert ledger.take("1001", worker=worker)
        return create(order)

    world.gateway.create = slowly  # type: ignore[method-assign]
    assert world.replenish().outcome == "taken_over"
    world.gateway.create = create  # type: ignore[method-assign]
    world.later()
    found = reconcile(world.services)

    assert (found.quarantined, found.accounts) == ((), ("1001",))
    assert world.replenish().outcome == "settled"


def test_no_card_is_charged_of_an_account_paused_meanwhile(world: World) -> None:
    """By a person, a fraud decline or the quarantine, while its intent was made."""
    world.enrol()
    create = world.gateway.create

    def during(order: Order) -> str | Declined:
        world.register.pause("1001", "dispute", actor="test")
        return create(order)

    world.gateway.create = during  # type: ignore[method-assign]
    assert str(world.replenish()) == "waiting overtaken"
    world.later()
    world.replenish()

    assert world.state() == "cancelled"
    assert world.gateway.captures == {}


def test_the_gateway_breaker_goes_by_the_databases_clock(world: World) -> None:
    """A worker whose clock is wrong does not keep charging stopped."""
    world.run(
        "INSERT INTO replenish.breaker (name, by_hand, detail, since)"
        " VALUES ('gateway_down', false, 'x', now() - interval '5 minutes')"
    )
    world.now = datetime.now(UTC) - timedelta(hours=1)

    reconcile(world.services)

    assert world.services.breakers.standing() == []


def test_no_card_is_charged_once_a_breaker_stands(world: World) -> None:
    """It tripped between the second look and the confirmation."""
    world.enrol()
    create = world.gateway.create

    def during(order: Order) -> str | Declined:
        world.run(
            "INSERT INTO replenish.breaker (name, by_hand, detail, since)"
            " VALUES ('decline_share', true, 'x', now())"
        )
        return create(order)

    world.gateway.create = during  # type: ignore[method-assign]
    assert str(world.replenish()) == "waiting overtaken"
    world.later()
    world.replenish()

    assert world.state() == "cancelled"
    assert world.gateway.captures == {}


@pytest.mark.parametrize(
    "zone", ["right/UTC", "posix/UTC", "localtime", "Mars/Olympus"]
)
def test_a_zone_that_the_database_does_not_know_is_never_on_file(
    world: World, zone: str
) -> None:
    """It would fail the statement that reads the page it is on, for everybody."""
    world.enrol("1002")
    with pytest.raises(BadInput, match="knows no time zone"):
        world.enrol("1001", overrides=Overrides(time_zone=zone))
    with pytest.raises(BadInput, match="zone"):
        world.register.change("1002", Overrides(time_zone=zone), actor="test")

    assert world.sweep() == ["1002"]


@pytest.mark.parametrize("zone", ["right/UTC", "posix/UTC", "localtime"])
def test_a_zone_of_this_machine_only_is_no_zone(zone: str) -> None:
    """Python takes it where the files are there; PostgreSQL does not."""
    rule = Overrides(time_zone=zone).over(DEFAULTS, currency="USD")
    with pytest.raises(BadInput, match="is no time zone"):
        rule.check()


def test_a_worker_that_slept_charges_nobody_on_what_it_knew_before(
    world: World,
) -> None:
    """The machine was suspended between look and confirmation; he paid meanwhile."""
    world.enrol()
    create = world.gateway.create

    def asleep(order: Order) -> str | Declined:
        intent = create(order)
        world.set_balance("500")
        world.later()
        return intent

    world.gateway.create = asleep  # type: ignore[method-assign]
    assert str(world.replenish()) == "waiting overtaken"
    world.later()
    world.replenish()

    assert world.state() == "cancelled"
    assert world.gateway.captures == {}


def test_a_rule_without_sense_keeps_nobody_else_from_being_cut_off(
    world: World,
) -> None:
    """It may have been entered by hand."""
    for ref in ("1001", "1002"):
        world.enrol(ref, "-50", card=False)
    world.sweep()
    world.run("UPDATE replenish.account SET floor = 'NaN' WHERE id = '1001'")

    cutoff(None, world.services)

    assert world.service("1002") == "suspended"


def test_an_adopted_charge_is_watched_like_any_other(world: World) -> None:
    """Who goes below the hard floor is cut off, though its credit is still owed."""
    world.enrol(balance="50")
    world.gateway.listed.append(
        SeenIntent(
            "pi_lost",
            "7b2f3c1a-1111-4222-8333-444455556666",
            "1001",
            Money(Decimal(25), "USD"),
            charged=True,
        )
    )
    assert orphans(world.services).adopted == ("1001",)
    world.run("UPDATE replenish.attempt SET next_at = now() + interval '1 hour'")
    world.set_balance("-500")

    world.sweep()
    world.sweep(Kind.FULL)
    cutoff(None, world.services)

    assert world.service() == "suspended"


def test_who_is_quarantined_is_no_sign_of_an_outage(world: World) -> None:
    """What waits in nobody's hands says nothing of the gateway."""
    world = World(
        world.engine,
        gateway=world.gateway,
        tolerance=Tolerance(gateway_failures=2),
    )
    world.gateway.says("create", *[GatewayUnavailable("It is away.")] * 2)
    for ref in ("1001", "1002"):
        world.enrol(ref)
        with pytest.raises(GatewayUnavailable):
            world.replenish(ref)
    world.run("UPDATE replenish.account SET quarantined_at = now(), paused_at = now()")

    reconcile(world.services)

    assert world.services.breakers.standing() == []


def test_a_balance_that_made_no_sense_for_a_moment_is_not_the_end(
    world: World,
) -> None:
    """Whom we cut off is given service back, whatever was read in between."""
    world.enrol(balance="-1", card=False)
    world.sweep()
    cutoff(None, world.services)
    world.overwrite("-5000000000000")  # larger than any amount we read
    world.run("UPDATE replenish.job SET busy_until = NULL")
    cutoff(None, world.services)
    world.overwrite("40")

    world.run("UPDATE replenish.job SET busy_until = NULL")
    cutoff(None, world.services)

    assert world.service() == "active"


def test_a_fraud_decline_holds_an_account_that_was_paused_already(
    world: World,
) -> None:
    """Whoever resumes it after the holidays is told of the stolen card."""
    world.enrol()
    world.gateway.says("confirm", "lost before")
    unclear, stolen = Unknown("pi", "timeout"), DeclineClass.FRAUD
    world.gateway.says("look_up", unclear, Declined("pi", stolen, "stolen_card"))
    world.replenish()
    world.register.pause("1001", "holidays", actor="test")
    world.later()
    world.replenish()
    assert world.state() == "declined"

    reasons = world.ask("SELECT pause_reason FROM replenish.account")
    assert reasons == [("holidays; held for review: stolen_card",)]
    told = world.ask(
        "SELECT detail ->> 'reason' FROM replenish.event WHERE kind = 'paused'"
        " ORDER BY id"
    )
    assert told == [("holidays",), ("held for review: stolen_card",)]
    pause = {"account": "1001", "reason": "held for review: stolen_card"}
    with world.engine.begin() as connection:  # the same reason again
        connection.execute(leasing.PAUSE, {**pause, "actor": "test"})
    assert world.ask("SELECT pause_reason FROM replenish.account") == reasons


def test_a_charge_that_was_given_back_is_closed_and_its_card_left_alone(
    world: World,
) -> None:
    """Its outcome was unclear; who gave it all back decides when to charge again."""
    world.enrol()
    world.gateway.says("confirm", "lost after")
    unclear, back = Unknown("pi", "timeout"), Cancelled("pi", refunded="ch_1")
    world.gateway.says("look_up", unclear, back)
    world.replenish()
    assert world.state() == "unknown"
    world.later()
    world.replenish()

    assert world.state() == "cancelled"
    assert world.balance() == 5
    proof = world.ask("SELECT evidence FROM replenish.attempt")
    assert proof == [({"cancelled": "proved", "refunded": "ch_1"},)]
    assert world.told().count("charge.refunded") == 1
    world.later()
    held = world.replenish()
    assert (held.outcome, held.reason) == ("left", "paused")
    world.register.resume("1001", actor="test")
    world.later()
    assert world.replenish().outcome == "settled"
