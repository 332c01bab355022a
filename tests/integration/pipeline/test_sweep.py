"""The sweep: who is found, who is claimed, and what is written of the others."""

from dataclasses import replace
from decimal import Decimal
from itertools import chain
from typing import Any

import pytest

from replenish.domain.account import Account
from replenish.domain.enrolment import Overrides
from replenish.domain.money import Money
from replenish.errors import BillingUnavailable, LedgerUnavailable
from replenish.pipeline import sweep as steps
from replenish.pipeline.services import Services
from replenish.pipeline.sweep import Kind, Sweep
from replenish.ports import Calls, Claims, Page
from tests.fakes import FakeBilling
from tests.world import World

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("kind", Kind)
def test_every_low_account_is_claimed_a_page_at_a_time(
    world: World, kind: Kind
) -> None:
    """Pages are bounded; each is a batch of its own that adds up."""
    low = [world.enrol(str(1001 + n)) for n in range(7)]
    world.enrol("2001", balance="50")

    pages = [
        [attempt.account for attempt in claims.attempts]
        for claims in Sweep(kind, world.services)
    ]

    assert sorted(chain.from_iterable(pages)) == low
    assert all(len(page) <= world.services.page for page in pages)
    assert world.ask("SELECT sum(selected), sum(claimed) FROM replenish.batch") == [
        (7, 7)
    ]


@pytest.mark.parametrize("kind", Kind)
def test_a_second_sweep_finds_nobody_new(world: World, kind: Kind) -> None:
    """An open attempt keeps its account out, and writes no row about it."""
    world.enrol()

    assert world.sweep(kind) == ["1001"]
    assert world.sweep(kind) == []
    assert world.ask("SELECT count(*) FROM replenish.batch") == [(1,)]
    assert world.ask("SELECT count(*) FROM replenish.skip") == [(0,)]


@pytest.mark.parametrize("kind", Kind)
def test_while_one_sweeps_another_does_nothing(world: World, kind: Kind) -> None:
    """A second beat only asks in vain; a dead sweep's turn ends by itself."""
    world.enrol()
    assert world.services.books.begin(f"sweep.{kind}", seconds=60.0)

    assert world.sweep(kind) == []
    world.later()
    assert world.sweep(kind) == ["1001"]


def test_who_cannot_be_charged_is_written_down_with_the_reason(world: World) -> None:
    """A cut-off, a wait and a leave; the batch says that there is one to cut off."""
    world.enrol("1001", balance="0", card=False)
    world.enrol("1002", consent=False)
    world.enrol("1003")
    world.run("UPDATE replenish.card SET retry_at = now() + interval '1 hour'")

    (claims,) = Sweep(Kind.HOT, world.services)

    assert claims.exhausted
    assert not claims.attempts
    assert world.ask(
        "SELECT account_id, decision, reason FROM replenish.skip ORDER BY 1"
    ) == [
        ("1001", "cut_off", "no_card"),
        ("1002", "leave", "no_consent"),
        ("1003", "wait", "waiting_retry"),
    ]
    assert world.ask("SELECT selected, claimed, skipped FROM replenish.batch") == [
        (3, 0, {"no_card": 1, "no_consent": 1, "waiting_retry": 1})
    ]


def test_a_reason_is_told_once_and_counted_after(world: World) -> None:
    """The journal does not grow while nothing changes."""
    world.enrol(card=False)
    for _ in range(3):
        world.sweep()
        world.later()

    assert world.ask("SELECT times FROM replenish.skip") == [(3,)]
    told = "SELECT count(*) FROM replenish.event WHERE kind = 'skipped'"
    assert world.ask(told) == [(1,)]


def test_an_account_left_alone_is_not_looked_at_every_second(world: World) -> None:
    """It is due again after its wait, or after a minute."""
    world.enrol(card=False)
    world.sweep()

    world.sweep()

    assert world.ask("SELECT times FROM replenish.skip") == [(1,)]


def test_accounts_that_are_not_enrolled_are_nobody_s_business(world: World) -> None:
    """The package's other accounts are read and left without a row."""
    world.enrol("1001")
    world.run("UPDATE billing.account SET balance = 1")
    world.run(
        "INSERT INTO billing.account (number, kind, currency, balance,"
        " opening_balance, name) VALUES ('9999', 'prepaid', 'USD', 0, 0, '')"
    )

    assert world.sweep(Kind.FULL) == ["1001"]
    assert world.ask("SELECT count(*) FROM replenish.skip") == [(0,)]


