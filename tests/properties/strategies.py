"""Accounts, rules and histories that a machine makes up."""

from collections.abc import Collection
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from replenish.domain.account import Account, Card, Kind
from replenish.domain.decision import CardHistory, History, Obstacle, Reason
from replenish.domain.money import LARGEST, Money, sensible, step
from replenish.domain.rule import Limits, Rule, TopUpKind
from tests.factories import (
    DAY,
    NOW,
    make_account,
    make_card,
    make_card_history,
    make_rule,
)

CURRENCIES = st.sampled_from(["USD", "JPY", "KWD"])
ZONES = st.sampled_from(["UTC", "America/New_York", "Asia/Kathmandu"])
WAITS = st.timedeltas(timedelta(0), timedelta(days=366))
TIMES = st.none() | st.one_of(
    st.timedeltas(timedelta(0), timedelta(hours=2)).map(lambda ago: NOW - ago),
    st.timedeltas(timedelta(0), 40 * DAY).map(lambda ago: NOW - ago),
    st.timedeltas(timedelta(0), 40 * DAY).map(lambda ahead: NOW + ahead),
)
WORDS = st.none() | st.sampled_from(["", "by hand"])


def amounts(least: int, most: int, *, places: int = 6) -> st.SearchStrategy[Decimal]:
    """Give amounts as a database column of so many places does."""
    return st.decimals(least, most, places=places, allow_nan=False)


GOOD = make_card(id="9", fingerprint="good")

ODD = st.decimals() | st.sampled_from(
    [Decimal(0), LARGEST, -LARGEST, Decimal("1E-12"), LARGEST - Decimal("1E-12")]
)


@st.composite
def rules(draw: st.DrawFn) -> Rule:
    """Give rules that pass their own check."""
    currency = draw(CURRENCIES)
    kind = draw(st.sampled_from(TopUpKind))
    threshold = draw(amounts(0, 1000))
    unit = step(currency)
    top_up = unit * draw(st.integers(1, 200_000))
    if kind is TopUpKind.TARGET:
        top_up += threshold.to_integral_value() + 1
    least = unit if kind is TopUpKind.TARGET else top_up
    cap_charge = least + draw(amounts(0, 3000))
    cap_day = max(cap_charge, top_up) + draw(amounts(0, 3000))
    rule = make_rule(
        currency=currency,
        kind=kind,
        threshold=threshold,
        top_up=top_up,
        cap_charge=cap_charge,
        cap_day=cap_day,
        cap_month=cap_day + draw(amounts(0, 9000)),
        count_day=draw(st.integers(1, 6)),
        cooldown=draw(st.timedeltas(timedelta(0), timedelta(days=2))),
        floor=threshold - draw(amounts(0, 1000)),
        grace=draw(amounts(0, 500)),
        time_zone=draw(ZONES),
    )
    rule.check()
    return rule


@st.composite
def odd_rules(draw: st.DrawFn) -> Rule:
    """Give rules that no check has seen: NaN, negative, the wrong way round."""
    fields = ("threshold", "top_up", "cap_charge", "cap_day", "cap_month", "floor")
    odd = draw(st.sets(st.sampled_from([*fields, "grace"]), max_size=3))
    changes: dict[str, Any] = {
        name: draw(ODD | amounts(-1000, 1000)) for name in sorted(odd)
    }
    changes["count_day"] = draw(st.integers(-1, 6))
    changes["cooldown"] = draw(WAITS)
    return replace(draw(rules()), **changes)


@st.composite
def accounts(draw: st.DrawFn, rule: Rule) -> Account:
    """Give accounts in service that are low, by little or by much."""
    low = rule.threshold if sensible(rule.threshold) else Decimal(0)
    gap = draw(amounts(0, 10) | amounts(0, 5000))
    available = max(low - gap, -LARGEST)
    return make_account(
        available=Money(available, rule.currency), kind=draw(st.sampled_from(Kind))
    )


