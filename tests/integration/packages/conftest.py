"""Each package on a database of the test's own, and the role that we ask for."""

from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from replenish.adapters.sql_billing import grants
from replenish.adapters.sql_billing.package import SqlBilling
from replenish.adapters.sql_billing.session import make_engine
from tests.contract.package_sites import PackageSite, package_site, tried
from tests.mariadb import MakeMariaDB
from tests.postgres import MakeDatabase

ROLE = "replenish_least"


@pytest.fixture(params=tried())
def site(
    request: pytest.FixtureRequest,
    make_database: MakeDatabase,
    make_mariadb: MakeMariaDB,
) -> Iterator[PackageSite]:
    """Each package in turn, empty."""
    with package_site(request.param)(make_database, make_mariadb) as found:
        yield found


@pytest.fixture
def least(site: PackageSite) -> Iterator[SqlBilling]:
    """The package, spoken to by a role that has what we ask for and no more."""
    profile = site.profile
    mysql = profile.dialect == "mysql"
    database = str(site.engine.url.database) if mysql else "public"
    operate(
        site,
        f"DROP {'USER' if mysql else 'ROLE'} IF EXISTS {ROLE}",
        f"CREATE USER {ROLE}",
        *grants.statements(profile, database=database, role=ROLE),
    )
    engine = make_engine(
        site.engine.url.set(username=ROLE).render_as_string(hide_password=False),
        statement_timeout_ms=5_000,
        lock_timeout_ms=2_000,
        on_connect=profile.on_connect,
    )
    yield SqlBilling(engine, profile, currency="USD")
    engine.dispose()
    operate(site, *([] if mysql else [f"DROP OWNED BY {ROLE}"]), f"DROP USER {ROLE}")


def is_mariadb(site: PackageSite) -> bool:
    """Whether it lives on MariaDB, and not on MySQL or PostgreSQL."""
    with site.engine.connect() as connection:
        version = connection.execute(sa.text("SELECT version()")).scalar_one()
    return "MariaDB" in str(version)


def operate(site: PackageSite, *statements: str) -> None:
    """Change something as an operator would; the packages' dates of zeros stay."""
    mysql = site.profile.dialect == "mysql"
    lax = ("SET @ours = @@sql_mode", "SET SESSION sql_mode = ''") if mysql else ()
    strict = ("SET SESSION sql_mode = @ours",) if mysql else ()
    with site.engine.begin() as connection:
        for statement in (*lax, *statements, *strict):
            connection.exec_driver_sql(statement)