def test_an_account_s_own_threshold_counts(world: World) -> None:
    """Low is what the account's rule says, in the full sweep too."""
    world.enrol("1001", overrides=Overrides(threshold=Decimal(3)))
    world.enrol("1002", balance="12", overrides=Overrides(threshold=Decimal(15)))

    assert world.sweep(Kind.FULL) == ["1002"]


def test_an_account_the_package_wrongly_calls_low_is_left_alone(world: World) -> None:
    """Its mark is older than the account's own threshold: no row, no claim."""
    world.enrol(overrides=Overrides(threshold=Decimal(3)))

    assert world.sweep(Kind.HOT) == []
    assert world.ask("SELECT count(*) FROM replenish.batch") == [(0,)]


def test_a_recovered_account_begins_a_new_episode(world: World) -> None:
    """The full sweep sees who is funded again and forgets why they were left."""
    world.enrol(card=False)
    world.sweep()
    world.set_balance("80")
    world.later()

    world.sweep(Kind.FULL)

    assert world.ask("SELECT count(*) FROM replenish.skip") == [(0,)]
    assert world.ask("SELECT low_since FROM replenish.account") == [(None,)]


def test_a_row_that_makes_no_sense_is_recorded_and_stops_nobody(world: World) -> None:
    """The others of its page are claimed; this one waits with a reason."""
    world.enrol("1001")
    world.enrol("1002")
    world.run("ALTER TABLE billing.account DROP CONSTRAINT account_balance")
    world.run("UPDATE billing.account SET balance = 'NaN' WHERE number = '1001'")

    assert world.sweep(Kind.FULL) == ["1002"]
    assert world.ask("SELECT account_id, reason FROM replenish.skip") == [
        ("1001", "unreadable")
    ]


def test_a_sweep_that_dies_in_the_middle_loses_nothing(world: World) -> None:
    """Its claims stand; the next sweep, after the turn, does the rest."""
    for number in range(1001, 1007):
        world.enrol(str(number))
    begun = iter(Sweep(Kind.HOT, world.services))
    first = next(begun)
    begun.close()

    world.later()
    rest = world.sweep()

    claimed = {attempt.account for attempt in first.attempts} | set(rest)
    assert claimed == {str(number) for number in range(1001, 1007)}
    assert len(rest) == 3


class Old:
    """A package whose pages come from a replica, with the balances of before."""

    def __init__(self, world: World, balance: str) -> None:
        """Stand before the world's own package."""
        self._billing = world.services.billing
        self._balance = Money(Decimal(balance), "USD")
        self.knows_low = self._billing.knows_low

    def accounts(
        self, *, after: str | None = None, limit: int = 500, low: bool = False
    ) -> Page:
        """Give the page of before."""
        page = self._billing.accounts(after=after, limit=limit, low=low)
        old = [replace(account, available=self._balance) for account in page.accounts]
        return replace(page, accounts=old, stale=True)


def test_an_old_page_makes_nobody_funded(world: World) -> None:
    """Who is known low stays so until the balance itself says otherwise."""
    world.enrol(card=False)
    world.sweep()
    since = "SELECT low_since IS NOT NULL FROM replenish.account"
    world.later()

    assert list(Sweep(Kind.FULL, _with(world, Old(world, "80")))) == []

    assert world.ask(since) == [(True,)]
    world.set_balance("80")
    world.later()
    world.sweep(Kind.FULL)
    assert world.ask(since) == [(False,)]


def test_who_is_low_on_an_old_page_is_still_found(world: World) -> None:
    """It was low a moment ago; before any charge the balance itself is read."""
    world.enrol()

    (claims,) = Sweep(Kind.FULL, _with(world, Old(world, "5")))

    assert [attempt.account for attempt in claims.attempts] == ["1001"]


class ByCalls:
    """A package that does not know who is low: the hot sweep reads its calls."""

    knows_low = False

    def __init__(self, world: World) -> None:
        """Stand before the world's own package."""
        self._billing = world.services.billing
        self.calls = [Calls((), "10")]
        self.cursors: list[str | None] = []

    def calls_since(self, cursor: str | None, *, limit: int = 5000) -> Calls:
        """Give the next scripted look at the call records."""
        assert limit
        self.cursors.append(cursor)
        return self.calls.pop(0)

    def balances(self, refs: list[str]) -> dict[str, Account]:
        """Read the real ones."""
        return dict(self._billing.balances(refs))

    def accounts(
        self, *, after: str | None = None, limit: int = 500, low: bool = False
    ) -> Page:
        """Only a full sweep may ask, and never for the low ones."""
        assert not low
        return self._billing.accounts(after=after, limit=limit)


