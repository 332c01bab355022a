"""The register: every change is whole, told, and looked at again."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa

from replenish.adapters.ledger.reading import Reading
from replenish.adapters.ledger.register import Register
from replenish.domain.account import Card
from replenish.domain.enrolment import (
    REVIVED_BY_ATTACHING,
    Consent,
    Enrolled,
    NewAccount,
    Overrides,
)
from replenish.domain.rule import TopUpKind
from replenish.errors import AccountExists, AccountNotFound, BadInput, CardNotFound
from tests import ledgers
from tests.factories import make_card, make_rule
from tests.postgres import MakeDatabase

CONSENT = Consent(datetime(2026, 1, 1, tzinfo=UTC), "terms v3", "https://example.com")
HELD = "UPDATE replenish.account SET not_before = now() + interval '1 hour'"


@pytest.fixture
def engine(make_database: MakeDatabase) -> Iterator[sa.Engine]:
    """A ledger of this test's own."""
    with ledgers.engine_of(make_database(ledgers.prepare)) as engine:
        yield engine


@pytest.fixture
def register(engine: sa.Engine) -> Register:
    """Its register, with account 1001 in it."""
    register = Register(engine, make_rule())
    register.enrol(make_new(), actor="test")
    return register


def new_card(**changes: Any) -> Card:  # noqa: ANN401 fields
    """Give a card as the gateway shows it, before it is on file."""
    return replace(make_card(), id="", **changes)


def make_new(ref: str = "1001", **changes: object) -> NewAccount:
    """Give a checked enrolment with a card and a consent."""
    values = {
        "currency": "USD",
        "overrides": Overrides(threshold=Decimal(5)),
        "consent": CONSENT,
        "card": new_card(),
    }
    return NewAccount(ref, **{**values, **changes})  # type: ignore[arg-type]


def kinds(engine: sa.Engine, account: str = "1001") -> list[str]:
    """Give the kinds of an account's events, in order."""
    return [event.kind for event in Reading(engine).history(account)]


def looked_at_again(before: Enrolled, register: Register) -> bool:
    """Say whether the next sweep looks at once, with a new episode."""
    after = register.need("1001")
    return after.not_before is None and after.episode_at > before.episode_at


def test_an_enrolled_account_reads_back_as_it_was_agreed(register: Register) -> None:
    """Its own values over the defaults, its consent, and its card."""
    found = register.need("1001")

    assert found.rule == make_rule(threshold=Decimal(5))
    assert found.overrides == Overrides(threshold=Decimal(5))
    assert (found.consent, found.paused, found.cut_off) == (CONSENT, None, None)
    assert [card.payment_method for card in register.cards("1001")] == [
        make_card().payment_method
    ]


def test_an_account_is_enrolled_once(register: Register) -> None:
    """The second enrolment is refused and changes nothing."""
    with pytest.raises(AccountExists, match="1001 is already enrolled"):
        register.enrol(make_new(overrides=Overrides()), actor="test")

    assert register.need("1001").rule.threshold == Decimal(5)


def test_enrolling_many_is_all_or_nothing(
    register: Register, engine: sa.Engine
) -> None:
    """One that is there keeps all out, events included."""
    with pytest.raises(AccountExists):
        register.enrol_many([make_new("1000"), make_new("1001")], actor="test")

    assert register.get("1000") is None
    assert kinds(engine, "1000") == []


def test_two_enrolments_at_once_make_one_account(
    register: Register, engine: sa.Engine
) -> None:
    """The database arbitrates; the loser is told."""

    def enrol(_: int) -> bool:
        try:
            register.enrol(make_new("2002"), actor="test")
        except AccountExists:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        won = list(pool.map(enrol, range(4)))

    assert won.count(True) == 1
    assert kinds(engine, "2002") == ["enrolled", "card_added"]


def test_every_change_is_told_in_the_hash_chain(
    register: Register, engine: sa.Engine
) -> None:
    """The history is whole, in order, and shows an edit."""
    card = new_card(payment_method="pm_2", fingerprint="other")
    register.change(
        "1001", Overrides(cap_day=Decimal(80)), consent=CONSENT, actor="test"
    )
    register.pause("1001", "dispute", actor="test")
    register.resume("1001", actor="test")
    register.add_card("1001", card, actor="test")
    register.remove_card("1001", "pm_2", actor="test")

    assert kinds(engine) == [
        "enrolled",
        "card_added",
        "rule_changed",
        "consent_given",
        "paused",
        "resumed",
        "card_added",
        "card_removed",
    ]
    assert ledgers.chains_hold(engine)


