"""What the worker asks after the claim and before the card."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from replenish.domain.money import Money
from replenish.domain.policy import (
    History,
    Obstacle,
    Reason,
    TopUp,
    justified,
)
from replenish.domain.rule import Rule
from tests.factories import (
    MINUTE,
    NOW,
    make_account,
    make_card,
    make_history,
    make_limits,
    make_rule,
    usd,
)


def _justified(
    available: str = "5.00",
    *,
    top_up: TopUp | None = None,
    rule: Rule | None = None,
    history: History | None = None,
) -> Obstacle | None:
    return justified(
        top_up or TopUp(usd("25.00"), make_card()),
        make_account(available=usd(available)),
        rule or make_rule(),
        history or make_history(),
        NOW,
        limits=make_limits(),
    )


@pytest.mark.parametrize("available", ["10", "5", "-90"])
def test_a_claim_stands_while_the_account_is_low(available: str) -> None:
    """Its amount was frozen: a gap that grew or shrank meanwhile changes nothing."""
    assert _justified(available) is None


@pytest.mark.parametrize(
    ("changes", "obstacle"),
    [
        ({"consent": False}, Obstacle(Reason.NO_CONSENT)),
        ({"paused": "by hand"}, Obstacle(Reason.PAUSED, detail="by hand")),
        ({"stopped": "alarm"}, Obstacle(Reason.CHARGER_STOPPED, detail="alarm")),
        ({"cards": ()}, Obstacle(Reason.NO_CARD)),
        (
            {"spent_day": Decimal(90)},
            Obstacle(Reason.CAP_DAY, make_history().day_ends),
        ),
        (
            {"charged_at": NOW - MINUTE},
            Obstacle(Reason.COOLDOWN, NOW + 9 * MINUTE),
        ),
    ],
)
@pytest.mark.parametrize("available", ["5", "-50"])
def test_a_claim_falls_with_what_it_stood_on(
    available: str, changes: dict[str, Any], obstacle: Obstacle
) -> None:
    """Whatever forbids a new claim forbids going on with this one."""
    assert _justified(available, history=make_history(**changes)) == obstacle


def test_a_claim_falls_when_the_account_was_funded_meanwhile() -> None:
    """The balance that it was made on may be minutes old."""
    assert _justified("10.01") == Obstacle(Reason.HEALTHY)


def test_a_claim_larger_than_what_the_caps_leave_now_falls() -> None:
    """The amount is frozen, so it is given up and sized anew, never cut."""
    history = make_history(spent_day=Decimal(60))
    top_up = TopUp(usd("50.00"), make_card())

    assert _justified(top_up=top_up) is None
    assert _justified(top_up=top_up, history=history) == Obstacle(
        Reason.AMOUNT_NOT_ALLOWED
    )


@pytest.mark.parametrize(
    "changes", [{"id": "2"}, {"customer": "cus_2"}, {"payment_method": "pm_new"}]
)
def test_a_claim_on_a_card_that_changed_falls(changes: dict[str, str]) -> None:
    """The gateway would be told of a card that is not the one on file."""
    top_up = TopUp(usd("25.00"), make_card(**changes))

    assert _justified(top_up=top_up) == Obstacle(Reason.CARD_CHANGED)


def test_a_card_is_the_same_whatever_is_known_of_it_besides() -> None:
    """A brand or a country learnt meanwhile is no reason to give a claim up."""
    top_up = TopUp(usd("25.00"), replace(make_card(), brand="", country=""))

    assert _justified(top_up=top_up) is None


def test_a_claim_in_the_currency_of_an_older_rule_falls() -> None:
    """Amounts of two currencies are never compared."""
    top_up = TopUp(Money(Decimal(25), "EUR"), make_card())

    assert _justified(top_up=top_up) == Obstacle(Reason.OTHER_CURRENCY, detail="EUR")
