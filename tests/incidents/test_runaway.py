"""Cards that are asked again and again, and charges that nobody stopped."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from replenish.adapters.ledger import attempts, card_file
from replenish.adapters.ledger.statements import claiming
from replenish.domain import obstacles, policy
from replenish.domain.attempt import State
from replenish.domain.decision import Reason
from replenish.domain.enrolment import Overrides
from replenish.domain.outcome import ActionRequired, DeclineClass, Declined, Unknown
from replenish.errors import BadInput, GatewayUnavailable, Transient
from replenish.pipeline import declines
from replenish.ports import Order, Verdict
from tests.incidents.guards import Guards
from tests.world import World

pytestmark = pytest.mark.integration

OFTEN = Overrides(cooldown=timedelta(0), count_day=40, cap_day=Decimal(1000))
SOFT = Declined("pi", DeclineClass.SOFT, "insufficient_funds")
HARD = Declined("pi", DeclineClass.HARD, "expired_card")


def asked(world: World) -> int:
    """Count how often the bank was asked."""
    return sum(verb.startswith("confirm") for verb, _ in world.gateway.calls)


def jobs(world: World, times: int) -> None:
    """Let the account be looked at so often, as sweeps do every few seconds."""
    for _ in range(times):
        for ref in world.sweep():
            world.replenish(ref)
        world.later()


def test_akash_3756_a_declining_card_is_not_hammered(
    world: World, guards: Guards, *, guarded: bool
) -> None:
    """One declining card: 486 failures in four and a half hours."""
    world.enrol(overrides=Overrides() if guarded else OFTEN)
    world.gateway.says("confirm", *[SOFT] * 50)
    if not guarded:
        guards.no_spacing()

    jobs(world, 20)

    assert asked(world) == (1 if guarded else 20)


def test_akash_3760_openstory_1334_an_episode_has_its_limit(
    world: World, guards: Guards, *, guarded: bool
) -> None:
    """About 950 declined attempts in a day; 20 declines in 8 minutes."""
    world.enrol(overrides=OFTEN)
    world.gateway.says("confirm", *[SOFT] * 50)
    if not guarded:
        guards.no_limits()

    for _ in range(20):
        jobs(world, 1)
        world.run("UPDATE replenish.card SET retry_at = now()")  # its wait is over

    assert asked(world) == (8 if guarded else 20)


def test_autumn_2420_lago_6176_a_dead_card_is_left_alone(
    world: World, guards: Guards, *, guarded: bool
) -> None:
    """Over 670 invoices for one customer; an attempt every few seconds, for days."""
    world.enrol(overrides=OFTEN)
    world.gateway.says("confirm", *[HARD] * 50)
    if not guarded:
        spaced = declines._verdict  # noqa: SLF001
        guards.patch.setattr(
            declines,
            "_verdict",
            lambda *given: (spaced(*given)[0], Verdict()),
        )
        guards.no_limits()

    jobs(world, 20)

    assert asked(world) == (1 if guarded else 20)


def test_autumn_breaker_a_dead_card_stays_dead_under_another_id(
    world: World, guards: Guards, *, guarded: bool
) -> None:
    """Adding the same card again reset the count of its failures."""
    world.enrol(overrides=OFTEN)
    world.gateway.says("confirm", *[HARD] * 50)
    if not guarded:
        guards.patch.setattr(card_file, "_refuse_dead", lambda *_: None)
        guards.reword(claiming, "CLAIM", "k.dead_reason IS NULL", "k.id IS NOT NULL")
        guards.patch.setattr(obstacles, "card_obstacles", lambda *_, **__: iter(()))
    jobs(world, 1)

    for number in range(4):
        same = replace(world.card("1001"), payment_method=f"pm_again_{number}")
        try:
            world.register.add_card("1001", same, actor="test")
        except BadInput:
            assert guarded
        jobs(world, 1)

    assert asked(world) == (1 if guarded else 5)


def test_akash_3760_doublewordai_1358_an_outage_is_no_decline(
    world: World, guards: Guards, *, guarded: bool
) -> None:
    """Failures of the gateway were counted against the card, which was switched off."""
    world.enrol(overrides=OFTEN)
    away = [GatewayUnavailable("The gateway is away.") for _ in range(10)]
    world.gateway.says("create", *away)
    if not guarded:
        create = world.gateway.create

        def counted(order: Order) -> str | Declined:
            try:
                return create(order)
            except GatewayUnavailable:
                return Declined("", DeclineClass.HARD, "gateway_error")

        guards.patch.setattr(world.gateway, "create", counted)

    for _ in range(12):
        try:
            world.replenish()
        except Transient:
            world.later()
        world.later()

    assert (world.state() == "settled") is guarded


@pytest.mark.security("S17")
def test_lago_6103_a_runaway_meets_the_caps(
    world: World, guards: Guards, *, guarded: bool
) -> None:
    """Top-ups ran away for weeks before a customer told."""
    world.enrol(overrides=Overrides(cooldown=timedelta(0)))  # three a day, 200
    if not guarded:
        guards.patch.setattr(attempts, "SPENT_STATES", [])

    for _ in range(20):
        world.set_balance("5")
        jobs(world, 1)

    assert world.credits() == (3 if guarded else 20)


@pytest.mark.security("S19")
def test_codex_31987_nobody_is_charged_without_consent(
    world: World, guards: Guards, *, guarded: bool
) -> None:
    """Automatic recharging turned itself on: about 1,000 dollars."""
    world.enrol(consent=False)
    if not guarded:
        guards.reword(claiming, "CLAIM", "AND a.consent_at IS NOT NULL", "")
        found = policy.account_obstacles

        def unasked(*given: object, **named: object) -> object:
            obstacles = found(*given, **named)  # type: ignore[arg-type]
            return (o for o in obstacles if o.reason is not Reason.NO_CONSENT)

        guards.patch.setattr(policy, "account_obstacles", unasked)

    jobs(world, 3)

    assert world.credits() == (0 if guarded else 1)


def test_akash_3576_lago_6175_an_idle_account_is_not_charged(
    world: World, guards: Guards, *, guarded: bool
) -> None:
    """Charged although it was not low any more when its turn came."""
    world.enrol()
    world.sweep()
    world.set_balance("80")
    if not guarded:
        guards.no_second_look()

    world.replenish()

    assert world.credits() == (0 if guarded else 1)


def test_autumn_3339_polar_6542_switched_off_means_off(
    world: World, guards: Guards, *, guarded: bool
) -> None:
    """A top-up that its customer had switched off was charged; retries went on."""
    world.enrol()
    world.gateway.says("confirm", "lost before")
    world.gateway.says("look_up", *[Unknown("pi", "server_error")] * 2)
    world.replenish()
    world.register.pause("1001", "switched off by its customer", actor="test")
    world.later()
    if not guarded:
        guards.no_second_look()

    jobs_of_one(world)

    assert world.state() == ("cancelled" if guarded else "settled")


def jobs_of_one(world: World) -> None:
    """Let the open attempt be taken on a few times."""
    for _ in range(4):
        world.replenish()
        world.later()


def test_akash_3809_action_required_is_no_success(
    world: World, guards: Guards, *, guarded: bool
) -> None:
    """Waiting for its customer was logged as success, every 61 minutes."""
    world.enrol(overrides=OFTEN)
    world.gateway.says("confirm", ActionRequired("pi"), ActionRequired("pi"))
    if not guarded:

        def success(attempt: object, _: object, services: object) -> object:
            return services.ledger.advance(attempt, State.CHARGED)  # type: ignore[attr-defined]

        guards.patch.setattr(declines, "record", success)

    jobs(world, 2)

    assert sum(world.gateway.captures.values()) == 0
    assert world.credits() == (0 if guarded else 1)
    assert asked(world) == 1