@st.composite
def cards(draw: st.DrawFn) -> Card:
    """Give cards of few numbers, so that some are on file twice."""
    return make_card(
        id=draw(st.sampled_from("123456")),
        fingerprint=draw(st.sampled_from("abc")),
        exp_year=draw(st.sampled_from([2025, 2026, 2030])),
        exp_month=draw(st.integers(1, 12)),
        priority=draw(st.integers(-1, 2)),
        dead_reason=draw(WORDS | st.just("payment_method_missing")),
        retry_at=draw(TIMES),
        country=draw(st.sampled_from(["", "US", "US", "IN"])),
    )


CARD_HISTORIES = st.builds(
    CardHistory,
    card=cards(),
    tried_at=TIMES,
    declines_24h=st.integers(0, 12),
    declines_30d=st.integers(0, 18),
    in_flight=st.integers(0, 3),
    since=TIMES,
    place=st.integers(1, 7),
    cleared=st.booleans(),
    dead_elsewhere=st.none() | st.just("stolen_card"),
)


@st.composite
def histories(draw: st.DrawFn, rule: Rule) -> History:
    """Give histories in which nothing stands against a charge."""
    cards = draw(st.lists(CARD_HISTORIES, max_size=3))
    cards.insert(draw(st.integers(0, len(cards))), make_card_history(card=GOOD))
    room = Decimal(0)
    if not list(rule.senseless()):
        room = max(rule.cap_day - rule.least_charge, room)
    spent = draw(st.just(Decimal(0)) | amounts(0, 5000))
    return History(
        consent=True,
        day_ends=NOW + draw(st.timedeltas(timedelta(seconds=1), DAY)),
        month_ends=NOW + draw(st.timedeltas(DAY, 31 * DAY)),
        spent_day=min(spent, room),
        spent_month=min(spent, room),
        cards=tuple(cards),
    )


TROUBLES: dict[str, st.SearchStrategy[Any]] = {
    "consent": st.just(value=False),
    "paused": WORDS,
    "stopped": WORDS,
    "open_attempt": st.just(value=True),
    "cut_off": st.just(value=True),
    "spent_day": amounts(0, 5000) | st.just(Decimal(20_000)),
    "spent_month": amounts(0, 9000) | st.just(Decimal(20_000)),
    "count_day": st.integers(4, 6),
    "charged_at": TIMES,
    "episode_declines": st.integers(0, 9),
    "cards": st.lists(CARD_HISTORIES, max_size=4).map(tuple),
    "enrolled_at": TIMES,
    "settled": st.integers(0, 5),
    "charges_minute": st.integers(0, 700),
    "breaker": st.builds(
        Obstacle,
        st.sampled_from([Reason.DECLINE_SHARE, Reason.GATEWAY_DOWN]),
        st.none() | st.timedeltas(timedelta(seconds=1), DAY).map(lambda by: NOW + by),
        st.just("its numbers"),
    ),
}
"""What may stand against a charge, field by field of a history."""


PASSING = frozenset(
    {
        *("spent_day", "spent_month", "count_day", "charged_at", "cards"),
        *("enrolled_at", "charges_minute", "breaker"),
    }
)
"""Troubles that end by themselves."""


@st.composite
def troubled(
    draw: st.DrawFn, history: History, *, among: Collection[str] = TROUBLES
) -> History:
    """Let one or two things stand against a charge."""
    names = draw(st.sets(st.sampled_from(sorted(among)), min_size=1, max_size=2))
    return replace(history, **{name: draw(TROUBLES[name]) for name in sorted(names)})


LIMITS = st.builds(
    Limits,
    declines_per_episode=st.integers(1, 9),
    card_declines_24h=st.integers(1, 12),
    card_declines_30d=st.integers(1, 18),
    new_percent=st.integers(1, 100),
    card_accounts=st.integers(1, 6),
)
