"""Enrolling: nothing is written before all three sides agree."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa

from replenish.adapters.billing.bundled import BundledBilling
from replenish.adapters.ledger.register import Register
from replenish.domain.account import Card
from replenish.domain.enrolment import Consent, Overrides, Request
from replenish.domain.money import Money
from replenish.domain.rule import Rule, TopUpKind
from replenish.errors import (
    AccountExists,
    AccountNotFound,
    BadInput,
    CardNotFound,
    Refused,
)
from replenish.pipeline import enrol as enrolling
from replenish.ports import Clock
from tests import bundled, ledgers
from tests.factories import NOW, make_card, make_rule
from tests.postgres import MakeDatabase

LEAST = Decimal("0.50")  # what Stripe charges at least in USD


@dataclass
class CardsOnFile:
    """A gateway that knows some saved cards; the contract is the real one's."""

    cards: dict[tuple[str, str], Card] = field(default_factory=dict)

    def add(self, payment_method: str = "pm_1", **changes: Any) -> None:  # noqa: ANN401 fields
        """Save a card of cus_1 at the gateway."""
        ids = {"id": "", "customer": "cus_1", "payment_method": payment_method}
        card = replace(make_card(), **{**ids, **changes})
        self.cards[card.customer, payment_method] = card

    def card(self, customer: str, payment_method: str) -> Card:
        """Read a saved card."""
        if (customer, payment_method) not in self.cards:
            msg = f"{payment_method} is not attached to {customer}."
            raise CardNotFound(msg, subject=payment_method)
        return self.cards[customer, payment_method]

    def check_amount(self, amount: Money) -> None:
        """Refuse what is below the minimum or above the maximum."""
        if not LEAST <= amount.amount <= Decimal("999999.99"):
            msg = f"{amount} cannot be charged."
            raise BadInput(msg, subject=str(amount))


@dataclass
class Desk:
    """A desk with real books and a real billing package."""

    register: Register
    billing: BundledBilling
    billing_engine: sa.Engine
    gateway: CardsOnFile = field(default_factory=CardsOnFile)
    defaults: Rule = field(default_factory=make_rule)

    @property
    def clock(self) -> Clock:
        """The middle of a day in March."""
        return lambda: NOW

    def mark(self, ref: str) -> object:
        """Give below what the package calls the account low."""
        query = "SELECT low_mark FROM billing.account WHERE number = :ref"
        return bundled.ask(self.billing_engine, query, ref=ref)[0][0]


@pytest.fixture
def desk(make_database: MakeDatabase) -> Iterator[Desk]:
    """A desk whose package has 1001 and 1002 in USD and 2001 in EUR."""
    with (
        ledgers.engine_of(make_database(ledgers.prepare)) as ledger,
        bundled.engine_of(make_database(bundled.prepare)) as billing,
    ):
        for ref, currency in (("1001", "USD"), ("1002", "USD"), ("2001", "EUR")):
            bundled.add_account(billing, ref, currency=currency)
        desk = Desk(Register(ledger, make_rule()), BundledBilling(billing), billing)
        desk.gateway.add()
        yield desk


def make_request(account: str = "1001", **changes: Any) -> Request:  # noqa: ANN401 fields
    """Ask for an account with its card, at a threshold of 5."""
    own = Overrides(threshold=Decimal(5))
    request = Request(account, own, customer="cus_1", payment_method="pm_1")
    return replace(request, **changes)


def test_an_enrolled_account_is_watched_by_the_package(desk: Desk) -> None:
    """The package that knows who is low learns below what."""
    enrolled = enrolling.enrol(desk, make_request(), actor="test")

    assert enrolled.rule.threshold == Decimal(5)
    assert desk.mark("1001") == Decimal(5)
    assert len(desk.register.cards("1001")) == 1


REFUSED: list[tuple[Request, type[Refused], str]] = [
    (make_request("404"), AccountNotFound, "no account '404'"),
    (make_request("4 4"), BadInput, "is no account"),
    (make_request(currency="EUR"), BadInput, "is in USD"),
    (make_request("2001"), BadInput, "defaults are in USD"),
    (make_request(payment_method="pm_9"), CardNotFound, "pm_9"),
    (make_request(customer=None), BadInput, "together"),
    (make_request(payment_method="pm_old"), BadInput, "expired"),
    (make_request(payment_method="pm_india"), BadInput, "e-mandate"),
    (
        make_request(consent=Consent(datetime(2027, 1, 1, tzinfo=UTC), "v", "w")),
        BadInput,
        "future",
    ),
    *(
        (make_request(overrides=Overrides(**{name: value})), BadInput, words)  # type: ignore[arg-type]
        for name, value, words in (
            ("threshold", Decimal(-1), "negative"),
            ("threshold", Decimal("NaN"), "not an amount"),
            ("cap_day", Decimal("1e20"), "not an amount"),
            ("top_up", Decimal("0.10"), "cannot be charged"),
            ("cap_charge", Decimal(10), "below the top-up"),
            ("cap_month", Decimal(50), "cap per month"),
            ("time_zone", "Mars/Base", "no time zone"),
            ("count_day", 0, "count per day"),
            ("top_up", Decimal("25.001"), "multiple"),
            ("floor", Decimal("0.0000001"), "places"),
        )
    ),
    (
        make_request(
            overrides=Overrides(
                threshold=Decimal(50), top_up=Decimal(40), kind=TopUpKind.TARGET
            )
        ),
        BadInput,
        "not above the threshold",
    ),
]


