"""Charged and not credited, credited twice, stuck, or silent."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa

from replenish import failpoints
from replenish.adapters.billing import bundled
from replenish.adapters.ledger.statements import claiming, leasing, recovery
from replenish.billing import refills
from replenish.domain import newcomer
from replenish.domain.decision import Obstacle, Reason
from replenish.domain.enrolment import Overrides
from replenish.domain.money import Money
from replenish.domain.outcome import DeclineClass, Declined
from replenish.failpoints import InjectedFaultError
from replenish.pipeline import cutoff as cutting
from replenish.pipeline import replenish as steps
from replenish.pipeline.cutoff import cutoff
from replenish.pipeline.reconcile import reconcile
from replenish.pipeline.sweep import Kind, Sweep
from replenish.ports import Receipt
from tests.bundled import add_rate, call
from tests.incidents.guards import Guards
from tests.world import World

pytestmark = pytest.mark.integration


def die_at(world: World, patch: pytest.MonkeyPatch, seam: str) -> None:
    """Let the worker of 1001 die at a seam."""
    with patch.context() as local:
        local.setattr(failpoints, "_actions", failpoints.parse(f"{seam}=raise"))
        with pytest.raises(InjectedFaultError):
            world.replenish()
    world.later()


def recover(world: World) -> None:
    """Let reconcile find what was left, and a worker take it on."""
    for ref in reconcile(world.services).accounts:
        world.replenish(ref)


def test_killbill_508_lago_2825_died_between_charge_and_record(
    world: World, guards: Guards, *, guarded: bool
) -> None:
    """A worker was killed between the gateway and the commit: charged, not credited."""
    world.enrol()
    die_at(world, guards.patch, "after_confirm")
    if not guarded:
        guards.reword(recovery, "STRANDED", "nudge_at <= now()", "state = 'claimed'")

    recover(world)

    assert sum(world.gateway.captures.values()) == 1
    assert world.credits() == (1 if guarded else 0)


def test_polar_13272_lock_left_for_ever(
    world: World, guards: Guards, *, guarded: bool
) -> None:
    """The lock of a worker that had died stayed set; nothing was collected any more."""
    world.enrol()
    die_at(world, guards.patch, "after_claim")
    if not guarded:
        free = "AND t.next_at <= now()\n  AND (:alone"
        guards.reword(leasing, "TAKE", free, "AND t.lease IS NULL AND (:alone")

    recover(world)

    assert world.state() == ("settled" if guarded else "claimed")


def test_magnusbilling_14_double_credit(
    world: World, guards: Guards, *, guarded: bool
) -> None:
    """A credit was repeated and counted twice."""
    world.enrol()
    if not guarded:
        world.run("ALTER TABLE billing.refill DROP CONSTRAINT refill_reference_key")
        guards.reword(refills, "CREDIT", "ON CONFLICT (reference) DO NOTHING", "")
    die_at(world, guards.patch, "after_credit")

    recover(world)

    assert sum(world.gateway.captures.values()) == 1
    assert world.balance() == (30 if guarded else 55)


def test_elizaos_10887_a_credit_is_a_relative_change(
    world: World, guards: Guards, *, guarded: bool
) -> None:
    """The balance was read, added to and written: what happened meanwhile was lost."""
    world.enrol()
    add_rate(world.engine)
    if not guarded:
        guards.patch.setattr(
            world.services.billing, "apply_credit", _read_add_write(world)
        )
    confirm = world.gateway.confirm

    def during_a_call(*given: Any, **named: Any) -> Any:  # noqa: ANN401
        call(world.engine, "1001", call_id="call-1")  # costs 0.60
        return confirm(*given, **named)

    guards.patch.setattr(world.gateway, "confirm", during_a_call)

    world.replenish()

    assert world.balance() == Decimal("29.40" if guarded else "30")


def _read_add_write(world: World) -> Any:  # noqa: ANN401
    seen = world.balance()

    def credit(ref: str, amount: Money, *, reference: str, **_: object) -> Receipt:
        world.overwrite(str(seen + amount.amount), ref)
        return Receipt(reference, amount, seen + amount.amount, already_applied=False)

    return credit


def test_lago_5992_a_gap_above_the_cap_is_not_silence(
    world: World, guards: Guards, *, guarded: bool
) -> None:
    """Where the refill exceeded its maximum, automatic top-ups silently stopped."""
    world.enrol(balance="-400")
    if not guarded:

        def all_or_nothing(account: Any, rule: Any, history: Any) -> Any:  # noqa: ANN401
            if rule.threshold - account.available.amount > rule.cap_charge:
                return Obstacle(Reason.AMOUNT_NOT_ALLOWED)
            return history

        guards.patch.setattr(newcomer, "size", all_or_nothing)
        guards.patch.setattr(claiming, "NOTE", sa.text("SELECT 1"))

    world.settle_all()

    told = world.ask("SELECT 1 FROM replenish.skip")
    assert (world.credits() > 0) is guarded
    assert (world.credits() > 0 or bool(told)) is guarded


def test_akash_3769_the_first_decline_is_told(
    world: World, guards: Guards, *, guarded: bool
) -> None:
    """Seven hours of silence: warnings were off while automatic recharging was on."""
    world.enrol(balance="0")
    world.gateway.says("confirm", Declined("pi", DeclineClass.SOFT, "do_not_honor"))
    if not guarded:
        tell = World._notify  # noqa: SLF001

        def unless_automatic(self: World, event: str, **what: str) -> None:
            if not event.startswith("card."):
                tell(self, event, **what)

        guards.patch.setattr(World, "_notify", unless_automatic)
        world.__post_init__()

    world.replenish()
    told_at_once = world.told()
    cutoff(None, world.services)

    assert ("card.declined" in told_at_once) is guarded
    assert "account.cut_off" in world.told()


def test_magnusbilling_343_nobody_talks_on_without_money(
    world: World, guards: Guards, *, guarded: bool
) -> None:
    """Credit was checked when a call began only: accounts went far below zero."""
    world.enrol(balance="-1")
    world.gateway.says("confirm", Declined("pi", DeclineClass.HARD, "expired_card"))
    if not guarded:
        guards.patch.setattr(cutting, "exhausted", lambda *_: False)

    world.replenish()
    cutoff(None, world.services)

    assert world.service() == ("suspended" if guarded else "active")


def test_a2billing_autorefill_pages_do_not_shift(
    world: World, guards: Guards, *, guarded: bool
) -> None:
    """Paged by LIMIT and OFFSET over the low, which the loop itself made fewer."""
    refs = [world.enrol(str(1001 + number)) for number in range(9)]
    if not guarded:
        guards.reword(
            bundled,
            "LOW_PAGE",
            "AND id > :after ORDER BY id",
            "ORDER BY id OFFSET :after",
        )
        seen = [0]

        def position(after: str | None) -> int:
            seen[0] = 0 if after is None else seen[0] + world.services.page
            return seen[0]

        guards.patch.setattr(bundled, "_position", position)

    for claims in Sweep(Kind.HOT, world.services):
        for attempt in claims.attempts:
            world.replenish(attempt.account)

    missed = [ref for ref in refs if world.state(ref) == "none"]
    assert (missed == []) is guarded


def test_warehouse_one_bad_row_does_not_stop_the_others(
    world: World, guards: Guards, *, guarded: bool
) -> None:
    """One subscription that failed ended the loop over all."""
    world.enrol("0999", "-5000000000000")
    world.enrol("1001")
    if not guarded:

        def strict(rows: Any) -> Any:  # noqa: ANN401
            return [bundled._account(row) for row in rows], {}  # noqa: SLF001

        guards.patch.setattr(bundled, "_read", strict)

    try:
        world.sweep()
    except Exception:  # noqa: BLE001 - the task's end
        assert not guarded

    assert world.state("1001") == ("claimed" if guarded else "none")


def test_ivozprovider_703_an_overwritten_credit_is_not_paid_for_twice(
    world: World, guards: Guards, *, guarded: bool
) -> None:
    """A prepaid customer was charged twice: the first payment had vanished."""
    world.enrol(overrides=Overrides(cooldown=timedelta(0)))
    world.settle_all()
    world.overwrite("5")
    if not guarded:
        guards.patch.setattr(steps, "put_right_before", lambda *_: None)

    world.replenish()

    assert sum(world.gateway.captures.values()) == (1 if guarded else 2)
