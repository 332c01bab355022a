"""The package's database away, locked, slow or strange: a sentence, and we wait."""

import socket
import threading
import time
from datetime import UTC, datetime
from decimal import Decimal

import pytest
import sqlalchemy as sa
from pymysql import _auth

from replenish.adapters.sql_billing import session
from replenish.adapters.sql_billing.package import SqlBilling
from replenish.adapters.sql_billing.session import (
    make_engine,
    statements,
    transaction,
)
from replenish.domain.money import Money
from replenish.errors import BillingUnavailable, ConfigurationError
from tests.contract.package_sites import PackageSite, profile_of, tried

pytestmark = pytest.mark.integration


def impatient(site: PackageSite, *, statement_ms: int = 1_000) -> sa.Engine:
    """Give an engine that waits a second at most, or longer for a statement."""
    return make_engine(
        site.engine.url.render_as_string(hide_password=False),
        statement_timeout_ms=statement_ms,
        lock_timeout_ms=500,
    )


def test_a_package_that_is_away_is_told_without_its_password() -> None:
    """Nothing listens there."""
    for dialect in ("mysql+pymysql", "postgresql+psycopg2"):
        engine = make_engine(
            f"{dialect}://me:secret@127.0.0.1:1/billing",
            statement_timeout_ms=500,
            lock_timeout_ms=500,
        )
        package = SqlBilling(engine, profile_of("astpp"), currency="USD")

        with pytest.raises(BillingUnavailable, match="check BILLING_DATA") as told:
            package.check()

        assert "did not do it in time" in str(told.value)
        assert "secret" not in str(told.value)


def test_a_slow_statement_is_ended(site: PackageSite) -> None:
    """By the server itself, where it can; by the driver otherwise."""
    engine = impatient(site)
    columns = "information_schema.columns"
    long = f"SELECT COUNT(*) FROM {columns} a, {columns} b, {columns} c"  # noqa: S608
    began = time.monotonic()

    with pytest.raises(BillingUnavailable), transaction(engine) as connection:
        connection.execute(sa.text(long))

    assert time.monotonic() - began < 8
    with transaction(engine) as connection:
        assert connection.execute(sa.text("SELECT 1")).scalar_one() == 1
    engine.dispose()


@pytest.mark.parametrize(
    "site", [name for name in tried() if name != "a2billing"], indirect=True
)
def test_an_account_locked_by_somebody_else_is_not_waited_for(
    site: PackageSite,
) -> None:
    """The attempt waits in its row; MyISAM has no such locks."""
    site.add("1001", "5")
    engine = impatient(site, statement_ms=5_000)
    package = SqlBilling(engine, site.profile, currency="USD")
    table = site.profile.accounts.table.split()[0]
    with site.engine.begin() as held:
        held.exec_driver_sql(f"SELECT id FROM {table} WHERE id = 1001 FOR UPDATE")  # noqa: S608
        with pytest.raises(BillingUnavailable, match="locked by somebody else"):
            package.apply_credit(
                "1001",
                Money(Decimal(25), "USD"),
                reference="att-1",
                note="",
                at=datetime.now(UTC),
            )
    engine.dispose()


def test_another_database_is_named_by_the_check(site: PackageSite) -> None:
    """BILLING_PACKAGE and the address do not fit each other."""
    others = {"mysql": "magnusbilling", "postgresql": "pyfreebilling"}
    other = profile_of(others[site.profile.dialect])
    if other.name == site.profile.name:
        table = site.profile.inserts[0]
        with site.engine.begin() as connection:
            connection.exec_driver_sql(f"ALTER TABLE {table} RENAME TO elsewhere")
    package = SqlBilling(site.engine, other, currency="USD")

    sentences = list(package.check())

    assert sentences
    assert all("is missing or not granted to us" in text for text in sentences)


