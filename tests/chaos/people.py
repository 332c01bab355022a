"""Who lives here: hundreds of accounts with good, failing and dead cards."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from random import Random

from replenish.bootstrap import Application
from replenish.demo.operator import CREDIT_LIMIT, FIRST, PREPAID, REAL_TIME, SignUp
from replenish.demo.packages.hands import Opening
from replenish.demo.switch import BundledSwitch
from replenish.domain.enrolment import Consent, Overrides, Request
from replenish.pipeline import enrol

AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class Sort:
    """A sort of customer: how many, whose card behaves how.

    Attributes:
        card: the sandbox's template; None: no card on file.
        good: whether the card pays in the end, so that it must be charged.
    """

    name: str
    card: str | None
    number: int
    good: bool = False
    kind: str = PREPAID
    overrides: Overrides = field(default_factory=Overrides)


SORTS = (
    Sort("good card", "pm_sandbox_visa", 160, good=True),
    Sort("good card, real-time", "pm_sandbox_visa", 70, good=True, kind=REAL_TIME),
    Sort(
        "declines once",
        "pm_sandbox_chain_insufficient_funds-succeed",
        16,
        good=True,
    ),
    Sort(
        "good card, few charges a day",
        "pm_sandbox_visa",
        12,
        good=True,
        overrides=Overrides(count_day=3),
    ),
    Sort(
        "good card, small daily cap",
        "pm_sandbox_visa",
        12,
        good=True,
        overrides=Overrides(cap_day=Decimal(45)),
    ),
    Sort("no funds", "pm_sandbox_decline_insufficient_funds", 14),
    Sort("lost card", "pm_sandbox_decline_lost_card", 8),
    Sort("invalid account", "pm_sandbox_decline_invalid_account", 6),
    Sort("wants its owner", "pm_sandbox_authenticate", 10),
    Sort("expired, real-time", "pm_sandbox_decline_expired_card", 6, kind=REAL_TIME),
    Sort("no card", None, 12),
)


@dataclass(frozen=True, slots=True)
class Customer:
    """One of them."""

    account: str
    sort: Sort


def settle_in(app: Application, chance: Random) -> Sequence[Customer]:
    """Open their accounts, save their cards over HTTP, and enrol them."""
    customers = list(_customers(chance))
    openings = [_opening(each, chance) for each in customers]
    BundledSwitch(app.billing_engine).open(openings)
    page = SignUp(app.settings.stripe_api_base, app.settings.stripe_api_key)
    asked = [_request(page, each) for each in customers]
    for start in range(0, len(asked), AT_ONCE):
        part = asked[start : start + AT_ONCE]
        done = enrol.enrol_many(app, part, all_or_nothing=True, actor="chaos")
        assert not done.problems, done.problems
    return customers


def _customers(chance: Random) -> Iterator[Customer]:
    sorts = [sort for sort in SORTS for _ in range(sort.number)]
    chance.shuffle(sorts)
    for number, sort in enumerate(sorts, FIRST):
        yield Customer(str(number), sort)


def _opening(customer: Customer, chance: Random) -> Opening:
    available = Decimal(chance.randint(600, 3000)) / 100
    number = int(customer.account)
    if customer.sort.kind == REAL_TIME:
        return Opening(number, available - CREDIT_LIMIT, CREDIT_LIMIT)
    return Opening(number, available)


def _request(page: SignUp, customer: Customer) -> Request:
    sort = customer.sort
    payer = page.customer(customer.account) if sort.card else None
    method = None
    if sort.card and payer:
        method = page.card(payer, sort.card, number=int(customer.account))
    return Request(
        account=customer.account,
        overrides=sort.overrides,
        customer=payer,
        payment_method=method,
        consent=Consent(datetime.now(UTC), "terms", "chaos"),
    )
