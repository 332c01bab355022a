"""Plain values for tests: each is fine as it stands; change what matters.

    make_account(available=usd("4.20"), service=Service.SUSPENDED)

The rule tops up by 25 USD at 10, within 100 a charge, 100 a day and 500 a month;
`NOW` is in the middle of a day and of a month.
"""

# ruff: noqa: ANN401  dataclasses.replace knows each field's name

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from replenish.domain.account import Account, Card, Kind, Service
from replenish.domain.attempt import Attempt, State
from replenish.domain.decision import CardHistory, History
from replenish.domain.money import Money
from replenish.domain.rule import Limits, Rule, TopUpKind

NOW = datetime(2026, 3, 17, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def usd(amount: str) -> Money:
    """Give an amount of US dollars."""
    return Money(Decimal(amount), "USD")


def make_account(**changes: Any) -> Account:
    """Give a prepaid account that is low and in service."""
    account = Account(
        ref="1001",
        available=usd("5.00"),
        kind=Kind.PREPAID,
        service=Service.ACTIVE,
        name="Ada Example",
        email="ada@example.com",
    )
    return replace(account, **changes)


def make_rule(**changes: Any) -> Rule:
    """Give a rule that passes its own check."""
    rule = Rule(
        currency="USD",
        threshold=Decimal(10),
        top_up=Decimal(25),
        kind=TopUpKind.FIXED,
        cap_charge=Decimal(100),
        cap_day=Decimal(100),
        cap_month=Decimal(500),
        count_day=3,
        cooldown=timedelta(minutes=10),
        floor=Decimal(0),
        grace=Decimal(5),
        time_zone="America/New_York",
    )
    return replace(rule, **changes)


def make_card(**changes: Any) -> Card:
    """Give a card that can be charged; another `id` makes another card."""
    number = changes.get("id", "1")
    card = Card(
        id=number,
        customer="cus_1001",
        payment_method=f"pm_{number}",
        brand="visa",
        last4="4242",
        exp_month=12,
        exp_year=2030,
        fingerprint=f"fingerprint_{number}",
        country="US",
    )
    return replace(card, **changes)


def make_card_history(**changes: Any) -> CardHistory:
    """Give a card that was never tried."""
    return replace(CardHistory(make_card()), **changes)


def make_history(**changes: Any) -> History:
    """Give an account with consent, a good card and nothing charged yet."""
    history = History(
        consent=True,
        day_ends=datetime(2026, 3, 18, 4, 0, tzinfo=UTC),
        month_ends=datetime(2026, 4, 1, 4, 0, tzinfo=UTC),
        cards=(make_card_history(),),
    )
    return replace(history, **changes)


def make_limits(**changes: Any) -> Limits:
    """Give the limits that an installation has by default."""
    return replace(Limits(), **changes)


def make_attempt(**changes: Any) -> Attempt:
    """Give a claim that was just made."""
    attempt = Attempt(
        id="6f1c7a5e-0000-4000-8000-000000000001",
        account="1001",
        card=make_card(),
        amount=usd("25.00"),
        state=State.CLAIMED,
        claimed_at=NOW,
    )
    return replace(attempt, **changes)
