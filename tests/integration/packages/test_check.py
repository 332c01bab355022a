"""`replenish check`: what would go wrong later is told before anything is charged."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from replenish.adapters.sql_billing import server
from replenish.adapters.sql_billing.package import SqlBilling
from replenish.adapters.sql_billing.server import Server
from replenish.adapters.sql_billing.session import make_engine
from replenish.domain.money import Money
from replenish.errors import BillingUnavailable
from tests.contract.package_sites import PackageSite, tried
from tests.integration.packages.conftest import ROLE, is_mariadb, operate

pytestmark = pytest.mark.integration


def on(*names: str) -> pytest.MarkDecorator:
    """Run on these packages only."""
    found = [name for name in tried() if name in names]
    return pytest.mark.parametrize("site", found, indirect=True)


MYSQL = ("a2billing", "a2billing on innodb", "magnusbilling", "astpp")


# ------------------------------------------------------------------ what it is


def test_what_the_package_is_is_told_and_is_no_fault(site: PackageSite) -> None:
    """Its version, the server's, the engine, the clock."""
    first = site.package.remarks()[0]
    mysql = site.profile.dialect == "mysql"
    versions = {
        "a2billing": "2.3.0",
        "magnusbilling": "7.8.3.2",
        "astpp": "6.0",
        "pyfreebilling": "(it keeps no version)",
    }
    name = site.profile.name
    engine = "MyISAM" if site.name == "a2billing" else "InnoDB"

    assert list(site.package.check()) == []
    assert first.startswith(f"{name} {versions[name]} on ")
    server = "MariaDB" if is_mariadb(site) else "MySQL"
    assert (server if mysql else "PostgreSQL") in first
    assert (f"tables {engine}," if mysql else "schema public,") in first


@on(*MYSQL)
def test_an_unknown_version_is_remarked_on_and_not_refused(site: PackageSite) -> None:
    """What is in order today is not made wrong by a number."""
    name = site.profile.name
    table, column, where = {
        "a2billing": ("cc_version", "version", "1 = 1"),
        "magnusbilling": ("pkg_configuration", "config_value", "config_key ="),
        "astpp": ("`system`", "value", "name ="),
    }[name]
    where = where if where == "1 = 1" else f"{where} 'version'"
    operate(site, f"UPDATE {table} SET {column} = '99.1' WHERE {where}")  # noqa: S608

    assert list(site.package.check()) == []
    assert f"{name} says it is 99.1" in " ".join(site.package.remarks())


@on("magnusbilling", "pyfreebilling")
def test_the_currency_that_is_assumed_is_told(site: PackageSite) -> None:
    """Where the package has a symbol only, or none."""
    (_, *rest) = [text for text in site.package.remarks() if "may read" not in text]

    (sentence,) = rest
    assert "taken for USD, as BILLING_CURRENCY says" in sentence


@on("a2billing")
def test_agents_with_a_commission_are_told(site: PackageSite) -> None:
    """We do not book it."""
    operate(
        site, "INSERT INTO cc_agent (login, commission, com_balance) VALUES ('a', 5, 0)"
    )

    assert "1 agents have a commission" in " ".join(site.package.remarks())


@on("astpp")
def test_a_server_s_zone_that_is_not_utc_is_told(site: PackageSite) -> None:
    """ASTPP writes UTC into it, and would read another zone's times shifted."""
    with _global(site, "time_zone", "'+02:00'"):
        told = " ".join(site.package.remarks())
        wrong = list(site.package.check())

    assert "the server's zone, which is +02:00" in told
    assert wrong == []
    assert "the server's zone" not in " ".join(site.package.remarks())


# ---------------------------------------------------------------------- engines


@on("astpp")
def test_a_table_without_transactions_is_told_where_there_should_be_none(
    site: PackageSite,
) -> None:
    """Half a credit could stay behind there."""
    table = site.profile.inserts[0]
    operate(site, f"ALTER TABLE {table} ENGINE=MyISAM")

    (sentence,) = site.package.check()

    assert f"The table {table} is MyISAM, which has no transactions" in sentence
    assert "tables InnoDB and MyISAM," in site.package.remarks()[0]


