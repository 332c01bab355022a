"""The whole protocol on each package: found by its calls, charged, cut off."""

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial

import pytest
import sqlalchemy as sa

from replenish.adapters.ledger.session import make_engine
from replenish.adapters.sql_billing.package import SqlBilling
from replenish.domain.account import Service
from replenish.domain.enrolment import Consent, NewAccount, Overrides
from replenish.domain.money import Money
from replenish.domain.outcome import Outcome
from replenish.errors import BillingUnavailable, ConfigurationError
from replenish.pipeline.credits import put_right_before
from replenish.pipeline.cutoff import cutoff
from replenish.pipeline.replenish import replenish
from replenish.pipeline.services import Services
from replenish.pipeline.sweep import Kind, Sweep
from replenish.ports import Order
from replenish.verify import Report, run, sources
from tests import checker
from tests.contract.package_sites import PackageSite
from tests.fake_gateway import FakeGateway
from tests.postgres import MakeDatabase
from tests.world import DEFAULTS, World, prepare

pytestmark = pytest.mark.integration


@pytest.fixture
def world(make_database: MakeDatabase) -> Iterator[World]:
    """A ledger of its own, beside the package's database."""
    engine = make_engine(
        make_database(prepare), statement_timeout_ms=9_000, lock_timeout_ms=3_000
    )
    yield World(engine)
    engine.dispose()


def enrol(world: World, ref: str, *, card: bool = True) -> None:
    """Enrol an account that the package has."""
    agreed = Consent(datetime(2026, 1, 1, tzinfo=UTC), "v1", "form")
    account = NewAccount(
        ref=ref,
        currency="USD",
        overrides=Overrides(),
        consent=agreed,
        card=world.card(ref) if card else None,
    )
    world.register.enrol(account, actor="test")


def swept(services: Services, kind: Kind = Kind.HOT) -> list[str]:
    """Sweep; give the claimed accounts."""
    return [a.account for claims in Sweep(kind, services) for a in claims.attempts]


def test_a_call_below_the_threshold_is_found_charged_and_credited(
    world: World, site: PackageSite
) -> None:
    """By the package's own call records, and its own report shows it."""
    services = replace(world.services, billing=site.package)
    site.add("1001", "12")
    site.add("1002", "12")
    for ref in ("1001", "1002"):
        enrol(world, ref)
    assert swept(services) == []
    site.debit("1001", "3")

    assert swept(services) == ["1001"]
    assert replenish("1001", services).outcome == "settled"

    assert site.package.balances(["1001"])["1001"].available.amount == Decimal(34)
    ((attempt,),) = world.ask("SELECT id::text FROM replenish.attempt")
    assert site.report() == [("1001", Decimal(25), str(attempt))]


def test_who_never_called_is_found_by_the_full_sweep(
    world: World, site: PackageSite
) -> None:
    """Subscriptions and fees debit without a call."""
    services = replace(world.services, billing=site.package)
    for number in range(1001, 1008):
        site.add(str(number), "5" if number % 2 else "50")
        enrol(world, str(number))

    assert swept(services, Kind.FULL) == ["1001", "1003", "1005", "1007"]


def test_the_exhausted_lose_service_and_get_it_back_when_funded(
    world: World, site: PackageSite
) -> None:
    """In the package's own state, and only what we suspended is restored."""
    services = replace(world.services, billing=site.package)
    site.add("1001", "0")
    site.add("1002", "0", service=Service.SUSPENDED)
    for ref in ("1001", "1002"):
        enrol(world, ref, card=False)
    swept(services, Kind.FULL)

    assert cutoff(None, services).cut == ["1001"]
    assert _service(site, "1001") is Service.SUSPENDED
    for ref in ("1001", "1002"):
        site.package.apply_credit(
            ref,
            Money(Decimal(20), "USD"),
            reference=f"cash-{ref}",
            note="At the counter",
            at=datetime.now(UTC),
        )
    assert cutoff(None, services).restored == ["1001"]
    assert _service(site, "1001") is Service.ACTIVE
    assert _service(site, "1002") is Service.SUSPENDED


def _service(site: PackageSite, ref: str) -> Service:
    return site.package.balances([ref])[ref].service


