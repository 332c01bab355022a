"""Accounts that are nobody's to charge, that vanish, or that bear any name."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from replenish.adapters.ledger.session import make_engine
from replenish.adapters.sql_billing.package import SqlBilling
from replenish.domain.account import Service
from replenish.domain.enrolment import Consent, NewAccount, Overrides
from replenish.domain.money import Money
from replenish.errors import AccountNotFound
from replenish.pipeline.replenish import replenish
from replenish.pipeline.services import Services
from replenish.pipeline.sweep import Kind, Sweep
from replenish.ports import BillingPackage, Receipt
from tests.contract.package_sites import PackageSite, tried
from tests.integration.packages.conftest import operate
from tests.postgres import MakeDatabase
from tests.world import World, prepare

pytestmark = pytest.mark.integration

A_MINUTE_AGO = "NOW() - INTERVAL 1 MINUTE"
TOMORROW = "NOW() + INTERVAL 1 DAY"
A_MONTH_AGO = "NOW() - INTERVAL 31 DAY"

# Whom the package refuses calls for a reason that no payment takes away.
REFUSED: Mapping[str, Sequence[str]] = {
    "a2billing": (
        *[f"status = {state}" for state in (0, 2, 3, 4, 5, 7, 8)],
        f"enableexpire = 1, expirationdate = {A_MINUTE_AGO}",
        f"enableexpire = 2, expiredays = 30, firstusedate = {A_MONTH_AGO}",
        f"enableexpire = 3, expiredays = 30, creationdate = {A_MONTH_AGO}",
    ),
    "magnusbilling": (
        *[f"active = {state}" for state in ("0", "2", "3", "NULL")],
        f"enableexpire = 1, expirationdate = {A_MINUTE_AGO}",
        "id_group = 2",
    ),
    "astpp": (
        "expiry = UTC_TIMESTAMP() - INTERVAL 1 MINUTE",
        "deleted = 1",
        "type = 1",
    ),
    "pyfreebilling": ("customer_enabled = false",),
}

# What does not keep anybody from calling, though it looks as if it might.
LET: Mapping[str, Sequence[str]] = {
    "a2billing": (
        "enableexpire = 0, expirationdate = '2001-01-01'",
        f"enableexpire = 1, expirationdate = {TOMORROW}",
        "enableexpire = 3, expiredays = 0",
    ),
    "magnusbilling": (
        "enableexpire = 0, expirationdate = '2001-01-01'",
        f"enableexpire = 1, expirationdate = {TOMORROW}",
    ),
    "astpp": (
        "expiry = '0000-00-00'",
        f"expiry = {TOMORROW}",
    ),
    "pyfreebilling": ("supplier_enabled = false",),
}


@pytest.fixture
def world(make_database: MakeDatabase) -> Iterator[World]:
    """A ledger of its own, beside the package's database."""
    engine = make_engine(
        make_database(prepare), statement_timeout_ms=9_000, lock_timeout_ms=3_000
    )
    yield World(engine)
    engine.dispose()


def enrol(world: World, *refs: str) -> None:
    """Enrol accounts that the package has, each with a good card."""
    for ref in refs:
        account = NewAccount(
            ref=ref,
            currency="USD",
            overrides=Overrides(),
            consent=Consent(datetime(2026, 1, 1, tzinfo=UTC), "v1", "form"),
            card=world.card(ref),
        )
        world.register.enrol(account, actor="test")


def claimed(services: Services) -> list[str]:
    """Sweep everybody; give the claimed accounts."""
    return [a.account for page in Sweep(Kind.FULL, services) for a in page.attempts]


def change(site: PackageSite, columns: str, ref: str) -> None:
    """Change one account as an operator would."""
    table = site.profile.accounts.table.split()[0]
    operate(site, f"UPDATE {table} SET {columns} WHERE id = {ref}")  # noqa: S608 ours


