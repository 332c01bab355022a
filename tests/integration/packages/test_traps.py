"""Each trap of the packages that somebody has fallen into before us, by its name."""

import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
import sqlalchemy as sa

from replenish.adapters.sql_billing.package import SqlBilling
from replenish.adapters.sql_billing.session import make_engine
from replenish.domain.account import Kind, Service
from replenish.domain.money import Money
from replenish.domain.trail import Sound, judge
from replenish.embedded import mariadb
from replenish.errors import BadInput, BillingUnavailable
from replenish.ports import Receipt
from tests.contract.package_sites import PackageSite, package_site, tried
from tests.mariadb import MakeMariaDB
from tests.postgres import MakeDatabase

pytestmark = pytest.mark.integration


def on(*names: str) -> pytest.MarkDecorator:
    """Run on these packages only."""
    found = [name for name in tried() if name in names]
    return pytest.mark.parametrize("site", found, indirect=True)


@pytest.fixture
def site(
    request: pytest.FixtureRequest,
    make_database: MakeDatabase,
    make_mariadb: MakeMariaDB,
) -> Iterator[PackageSite]:
    """The package that the trap is of."""
    with package_site(request.param)(make_database, make_mariadb) as found:
        yield found


A2BILLING = ("a2billing", "a2billing on innodb")


def credit(site: PackageSite, ref: str = "1001", amount: str = "25") -> Receipt:
    """Credit under a reference of the account's own."""
    return site.package.apply_credit(
        ref,
        Money(Decimal(amount), "USD"),
        reference=f"att-{ref}",
        note="Automatic top-up, pi_3MtwBwLkdIwHu7ix28a3tqPa",
        at=datetime.now(UTC),
    )


def run(site: PackageSite, statement: str) -> None:
    """Change something as an operator would."""
    with site.engine.begin() as connection:
        connection.exec_driver_sql(statement)


def ask(site: PackageSite, query: str) -> list[tuple[object, ...]]:
    """Read rows."""
    with site.engine.connect() as connection:
        return [tuple(row) for row in connection.exec_driver_sql(query)]


def available(site: PackageSite, ref: str = "1001") -> Decimal:
    """Read what may be spent."""
    return site.package.balances([ref])[ref].available.amount


@on(*A2BILLING, "astpp")
def test_1_the_balance_is_in_the_base_currency_not_in_the_row_s(
    site: PackageSite,
) -> None:
    """The display currency changes nothing; another base is refused by the check."""
    site.add("1001", "5")
    row = {
        "astpp": "UPDATE accounts SET currency_id = 2",
        "a2billing": "UPDATE cc_card SET currency = 'EUR'",
    }
    base = {
        "astpp": "UPDATE `system` SET value = 'EUR' WHERE name = 'base_currency'",
        "a2billing": "UPDATE cc_config SET config_value = 'eur'"
        " WHERE config_key = 'base_currency'",
    }
    name = site.profile.name
    run(site, row[name])

    assert site.package.balances(["1001"])["1001"].available == Money(Decimal(5), "USD")
    assert list(site.package.check()) == []
    run(site, base[name])
    (sentence,) = site.package.check()
    assert "keeps its balances in EUR" in sentence


@on("magnusbilling")
def test_1_magnusbilling_s_currency_is_a_symbol(site: PackageSite) -> None:
    """A symbol says nothing; an ISO code that is not ours is told."""
    base = "UPDATE pkg_configuration SET config_value = '{}'"
    for symbol in ("$", "R$", "U$S", "0", "USD"):
        run(site, base.format(symbol))
        assert list(site.package.check()) == [], symbol
    run(site, base.format("BRL"))
    assert "shows its amounts in BRL" in next(iter(site.package.check()))


