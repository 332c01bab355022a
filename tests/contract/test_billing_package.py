"""What every billing package must keep, whoever implements it."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from replenish.domain.account import Kind, Service
from replenish.domain.money import Money
from replenish.domain.trail import Lost, Sound, judge
from replenish.errors import AccountNotFound, BadInput
from replenish.ports import Receipt
from tests.contract.sites import SITES, Site
from tests.mariadb import MakeMariaDB
from tests.postgres import MakeDatabase

NOW = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)


@pytest.fixture(params=SITES)
def site(
    request: pytest.FixtureRequest,
    make_database: MakeDatabase,
    make_mariadb: MakeMariaDB,
) -> Iterator[Site]:
    """Each package in turn, empty."""
    with SITES[request.param](make_database, make_mariadb) as found:
        yield found


def _only(*names: str) -> pytest.MarkDecorator:
    found = [name for name in SITES if name in names]
    return pytest.mark.parametrize("site", found, indirect=True)


low_sites = _only("fake", "bundled")
"""Those that know who is low; the others' call records are followed."""

spoilable_sites = _only("fake", "bundled", "pyfreebilling")
"""Those whose columns can hold what is no number."""

keyed_sites = _only(*[name for name in SITES if name != "astpp"])
"""Those whose call records have a key; ASTPP's have none."""

blocking_sites = _only("fake", "bundled", "magnusbilling", "a2billing")
"""Those with more states than in service and suspended."""


def credit(
    site: Site, ref: str = "1001", amount: str = "25.5", **changes: str
) -> Receipt:
    """Credit in USD with the reference `att-1` unless told otherwise."""
    return site.package.apply_credit(
        ref,
        Money(Decimal(amount), changes.get("currency", "USD")),
        reference=changes.get("reference", "att-1"),
        note="Automatic top-up",
        at=NOW,
    )


def available(site: Site, ref: str = "1001") -> Decimal:
    """Read what an account may spend."""
    return site.package.balances([ref])[ref].available.amount


def service(site: Site, ref: str = "1001") -> Service:
    """Read whether an account may call."""
    return site.package.balances([ref])[ref].service


def low(site: Site) -> list[str]:
    """List who is low."""
    return [account.ref for account in site.package.accounts(low=True).accounts]


# -------------------------------------------------------------------- reading


def test_a_sound_package_has_nothing_to_say(site: Site) -> None:
    """`check` is empty when all is well."""
    assert list(site.package.check()) == []


def test_pages_show_every_account_once(site: Site) -> None:
    """Seven accounts in pages of three are seven accounts, and then it ends."""
    for number in range(1001, 1008):
        site.add(str(number), "5")

    seen: list[str] = []
    after: str | None = None
    for _ in range(3):
        page = site.package.accounts(after=after, limit=3)
        seen += [account.ref for account in page.accounts]
        after = page.after

    assert after is None
    assert sorted(seen) == [str(number) for number in range(1001, 1008)]


def test_a_last_page_that_is_full_is_followed_by_an_empty_one(site: Site) -> None:
    """The end is told by a page that is not full."""
    site.add("1001", "5")
    site.add("1002", "5")

    first = site.package.accounts(limit=2)
    second = site.package.accounts(after=first.after, limit=2)

    assert len(first.accounts) == 2
    assert (list(second.accounts), second.after) == ([], None)


def test_no_accounts_is_one_empty_page(site: Site) -> None:
    """An empty package is no error."""
    page = site.package.accounts()

    assert (list(page.accounts), page.after, dict(page.unreadable)) == ([], None, {})


def test_a_real_time_account_may_spend_its_credit_limit(site: Site) -> None:
    """Available is the balance and the credit limit together."""
    site.add_real_time("2001", "-12.5", credit_limit="50")

    found = site.package.balances(["2001"])["2001"]

    assert (found.kind, found.available) == (
        Kind.REAL_TIME,
        Money(Decimal("37.5"), "USD"),
    )