def test_the_call_records_lead_to_the_accounts_they_debited(world: World) -> None:
    """Only those balances are read, and the cursor is kept for the next look."""
    for number in range(1001, 1006):
        world.enrol(str(number))
    package = ByCalls(world)
    services = _with(world, package)
    called = [str(number) for number in range(1001, 1005)]
    package.calls = [Calls((), "10"), Calls(called, "14"), Calls((), "14")]

    claimed = [
        [a.account for claims in Sweep(Kind.HOT, services) for a in claims.attempts]
        for _ in range(3)
    ]

    assert claimed == [[], called, []]
    assert package.cursors == [None, "10", "14"]


def test_the_net_under_it_finds_who_never_called(world: World) -> None:
    """A full sweep goes over all accounts and leaves the call cursor alone."""
    world.enrol()
    package = ByCalls(world)
    services = _with(world, package)
    package.calls = [Calls((), "10"), Calls((), "11")]
    list(Sweep(Kind.HOT, services))

    (claims,) = Sweep(Kind.FULL, services)

    assert [attempt.account for attempt in claims.attempts] == ["1001"]
    list(Sweep(Kind.HOT, services))
    assert package.cursors == [None, "10"]


def test_a_cursor_is_kept_only_when_its_calls_were_dealt_with(world: World) -> None:
    """A sweep that dies in the middle reads the same calls again."""
    for number in range(1001, 1005):
        world.enrol(str(number))
    package = ByCalls(world)
    services = _with(world, package)
    called = [str(number) for number in range(1001, 1005)]
    package.calls = [Calls(called, "14"), Calls(called, "14")]
    begun = iter(Sweep(Kind.HOT, services))
    next(begun)
    begun.close()
    world.later()

    list(Sweep(Kind.HOT, services))

    assert package.cursors == [None, None]
    claims = "SELECT count(*), count(DISTINCT account_id) FROM replenish.attempt"
    assert world.ask(claims) == [(4, 4)]


def _with(world: World, package: ByCalls | Old) -> Services:
    return replace(world.services, billing=package)  # type: ignore[arg-type]


def test_a_long_full_sweep_goes_on_where_it_ended(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A turn ends in time for its task, and the next takes the rest."""
    monkeypatch.setattr(steps, "SLICE", 0.0)
    for number in range(1001, 1006):
        world.enrol(str(number))
    services = replace(world.services, page=2)

    turns, claimed = 0, []
    unfinished = True
    while unfinished:
        turn = Sweep(Kind.FULL, services)
        claimed += [a.account for claims in turn for a in claims.attempts]
        turns, unfinished = turns + 1, turn.unfinished
        ((detail,),) = world.ask("SELECT detail FROM replenish.job")
        assert str(detail).endswith("more to come") == unfinished

    assert (turns, claimed) == (3, ["1001", "1002", "1003", "1004", "1005"])
    world.run("UPDATE billing.account SET balance = 0 WHERE number = '1001'")
    again = Sweep(Kind.FULL, services)
    list(again)
    assert again.unfinished  # it began anew


def test_a_page_that_could_not_be_claimed_is_read_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cursor only passes what stands in the rows."""
    for number in range(1001, 1005):
        world.enrol(str(number))
    services = replace(world.services, page=2)
    claim = type(services.ledger).claim
    answers = iter([True, False])  # and then it is there again

    def away_once(self: object, *args: Any, **given: Any) -> Claims:  # noqa: ANN401
        if not next(answers, True):
            raise LedgerUnavailable("The ledger is away.", subject="DATABASE_URL")
        return claim(self, *args, **given)  # type: ignore[arg-type]

    monkeypatch.setattr(type(services.ledger), "claim", away_once)
    with pytest.raises(LedgerUnavailable):
        list(Sweep(Kind.FULL, services))

    rest = [a.account for c in Sweep(Kind.FULL, services) for a in c.attempts]

    assert rest == ["1003", "1004"]


def test_a_sweep_that_cannot_read_says_why_and_gives_its_turn_back(
    world: World,
) -> None:
    """The next one starts at once when the package is there again."""
    world.enrol()
    package = FakeBilling(away=True)
    away = replace(world.services, billing=package)

    with pytest.raises(BillingUnavailable):
        list(Sweep(Kind.FULL, away))

    ((detail, busy),) = world.ask("SELECT detail, busy_until FROM replenish.job")
    assert (detail, busy) == (
        "stopped after 0 accounts: The billing package is away.",
        None,
    )
    assert world.sweep(Kind.FULL) == ["1001"]