@on("a2billing")
def test_a_half_converted_a2billing_is_credited_as_one_without_transactions(
    site: PackageSite,
) -> None:
    """Any engine but InnoDB among the tables we write."""
    operate(site, "ALTER TABLE cc_card ENGINE=InnoDB")

    assert list(site.package.check()) == []
    assert "tables InnoDB and MyISAM," in site.package.remarks()[0]


# ----------------------------------------------------------------------- rights


def test_the_printed_grants_leave_nothing_to_say(
    site: PackageSite, least: SqlBilling
) -> None:
    """Neither too little nor too much; the owner may read passwords, and is told."""
    assert list(least.check()) == []
    assert "may read" not in " ".join(least.remarks())
    if site.profile.secrets:
        assert "which it never needs" in " ".join(site.package.remarks())


def test_each_right_that_lacks_is_told_before_the_first_credit(
    site: PackageSite, least: SqlBilling
) -> None:
    """To add each row, and to change each column."""
    profile = site.profile
    wanted = [(f"INSERT into {table}", "INSERT", table) for table in profile.inserts]
    wanted += [
        (f"UPDATE {column} of {table}", f"UPDATE ({column})", table)
        for table, columns in profile.updates.items()
        for column in columns
    ]
    for sentence, right, table in wanted:
        where = _where(site, table)
        operate(site, f"REVOKE {right} ON {where} FROM {ROLE}")
        told = list(least.check())
        operate(site, f"GRANT {right} ON {where} TO {ROLE}")

        assert len(told) == 1, told
        assert f"Our role may not {sentence}; `replenish check --grants" in told[0]
    assert list(least.check()) == []


@on("pyfreebilling")
def test_a_sequence_that_lacks_is_told(site: PackageSite, least: SqlBilling) -> None:
    """Without it no row has a number."""
    operate(site, f"REVOKE USAGE ON company_balance_history_id_seq FROM {ROLE}")

    (sentence,) = least.check()

    assert "may not use the sequence company_balance_history_id_seq" in sentence


def test_rights_that_come_by_a_role_or_by_everything_count(
    site: PackageSite, least: SqlBilling
) -> None:
    """No false alarm."""
    mysql = site.profile.dialect == "mysql"
    whose = "FOR" if is_mariadb(site) else "TO"
    everything = (
        (
            "CREATE ROLE IF NOT EXISTS billing_all",
            f"GRANT ALL PRIVILEGES ON `{site.engine.url.database}`.* TO billing_all",
            f"REVOKE ALL PRIVILEGES, GRANT OPTION FROM {ROLE}",
            f"GRANT billing_all TO {ROLE}",
            f"SET DEFAULT ROLE billing_all {whose} {ROLE}",
        )
        if mysql
        else (
            "CREATE ROLE billing_all",
            "GRANT ALL ON ALL TABLES IN SCHEMA public TO billing_all",
            "GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO billing_all",
            f"REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {ROLE}",
            f"GRANT billing_all TO {ROLE}",
        )
    )
    operate(site, *everything)
    least._engine.dispose()  # noqa: SLF001 roles are taken on connecting
    try:
        assert list(least.check()) == []
    finally:
        least._engine.dispose()  # noqa: SLF001
        if not mysql:
            operate(site, "DROP OWNED BY billing_all")
        operate(site, "DROP ROLE billing_all")


def _where(site: PackageSite, table: str) -> str:
    mysql = site.profile.dialect == "mysql"
    return f"`{site.engine.url.database}`.`{table}`" if mysql else table


# ----------------------------------------------------------------- the server


@contextmanager
def _global(site: PackageSite, name: str, value: str) -> Iterator[None]:
    """Set the server otherwise for a moment; connections are made anew."""
    with site.engine.begin() as connection:
        before = connection.exec_driver_sql(f"SELECT @@GLOBAL.{name}").scalar()
        connection.exec_driver_sql(f"SET GLOBAL {name} = {value}")
    site.engine.dispose()
    try:
        yield
    finally:
        with site.engine.begin() as connection:
            connection.exec_driver_sql(f"SET GLOBAL {name} = {before!r}")
        site.engine.dispose()