def test_an_account_says_whether_it_may_call(site: Site) -> None:
    """Active, suspended and everything else are told apart."""
    for number, state in enumerate(site.services, start=1):
        site.add(str(number), "5", service=state)

    refs = [str(number + 1) for number in range(len(site.services))]
    assert [service(site, ref) for ref in refs] == list(site.services)


def test_balances_leave_out_who_does_not_exist(site: Site) -> None:
    """Unknown and senseless refs are no error."""
    site.add("1001", "5")

    found = site.package.balances(["1001", "9999", "", "\x00", "\ud800", "1' OR 1=1"])

    assert list(found) == ["1001"]


def test_balances_of_nobody_are_nothing(site: Site) -> None:
    """An empty request is no error."""
    assert dict(site.package.balances([])) == {}


def test_balances_of_five_thousand_are_one_request(site: Site) -> None:
    """A whole chord's worth of refs is read at once."""
    site.add("1001", "5")

    found = site.package.balances([str(number) for number in range(1000, 6000)])

    assert list(found) == ["1001"]


@spoilable_sites
def test_a_senseless_row_is_named_and_the_others_go_on(site: Site) -> None:
    """One bad row is listed apart, with a reason; the page holds the others."""
    for ref in ("1001", "1002", "1003"):
        site.add(ref, "5")
    site.spoil("1002")

    page = site.package.accounts()

    assert [account.ref for account in page.accounts] == ["1001", "1003"]
    assert list(page.unreadable) == ["1002"]
    assert page.unreadable["1002"]


@spoilable_sites
def test_a_senseless_row_has_no_balance(site: Site) -> None:
    """A balance that is no number is never handed out."""
    site.add("1001", "5")
    site.spoil("1001")

    assert dict(site.package.balances(["1001"])) == {}


# ------------------------------------------------------------------ who is low


@low_sites
def test_an_account_is_low_at_its_threshold(site: Site) -> None:
    """At the threshold counts, a hundred-thousandth above does not."""
    site.add("1001", "5")
    site.add("1002", "5.00001")
    site.package.watch({"1001": Decimal(5), "1002": Decimal(5)})

    assert low(site) == ["1001"]


@low_sites
def test_a_call_makes_low_and_a_credit_ends_it(site: Site) -> None:
    """Lowness follows the balance at once."""
    site.add("1001", "5.5")
    site.package.watch({"1001": Decimal(5)})

    before = low(site)
    site.debit("1001", "1")
    between = low(site)
    credit(site)

    assert (before, between, low(site)) == ([], ["1001"], [])


@low_sites
def test_nobody_is_low_who_is_not_watched(site: Site) -> None:
    """Without a threshold an empty account is not low; None ends a watch."""
    site.add("1001", "0")
    site.add("1002", "0")
    site.package.watch({"1002": Decimal(5)})
    site.package.watch({"1002": None, "9999": Decimal(5), "\x00": Decimal(5)})

    assert low(site) == []


@low_sites
def test_low_accounts_come_in_pages(site: Site) -> None:
    """The low ones are paged like all others."""
    for number in range(1001, 1010):
        site.add(str(number), "9" if number % 2 else "1")
    site.package.watch({str(number): Decimal(5) for number in range(1001, 1010)})

    first = site.package.accounts(low=True, limit=3)
    second = site.package.accounts(low=True, limit=3, after=first.after)

    refs = [account.ref for page in (first, second) for account in page.accounts]
    assert refs == ["1002", "1004", "1006", "1008"]


@low_sites
@pytest.mark.parametrize("mark", ["NaN", "sNaN", "Infinity", "0.000001"])
def test_a_threshold_must_fit_the_balance(site: Site, mark: str) -> None:
    """A threshold is never rounded behind one's back."""
    site.add("1001", "0")

    with pytest.raises(BadInput, match="1001"):
        site.package.watch({"1001": Decimal(mark)})

    assert low(site) == []


