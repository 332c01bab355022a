"""Everything works under exactly the grants that we print, and nothing else does."""

import re
from datetime import UTC, datetime
from decimal import Decimal

import pytest
import sqlalchemy as sa

from replenish.adapters.sql_billing.package import SqlBilling
from replenish.domain.account import Service
from replenish.domain.money import Money
from tests.contract.package_sites import PackageSite
from tests.integration.packages.conftest import ROLE, operate
from tests.security.injections import injections

pytestmark = pytest.mark.integration


@pytest.mark.security("S14")
def test_all_that_we_do_is_granted(site: PackageSite, least: SqlBilling) -> None:
    """Reading, following calls, crediting, cutting off, restoring, checking."""
    site.add("1001", "-1")
    cursor = least.calls_since(None).cursor
    site.debit("1001", "1")

    assert list(least.check()) == []
    assert [account.ref for account in least.accounts().accounts] == ["1001"]
    assert list(least.calls_since(cursor).accounts) == ["1001"]
    assert least.suspend("1001", at_most=Decimal(0))
    receipt = least.apply_credit(
        "1001",
        Money(Decimal(25), "USD"),
        reference="att-1",
        note="Automatic top-up",
        at=datetime.now(UTC),
    )
    assert receipt.available_after == Decimal(23)
    assert least.find_credit("1001", reference="att-1") is not None
    assert least.restore("1001")
    assert [row[2] for row in site.report()] == ["att-1"]


@pytest.mark.security("S14")
def test_the_replica_needs_no_more_grants(site: PackageSite, least: SqlBilling) -> None:
    """Comparing reads what following calls reads anyway."""
    site.add("1001", "5")
    site.debit("1001", "1")
    engine = least._engine  # noqa: SLF001 the role's own door
    both = SqlBilling(engine, site.profile, currency="USD", reader=engine)

    assert engine.url.username == ROLE
    assert list(both.check()) == []
    assert both.calls_since(both.calls_since(None).cursor).cursor


@pytest.mark.security("S14")
def test_nothing_else_is(site: PackageSite, least: SqlBilling) -> None:
    """Twenty ways and more to read, change or break what is not ours: all refused."""
    answers = {each: answer(least, each) for each in forbidden(site)}

    assert len(answers) >= 20
    assert [said for said in answers.items() if not REFUSED.search(said[1])] == []


def answer(least: SqlBilling, statement: str) -> str:
    """Give what the server says when our role tries that."""
    engine = least._engine.execution_options(isolation_level="AUTOCOMMIT")  # noqa: SLF001 the role's own door
    with engine.connect() as connection:
        try:
            connection.exec_driver_sql(statement)
        except sa.exc.DBAPIError as error:
            return str(error.orig)
    return "It is done."


REFUSED = re.compile(r"denied|permission|must be owner|only superuser|[Aa]ccess|SUPER")


def forbidden(site: PackageSite) -> list[str]:
    """Give what a role of ours must not do with this package."""
    profile = site.profile
    found: list[str] = []
    mark = "`" if is_mysql(site) else '"'
    for name, columns in profile.needs.items():
        table = f"{mark}{name}{mark}"
        found += [
            f"DELETE FROM {table}",  # noqa: S608 ours
            f"DROP TABLE {table}",
            f"ALTER TABLE {table} ADD COLUMN ours int",
        ]
        for fixed in sorted(set(columns) - set(profile.updates.get(name, ())))[:1]:
            found.append(f"UPDATE {table} SET {fixed} = {fixed}")  # noqa: S608 ours
        if name not in profile.inserts:
            found.append(f"INSERT INTO {table} ({columns[0]}) VALUES (NULL)")  # noqa: S608 ours
    for table, columns in profile.secrets.items():
        found += [f"SELECT {column} FROM {table}" for column in columns]  # noqa: S608 ours
    return found + list(OF_ALL) + list(MYSQL if is_mysql(site) else POSTGRESQL)


def is_mysql(site: PackageSite) -> bool:
    """Whether the package lives on MySQL or MariaDB."""
    return site.profile.dialect == "mysql"


OF_ALL = (
    "CREATE TABLE ours (id int)",
    "CREATE VIEW ours AS SELECT 1",
    "CREATE DATABASE ours",
    "CREATE USER ours",
    f"DROP USER {ROLE}",
)
MYSQL = (
    "SELECT * FROM mysql.user",
    "SELECT * FROM mysql.global_priv",
    "SELECT 1 INTO OUTFILE '/tmp/ours'",
    "SET GLOBAL general_log = 1",
    "CREATE PROCEDURE ours() SELECT 1",
    f"GRANT ALL ON *.* TO {ROLE}",
    "FLUSH PRIVILEGES",
    "RESET MASTER",
)
POSTGRESQL = (
    "SELECT * FROM pg_authid",
    "SELECT pg_read_file('/etc/passwd')",
    "COPY (SELECT 1) TO PROGRAM 'true'",
    "COPY (SELECT 1) TO '/tmp/ours'",
    "ALTER SYSTEM SET fsync = off",
    "CREATE SCHEMA ours",
    "CREATE FUNCTION ours() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    f"ALTER ROLE {ROLE} SUPERUSER",
    "SET ROLE postgres",
)


@pytest.mark.security("S16")
def test_a_name_that_is_sql_is_only_a_name(
    site: PackageSite, least: SqlBilling
) -> None:
    """Two hundred of them, each sent as a value: nobody's account, and nothing else."""
    site.add("1001", "5")
    names = injections()

    assert len(names) >= 200
    assert least.balances([*names, "1001"]).keys() == {"1001"}
    for name in names[::20]:
        assert least.find_credit("1001", reference=name) is None
        assert not least.suspend(name, at_most=Decimal(100))
        assert not least.restore(name)
    assert [account.ref for account in least.accounts().accounts] == ["1001"]
    assert least.balances(["1001"])["1001"].service is Service.ACTIVE


def test_a_missing_grant_is_named_before_anything_is_charged(
    site: PackageSite, least: SqlBilling
) -> None:
    """`replenish check` says which table, and of what."""
    profile = site.profile
    table = profile.inserts[0]
    mysql = profile.dialect == "mysql"
    where = f"`{site.engine.url.database}`.`{table}`" if mysql else table
    rights = f"SELECT ({', '.join(profile.needs[table])}), INSERT"
    if table in profile.updates:
        rights += f", UPDATE ({', '.join(profile.updates[table])})"
    operate(site, f"REVOKE {rights} ON {where} FROM {ROLE}")

    assert any(table in sentence for sentence in least.check())