def test_a_server_that_takes_no_writes_is_told(
    site: PackageSite, least: SqlBilling
) -> None:
    """And a credit there is put off, not lost."""
    site.add("1001", "5")
    if site.profile.dialect == "mysql":
        with _global(site, "read_only", "1"):
            _refused(least)
    else:
        name = site.engine.url.database
        operate(site, f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        _refused(least)


def _refused(least: SqlBilling) -> None:
    assert "The server is read-only" in " ".join(least.check())
    with pytest.raises(BillingUnavailable, match="read-only, as a replica is"):
        least.suspend("1001", at_most=Decimal(9))


SOUND = {
    "read_only": "OFF",
    "log_bin": "ON",
    "binlog_format": "ROW",
    "sql_mode": "ONLY_FULL_GROUP_BY,STRICT_ALL_TABLES",
    "transaction_isolation": "READ-COMMITTED",
    "lock_wait_timeout": "2",
    "version": "8.0.43",
    "version_comment": "MySQL Community Server - GPL",
    "time_zone": "SYSTEM",
    "system_time_zone": "CEST",
}


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"read_only": "ON"}, "read-only"),
        ({"binlog_format": "STATEMENT"}, "set it to MIXED or ROW"),
        ({"transaction_isolation": "REPEATABLE-READ"}, "does not keep our isolation:"),
        ({"sql_mode": "ONLY_FULL_GROUP_BY"}, "does not keep our sql_mode:"),
        ({"lock_wait_timeout": "31536000"}, "keep our lock wait timeouts:"),
    ],
)
def test_each_setting_that_we_cannot_work_under_is_told(
    values: dict[str, str], sentence: str
) -> None:
    """As MySQL 8 names them; a server of that is not on every machine."""
    assert list(server.faults(Server(SOUND, {}))) == []
    (told,) = server.faults(Server({**SOUND, **values}, {}))
    assert sentence in told


def test_mysql_8_is_told_from_mariadb() -> None:
    """And a clock with daylight saving is named."""
    told = server.told(
        Server(SOUND, {"accounts": "InnoDB"}, shifts=True), ("accounts",)
    )

    assert told == (
        "MySQL 8.0.43, tables InnoDB, time zone SYSTEM (CEST) with daylight saving"
    )


@on("pyfreebilling")
def test_a_pooler_that_drops_our_time_limits_is_told(site: PackageSite) -> None:
    """PgBouncer may be told to ignore what we ask for on connecting."""
    with site.engine.connect() as connection:
        connection.exec_driver_sql("SET lock_timeout = 0")
        (sentence,) = server.faults(server.read(connection))

    assert "does not keep our time limits" in sentence


@on(*MYSQL)
@pytest.mark.parametrize(
    "mode",
    ["''", "'TRADITIONAL'", "'ANSI,ONLY_FULL_GROUP_BY,NO_BACKSLASH_ESCAPES'"],
)
def test_no_sql_mode_of_the_server_s_stops_us(site: PackageSite, mode: str) -> None:
    """None at all, or the strictest, on rows with the zero dates that it forbids."""
    site.add("1001", "-1")
    with _global(site, "sql_mode", mode):
        url = site.engine.url.render_as_string(hide_password=False)
        engine = make_engine(url, statement_timeout_ms=900, lock_timeout_ms=900)
        package = SqlBilling(engine, site.profile, currency="USD")
        wrong = list(package.check())
        changed = package.suspend("1001", at_most=Decimal(0))
        package.apply_credit(
            "1001",
            Money(Decimal(25), "USD"),
            reference="att-1",
            note="O'Hara's \\ top-up",
            at=datetime.now(UTC),
        )
        changed = changed and package.restore("1001")
        found = package.balances(["1001"])["1001"].available.amount
        trail = package.verify_credit("1001", reference="att-1")
        engine.dispose()

    assert wrong == []
    assert (changed, found) == (True, Decimal(24))
    assert trail is not None


BASE = {
    "a2billing": ("cc_config", "config_key", "config_value"),
    "astpp": ("`system`", "name", "value"),
}


@on("a2billing", "astpp")
@pytest.mark.parametrize(
    "change",
    [
        "UPDATE {table} SET {value} = ''",
        "UPDATE {table} SET {value} = NULL",
        "DELETE FROM {table}",
    ],
)
def test_a_base_currency_that_is_missing_is_told(
    site: PackageSite, change: str
) -> None:
    """Without it nobody knows what the balances are in."""
    table, name, value = BASE[site.profile.name]
    where = f" WHERE {name} = 'base_currency'"
    operate(site, change.format(table=table, value=value) + where)

    (sentence,) = site.package.check()

    assert "no base currency" in sentence