def test_9_a_whole_row_saved_over_a_credit_is_noticed_and_put_right(
    world: World, site: PackageSite
) -> None:
    """The package loads a low account, sends a mail, and saves what it had loaded.

    Meanwhile a call ended, the card was charged and the balance credited. Put right
    is what its own records leave, once, by a row that says why.
    """
    services = replace(world.services, billing=site.package)
    site.add("1001", "5")
    enrol(world, "1001")
    replenish("1001", services)
    assert _available(site) == Decimal(30)
    site.overwrite("1001", "5")
    site.debit("1001", "0.5")

    put_right_before("1001", services)
    put_right_before("1001", services)

    assert _available(site) == Decimal("29.5")
    ((missing, by),) = world.ask(
        "SELECT missing, put_right_how FROM replenish.credit_break"
    )
    assert (missing, by) == (Decimal(25), "corrected")
    ((attempt,),) = world.ask("SELECT id::text FROM replenish.attempt")
    found = site.package.find_credit("1001", reference=f"{attempt}-again")
    assert found is not None
    assert found.amount.amount == Decimal(25)


def _available(site: PackageSite) -> Decimal:
    return site.package.balances(["1001"])["1001"].available.amount


def test_a_replica_serves_what_may_be_old_and_never_what_decides(
    site: PackageSite,
) -> None:
    """Pages and call records from there, balances and credits from the original.

    Whether the replica has the newest call is asked of the original.
    """
    nowhere = sa.create_engine(site.engine.url.set(database="nowhere_at_all"))
    profile = site.profile
    site.add("1001", "5")
    original = SqlBilling(site.engine, profile, currency="USD", reader=nowhere)
    replica = SqlBilling(nowhere, profile, currency="USD", reader=site.engine)

    page = replica.accounts()

    assert [account.ref for account in page.accounts] == ["1001"]
    assert page.stale
    assert original.balances(["1001"])["1001"].available.amount == Decimal(5)
    for wrong in (
        original.accounts,
        lambda: original.calls_since(None),
        lambda: replica.calls_since(None),
    ):
        with pytest.raises((ConfigurationError, BillingUnavailable)):
            wrong()
    nowhere.dispose()


def test_the_books_of_the_package_are_checked_against_ours(
    world: World, site: PackageSite
) -> None:
    """`replenish verify` reads its credits, and misses one that somebody removes."""
    services = replace(world.services, billing=site.package)
    site.add("1001", "5")
    enrol(world, "1001")
    swept(services, Kind.FULL)
    replenish("1001", services)
    services.books.close_batch(str(services.books.unclosed(older_than=-1)[0]), by="us")
    profile = site.profile
    read = partial(sources.read_package, profile=profile, currency="USD")

    def checked() -> Report:
        return run(
            world.engine,
            site.engine,
            read=read,
            gateway_ledger=None,
            defaults=DEFAULTS,
            quiet=True,
        )

    checker.holds(checked())
    judged = {each.invariant: each.checked for each in checked().findings}
    assert (judged["I1d"], judged["I1e"], judged["I9"]) == (1, 1, None)
    for table in profile.inserts:
        with site.engine.begin() as connection:
            connection.exec_driver_sql(f"DELETE FROM {table}")  # noqa: S608 ours
    broken = {each.invariant for each in checked().findings if each.violations}
    assert broken == {"I1e"}


class Talkative(FakeGateway):
    """A gateway at which every charge takes so long that a call ends meanwhile."""

    site: PackageSite

    def confirm(self, order: Order, intent: str, *, number: int) -> Outcome:
        """Let the call end, then charge."""
        self.site.debit(order.account, "1")
        return super().confirm(order, intent, number=number)


def test_15_no_account_is_locked_while_the_gateway_is_asked(
    world: World, site: PackageSite
) -> None:
    """A call that ends during the charge is billed at once."""
    gateway = Talkative()
    gateway.site = site
    services = replace(world.services, billing=site.package, gateway=gateway)
    site.add("1001", "5")
    enrol(world, "1001")
    swept(services, Kind.FULL)
    began = time.monotonic()

    assert replenish("1001", services).outcome == "settled"

    assert time.monotonic() - began < 2
    assert site.package.balances(["1001"])["1001"].available.amount == Decimal(29)


def test_16_one_charge_closes_a_gap_that_many_calls_at_once_have_made(
    world: World, site: PackageSite
) -> None:
    """As far as the cap per charge lets it; never a burst of small ones."""
    services = replace(world.services, billing=site.package)
    site.add("1001", "-60")
    site.add("1002", "-300")
    for ref in ("1001", "1002"):
        enrol(world, ref)
    swept(services, Kind.FULL)

    for ref in ("1001", "1002"):
        assert replenish(ref, services).outcome == "settled"

    seen = site.package.balances(["1001", "1002"])
    assert DEFAULTS.threshold < seen["1001"].available.amount <= Decimal(40)
    assert seen["1002"].available.amount == Decimal(-300) + DEFAULTS.cap_charge
    assert sum(world.gateway.captures.values()) == 2