def remove(site: PackageSite, ref: str) -> None:
    """Delete an account as an operator would."""
    table = site.profile.accounts.table.split()[0]
    operate(site, f"DELETE FROM {table} WHERE id = {ref}")  # noqa: S608 ours


# ---------------------------------------------------------------- who is not ours


def test_nobody_is_charged_whom_the_package_refuses_for_another_reason(
    world: World, site: PackageSite
) -> None:
    """Cancelled, in litigation, expired, blocked, deleted: each state of each."""
    name = site.profile.name
    refused = REFUSED[name]
    refs = [str(1001 + number) for number in range(len(refused))]
    for ref, columns in zip(refs, refused, strict=True):
        site.add(ref, "-1")
        change(site, columns, ref)
    enrol(world, *refs)
    services = replace(world.services, billing=site.package)

    assert claimed(services) == []
    assert world.gateway.calls == []
    seen = site.package.balances(refs).values()
    assert Service.ACTIVE not in {account.service for account in seen}


def test_everybody_else_is(world: World, site: PackageSite) -> None:
    """A date that is not in force, or that has not come, refuses nobody."""
    let = LET[site.profile.name]
    refs = [str(1001 + number) for number in range(len(let))]
    for ref, columns in zip(refs, let, strict=True):
        site.add(ref, "-1")
        change(site, columns, ref)
    enrol(world, *refs)

    assert claimed(replace(world.services, billing=site.package)) == refs


def test_who_expires_between_claim_and_charge_is_not_charged(
    world: World, site: PackageSite
) -> None:
    """The second look sees it, and the claim is given back."""
    site.add("1001", "5")
    enrol(world, "1001")
    services = replace(world.services, billing=site.package)
    assert claimed(services) == ["1001"]
    change(site, REFUSED[site.profile.name][-1], "1001")

    assert replenish("1001", services).outcome == "released"
    assert world.gateway.captures == {}


# -------------------------------------------------------------------- who vanishes


def test_an_account_that_vanishes_after_the_claim_is_not_charged(
    world: World, site: PackageSite
) -> None:
    """Nothing is left open."""
    site.add("1001", "5")
    enrol(world, "1001")
    services = replace(world.services, billing=site.package)
    assert claimed(services) == ["1001"]
    remove(site, "1001")

    assert replenish("1001", services).outcome == "released"
    assert world.gateway.captures == {}


def test_an_account_that_vanishes_after_the_charge_waits_for_a_person(
    world: World, site: PackageSite
) -> None:
    """The money is in the books, and somebody is told; nothing stands half written."""
    site.add("1001", "5")
    enrol(world, "1001")
    services = replace(world.services, billing=Vanishing(site))
    claimed(services)

    result = replenish("1001", services)

    assert (result.outcome, sum(world.gateway.captures.values())) == ("waiting", 1)
    assert world.ask("SELECT state FROM replenish.attempt") == [("charged",)]
    ((event, account, text),) = world.notices
    assert (event, account) == ("credit.refused", "1001")
    assert "nothing was credited" in text
    assert site.report() == []


class Vanishing(SqlBilling):
    """The package, whose operator deletes the account before each credit."""

    def __init__(self, site: PackageSite) -> None:
        super().__init__(site.engine, site.profile, currency="USD")
        self.site = site

    def apply_credit(
        self, ref: str, amount: Money, *, reference: str, note: str, at: datetime
    ) -> Receipt:
        """Delete it, then credit."""
        remove(self.site, ref)
        return super().apply_credit(ref, amount, reference=reference, note=note, at=at)


def test_an_account_that_vanishes_is_neither_cut_off_nor_restored(
    site: PackageSite,
) -> None:
    """It says that nothing was changed, or that there is no such account."""
    site.add("1001", "-1")
    remove(site, "1001")

    assert dict(site.package.balances(["1001"])) == {}
    assert not site.package.suspend("1001", at_most=Decimal(0))
    assert not site.package.restore("1001")
    with pytest.raises(AccountNotFound):
        credit(site.package)


