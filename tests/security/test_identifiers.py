"""S16: names of tables and columns are constants, and settings cannot change them."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from replenish.adapters.billing.bundled import BundledBilling
from replenish.adapters.sql_billing.profile import Profile
from replenish.bootstrap import PROFILES, profile_of
from replenish.errors import ConfigurationError
from replenish.settings import Settings
from tests import bundled
from tests.postgres import MakeDatabase
from tests.security.injections import injections

pytestmark = pytest.mark.security("S16")

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")
FREE = ("BILLING_PACKAGE", "BILLING_CURRENCY", "RULE_TIME_ZONE", "STRIPE_API_VERSION")


def names(profile: Profile) -> Iterator[str]:
    """Give every name of a table, column or sequence that a profile is made of."""
    yield from profile.sequences
    yield from profile.inserts
    for tables in (profile.needs, profile.updates, profile.secrets):
        for table, columns in tables.items():
            yield from (table, *columns)


@pytest.mark.parametrize("package", PROFILES)
def test_every_name_is_one(package: str) -> None:
    """Letters, digits and underscores; nothing that would need quoting."""
    found = set(names(PROFILES[package]))

    assert len(found) > 10
    assert [name for name in found if not NAME.fullmatch(name)] == []


@pytest.mark.parametrize("variable", FREE)
def test_no_setting_carries_sql(variable: str) -> None:
    """Two hundred attempts at each; none is taken."""
    for text in injections():
        with pytest.raises(ConfigurationError):
            Settings.from_env({variable: text}, dotenv=Path("/nonexistent"))


def test_a_package_is_chosen_from_a_list() -> None:
    """A well-formed name that nobody knows is refused as well."""
    settings = Settings.from_env(
        {"BILLING_PACKAGE": "pg_shadow", "BILLING_DATABASE_URL": "mysql://b/x"},
        dotenv=Path("/nonexistent"),
    )
    with pytest.raises(ConfigurationError, match="pg_shadow"):
        profile_of(settings)


@pytest.mark.integration
def test_an_account_named_in_sql_is_nobody_s(make_database: MakeDatabase) -> None:
    """At the bundled package; the others are tried with their own grants."""
    with bundled.engine_of(make_database(bundled.prepare)) as engine:
        bundled.add_account(engine, "1001", "5")
        billing = BundledBilling(engine)

        assert billing.balances([*injections(), "1001"]).keys() == {"1001"}
        with engine.connect() as connection:
            count = sa.text("SELECT count(*) FROM billing.account")
            assert connection.execute(count).scalar_one() == 1
