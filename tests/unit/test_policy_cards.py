"""Which card is charged, and which is not."""

from datetime import timedelta
from typing import Any

import pytest

from replenish.domain.outcome import GONE
from replenish.domain.policy import (
    CardHistory,
    Decision,
    Leave,
    Reason,
    TopUp,
    Wait,
)
from tests.factories import (
    DAY,
    HOUR,
    MINUTE,
    NOW,
    make_card,
    make_card_history,
    make_history,
    usd,
)
from tests.unit.deciding import decided


def _with_cards(*cards: CardHistory) -> Decision:
    return decided(history=make_history(cards=cards))


@pytest.mark.parametrize(
    ("card", "reason", "detail"),
    [
        ({"dead_reason": "lost_card"}, Reason.CARD_DEAD, "lost_card"),
        ({"dead_reason": ""}, Reason.CARD_DEAD, ""),
        ({"exp_year": 2026, "exp_month": 2}, Reason.CARD_EXPIRED, ""),
    ],
)
def test_a_card_that_cannot_be_charged_leaves_the_account_alone(
    card: dict[str, Any], reason: Reason, detail: str
) -> None:
    """Until the customer gives another card there is nothing to wait for."""
    seen = make_card_history(card=make_card(**card))

    assert _with_cards(seen) == Leave(reason, detail)


def test_a_dead_card_is_dead_even_while_it_waits() -> None:
    """What never ends is told before what ends tomorrow."""
    card = make_card(dead_reason="stolen_card", retry_at=NOW + DAY)

    assert _with_cards(make_card_history(card=card)) == Leave(
        Reason.CARD_DEAD, "stolen_card"
    )


def test_a_soft_decline_waits_for_its_time() -> None:
    """Not a second before, and at once when the time has come."""
    waiting = make_card_history(card=make_card(retry_at=NOW + timedelta(seconds=1)))
    due = make_card_history(card=make_card(retry_at=NOW))

    assert _with_cards(waiting) == Wait(
        NOW + timedelta(seconds=1), Reason.WAITING_RETRY
    )
    assert isinstance(_with_cards(due), TopUp)


def test_a_failure_does_not_release_the_cooldown() -> None:
    """A declined card is not tried again within its cooldown, even if its wait is over.

    The bank's five minutes are shorter than the rule's ten.
    """
    card = make_card(retry_at=NOW - MINUTE)
    seen = make_card_history(card=card, tried_at=NOW - 6 * MINUTE)

    assert _with_cards(seen) == Wait(NOW + 4 * MINUTE, Reason.COOLDOWN)


def test_the_longer_of_wait_and_cooldown_is_told() -> None:
    """Nobody is told of a time at which the card would still not be tried."""
    tried = NOW - MINUTE
    short = make_card_history(card=make_card(retry_at=NOW + MINUTE), tried_at=tried)
    long = make_card_history(card=make_card(retry_at=NOW + HOUR), tried_at=tried)

    assert _with_cards(short) == Wait(NOW + 9 * MINUTE, Reason.COOLDOWN)
    assert _with_cards(long) == Wait(NOW + HOUR, Reason.WAITING_RETRY)


def test_the_next_card_is_tried_at_once_after_a_known_decline() -> None:
    """One card's wait does not hold back another."""
    first = make_card_history(
        card=make_card(id="1", retry_at=NOW + HOUR), tried_at=NOW - MINUTE
    )
    second = make_card_history(card=make_card(id="2", priority=1))

    assert _with_cards(first, second) == TopUp(usd("25.00"), second.card)


def test_no_card_is_tried_while_the_outcome_of_another_is_open() -> None:
    """Only a known decline brings the next card's turn."""
    cards = (make_card_history(), make_card_history(card=make_card(id="2")))
    history = make_history(open_attempt=True, cards=cards)

    assert decided(history=history) == Leave(Reason.OPEN_ATTEMPT)


def test_the_lowest_priority_is_charged_first() -> None:
    """Whatever order the cards come in; among equals, the first."""
    last = make_card_history(card=make_card(id="1", priority=9))
    first = make_card_history(card=make_card(id="2", priority=-1))
    equal = make_card_history(card=make_card(id="3", priority=-1))

    assert _with_cards(last, first, equal) == TopUp(usd("25.00"), first.card)