# ----------------------------------------------------------------- names and money


NAMES = {
    "a2billing": ("username", "email", "firstname"),
    "magnusbilling": ("username", "email"),
    "astpp": ("number", "email"),
    "pyfreebilling": ("name", "email_alert"),
}


def credit(package: BillingPackage, amount: str = "25", currency: str = "USD") -> None:
    """Credit the one account."""
    package.apply_credit(
        "1001",
        Money(Decimal(amount), currency),
        reference="att-1",
        note="Automatic top-up, pi_1",
        at=datetime.now(UTC),
    )


@pytest.mark.parametrize(
    ("charset", "name"),
    [
        ("utf8mb4", "Zoë 😀 محمد 雨"),
        ("utf8mb3", "Zoë محمد 雨"),
        ("latin1", "José Ñandú"),
        ("cp1251", "Мария"),
    ],
)
def test_a_name_in_any_charset_is_read_and_keeps_no_credit_back(
    site: PackageSite, charset: str, name: str
) -> None:
    """Old installations are latin1, half converted ones are mixed."""
    profile = site.profile
    table = profile.accounts.table.split()[0]
    columns = NAMES[profile.name]
    if profile.dialect == "mysql":
        operate(
            site,
            "SET SESSION foreign_key_checks = 0",
            f"ALTER TABLE {table} CONVERT TO CHARACTER SET {charset}",
            "SET SESSION foreign_key_checks = 1",
        )
    site.add("1001", "5")
    changes = ", ".join(f"{column} = '{name}'" for column in columns)
    operate(site, f"UPDATE {table} SET {changes}")  # noqa: S608 ours

    found = site.package.balances(["1001"])["1001"]
    credit(site.package)

    assert (found.name, found.email) == (name, name)
    assert [row[1:] for row in site.report()] == [(Decimal(25), "att-1")]


@pytest.mark.parametrize("charset", ["latin1", "utf8mb4", "cp1251"])
@pytest.mark.parametrize(
    "site", [each for each in tried() if each != "pyfreebilling"], indirect=True
)
def test_our_rows_are_written_and_found_in_a_log_of_any_charset(
    site: PackageSite, charset: str
) -> None:
    """Our note and our reference are plain letters."""
    site.add("1001", "5")
    for table in site.profile.inserts:
        operate(site, f"ALTER TABLE {table} CONVERT TO CHARACTER SET {charset}")

    credit(site.package)
    credit(site.package)

    assert [row[1:] for row in site.report()] == [(Decimal(25), "att-1")]
    assert site.package.find_credit("1001", reference="att-1") is not None


def test_a_currency_without_decimals_is_credited_in_whole_units(
    site: PackageSite,
) -> None:
    """2,500 yen are 2500 in every column, and the report says so."""
    base = {
        "a2billing": "UPDATE cc_config SET config_value = 'jpy'"
        " WHERE config_key = 'base_currency'",
        "magnusbilling": "UPDATE pkg_configuration SET config_value = 'JPY'"
        " WHERE config_key = 'base_currency'",
        "astpp": "UPDATE `system` SET value = 'JPY' WHERE name = 'base_currency'",
    }.get(site.profile.name)
    operate(site, *([base] if base else []))
    package = SqlBilling(site.engine, site.profile, currency="JPY")
    site.add("1001", "500")

    credit(package, "2500", "JPY")

    assert list(package.check()) == []
    found = package.balances(["1001"])["1001"].available
    assert found == Money(Decimal(3000), "JPY")
    assert site.report() == [("1001", Decimal(2500), "att-1")]
    if "a2billing" in site.name:
        with site.engine.connect() as connection:
            row = connection.exec_driver_sql(
                "SELECT orders_amount, currency FROM cc_payments"
            ).one()
        assert tuple(row) == (Decimal(2500), "JPY")