@on(*A2BILLING)
def test_2_the_credit_is_net_of_vat_and_the_payment_gross(site: PackageSite) -> None:
    """25 paid at 20 % are 20.83333 to talk with; the invoice shows both."""
    site.add("1001", "5")
    run(site, "UPDATE cc_card SET vat = 20")

    receipt = credit(site)

    assert (receipt.amount.amount, receipt.available_after) == (
        Decimal(25),
        Decimal("25.83333"),
    )
    assert ask(site, "SELECT credit FROM cc_logrefill") == [(Decimal("20.83333"),)]
    assert ask(site, "SELECT payment FROM cc_logpayment") == [(Decimal(25),)]
    assert ask(site, "SELECT price, VAT FROM cc_invoice_item") == [
        (Decimal("20.83333"), Decimal(20))
    ]
    assert credit(site).already_applied
    assert available(site) == Decimal("25.83333")


@on("astpp")
def test_3_astpp_s_postpaid_balance_is_what_is_owed(site: PackageSite) -> None:
    """Owed 30 of a limit of 100; a refill of 20 leaves 10 owed, 90 available."""
    site.add_real_time("1001", "-30", credit_limit="100")
    assert site.package.balances(["1001"])["1001"].kind is Kind.REAL_TIME
    assert available(site) == Decimal(70)

    credit(site, amount="20")

    assert available(site) == Decimal(90)
    assert ask(site, "SELECT balance FROM accounts") == [(Decimal(10),)]
    assert ask(site, "SELECT COUNT(*) FROM invoices") == [(0,)]
    assert ask(site, "SELECT invoiceid, before_balance FROM invoice_details") == [
        (0, "70.00000")
    ]


@on("astpp")
def test_3_astpp_s_status_is_inverted(site: PackageSite) -> None:
    """0 is active, 1 is not; deleted accounts are nobody's."""
    site.add("1001", "-1")
    site.package.suspend("1001", at_most=Decimal(0))

    assert ask(site, "SELECT status FROM accounts") == [(1,)]
    run(site, "UPDATE accounts SET deleted = 1")
    assert not site.package.restore("1001")
    assert dict(site.package.balances(["1001"])) == {}


@on("magnusbilling")
def test_4_magnusbilling_s_credit_may_be_null(site: PackageSite) -> None:
    """NULL is nothing, and NULL plus 25 would be NULL."""
    site.add("1001", "5")
    run(site, "UPDATE pkg_user SET credit = NULL")

    assert available(site) == Decimal(0)
    assert credit(site).available_after == Decimal(25)
    assert available(site) == Decimal(25)


@on("magnusbilling", "pyfreebilling")
def test_5_amounts_finer_than_the_column_are_refused_not_rounded(
    site: PackageSite,
) -> None:
    """Four places here."""
    site.add("1001", "5")

    with pytest.raises(BadInput, match="at most 4 places"):
        credit(site, amount="25.00001")
    assert credit(site, amount="25.0001").available_after == Decimal("30.0001")


@on(*A2BILLING)
def test_6_a_call_in_progress_holds_a_reservation_back(site: PackageSite) -> None:
    """It comes back at the call's end, so it is not spent."""
    site.add("1001", "5")
    run(site, "UPDATE cc_card SET credit = credit - 0.5, inuse = 2")

    assert available(site) == Decimal(5)
    assert not site.package.suspend("1001", at_most=Decimal("4.99"))


@on("a2billing")
def test_7_without_transactions_a_refill_counts_from_its_mark_on(
    site: PackageSite,
) -> None:
    """Killed after the log row: nothing is credited or reported yet, then once."""
    site.add("1001", "5")
    with (
        pytest.raises(KilledError),
        dying_after(site.engine, "INSERT INTO cc_logrefill"),
    ):
        credit(site)

    (written,) = ask(site, "SELECT description FROM cc_logrefill")
    assert str(written[0]).endswith(" [pending]")
    assert available(site) == Decimal(5)
    assert site.package.find_credit("1001", reference="att-1001") is None
    assert ask(site, site.profile.credits.replace("%", "%%")) == []

    _again(site)

    assert available(site) == Decimal(30)
    assert len(ask(site, site.profile.credits.replace("%", "%%"))) == 1


class KilledError(BaseException):
    """What a crash is to the code that it ends."""


