"""What is held for a person is listed, and goes on by a person's word, on record."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from replenish.adapters.ledger.releases import Releases
from replenish.domain.enrolment import Consent, Overrides
from replenish.domain.policy import Reason
from replenish.domain.rule import Limits
from replenish.errors import AccountNotFound, BadInput, CardNotFound
from tests.world import World

pytestmark = pytest.mark.integration

AGREED = Consent(datetime(2026, 2, 1, tzinfo=UTC), "v2", "form")


def limited(world: World, **changes: int) -> World:
    """Give the same installation with other limits."""
    return World(world.engine, limits=replace(Limits(), **changes))  # type: ignore[arg-type]


def share(world: World, *refs: str) -> None:
    """Enrol accounts that all have one card number."""
    for ref in refs:
        world.enrol(ref, card=False)
        card = replace(world.card(ref), fingerprint="shared")
        world.register.add_card(ref, card, actor="test")
        world.of_years(ref)


def events(world: World, kind: str) -> list[tuple[object, ...]]:
    """Give whose events of a kind there are, and by whom."""
    query = "SELECT account_id, actor, detail FROM replenish.event WHERE kind = :kind"
    return [tuple(row) for row in world.ask(f"{query} ORDER BY id", kind=kind)]


def swept(world: World) -> list[str]:
    """Sweep, whoever swept a moment ago."""
    world.run("UPDATE replenish.job SET busy_until = NULL")
    return world.sweep()


def test_a_shared_card_is_listed_and_let_go_for_one_account(world: World) -> None:
    """The others still wait; the account's history says who let it."""
    world, desk = limited(world, card_accounts=1), Releases(world.engine)
    share(world, "1001", "1002", "1003")
    assert swept(world) == ["1001"]

    held = desk.held()
    assert [(each.account, each.reason) for each in held] == [
        ("1002", "card_shared"),
        ("1003", "card_shared"),
    ]
    assert (held[0].detail, held[0].available) == (
        "account 2 with it, 1 may use it",
        Decimal(5),
    )
    assert [each.account for each in desk.held(after="1002", limit=1)] == ["1003"]
    let = desk.release_card("1002", "pm_1002", everywhere=False, actor="ada")

    assert let == ["1002"]
    assert swept(world) == ["1002"]
    assert world.replenish("1002").outcome == "settled"
    detail = {"payment_method": "pm_1002", "asked_for": "1002"}
    assert events(world, "card_released") == [("1002", "ada", detail)]
    again = desk.release_card("1002", "pm_1002", everywhere=False, actor="ada")
    assert again == []
    assert len(events(world, "card_released")) == 1


def test_a_shared_card_is_let_go_everywhere_but_not_for_ever(world: World) -> None:
    """Whoever gets the number later waits for a person again."""
    world, desk = limited(world, card_accounts=1), Releases(world.engine)
    share(world, "1001", "1002", "1003")

    let = desk.release_card("1003", "pm_1003", everywhere=True, actor="ada")
    assert let == ["1001", "1002", "1003"]
    share(world, "1004")
    world.run("UPDATE replenish.card SET added_at = now() WHERE account_id = '1004'")

    assert swept(world) == ["1001", "1002", "1003"]
    assert world.replenish("1004").reason == Reason.CARD_SHARED


def test_only_a_card_on_file_with_a_number_can_be_released(world: World) -> None:
    """Everything else is a slip, and says so."""
    desk = Releases(world.engine)
    world.enrol("1001")

    with pytest.raises(CardNotFound, match="has no card pm_9 on file"):
        desk.release_card("1001", "pm_9", everywhere=False, actor="ada")
    world.run("UPDATE replenish.card SET fingerprint = ''")
    with pytest.raises(BadInput, match="no fingerprint"):
        desk.release_card("1001", "pm_1001", everywhere=False, actor="ada")


def unusual(world: World) -> World:
    """Give an account whose rule asks for far more than its one small top-up."""
    world = limited(world, unusual_after=1, unusual_times=2)
    world.enrol("1001")
    world.replenish("1001")
    world.run("ALTER TABLE replenish.attempt DISABLE TRIGGER journal_step")
    world.run("UPDATE replenish.attempt SET claimed_at = now() - interval '1 hour'")
    world.run("ALTER TABLE replenish.attempt ENABLE TRIGGER journal_step")
    world.set_balance("-60")
    world.register.change("1001", Overrides(top_up=Decimal(75)), actor="ada")
    return world


def test_an_account_in_deep_debt_is_charged_what_is_usual(world: World) -> None:
    """Rather than being cut off with a good card: two of its three top-ups."""
    world = unusual(world)
    world.register.change("1001", Overrides(top_up=Decimal(25)), actor="ada")

    assert str(world.replenish("1001")) == "settled 50.00 USD"


def test_an_unusual_charge_waits_and_goes_on_by_a_person_s_word(world: World) -> None:
    """Up to the amount that was released, which is on record."""
    world, desk = unusual(world), Releases(world.engine)
    found = world.replenish("1001")
    assert (found.outcome, found.reason) == ("left", Reason.UNUSUAL_AMOUNT)
    assert desk.held()[0].detail == "up to 50.00 is usual"

    desk.release_amount("1001", Decimal("74.99"), actor="ada")
    assert world.replenish("1001").reason == Reason.UNUSUAL_AMOUNT
    desk.release_amount("1001", Decimal(75), actor="ada")

    assert swept(world) == ["1001"]
    assert world.replenish("1001").outcome == "settled"
    told = [("1001", "ada", {"up_to": up_to}) for up_to in ("74.99", "75.00")]
    assert events(world, "amount_released") == told


def test_a_new_rule_with_a_new_consent_releases_it_too(world: World) -> None:
    """What the customer has just agreed to is usual, up to the cap per charge."""
    world = unusual(world)
    change = world.register.change
    assert world.replenish("1001").reason == Reason.UNUSUAL_AMOUNT

    change("1001", Overrides(top_up=Decimal(75)), consent=AGREED, actor="ada")

    assert world.replenish("1001").outcome == "settled"


def test_nothing_that_is_no_amount_is_released(world: World) -> None:
    """Nor for an account that is not enrolled."""
    desk = Releases(world.engine)
    world.enrol("1001")

    for odd in ("0", "-1", "NaN"):
        with pytest.raises(BadInput, match="no amount above zero"):
            desk.release_amount("1001", Decimal(odd), actor="ada")
    with pytest.raises(AccountNotFound, match="not enrolled"):
        desk.release_amount("9999", Decimal(1), actor="ada")


def test_no_release_raises_a_cap(world: World) -> None:
    """A released account is charged no more than before in a day."""
    world = unusual(world)
    Releases(world.engine).release_amount("1001", Decimal(100_000), actor="ada")
    less = Overrides(top_up=Decimal(25), cap_day=Decimal(99))
    world.register.change("1001", less, actor="ada")

    assert world.replenish("1001").outcome == "settled"
    spent = "SELECT sum(amount) FROM replenish.attempt WHERE state = 'settled'"
    assert world.ask(spent) == [(Decimal(99),)]