# ----------------------------------------------------------------------- calls


def test_a_cursor_starts_at_the_end(site: Site) -> None:
    """Calls before the first look are not listed."""
    site.add("1001", "5")
    site.debit("1001", "1")

    calls = site.package.calls_since(None)

    assert list(calls.accounts) == []
    if not site.settles:
        assert list(site.package.calls_since(calls.cursor).accounts) == []


def test_debited_accounts_are_listed_once_each(site: Site) -> None:
    """Two calls of one account are one account, and are not listed again."""
    site.add("1001", "5")
    site.add("1002", "5")
    start = site.package.calls_since(None)
    for ref in ("1001", "1002", "1001"):
        site.debit(ref, "1")

    calls = site.package.calls_since(start.cursor)

    assert sorted(calls.accounts) == ["1001", "1002"]
    if not site.settles:
        assert list(site.package.calls_since(calls.cursor).accounts) == []


@keyed_sites
def test_many_calls_are_read_in_bounded_steps(site: Site) -> None:
    """What the limit holds back comes with the next look."""
    start = site.package.calls_since(None)
    for ref in ("1001", "1002", "1003"):
        site.add(ref, "5")
        site.debit(ref, "1")

    first = site.package.calls_since(start.cursor, limit=2)
    second = site.package.calls_since(first.cursor, limit=2)

    assert [list(first.accounts), list(second.accounts)] == [["1001", "1002"], ["1003"]]


def test_a_foreign_cursor_is_refused(site: Site) -> None:
    """A cursor that is not the package's own gets a sentence."""
    with pytest.raises(BadInput, match="cursor"):
        site.package.calls_since("yesterday")


# --------------------------------------------------------------------- credits


def test_a_credit_raises_the_balance_and_stands_in_the_report(site: Site) -> None:
    """The package's own report shows the refill with our reference."""
    site.add("1001", "5")

    receipt = credit(site)

    assert receipt == Receipt(
        "att-1", Money(Decimal("25.5"), "USD"), Decimal("30.5"), already_applied=False
    )
    assert available(site) == Decimal("30.5")
    assert site.report() == [("1001", Decimal("25.5"), "att-1")]


@pytest.mark.security("S15")
def test_a_repeated_credit_is_applied_once(site: Site) -> None:
    """The repeat answers as the first did, though a call came in between."""
    site.add("1001", "5")
    first = credit(site)
    site.debit("1001", "2")

    second = credit(site)

    assert second.already_applied
    assert (second.amount, second.available_after) == (
        first.amount,
        first.available_after,
    )
    assert available(site) == Decimal("28.5")
    assert len(site.report()) == 1


@pytest.mark.security("S15")
def test_one_reference_at_once_from_many_sides_is_applied_once(site: Site) -> None:
    """Of sixteen simultaneous credits exactly one is new."""
    site.add("1001", "5")

    with ThreadPoolExecutor(16) as pool:
        receipts = list(pool.map(lambda _: credit(site), range(16)))

    assert sorted(receipt.already_applied for receipt in receipts).count(False) == 1
    assert available(site) == Decimal("30.5")


def test_two_references_are_two_credits(site: Site) -> None:
    """The same amount twice, for two attempts, counts twice."""
    site.add("1001", "5")
    credit(site, reference="att-1")
    credit(site, reference="att-2")

    assert available(site) == Decimal(56)


def test_a_cut_off_account_is_credited_all_the_same(site: Site) -> None:
    """Money that was charged arrives whatever the account's state."""
    site.add("1001", "0", service=Service.SUSPENDED)
    credit(site)

    assert (available(site), service(site)) == (Decimal("25.5"), Service.SUSPENDED)


