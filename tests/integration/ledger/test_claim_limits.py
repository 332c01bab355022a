"""Caps, counts and cooldowns: the claim holds them alone, however stale its reader."""

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from replenish.domain.account import Card
from replenish.domain.attempt import State
from replenish.ports import Proposal
from tests.integration.ledger.claims import claim, finish, propose, put_in_the_past
from tests.world import World

pytestmark = pytest.mark.integration


def under(stale: Proposal, **rule: object) -> Proposal:
    """Give the proposal under another rule, which does not cool down."""
    changed = {"cooldown": stale.subject.rule.cooldown * 0, **rule}
    tight = replace(stale.subject.rule, **changed)  # type: ignore[arg-type]
    return replace(stale, subject=replace(stale.subject, rule=tight))


@pytest.mark.parametrize(
    ("rule", "allowed"),
    [
        ({"cap_day": Decimal("49.99")}, False),
        ({"cap_day": Decimal(50)}, True),
        ({"cap_month": Decimal("49.99")}, False),
        ({"cap_month": Decimal(50)}, True),
        ({"count_day": 1}, False),
        ({"count_day": 2}, True),
    ],
)
@pytest.mark.security("S17")
def test_caps_hold_also_against_what_was_read_before(
    world: World, rule: dict[str, Decimal | int], *, allowed: bool
) -> None:
    """A charge between reading and claiming counts against every cap."""
    world.enrol()
    (stale,) = propose(world, "1001")
    claim(world, propose(world, "1001"))
    finish(world)

    assert len(claim(world, [under(stale, **rule)]).attempts) == allowed


@pytest.mark.parametrize("rule", [{"count_day": 1}, {"cap_day": Decimal("49.99")}])
@pytest.mark.parametrize(("hours", "allowed"), [(0, True), (6, False)])
def test_a_day_ends_at_the_account_s_own_midnight(
    world: World, rule: dict[str, Decimal | int], hours: int, *, allowed: bool
) -> None:
    """What was charged before the last midnight there is another day's."""
    world.enrol()
    (stale,) = propose(world, "1001")
    claim(world, propose(world, "1001"))
    finish(world)
    ((hour,),) = world.ask("SELECT extract(hour FROM now())::int")
    put_in_the_past(world, "date_trunc('hour', now()) - interval '1 minute'")
    zone = _where_a_day_began_at((int(str(hour)) - hours) % 24)

    changed = under(stale, time_zone=zone, **rule)
    assert len(claim(world, [changed]).attempts) == allowed


@pytest.mark.parametrize("rule", [{"count_day": 1}, {"cap_day": Decimal("49.99")}])
def test_a_day_whose_first_hour_comes_twice_is_one_day(
    world: World, rule: dict[str, Decimal | int]
) -> None:
    """Where clocks go back from one to midnight, as in Havana, it began the first time.

    Were it to begin the second time, no cap of the day would hold for that hour.
    """
    world.enrol()
    (stale,) = propose(world, "1001")
    claim(world, propose(world, "1001"))
    finish(world)
    ((now,),) = world.ask("SELECT now()")
    assert isinstance(now, datetime)

    zone = _where_the_first_half_past_midnight_is(now)
    assert claim(world, [under(stale, time_zone=zone, **rule)]).attempts == ()
    world.run("UPDATE replenish.account SET time_zone = :zone", zone=zone)
    (subject,) = world.services.ledger.subjects(["1001"])
    assert (subject.history.count_day, subject.history.spent_day) == (1, Decimal(25))
    assert subject.history.day_ends > now + timedelta(hours=24)


def _where_the_first_half_past_midnight_is(now: datetime) -> str:
    """Give a zone that is at 00:30, and whose clocks go from 01:00 back to 00:00."""
    minutes = (30 - now.hour * 60 - now.minute + 720) % 1440 - 720
    local = now + timedelta(minutes=minutes)
    west = 60 - minutes  # of winter time, as POSIX has it
    sign = "-" if west < 0 else "+"
    today = local.timetuple().tm_yday - 1
    began = today + 100 if today < 200 else today - 100
    return f"XST{sign}{abs(west) // 60}:{abs(west) % 60:02}XDT,{began},{today}/1"


def _where_a_day_began_at(hour: int) -> str:
    """Give a zone whose midnight is this hour, UTC; its signs are turned round."""
    return f"Etc/GMT+{hour}" if hour <= 12 else f"Etc/GMT-{24 - hour}"


