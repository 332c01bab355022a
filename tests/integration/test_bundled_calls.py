"""Calls of the bundled package, on PostgreSQL: what they cost, and only once."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
import sqlalchemy as sa

from replenish.billing.authorise import Authorisation, Refusal, authorise
from replenish.billing.rating import LONGEST_CALL
from replenish.domain.money import Money
from replenish.errors import AccountNotFound, BadInput
from tests.bundled import LONDON, NOW, add_account, add_rate, ask, balance, call, run

pytestmark = pytest.mark.integration


def grant(
    engine: sa.Engine, number: str = "1001", called: str = LONDON
) -> Authorisation:
    """Ask whether a call may start."""
    return authorise(engine, number, called=called, now=NOW)


def calls(engine: sa.Engine) -> int:
    """Count the call records."""
    return len(ask(engine, "SELECT 1 FROM billing.call"))


# ----------------------------------------------------------------------- debits


def test_a_call_is_recorded_and_debited_together(billing: sa.Engine) -> None:
    """A minute at 0.60 takes 0.60, and its record says all about it."""
    add_account(billing)
    add_rate(billing)

    debit = call(billing, seconds=60)

    assert (
        debit.cost,
        debit.available_after,
        debit.billed_seconds,
        debit.repeated,
    ) == (
        Money(Decimal("0.60000"), "USD"),
        Decimal("9.40000"),
        60,
        False,
    )
    assert balance(billing) == Decimal("9.4")
    assert ask(
        billing, "SELECT call_id, called, started, seconds, cost FROM billing.call"
    ) == [("call-1", LONDON[1:], NOW, 60, Decimal("0.60000"))]


def test_a_repeated_report_is_debited_once(billing: sa.Engine) -> None:
    """The repeat gives the first answer, though the balance has moved since."""
    add_account(billing)
    add_rate(billing)
    first = call(billing)
    call(billing, call_id="call-2")

    again = call(billing)

    assert again.repeated
    assert (again.cost, again.available_after) == (first.cost, first.available_after)
    assert balance(billing) == Decimal("8.8")


def test_a_repeat_is_known_though_its_rate_is_gone(billing: sa.Engine) -> None:
    """A deck that has changed since does not matter to a call that is recorded."""
    add_account(billing)
    add_rate(billing)
    first = call(billing)
    run(billing, "DELETE FROM billing.rate")

    assert call(billing).cost == first.cost


def test_one_call_reported_at_once_from_many_sides_is_debited_once(
    billing: sa.Engine,
) -> None:
    """Eight reports of one call are one record and one debit."""
    add_account(billing)
    add_rate(billing)

    with ThreadPoolExecutor(8) as pool:
        debits = list(pool.map(lambda _: call(billing), range(8)))

    assert [debit.repeated for debit in debits].count(False) == 1
    assert (calls(billing), balance(billing)) == (1, Decimal("9.4"))


@pytest.mark.parametrize(
    "changes",
    [
        {"seconds": 61},
        {"called": "+33144550000"},
        {"started": NOW + timedelta(hours=1)},
    ],
    ids=["seconds", "called", "started"],
)
def test_a_call_id_stands_for_one_call(
    billing: sa.Engine, changes: dict[str, object]
) -> None:
    """Other facts under the same id are refused and change nothing."""
    add_account(billing)
    add_rate(billing)
    add_rate(billing, "33")
    call(billing)

    with pytest.raises(BadInput, match="call-1 already stands"):
        call(billing, **changes)  # type: ignore[arg-type]  # one of its arguments

    assert balance(billing) == Decimal("9.4")


def test_a_call_id_of_another_account_is_refused(billing: sa.Engine) -> None:
    """Nobody pays for another's call."""
    add_account(billing)
    add_account(billing, "1002")
    add_rate(billing)
    call(billing)

    with pytest.raises(BadInput, match="account 1001"):
        call(billing, "1002")

    assert balance(billing, "1002") == Decimal(10)


def test_a_call_nobody_answered_costs_nothing(billing: sa.Engine) -> None:
    """No seconds, no fee; the record stands all the same."""
    add_account(billing)
    add_rate(billing, connection_fee="0.05")

    debit = call(billing, seconds=0)

    assert (debit.cost.amount, debit.available_after) == (Decimal(0), Decimal(10))
    assert calls(billing) == 1
    assert balance(billing) == Decimal(10)


def test_minutes_used_are_billed_though_service_has_ended(billing: sa.Engine) -> None:
    """A suspension does not end a running call, and it goes below zero."""
    add_account(billing, balance="0.1", state="suspended")
    add_rate(billing)

    assert call(billing).available_after == Decimal("-0.5")


def test_a_real_time_account_pays_out_of_its_credit_limit(billing: sa.Engine) -> None:
    """The balance is below zero, what is available is not."""
    add_account(billing, balance="0", kind="real_time", credit_limit="5")
    add_rate(billing)

    assert call(billing).available_after == Decimal("4.4")
    assert balance(billing) == Decimal("-0.6")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"seconds": -1}, "lasted -1 seconds"),
        ({"seconds": LONGEST_CALL + 1}, "lasted"),
        ({"started": NOW.replace(tzinfo=None)}, "time zone"),
        ({"call_id": ""}, "no call id"),
        ({"call_id": "\x00"}, "no call id"),
        ({"called": "anonymous"}, "no number to call"),
        ({"called": "+8112345678"}, "No rate is known for 8112345678"),
    ],
)
def test_a_call_that_makes_no_sense_is_refused(
    billing: sa.Engine, changes: dict[str, object], sentence: str
) -> None:
    """Each gets a sentence, and nothing is recorded."""
    add_account(billing)
    add_rate(billing)

    with pytest.raises(BadInput, match=sentence):
        call(billing, **changes)  # type: ignore[arg-type]  # one of its arguments

    assert (calls(billing), balance(billing)) == (0, Decimal(10))


