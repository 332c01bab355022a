"""A billing package in trouble is left alone for a while."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from replenish.adapters.billing_guard import GuardedBilling
from replenish.domain.money import Money
from replenish.errors import AccountLocked, BadInput, BillingUnavailable, ReplicaBehind
from tests.fakes import FakeBilling

NOW = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)
USD5 = Money(Decimal(5), "USD")


class Counting(FakeBilling):
    """Counts who asks it, and fails as told."""

    asked = 0
    error: Exception | None = None

    def _answer(self) -> None:
        self.asked += 1
        if self.error:
            raise self.error
        super()._answer()


@pytest.fixture
def package() -> Counting:
    """A package that answers."""
    found = Counting()
    found.add("1001", "5")
    return found


def fail(guarded: GuardedBilling, times: int) -> None:
    """Ask in vain."""
    for _ in range(times):
        with pytest.raises(BillingUnavailable):
            guarded.balances(["1001"])


def test_after_five_failures_in_a_row_nobody_asks(package: Counting) -> None:
    """Who would have asked is told so at once, with the reason."""
    guarded = GuardedBilling(package)
    package.away = True
    fail(guarded, 5)

    with pytest.raises(BillingUnavailable, match=r"left alone for 5 s .* away"):
        guarded.accounts()

    assert package.asked == 5


def test_after_the_pause_it_is_asked_again(package: Counting) -> None:
    """And when it answers, all is as before."""
    guarded = GuardedBilling(package, pause=1)
    package.away = True
    fail(guarded, 6)
    package.away = False
    time.sleep(1.1)

    assert guarded.balances(["1001"])["1001"].available == USD5
    package.away = True
    fail(guarded, 4)
    assert package.asked == 5 + 1 + 4


@pytest.mark.parametrize(
    "error",
    [AccountLocked("locked"), BadInput("no sense"), ReplicaBehind("stands still")],
)
def test_one_account_s_trouble_is_not_the_package_s(
    package: Counting, error: Exception
) -> None:
    """A locked row, a senseless one, an old replica: no reason to leave it alone."""
    guarded = GuardedBilling(package)
    package.error = error

    for _ in range(8):
        with pytest.raises(type(error)):
            guarded.balances(["1001"])

    assert package.asked == 8


def test_everything_is_asked_through_the_guard(package: Counting) -> None:
    """Each method passes on what it is given, and what it is answered."""
    guarded = GuardedBilling(package)

    def enter(how: Callable[..., object], reference: str) -> object:
        return how("1001", USD5, reference=reference, note="n", at=NOW)

    guarded.watch({"1001": Decimal(9)})
    asks: list[Callable[[], object]] = [
        lambda: guarded.accounts(limit=1).accounts[0].ref == "1001",
        lambda: guarded.calls_since(None).cursor == "0",
        lambda: guarded.accounts(low=True).accounts,
        lambda: enter(guarded.apply_credit, "a"),
        lambda: guarded.find_credit("1001", reference="a"),
        lambda: guarded.verify_credit("1001", reference="a"),
        lambda: enter(guarded.correct_credit, "b"),
        lambda: enter(guarded.reverse_credit, "c"),
        lambda: guarded.suspend("1001", at_most=Decimal(99)),
        lambda: guarded.restore("1001"),
        lambda: guarded.check() == [],
    ]

    assert all(ask() for ask in asks)
    assert package.accounts_by_ref["1001"].available.amount == Decimal(10)