@pytest.mark.parametrize(
    ("zone", "charged", "allowed"),
    [
        ("Etc/GMT+12", "- interval '1 minute'", True),
        ("Etc/GMT-14", "+ interval '1 minute'", False),
    ],
    ids=["before the first in the far west", "on the first in the far east"],
)
def test_a_month_ends_at_the_account_s_own_midnight(
    world: World, zone: str, charged: str, *, allowed: bool
) -> None:
    """The first of the month comes at different times around the world."""
    world.enrol()
    (stale,) = propose(world, "1001")
    claim(world, propose(world, "1001"))
    finish(world)
    start = f"date_trunc('month', now() AT TIME ZONE '{zone}') AT TIME ZONE '{zone}'"
    put_in_the_past(world, f"{start} {charged}")

    changed = under(stale, cap_month=Decimal("49.99"), time_zone=zone)
    assert len(claim(world, [changed]).attempts) == allowed


def test_the_cooldown_holds_against_what_was_read_before(world: World) -> None:
    """A charge a moment ago keeps the next one out, whatever the reader knew."""
    world.enrol()
    stale = propose(world, "1001")
    claim(world, propose(world, "1001"))
    finish(world)

    assert claim(world, stale).attempts == ()
    put_in_the_past(world, "now() - interval '1 hour'")
    assert len(claim(world, stale).attempts) == 1


def test_a_charge_cools_every_card_down(world: World) -> None:
    """The account has just been funded, whichever card paid."""
    stale = second_card(world, replace(world.card("1001"), fingerprint="another"))
    claim(world, propose(world, "1001"))
    finish(world)

    assert claim(world, [stale]).attempts == ()


def test_a_cooldown_reaches_into_the_month_before(world: World) -> None:
    """It is counted in seconds, not by the calendar."""
    world.enrol()
    (stale,) = propose(world, "1001")
    claim(world, propose(world, "1001"))
    finish(world)
    put_in_the_past(world, "date_trunc('month', now()) - interval '1 day'")
    long = stale.subject.rule.cooldown * 6 * 24 * 60

    assert claim(world, [under(stale, cooldown=long)]).attempts == ()
    assert len(claim(world, [under(stale)]).attempts) == 1


@pytest.mark.parametrize(
    ("changes", "claimed"),
    [
        ({}, 0),
        ({"fingerprint": "another"}, 1),
        ({"exp_year": 2039}, 1),
    ],
    ids=["the same card", "another card", "the renewed card"],
)
def test_a_card_entered_twice_cools_down_as_one(
    world: World, changes: dict[str, str | int], claimed: int
) -> None:
    """Its other payment method is not tried right after a decline; another card is."""
    stale = second_card(world, replace(world.card("1001"), **changes))  # type: ignore[arg-type]
    decline(world)

    assert len(claim(world, [stale]).attempts) == claimed


def test_a_twin_taken_off_the_file_still_cools_down(world: World) -> None:
    """Removing the card that was just refused does not make room for its twin."""
    stale = second_card(world, world.card("1001"))
    decline(world)
    world.register.remove_card("1001", "pm_1001", actor="test")

    assert claim(world, [stale]).attempts == ()


@pytest.mark.parametrize(("last4", "claimed"), [("4242", 0), ("0005", 1)])
def test_cards_without_a_fingerprint_are_told_apart_by_their_face(
    world: World, last4: str, claimed: int
) -> None:
    """Two empty fingerprints alone do not make one card of two."""
    stale = second_card(world, replace(world.card("1001"), last4=last4))
    world.run("UPDATE replenish.card SET fingerprint = ''")
    decline(world)

    assert len(claim(world, [stale]).attempts) == claimed


@pytest.mark.parametrize(
    ("states", "claimed"),
    [
        ([State.RELEASED], 1),
        ([State.CHARGING, State.CANCELLED], 1),
        ([State.CHARGING, State.ACTION_REQUIRED], 0),
    ],
)
def test_only_what_the_bank_was_asked_cools_a_card_down(
    world: World, states: list[State], claimed: int
) -> None:
    """An attempt that was given up before leaves no trace at the issuer's."""
    world.enrol()
    stale = propose(world, "1001")
    end(world, *states)

    assert len(claim(world, stale).attempts) == claimed


def second_card(world: World, card: Card) -> Proposal:
    """Enrol 1001, with this card second; give a proposal to charge the second."""
    world.enrol()
    second = replace(card, payment_method="pm_again")
    world.register.add_card("1001", second, priority=1, actor="test")
    (stale,) = propose(world, "1001")
    other = stale.subject.history.cards[1].card
    return replace(stale, top_up=replace(stale.top_up, card=other))


def decline(world: World) -> None:
    """Claim 1001 with its first card, and have it declined."""
    end(world, State.CHARGING, State.DECLINED)


def end(world: World, *states: State) -> None:
    """Claim 1001 with its first card, and take the attempt these steps."""
    claim(world, propose(world, "1001"))
    attempt = world.services.ledger.take("1001", worker="w")
    assert attempt is not None
    for state in states:
        attempt = world.services.ledger.advance(attempt, state)