@contextmanager
def dying_after(engine: sa.Engine, statement: str) -> Iterator[None]:
    """Let the process die when that has run; no cleaning up."""

    def die(connection: sa.Connection, _: object, told: str, *__: object) -> None:
        if statement in told:
            connection.invalidate()
            raise KilledError

    sa.event.listen(engine, "after_cursor_execute", die)
    try:
        yield
    finally:
        sa.event.remove(engine, "after_cursor_execute", die)


def _again(site: PackageSite) -> None:
    """Repeat it when the server has noticed that the dead one is gone."""
    for _ in range(20):
        try:
            credit(site)
        except BillingUnavailable:
            continue
        return


@on("magnusbilling")
def test_8_a_call_record_that_comes_amid_a_credit_waits_and_is_not_lost(
    site: PackageSite,
) -> None:
    """The account's row is ours first, so its trigger waits; no circle, no victim."""
    site.add("1001", "5")
    callers: list[Future[None]] = []
    with ThreadPoolExecutor(1) as pool:

        def call_ends(_: object, __: object, told: str, *___: object) -> None:
            if "UPDATE pkg_user" in told and not callers:
                callers.append(pool.submit(site.debit, "1001", "1"))
                time.sleep(0.3)  # long enough to be waiting for us

        sa.event.listen(site.engine, "after_cursor_execute", call_ends)
        credit(site)
        sa.event.remove(site.engine, "after_cursor_execute", call_ends)
        callers[0].result(timeout=5)

    assert available(site) == Decimal(29)
    assert ask(site, "SELECT COUNT(*) FROM pkg_cdr") == [(1,)]


@on("magnusbilling", "astpp", "pyfreebilling", *A2BILLING)
def test_5_a_balance_past_its_column_is_refused_before_it_is_written(
    site: PackageSite,
) -> None:
    """Nothing is cut, and nothing is booked."""
    most = site.profile.most
    site.add("1001", str(most - 1))

    with pytest.raises(BadInput, match="the most its balance can hold"):
        credit(site)

    assert (available(site), site.report()) == (most - 1, [])


@on(*A2BILLING)
@pytest.mark.parametrize("vat", ["0", "5.5", "7", "19", "20", "21"])
def test_2_payment_and_invoice_cancel_each_other_out(
    site: PackageSite, vat: str
) -> None:
    """In its money situation, which rounds each invoice up to cents."""
    site.add("1001", "5")
    run(site, f"UPDATE cc_card SET vat = {vat}")  # noqa: S608 ours

    credit(site)

    assert ask(
        site,
        "SELECT SUM(CEIL(t.price * (1 + t.VAT / 100) * 100) / 100)"
        " FROM cc_invoice i JOIN cc_invoice_item t ON t.id_invoice = i.id"
        " WHERE i.id_card = 1001",
    ) == [(Decimal(25),)]
    assert ask(site, "SELECT SUM(payment) FROM cc_logpayment") == [(Decimal(25),)]


@on(*A2BILLING)
def test_2_the_transactions_page_shows_the_gross_amount(site: PackageSite) -> None:
    """As its own unattended payments stand there: completed, in the base currency."""
    site.add("1001", "5")
    run(site, "UPDATE cc_card SET vat = 20, firstname = 'Ada', lastname = 'Byron'")

    credit(site)

    assert ask(
        site,
        "SELECT customers_id, customers_name, customers_email_address, item_name,"
        " item_id, item_quantity, payment_method, orders_status, orders_amount,"
        " currency, currency_value FROM cc_payments",
    ) == [
        (
            *(1001, "Ada Byron", "a@example.com", "Automatic top-up, ref att-1001"),
            *("1001", 1, "Stripe", 2, Decimal(25), "USD", Decimal(1)),
        )
    ]


@on(*A2BILLING)
def test_2_a_refund_stands_there_as_refunded(site: PackageSite) -> None:
    """With its own reference, below zero."""
    site.add("1001", "50")

    site.package.reverse_credit(
        "1001",
        Money(Decimal(25), "USD"),
        reference="re-1",
        note="Refunded",
        at=datetime.now(UTC),
    )

    assert ask(
        site, "SELECT item_name, orders_status, orders_amount FROM cc_payments"
    ) == [("Refund, ref re-1", 4, Decimal(-25))]