def test_changes_at_once_leave_an_unbroken_chain(
    register: Register, engine: sa.Engine
) -> None:
    """Eight people at once: every change is in, none is lost or out of order."""

    def change(number: int) -> None:
        cap = Overrides(cap_month=Decimal(600 + number))
        register.change("1001", cap, actor=f"p{number}")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(change, range(8)))

    assert kinds(engine).count("rule_changed") == 8
    assert ledgers.chains_hold(engine)


def test_a_rule_that_cannot_work_changes_nothing(
    register: Register, engine: sa.Engine
) -> None:
    """The rule that results is checked with what others may have changed meanwhile."""
    with pytest.raises(BadInput, match="threshold"):
        register.change("1001", Overrides(threshold=Decimal(-1)), actor="test")

    assert register.need("1001").rule.threshold == Decimal(5)
    assert kinds(engine) == ["enrolled", "card_added"]


def test_a_value_returns_to_the_default(register: Register) -> None:
    """From then on it follows the installation's setting."""
    target = Overrides(top_up=Decimal(50), kind=TopUpKind.TARGET)
    register.change("1001", target, actor="test")

    changed = register.change(
        "1001", Overrides(), to_default=["top_up", "threshold"], actor="test"
    )

    assert changed.rule == make_rule()


def test_pausing_is_told_once(register: Register, engine: sa.Engine) -> None:
    """A repeat for the same reason is no news; another reason is."""
    told = [register.pause("1001", why, actor="t") for why in ("a", "a", "b")]

    assert told == [True, False, True]
    assert register.need("1001").paused == "a; b"
    assert kinds(engine).count("paused") == 2


def test_whatever_may_mend_an_account_makes_the_next_sweep_look(
    register: Register, engine: sa.Engine
) -> None:
    """A card, a resume or another rule ends the wait and begins a new episode."""
    card = new_card(payment_method="pm_2", fingerprint="other")
    for mend in (
        lambda: register.add_card("1001", card, actor="test"),
        lambda: register.resume("1001", actor="test"),
        lambda: register.change("1001", Overrides(floor=Decimal(1)), actor="test"),
    ):
        ledgers.run(engine, HELD)
        before = register.need("1001")
        mend()

        assert looked_at_again(before, register)


def test_a_second_card_is_last_in_line(register: Register) -> None:
    """Unless it is given a place."""
    second = new_card(payment_method="pm_2", fingerprint="2")
    third = new_card(payment_method="pm_3", fingerprint="3")
    register.add_card("1001", second, actor="test")
    register.add_card("1001", third, priority=0, actor="test")

    order = [card.payment_method for card in register.cards("1001")]

    assert order == [make_card().payment_method, "pm_3", "pm_2"]


def test_a_dead_card_stays_dead_under_another_name(
    register: Register, engine: sa.Engine
) -> None:
    """The same number comes back with another id; it is still the lost card."""
    ledgers.run(engine, "UPDATE replenish.card SET dead_reason = 'lost_card'")

    with pytest.raises(BadInput, match=r"refused for good \(lost_card\)"):
        register.add_card("1001", new_card(payment_method="pm_again"), actor="test")


def test_a_renewed_card_lives_again(register: Register, engine: sa.Engine) -> None:
    """Another expiry means that the issuer has sent a new one."""
    ledgers.run(engine, "UPDATE replenish.card SET dead_reason = 'expired_card'")

    register.add_card("1001", new_card(exp_year=2035), actor="test")

    [card] = register.cards("1001")
    assert (card.dead_reason, card.exp_year) == (None, 2035)


@pytest.mark.parametrize("why", sorted(REVIVED_BY_ATTACHING))
def test_a_card_that_its_customer_mends_lives_again(
    register: Register, engine: sa.Engine, why: str
) -> None:
    """Attached again, or authenticated: the gateway says that it is good."""
    ledgers.run(engine, "UPDATE replenish.card SET dead_reason = :why", why=why)

    register.add_card("1001", new_card(), actor="test")

    [card] = register.cards("1001")
    assert card.dead_reason is None