@pytest.mark.parametrize(("request_", "error", "words"), REFUSED)
def test_what_cannot_work_is_refused_and_leaves_nothing(
    desk: Desk, request_: Request, error: type[Refused], words: str
) -> None:
    """One sentence says what; nothing is written, nobody is watched."""
    desk.gateway.add("pm_old", exp_year=2020)
    desk.gateway.add("pm_india", country="IN")

    with pytest.raises(error, match=words):
        enrolling.enrol(desk, request_, actor="test")

    assert desk.register.page() == []
    assert desk.mark("1001") is None


def test_a_duplicate_never_moves_the_watch(desk: Desk) -> None:
    """The account that is there keeps its threshold, here and in the package."""
    enrolling.enrol(desk, make_request(), actor="test")

    again = make_request(overrides=Overrides(threshold=Decimal(9)))
    with pytest.raises(AccountExists):
        enrolling.enrol(desk, again, actor="test")

    assert desk.mark("1001") == Decimal(5)


MIXED: list[Request | BadInput] = [
    make_request("1001"),
    make_request("404"),
    BadInput("The row has 2 fields, the header 3.", subject="row"),
    make_request("1001"),
    make_request("1002"),
]


def test_one_bad_row_keeps_all_out(desk: Desk) -> None:
    """Every bad one has its reason, the duplicate within the file too."""
    done = enrolling.enrol_many(desk, MIXED, all_or_nothing=True, actor="test")

    assert (done.enrolled, sorted(done.problems)) == (0, [1, 2, 3])
    assert done.problems[3] == "Account 1001 stands further up in the file."
    assert desk.register.page() == []


def test_good_rows_get_in_where_asked(desk: Desk) -> None:
    """And a repeat of the file enrols nobody twice."""
    seen: list[int] = []

    done = enrolling.enrol_many(
        desk, MIXED, all_or_nothing=False, actor="test", progress=seen.append
    )
    again = enrolling.enrol_many(desk, MIXED, all_or_nothing=False, actor="test")

    assert (done.enrolled, again.enrolled) == (2, 0)
    assert [each.ref for each in desk.register.page()] == ["1001", "1002"]
    assert (desk.mark("1001"), desk.mark("1002")) == (Decimal(5), Decimal(5))
    assert seen == [1, 2, 3, 4, 5]


def test_a_changed_threshold_is_watched(desk: Desk) -> None:
    """The package is told with the change."""
    enrolling.enrol(desk, make_request(), actor="test")

    changed = enrolling.change(
        desk, "1001", Overrides(), to_default=["threshold"], actor="test"
    )

    assert changed.rule == make_rule()
    assert desk.mark("1001") == make_rule().threshold


def test_a_change_that_cannot_work_changes_nothing(desk: Desk) -> None:
    """The rule that would result is asked, not only what was given."""
    enrolling.enrol(desk, make_request(), actor="test")

    for bad in (Overrides(cap_charge=Decimal(20)), Overrides(top_up=Decimal("0.1"))):
        with pytest.raises(BadInput):
            enrolling.change(desk, "1001", bad, actor="test")
    later = Consent(datetime(2027, 1, 1, tzinfo=UTC), "v", "w")
    with pytest.raises(BadInput, match="future"):
        enrolling.change(desk, "1001", Overrides(), consent=later, actor="test")

    assert desk.register.need("1001").overrides == Overrides(threshold=Decimal(5))


def test_a_card_is_checked_before_it_is_on_file(desk: Desk) -> None:
    """An unknown, an expired and an unknown account's card are all refused."""
    enrolling.enrol(desk, make_request(), actor="test")
    desk.gateway.add("pm_old", exp_year=2020)
    desk.gateway.add("pm_2", fingerprint="two")

    for account, method in (("1001", "pm_9"), ("1001", "pm_old"), ("404", "pm_2")):
        with pytest.raises(Refused):
            add_card(desk, account, method)
    added = add_card(desk, "1001", "pm_2")

    assert added.priority == 1
    assert len(desk.register.cards("1001")) == 2


def test_resuming_and_watching_again_mend_a_lost_mark(desk: Desk) -> None:
    """The package may have been away when it was told."""
    enrolling.enrol(desk, make_request(), actor="test")
    desk.register.pause("1001", "dispute", actor="test")
    desk.billing.watch({"1001": None})

    assert enrolling.resume(desk, "1001", actor="test")
    assert desk.mark("1001") == Decimal(5)
    assert not enrolling.resume(desk, "1001", actor="test")

    desk.billing.watch({"1001": None})
    assert enrolling.watch_all(desk) == 1
    assert desk.mark("1001") == Decimal(5)


def add_card(desk: Desk, account: str, payment_method: str) -> Card:
    """Ask for a card of cus_1."""
    return enrolling.add_card(
        desk, account, customer="cus_1", payment_method=payment_method, actor="test"
    )