def test_a_credit_can_be_looked_up_by_its_reference(site: Site) -> None:
    """Found for its own account only."""
    site.add("1001", "5")
    site.add("1002", "5")
    applied = credit(site)

    found = site.package.find_credit("1001", reference="att-1")

    assert found is not None
    assert (found.amount, found.already_applied) == (applied.amount, True)
    assert site.package.find_credit("1002", reference="att-1") is None
    assert site.package.find_credit("1001", reference="att-2") is None


@pytest.mark.parametrize("ref", ["9999", "", "\x00"])
def test_an_account_that_is_gone_is_not_credited(site: Site, ref: str) -> None:
    """The error names the account, and nothing is booked."""
    with pytest.raises(AccountNotFound):
        credit(site, ref)

    assert site.report() == []


@pytest.mark.parametrize(
    ("amount", "currency"),
    [("0.000001", "USD"), ("25", "EUR"), ("0", "USD"), ("-5", "USD")],
    ids=["inexact", "other currency", "nothing", "negative"],
)
@pytest.mark.security("S15")
def test_a_credit_that_does_not_fit_is_refused(
    site: Site, amount: str, currency: str
) -> None:
    """Nothing is rounded, converted or taken away."""
    site.add("1001", "5")

    with pytest.raises(BadInput):
        credit(site, amount=amount, currency=currency)

    assert (available(site), site.report()) == (Decimal(5), [])


@pytest.mark.security("S15")
def test_a_reference_never_stands_for_two_credits(site: Site) -> None:
    """Another amount, currency or account under a used reference is refused."""
    site.add("1001", "5")
    site.add("1002", "5")
    credit(site)

    with pytest.raises(BadInput, match="att-1"):
        credit(site, amount="26")
    with pytest.raises(BadInput):
        credit(site, currency="EUR")
    if site.one_purse_per_reference:
        with pytest.raises(BadInput, match="att-1"):
            credit(site, "1002")

    assert (available(site), available(site, "1002")) == (Decimal("30.5"), Decimal(5))


# ----------------------------------------------------------- suspend and restore


def test_an_account_is_suspended_only_if_it_is_low_enough(site: Site) -> None:
    """The finest amount too much keeps the service."""
    site.add("1001", str(site.step))

    assert not site.package.suspend("1001", at_most=Decimal(0))
    assert service(site) is Service.ACTIVE
    assert site.package.suspend("1001", at_most=site.step)
    assert service(site) is Service.SUSPENDED


def test_a_credit_before_the_cut_saves_the_service(site: Site) -> None:
    """The balance is compared in the very statement that suspends."""
    site.add("1001", "-1")
    credit(site)

    assert not site.package.suspend("1001", at_most=Decimal(0))
    assert service(site) is Service.ACTIVE


def test_suspending_and_restoring_tell_whether_they_changed_it(site: Site) -> None:
    """The second time is no change."""
    site.add("1001", "-1")

    cut = [site.package.suspend("1001", at_most=Decimal(0)) for _ in range(2)]
    back = [site.package.restore("1001") for _ in range(2)]

    assert (cut, back) == ([True, False], [True, False])
    assert service(site) is Service.ACTIVE


@blocking_sites
def test_an_account_that_others_have_ended_is_left_alone(site: Site) -> None:
    """Blocked and closed accounts are neither suspended nor restored."""
    site.add("1001", "-1", service=Service.OTHER)

    assert not site.package.suspend("1001", at_most=Decimal(0))
    assert not site.package.restore("1001")
    assert service(site) is Service.OTHER


@pytest.mark.parametrize("ref", ["9999", "\x00"])
def test_an_unknown_account_has_no_service_to_change(site: Site, ref: str) -> None:
    """It is no error and no change."""
    assert not site.package.suspend(ref, at_most=Decimal(0))
    assert not site.package.restore(ref)


@pytest.mark.parametrize("at_most", ["NaN", "Infinity"])
def test_nobody_is_suspended_at_no_number(site: Site, at_most: str) -> None:
    """A floor that is none must not cut off everybody."""
    site.add("1001", "50")

    with pytest.raises(BadInput, match="1001"):
        site.package.suspend("1001", at_most=Decimal(at_most))

    assert service(site) is Service.ACTIVE