@pytest.mark.parametrize("why", sorted(REVIVED_BY_ATTACHING))
def test_a_card_that_is_saved_again_takes_the_place_of_the_dead_one(
    register: Register, engine: sa.Engine, why: str
) -> None:
    """The old row is off file and keeps its history; the journal tells both."""
    ledgers.run(engine, "UPDATE replenish.card SET dead_reason = :why", why=why)

    register.add_card("1001", new_card(payment_method="pm_again"), actor="test")

    [card] = register.cards("1001")
    assert (card.payment_method, card.dead_reason) == ("pm_again", None)
    assert kinds(engine)[-2:] == ["card_removed", "card_added"]
    with engine.connect() as connection:
        old = "SELECT dead_reason FROM replenish.card WHERE removed_at IS NOT NULL"
        assert connection.scalar(sa.text(old)) == why


@pytest.mark.parametrize(
    "other",
    [{"fingerprint": "other"}, {"last4": "0000"}, {"exp_month": 1}, {"exp_year": 2035}],
)
def test_another_card_takes_nobody_s_place(
    register: Register, engine: sa.Engine, other: dict[str, Any]
) -> None:
    """Another number, or another expiry, says nothing of the one that died."""
    why = "UPDATE replenish.card SET dead_reason = 'authentication_required'"
    ledgers.run(engine, why)

    register.add_card("1001", new_card(payment_method="pm_2", **other), actor="test")

    reasons = [card.dead_reason for card in register.cards("1001")]
    assert reasons == ["authentication_required", None]


def test_a_card_that_works_keeps_its_place_beside_its_double(
    register: Register,
) -> None:
    """Only what is dead is replaced."""
    register.add_card("1001", new_card(payment_method="pm_again"), actor="test")

    assert len(register.cards("1001")) == 2


def test_a_lost_card_is_refused_although_it_was_detached_as_well(
    register: Register, engine: sa.Engine
) -> None:
    """What its customer can mend does not hide what they cannot."""
    gone = "UPDATE replenish.card SET dead_reason = 'payment_method_missing'"
    register.add_card("1001", new_card(payment_method="pm_again"), actor="test")
    ledgers.run(engine, gone)
    lost = "UPDATE replenish.card SET dead_reason = 'lost_card', removed_at = now()"
    ledgers.run(engine, f"{lost} WHERE payment_method = 'pm_again'")

    with pytest.raises(BadInput, match=r"refused for good \(lost_card\)"):
        register.add_card("1001", new_card(payment_method="pm_third"), actor="test")

    reasons = [card.dead_reason for card in register.cards("1001")]
    assert reasons == ["payment_method_missing"]


def test_unknown_accounts_and_cards_are_named(register: Register) -> None:
    """Every question about what is not there says so, and what to do."""
    with pytest.raises(AccountNotFound, match="'404' is not enrolled"):
        register.pause("404", "x", actor="test")
    with pytest.raises(AccountNotFound):
        register.cards("404")
    with pytest.raises(CardNotFound, match="no card pm_404"):
        register.remove_card("1001", "pm_404", actor="test")


def test_pages_come_in_order_and_filtered(register: Register) -> None:
    """A page goes on after a ref; a filter leaves the others out."""
    register.enrol_many([make_new("1002"), make_new("1003")], actor="test")
    register.pause("1002", "x", actor="test")

    first, rest = register.page(limit=1), register.page(after="1001")

    assert [each.ref for each in (*first, *rest)] == ["1001", "1002", "1003"]
    assert [each.ref for each in register.page(paused=True)] == ["1002"]
    assert [each.ref for each in register.page(paused=False)] == ["1001", "1003"]
    assert not register.page(low=True)
    assert not register.page(cut_off=True)


def test_a_standing_cut_off_is_shown(register: Register, engine: sa.Engine) -> None:
    """One that was lifted is history."""
    cut = (
        "INSERT INTO replenish.cut_off (account_id, reason, available, restored_at)"
        " VALUES ('1001', 'no_card', 0, :restored)"
    )
    ledgers.run(engine, cut, restored=datetime(2026, 1, 1, tzinfo=UTC))
    assert register.need("1001").cut_off is None

    ledgers.run(engine, cut, restored=None)
    assert register.need("1001").cut_off == "no_card"