def test_a_column_that_is_missing_is_named(site: PackageSite) -> None:
    """An older or a changed package is noticed before anything is charged."""
    profile = site.profile
    table = profile.inserts[0]
    column = profile.needs[table][-1]
    with site.engine.begin() as connection:
        connection.exec_driver_sql(f"ALTER TABLE {table} DROP COLUMN {column}")

    (sentence,) = site.package.check()

    assert f"The table {table} lacks {column}" in sentence


def test_a_missing_table_in_the_middle_is_a_setting_s_fault(site: PackageSite) -> None:
    """Not a passing trouble, which would be repeated for ever."""
    with (
        pytest.raises(ConfigurationError, match="BILLING_PACKAGE"),
        transaction(site.engine) as connection,
    ):
        connection.execute(sa.text("SELECT * FROM nowhere"))


def test_a_bug_of_ours_is_not_taken_for_trouble(site: PackageSite) -> None:
    """It is raised as it is."""
    with (
        pytest.raises(sa.exc.ProgrammingError),
        transaction(site.engine) as connection,
    ):
        connection.execute(sa.text("SELEKT"))


def test_a_missing_driver_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra is not installed by default."""
    monkeypatch.setattr(session, "find_spec", lambda _: None)

    with pytest.raises(ConfigurationError, match=r"pip install 'replenish\[mysql\]'"):
        make_engine(
            "mysql+pymysql://x@127.0.0.1/x",
            statement_timeout_ms=500,
            lock_timeout_ms=500,
        )


def test_mysql_8_s_login_without_tls_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its default hides the password by RSA, which the driver has as an extra."""
    monkeypatch.setattr(_auth, "_have_cryptography", False)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=_mysql_8, args=(listening,), daemon=True).start()
        engine = make_engine(
            f"mysql+pymysql://me:secret@127.0.0.1:{listening.getsockname()[1]}/x",
            statement_timeout_ms=900,
            lock_timeout_ms=900,
        )
        (sentence,) = SqlBilling(engine, profile_of("astpp"), currency="USD").check()

    assert "pip install 'PyMySQL[rsa]', or use TLS" in sentence


def _mysql_8(listening: socket.socket) -> None:
    """Greet as MySQL 8 does, and ask for the whole password over a plain line."""
    greeting = (
        b"\x0a8.0.43\x00\x01\x00\x00\x00" + b"saltsalt\x00"
        # can do, charset, status, can do (upper half), length of the salt
        b"\x0d\xa2\x21\x02\x00\x08\x00\x15"
        + bytes(10)
        + b"saltsaltsalt\x00caching_sha2_password\x00"
    )
    line, _ = listening.accept()
    with line:
        _send(line, 0, greeting)
        line.recv(4096)
        _send(line, 2, b"\x01\x04")  # the hash is not cached: send the password
        line.recv(4096)  # "give me your key"
        _send(line, 4, b"\x01-----BEGIN PUBLIC KEY-----")


def _send(line: socket.socket, number: int, packet: bytes) -> None:
    line.sendall(len(packet).to_bytes(3, "little") + bytes([number]) + packet)


def test_a_line_that_breaks_as_its_connection_goes_back_is_told_and_replaced(
    site: PackageSite,
) -> None:
    """The answer is in hand, but the pool cannot take the connection: try again.

    However often that happens, the pool has connections left.
    """
    engine = impatient(site)
    mysql = engine.dialect.name == "mysql"
    own = sa.text(f"SELECT {'CONNECTION_ID()' if mysql else 'pg_backend_pid()'}")
    end = "KILL" if mysql else "SELECT pg_terminate_backend"

    def breaks() -> None:
        with statements(engine) as connection:
            number = connection.execute(own).scalar_one()
            with site.engine.connect() as other:
                other.exec_driver_sql(f"{end} ({number})")

    for _ in range(4):
        with statements(engine) as connection:
            connection.execute(own)  # from its second use on, going back asks
        with pytest.raises(BillingUnavailable):
            breaks()