@low_sites
def test_watching_nobody_is_nothing(site: Site) -> None:
    """No thresholds are no error."""
    site.package.watch({})

    assert low(site) == []


# -------------------------------------------------- refunds, corrections, trails


def test_a_refund_is_taken_off_once(site: Site) -> None:
    """The balance falls, below zero if need be, and the refund can be looked up."""
    site.add("1001", "5")
    credit(site)
    site.debit("1001", "20.5")

    first, again = (
        site.package.reverse_credit(
            "1001",
            Money(Decimal("25.5"), "USD"),
            reference="att-1-back",
            note="Refund",
            at=NOW,
        )
        for _ in range(2)
    )

    assert (first.already_applied, again.already_applied) == (False, True)
    assert first.available_after == again.available_after == Decimal("-15.5")
    assert available(site) == Decimal("-15.5")
    found = site.package.find_credit("1001", reference="att-1-back")
    assert found is not None
    assert found.amount == Money(Decimal("-25.5"), "USD")


def test_a_refund_s_reference_is_not_that_of_its_credit(site: Site) -> None:
    """Or it could not be told whether it had been made."""
    site.add("1001", "5")
    credit(site)

    with pytest.raises(BadInput, match="att-1"):
        site.package.reverse_credit(
            "1001",
            Money(Decimal("25.5"), "USD"),
            reference="att-1",
            note="Refund",
            at=NOW,
        )
    assert available(site) == Decimal("30.5")


def test_a_correction_raises_the_balance_once(site: Site) -> None:
    """Repeated, it says so and changes nothing."""
    site.add("1001", "5")

    receipts = [
        site.package.correct_credit(
            "1001",
            Money(Decimal(20), "USD"),
            reference="att-1-again",
            note="Put right",
            at=NOW,
        )
        for _ in range(3)
    ]

    assert [receipt.already_applied for receipt in receipts] == [False, True, True]
    assert available(site) == Decimal(25)


def test_a_credit_that_nobody_touched_is_sound(site: Site) -> None:
    """Whatever was spent, refilled and paid back since is accounted for."""
    site.add("1001", "5")
    credit(site)
    site.debit("1001", "24.5")
    credit(site, amount="10", reference="att-2")
    site.package.reverse_credit(
        "1001", Money(Decimal(1), "USD"), reference="back", note="", at=NOW
    )
    site.debit("1001", "3.5")

    for reference in ("att-1", "att-2"):
        found = site.package.verify_credit("1001", reference=reference)
        assert found is not None
        assert judge(found) == Sound()


def test_a_credit_that_was_overwritten_is_seen_and_put_right(site: Site) -> None:
    """By the balance that is missing; afterwards it is sound again."""
    site.add("1001", "4")
    credit(site, amount="20")
    site.overwrite("1001", "4")
    site.debit("1001", "0.5")

    found = site.package.verify_credit("1001", reference="att-1")

    assert found is not None
    lost = judge(found)
    assert isinstance(lost, Lost)
    assert abs(lost.amount - 20) < Decimal("0.0001")
    site.package.correct_credit(
        "1001", Money(Decimal(20), "USD"), reference="again", note="Put right", at=NOW
    )
    mended = site.package.verify_credit("1001", reference="att-1")
    assert mended is not None
    assert judge(mended) == Sound()
    assert available(site) == Decimal("23.5")


def test_there_is_no_trail_of_a_credit_that_never_was(site: Site) -> None:
    """Nor of another account's, nor of an account that is gone."""
    site.add("1001", "5")
    site.add("1002", "5")
    credit(site)

    for ref, reference in (("1001", "att-2"), ("1002", "att-1"), ("9999", "att-1")):
        assert site.package.verify_credit(ref, reference=reference) is None
    assert site.package.verify_credit("\x00", reference="att-1") is None