@on(*A2BILLING)
def test_10_two_refills_at_once_never_share_an_invoice_number(
    site: PackageSite,
) -> None:
    """Nor does the package's own, whose counter is read and then written."""
    refs = [str(1001 + number) for number in range(12)]
    for ref in refs:
        site.add(ref, "5")

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(lambda ref: credit(site, ref), refs))
        with site.hands() as theirs:
            theirs.refill(1001, Decimal(10))

    numbers = [str(row[0]) for row in ask(site, "SELECT reference FROM cc_invoice")]
    year = datetime.now(UTC).year
    ours = [number for number in numbers if number.startswith(f"{year}R")]
    assert len(set(ours)) == 12
    assert [number for number in numbers if number not in ours] == [f"{year}00000001"]


@on("astpp")
def test_11_astpp_s_dates_are_utc_in_the_server_s_own_zone(site: PackageSite) -> None:
    """The session's zone is the server's, and the text is UTC's."""
    site.add("1001", "5")
    credit(site)

    ((seconds,),) = ask(
        site,
        "SELECT ABS(TIMESTAMPDIFF(SECOND, date, UTC_TIMESTAMP()))"
        " FROM payment_transaction",
    )
    assert int(str(seconds)) < 60
    assert ask(site, "SELECT @@session.time_zone = @@global.time_zone") == [(1,)]


@on("astpp")
def test_11_the_hour_that_a_zone_skips_in_spring_can_be_written(
    site: PackageSite,
) -> None:
    """Half past two UTC is no time of Berlin's on that night; it becomes three."""
    site.add("1001", "5")
    skipped = datetime(2027, 3, 28, 2, 30, tzinfo=UTC)
    engine = make_engine(
        site.engine.url.render_as_string(hide_password=False),
        statement_timeout_ms=5_000,
        lock_timeout_ms=2_000,
        on_connect=(
            *_berlin(site),
            f"SET SESSION timestamp = {skipped.timestamp()}",
        ),
    )
    package = SqlBilling(engine, site.profile, currency="USD")

    package.apply_credit(
        "1001", Money(Decimal(25), "USD"), reference="att-1001", note="", at=skipped
    )
    with engine.connect() as connection:
        written = connection.exec_driver_sql("SELECT date FROM payment_transaction")
        assert str(written.scalar()) == "2027-03-28 03:00:00"
    engine.dispose()


def _berlin(site: PackageSite) -> tuple[str, ...]:
    """Give the server a zone with daylight saving, and take it for the session."""
    program = mariadb.program("mariadb-tzinfo-to-sql") or mariadb.program(
        "mysql_tzinfo_to_sql"
    )
    taken = ("SET SESSION time_zone = 'Europe/Berlin'",)
    zone = Path("/usr/share/zoneinfo/Europe/Berlin")
    if program is None or not zone.exists():
        pytest.skip("no zone to load (on Debian: apt-get install tzdata)")
    told = subprocess.run(  # noqa: S603 the machine's own program
        [program, str(zone), "Europe/Berlin"],
        capture_output=True,
        text=True,
        check=True,
    )
    known = "SELECT CONVERT_TZ('2027-01-01', '+00:00', 'Europe/Berlin') IS NOT NULL"
    with site.engine.begin() as connection:
        if connection.exec_driver_sql(known).scalar_one():
            return taken
        connection.exec_driver_sql("USE mysql")
        for statement in told.stdout.split(";\n"):
            if statement.startswith(("INSERT INTO time_zone", "SET @time_zone_id")):
                connection.exec_driver_sql(statement.replace("%", "%%"))
    site.engine.dispose()
    return taken


@on("astpp")
def test_11_two_invoices_of_one_issuer_never_have_one_number(
    site: PackageSite,
) -> None:
    """Credits of different accounts at once take turns at the issuer's row."""
    site.add("1", "0")
    run(site, "UPDATE accounts SET type = -1")
    refs = [str(1001 + number) for number in range(12)]
    for ref in refs:
        site.add(ref, "5")

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(lambda ref: credit(site, ref), refs))

    numbers = [str(row[0]) for row in ask(site, "SELECT number FROM invoices")]
    assert len(numbers) == len(set(numbers)) == len(refs)


