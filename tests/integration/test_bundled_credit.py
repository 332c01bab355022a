"""Credits of the bundled package, on PostgreSQL: exact, and exactly once."""

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest
import sqlalchemy as sa

from replenish.adapters.billing.bundled import BundledBilling
from replenish.domain.money import Money
from replenish.errors import BadInput
from tests.bundled import (
    NOW,
    add_account,
    add_rate,
    ask,
    balance,
    call,
    credit,
    engine_of,
    run,
)
from tests.crowd import at_once

pytestmark = pytest.mark.integration


def credit_in_a_process(url: str, reference: str) -> bool:
    """Credit from a process of its own; whether it was new."""
    with engine_of(url) as engine:
        return not credit(engine, reference=reference).already_applied


def test_sixteen_processes_credit_one_reference_once(
    billing: sa.Engine, billing_url: str
) -> None:
    """One of them is new; the balance and the report move once."""
    add_account(billing)

    new = at_once(credit_in_a_process, [(billing_url, "att-1")] * 16, preload=__name__)

    assert new.count(True) == 1
    assert balance(billing) == Decimal(35)
    assert len(ask(billing, "SELECT 1 FROM billing.refill_report")) == 1


def test_calls_and_credits_at_once_lose_nothing(billing: sa.Engine) -> None:
    """After a crowd of both, every balance is what its rows add up to."""
    add_account(billing)
    add_account(billing, "1002")
    add_rate(billing)

    def work(number: int) -> None:
        if number % 4 == 0:
            credit(billing, amount="1.00001", reference=f"att-{number}")
        call(billing, str(1001 + number % 2), seconds=7, call_id=f"call-{number}")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(120)))

    assert ask(billing, "SELECT * FROM billing.imbalance") == []
    spent, credited = 60 * Decimal("0.07"), 30 * Decimal("1.00001")
    assert balance(billing) == 10 - spent + credited
    assert balance(billing, "1002") == 10 - spent


def test_the_imbalance_view_shows_a_balance_that_does_not_add_up(
    billing: sa.Engine,
) -> None:
    """The view that the books are checked by is able to fail."""
    add_account(billing)
    run(billing, "UPDATE billing.account SET balance = balance + 0.00001")

    assert ask(billing, "SELECT * FROM billing.imbalance") == [
        ("1001", Decimal("10.00001"), Decimal("10.00000"))
    ]


def test_refills_remember_the_balance_of_their_moment(billing: sa.Engine) -> None:
    """The report shows each balance right after its refill."""
    add_account(billing, balance="-2", kind="real_time", credit_limit="5")
    receipts = [credit(billing, reference=f"att-{n}") for n in (1, 2)]

    assert [receipt.available_after for receipt in receipts] == [28, 53]
    assert ask(
        billing,
        "SELECT balance_after FROM billing.refill_report ORDER BY at, reference",
    ) == [(Decimal(23),), (Decimal(48),)]


@pytest.mark.security("S15")
def test_a_credit_needs_a_reference_a_zone_and_text(billing: sa.Engine) -> None:
    """Each of them missing is refused with a sentence."""
    add_account(billing)
    package = BundledBilling(billing)
    amount = Money(Decimal(5), "USD")

    with pytest.raises(BadInput, match="reference"):
        package.apply_credit("1001", amount, reference="", note="", at=NOW)
    with pytest.raises(BadInput, match="printable"):
        package.apply_credit("1001", amount, reference="a", note="\x00", at=NOW)
    with pytest.raises(BadInput, match="time zone"):
        package.apply_credit(
            "1001", amount, reference="a", note="", at=NOW.replace(tzinfo=None)
        )

    assert balance(billing) == Decimal(10)


@pytest.mark.security("S15")
def test_a_balance_never_outgrows_its_column(billing: sa.Engine) -> None:
    """The credit that would is refused, and the balance stands."""
    add_account(billing, balance="9999999999999")

    with pytest.raises(BadInput, match="past what its column can hold"):
        credit(billing)

    assert balance(billing) == Decimal(9999999999999)


@pytest.mark.security("S15")
def test_a_balance_that_is_no_number_is_not_credited(billing: sa.Engine) -> None:
    """The money would vanish in it; a person must mend the row first."""
    add_account(billing)
    run(billing, "ALTER TABLE billing.account DROP CONSTRAINT account_balance")
    run(billing, "UPDATE billing.account SET balance = 'NaN'")

    with pytest.raises(BadInput, match="mend the balance"):
        credit(billing)
    run(billing, "UPDATE billing.account SET balance = 10")

    assert not credit(billing).already_applied