def test_the_wait_is_for_the_card_that_is_ready_first() -> None:
    """Dead cards aside, the earliest of the others' times."""
    cards = (
        make_card_history(card=make_card(id="1", dead_reason="lost_card")),
        make_card_history(card=make_card(id="2", retry_at=NOW + DAY)),
        make_card_history(card=make_card(id="3", retry_at=NOW + HOUR)),
    )

    assert _with_cards(*cards) == Wait(NOW + HOUR, Reason.WAITING_RETRY)


@pytest.mark.parametrize(
    ("seen", "reason", "again"),
    [
        ({"declines_24h": 10}, Reason.CARD_DECLINES_24H, HOUR),
        ({"declines_30d": 15}, Reason.CARD_DECLINES_30D, DAY),
        ({"declines_24h": 99, "declines_30d": 99}, Reason.CARD_DECLINES_30D, DAY),
    ],
)
def test_a_cards_declines_are_limited_over_a_day_and_a_month(
    seen: dict[str, int], reason: Reason, again: timedelta
) -> None:
    """The windows slide: it is looked at again after an hour, or after a day."""
    assert _with_cards(make_card_history(**seen)) == Wait(NOW + again, reason)


def test_a_card_below_its_limits_is_tried() -> None:
    """Nine declines in a day and fourteen in a month leave one more."""
    assert isinstance(
        _with_cards(make_card_history(declines_24h=9, declines_30d=14)), TopUp
    )


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize(
    ("known", "reason"),
    [
        ({"card": {"dead_reason": "do_not_try_again"}}, Reason.CARD_DEAD),
        ({"card": {"retry_at": NOW + HOUR}}, Reason.WAITING_RETRY),
        ({"tried_at": NOW}, Reason.COOLDOWN),
    ],
)
def test_adding_a_refused_card_again_changes_nothing(
    known: dict[str, Any], reason: Reason, order: int
) -> None:
    """The same plastic under a new payment method is as dead or as tired as ever."""
    old = make_card(id="1", fingerprint="f", **known.get("card", {}))
    new = make_card(id="2", fingerprint="f")
    cards = [
        make_card_history(card=old, tried_at=known.get("tried_at")),
        make_card_history(card=new),
    ][::order]

    found = _with_cards(*cards)

    assert isinstance(found, Wait | Leave)
    assert found.reason is reason


@pytest.mark.parametrize("why", sorted(GONE))
def test_an_id_that_is_gone_does_not_end_another_of_the_same_card(why: str) -> None:
    """The gateway has lost an id; the bank has said nothing of the card."""
    old = make_card(id="1", fingerprint="f", dead_reason=why)
    new = make_card(id="2", fingerprint="f", priority=1)

    assert _with_cards(make_card_history(card=old)) == Leave(Reason.CARD_DEAD, why)
    found = _with_cards(make_card_history(card=old), make_card_history(card=new))

    assert found == TopUp(usd("25.00"), new)


def test_an_id_that_is_gone_still_tells_when_the_card_was_tried() -> None:
    """A cooldown is the card's, whichever of its ids was asked."""
    old = make_card(id="1", fingerprint="f", dead_reason="payment_method_missing")
    new = make_card(id="2", fingerprint="f")

    found = _with_cards(
        make_card_history(card=old, tried_at=NOW - MINUTE), make_card_history(card=new)
    )

    assert isinstance(found, Wait)
    assert found.reason is Reason.COOLDOWN


@pytest.mark.parametrize("why", ["lost_card", "authentication_required"])
def test_what_the_bank_says_of_a_card_holds_for_its_other_id(why: str) -> None:
    """Both were on file when it was said."""
    old = make_card(id="1", fingerprint="f", dead_reason=why)
    new = make_card(id="2", fingerprint="f")

    found = _with_cards(make_card_history(card=old), make_card_history(card=new))

    assert found == Leave(Reason.CARD_DEAD, why)


def test_a_renewed_card_is_charged_although_the_old_one_is_dead() -> None:
    """The same number with a new expiry is the customer's answer to `expired_card`."""
    old = make_card(id="1", fingerprint="f", exp_year=2026, dead_reason="expired_card")
    new = make_card(id="2", fingerprint="f", exp_year=2031)

    found = _with_cards(make_card_history(card=old), make_card_history(card=new))

    assert found == TopUp(usd("25.00"), new)