@on("astpp")
def test_11_an_invoice_number_that_somebody_wrote_by_hand_is_passed_over(
    site: PackageSite,
) -> None:
    """It is text, and strict SQL counts on from no text."""
    site.add("1001", "5")
    site.add("1002", "5")
    credit(site, "1001")
    run(
        site,
        "INSERT INTO invoices (prefix, number, accountid, from_date, to_date, due_date,"
        " generate_date, notes) VALUES ('', 'Paid 7/2026', 1001, NOW(), NOW(), NOW(),"
        " NOW(), '')",
    )

    credit(site, "1002")

    assert ask(site, "SELECT number FROM invoices ORDER BY id DESC LIMIT 1") == [
        ("101",)
    ]


@on("astpp")
def test_11_an_account_may_have_no_reseller_at_all(site: PackageSite) -> None:
    """NULL counts as 0, which is the operator; the log takes no NULL."""
    site.add("1001", "5")
    run(site, "UPDATE accounts SET reseller_id = NULL")

    credit(site)

    assert ask(site, "SELECT reseller_id FROM payment_transaction") == [(0,)]
    assert ask(site, "SELECT prefix, reseller_id FROM invoices") == [("INV_", 0)]


@on("astpp")
def test_11_astpp_s_invoices_are_numbered_on(site: PackageSite) -> None:
    """From where the configuration starts, one after the other."""
    for ref in ("1001", "1002"):
        site.add(ref, "5")
        credit(site, ref)

    assert ask(site, "SELECT prefix, number, notes FROM invoices ORDER BY id") == [
        ("INV_", "100", ""),
        ("INV_", "101", ""),
    ]


@on("magnusbilling", "astpp", "pyfreebilling", *A2BILLING)
def test_13_only_the_state_that_our_cut_off_sets_is_given_back(
    site: PackageSite,
) -> None:
    """Whoever else has ended the service meanwhile has the last word."""
    others = [s for s in site.services if s is not Service.SUSPENDED]
    for number, state in enumerate(others, start=1001):
        site.add(str(number), "-1")
        assert site.package.suspend(str(number), at_most=Decimal(0))
        run_state(site, str(number), state)

        assert not site.package.restore(str(number))
        assert site.package.balances([str(number)])[str(number)].service is state


def run_state(site: PackageSite, ref: str, state: Service) -> None:
    """Let an operator set it."""
    with site.hands() as theirs:
        theirs.set_state(int(ref), state)


@on(*A2BILLING)
def test_14_the_package_s_own_free_autorefill_is_told(site: PackageSite) -> None:
    """It would top up a second time, without a card."""
    site.add("1001", "5")
    run(site, "UPDATE cc_card SET autorefill = 1")

    (sentence,) = site.package.check()

    assert "autorefill is on for 1 accounts" in sentence


@on("magnusbilling")
def test_14_a_service_charged_right_after_a_refill_is_not_taken_for_an_overwrite(
    site: PackageSite,
) -> None:
    """It stands in the refills below zero; putting it right would give it for free."""
    site.add("1001", "5")
    credit(site)
    run(
        site,
        "INSERT INTO pkg_refill (id_user, credit, description, payment)"
        " VALUES (1001, -25, 'Monthly payment of a service', 0)",
    )
    run(site, "UPDATE pkg_user SET credit = credit - 25 WHERE id = 1001")

    trail = site.package.verify_credit("1001", reference="att-1001")

    assert trail is not None
    assert judge(trail) == Sound()


@on(*A2BILLING)
def test_a_card_s_empty_columns_count_as_nothing(site: PackageSite) -> None:
    """NULL calls in progress, NULL limit."""
    site.add("1001", "5")
    run(site, "UPDATE cc_card SET inuse = NULL, creditlimit = NULL, typepaid = 1")

    assert available(site) == Decimal(5)