@pytest.mark.parametrize("number", ["9999", "\x00"])
def test_a_call_of_nobody_is_refused(billing: sa.Engine, number: str) -> None:
    """There must be somebody to bill it to."""
    add_rate(billing)

    with pytest.raises(AccountNotFound):
        call(billing, number)


def test_a_balance_that_is_no_number_is_not_debited(billing: sa.Engine) -> None:
    """The call is refused, to be reported again once a person has mended it."""
    add_account(billing)
    add_rate(billing)
    run(billing, "ALTER TABLE billing.account DROP CONSTRAINT account_balance")
    run(billing, "UPDATE billing.account SET balance = 'NaN'")

    with pytest.raises(BadInput, match="not a number"):
        call(billing)

    assert calls(billing) == 0
    assert grant(billing).refused is Refusal.NO_FUNDS


def test_a_call_is_two_round_trips_and_a_permission_is_one(billing: sa.Engine) -> None:
    """Nothing else is sent, not even a BEGIN: the price of each is fixed."""
    add_account(billing)
    add_rate(billing)
    sent: list[str] = []

    @sa.event.listens_for(billing, "before_cursor_execute")
    def _(*arguments: object) -> None:
        sent.append(str(arguments[2]))

    call(billing)
    for_a_call = len(sent)
    grant(billing)

    assert (for_a_call, len(sent)) == (2, 3)


# ------------------------------------------------------------------------ rates


def test_the_longest_prefix_wins(billing: sa.Engine) -> None:
    """London has its own price, the rest of the country another."""
    add_account(billing)
    add_rate(billing, "4", per_minute="9")
    add_rate(billing, "44", per_minute="0.02")
    add_rate(billing, "4420", per_minute="0.01")
    add_rate(billing, "442071", per_minute="8")

    assert call(billing).cost.amount == Decimal("0.01")
    elsewhere = call(billing, called="441214960000", call_id="call-2")
    assert elsewhere.cost.amount == Decimal("0.02")


def test_a_call_is_billed_by_the_rate_of_its_start(billing: sa.Engine) -> None:
    """A new price counts from its first moment on, the old one until then."""
    change = datetime(2026, 3, 1, tzinfo=UTC)
    add_account(billing)
    add_rate(billing, per_minute="1")
    add_rate(billing, per_minute="2", effective_from=change)

    before = call(billing, started=change - timedelta(seconds=1))
    after = call(billing, started=change, call_id="call-2")

    assert [before.cost.amount, after.cost.amount] == [Decimal(1), Decimal(2)]


def test_a_rate_that_has_ended_is_not_used(billing: sa.Engine) -> None:
    """Its end is not part of it; the shorter prefix takes over."""
    end = datetime(2026, 3, 1, tzinfo=UTC)
    add_account(billing)
    add_rate(billing, "44", per_minute="1")
    add_rate(billing, "4420", per_minute="2", effective_to=end)

    before = call(billing, started=end - timedelta(seconds=1))
    after = call(billing, started=end, call_id="call-2")

    assert [before.cost.amount, after.cost.amount] == [Decimal(2), Decimal(1)]


def test_an_account_is_billed_by_its_own_deck_and_currency(billing: sa.Engine) -> None:
    """A price in dollars never debits euros."""
    add_account(billing, currency="EUR", deck="wholesale")
    add_rate(billing, per_minute="1", deck="wholesale")
    add_rate(billing, per_minute="2", currency="EUR")
    add_rate(billing, per_minute="3", currency="EUR", deck="wholesale")

    assert call(billing).cost == Money(Decimal("3.00000"), "EUR")


# ---------------------------------------------------------------- authorisation


def test_a_call_is_granted_as_long_as_the_balance_lasts(billing: sa.Engine) -> None:
    """Ten dollars at 0.60 a minute are a thousand seconds, which then fit exactly."""
    add_account(billing)
    add_rate(billing)

    assert grant(billing) == Authorisation(1000)
    assert call(billing, seconds=1000).available_after == 0
    assert grant(billing) == Authorisation(0, Refusal.NO_FUNDS)


def test_a_credit_limit_is_granted_too(billing: sa.Engine) -> None:
    """A real-time account may call down to minus its limit."""
    add_account(billing, balance="0", kind="real_time", credit_limit="6")
    add_rate(billing)

    assert grant(billing) == Authorisation(600)


@pytest.mark.parametrize("state", ["suspended", "blocked", "closed"])
def test_who_has_no_service_may_not_call(billing: sa.Engine, state: str) -> None:
    """The refusal says which state it is."""
    add_account(billing, state=state)
    add_rate(billing)

    assert grant(billing) == Authorisation(0, Refusal(state))


def test_an_unknown_account_may_not_call(billing: sa.Engine) -> None:
    """Nor may a number that could be none."""
    add_rate(billing)

    assert grant(billing) == Authorisation(0, Refusal.UNKNOWN_ACCOUNT)
    assert grant(billing, "\x00") == Authorisation(0, Refusal.UNKNOWN_ACCOUNT)


def test_a_number_without_a_rate_may_not_be_called(billing: sa.Engine) -> None:
    """What has no price is not sold."""
    add_account(billing)

    assert grant(billing) == Authorisation(0, Refusal.NO_RATE)
