"""Charged twice, or many times, for one shortfall."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from replenish.domain import sizing
from replenish.domain.attempt import Attempt, State
from replenish.domain.enrolment import Overrides
from replenish.domain.money import Money
from replenish.domain.outcome import DeclineClass, Declined, Outcome, Unknown
from replenish.errors import BillingUnavailable
from replenish.pipeline import replenish as steps
from replenish.pipeline.services import Services
from replenish.pipeline.sweep import Kind, Sweep
from replenish.ports import Claims, Order
from tests.fake_gateway import FakeGateway
from tests.incidents.guards import Guards
from tests.world import World

pytestmark = pytest.mark.integration

AT_ONCE = Overrides(cooldown=timedelta(0), count_day=30, cap_day=Decimal(1000))
ROOMY = replace(AT_ONCE, cap_charge=Decimal(1000), cap_month=Decimal(5000))


def charges(world: World) -> int:
    """Count what cards were charged."""
    return sum(world.gateway.captures.values())


def meanwhile(
    world: World, patch: pytest.MonkeyPatch, deed: Callable[[], object]
) -> None:
    """Let something happen while the gateway is at the first charge."""
    confirm, busy = world.gateway.confirm, [False]

    def slow(order: Order, intent: str, *, number: int) -> Outcome:
        if not busy[0]:
            busy[0] = True
            deed()
        return confirm(order, intent, number=number)

    patch.setattr(world.gateway, "confirm", slow)


def test_lago_6177_one_gap_is_one_charge(
    world: World, guards: Guards, *, guarded: bool
) -> None:
    """A gap of 429.80 was closed by nine charges of 50, one after the other."""
    terms = replace(ROOMY, top_up=Decimal(50))
    world.enrol(balance="-419.80", overrides=terms)
    if not guarded:
        guards.patch.setattr(sizing, "_wanted", lambda _, rule: rule.top_up)

    for _ in range(12):
        world.replenish()

    assert charges(world) == (1 if guarded else 9)
    assert world.balance() > 10


def test_akash_3660_a_burst_of_jobs_is_one_charge(
    world: World, guards: Guards, *, guarded: bool
) -> None:
    """Identical charges in a burst: each job had an idempotency key of its own."""
    world.enrol(overrides=AT_ONCE)
    if not guarded:
        guards.no_claims()
    meanwhile(world, guards.patch, lambda: [world.replenish() for _ in range(5)])

    world.replenish()

    assert (charges(world) == 1) is guarded


def test_autogpt_10672_check_then_act(
    world: World, guards: Guards, *, guarded: bool
) -> None:
    """Two requests read the same low balance, and both topped it up."""
    world.enrol(overrides=AT_ONCE)
    if not guarded:
        guards.no_claims()
    read, first = world.services.billing.balances, [True]

    def look(refs: Any) -> Any:  # noqa: ANN401
        seen = read(refs)
        if first[0]:
            first[0] = False
            world.replenish()
        return seen

    guards.patch.setattr(world.services.billing, "balances", look)

    world.replenish()

    assert charges(world) == (1 if guarded else 2)


def test_autumn_2961_lock_expired_and_redelivered(
    world: World, guards: Guards, *, guarded: bool
) -> None:
    """A lock of 60 s ended while Stripe was at work; the message came again."""
    world.enrol(overrides=AT_ONCE)
    if not guarded:
        guards.no_claims()
        guards.no_resuming()

    def redelivered() -> None:
        world.later()
        world.replenish()

    meanwhile(world, guards.patch, redelivered)
    world.replenish()
    world.later()
    world.settle_all()

    assert charges(world) == (1 if guarded else 2)


def test_doublewordai_1371_three_replicas(
    world: World, guards: Guards, *, guarded: bool
) -> None:
    """Three replicas swept at once; each charged the same customer."""
    world.enrol(overrides=AT_ONCE)
    guards.patch.setattr(
        world.services.books, "begin", lambda *_, **__: datetime.now(UTC)
    )
    if not guarded:
        guards.no_claims()
    ledger, gate = world.services.ledger, threading.Barrier(3, timeout=30)
    claim = ledger.claim

    def decided(*args: Any, **kinds: Any) -> Claims:  # noqa: ANN401
        gate.wait()  # all have decided on what was there before any claim
        return claim(*args, **kinds)

    with guards.patch.context() as patch, ThreadPoolExecutor(3) as pool:
        patch.setattr(ledger, "claim", decided)
        sweeps = [pool.submit(list, Sweep(Kind.HOT, world.services)) for _ in range(3)]
        claimed = sum(len(each.attempts) for s in sweeps for each in s.result(60))
    for _ in range(4):
        world.later()
        world.replenish()

    assert claimed == (1 if guarded else 3)
    assert charges(world) == (1 if guarded else 3)


def test_gumroad_7109_moving_shortfall(
    world: World, guards: Guards, *, guarded: bool
) -> None:
    """The key held the shortfall, which moved between a lost answer and its repeat."""
    world.enrol()
    world.gateway.says("confirm", "lost after")
    world.gateway.says("look_up", Unknown("pi", "timeout"))
    if not guarded:
        for state in (State.CHARGING, State.UNKNOWN):
            guards.patch.setitem(steps.STEPS, state, _charged_anew)

    world.replenish()
    world.set_balance("1")
    world.later()
    world.replenish()

    assert charges(world) == (1 if guarded else 2)
    if guarded:
        assert world.balance() == 26


def _charged_anew(attempt: Attempt, services: Services) -> Attempt:
    """Send the charge again under a key made from what is short now."""
    seen = services.billing.balances([attempt.account])[attempt.account].available
    order = replace(
        steps.order_of(attempt),
        attempt=f"{attempt.account}:{10 - seen.amount}",
        amount=Money(Decimal(25), "USD"),
    )
    intent = services.gateway.create(order)
    outcome = services.gateway.confirm(order, str(intent), number=1)
    moved = steps._record(attempt, outcome, services)  # noqa: SLF001
    assert isinstance(moved, Attempt)
    return moved


def test_killbill_1015_unknown_never_retried(
    world: World, guards: Guards, *, guarded: bool
) -> None:
    """While a payment was unknown, another was made."""
    world.enrol(overrides=AT_ONCE)
    world.gateway.says("confirm", "lost after")
    world.gateway.says("look_up", *[Unknown("pi", "server_error")] * 3)
    if not guarded:
        guards.patch.setattr(steps, "_still_unknown", _given_up)

    for _ in range(6):
        world.replenish()
        world.later()

    assert charges(world) == (1 if guarded else 2)
    assert world.credits() == 1


def _given_up(attempt: Attempt, _: Unknown, services: Services) -> Attempt:
    return services.ledger.advance(attempt, State.CANCELLED, reason="expired")


def test_opencollective_2285_a_connection_error_is_no_decline(
    world: World, guards: Guards, *, guarded: bool
) -> None:
    """The connection broke, the charge was not recorded, a second one was made."""
    world.enrol(overrides=AT_ONCE)
    world.gateway.says("confirm", "lost after")
    if not guarded:
        guards.patch.setattr(world.gateway, "confirm", _taken_for_a_no(world.gateway))
        guards.no_spacing()

    for _ in range(3):
        world.replenish()
        world.later()

    assert charges(world) == (1 if guarded else 2)
    assert world.credits() == 1


def _taken_for_a_no(gateway: FakeGateway) -> Callable[..., Outcome]:
    confirm = gateway.confirm

    def confirmed(order: Order, intent: str, *, number: int) -> Outcome:
        outcome = confirm(order, intent, number=number)
        if isinstance(outcome, Unknown):
            return Declined(intent, DeclineClass.SOFT, outcome.reason)
        return outcome

    return confirmed


def test_recoupable_1858_not_credited_and_charged_again(
    world: World, guards: Guards, *, guarded: bool
) -> None:
    """Bursts of 15 charges: none was credited, and each job saw the account low."""
    world.enrol(overrides=ROOMY)
    credit, away = world.services.billing.apply_credit, [15]

    def unreachable(*given: Any, **named: Any) -> Any:  # noqa: ANN401
        away[0] -= 1
        if away[0] >= 0:
            raise BillingUnavailable("The package answers 307.")
        return credit(*given, **named)

    guards.patch.setattr(world.services.billing, "apply_credit", unreachable)
    if not guarded:
        guards.no_claims()
        guards.no_resuming()
        guards.patch.setattr(steps, "STUCK", 1000)

    for _ in range(16):
        try:
            world.replenish()
        except BillingUnavailable:
            world.later()
        world.later()

    assert (charges(world) == 1) is guarded
    assert charges(world) == 1 or charges(world) > 10
