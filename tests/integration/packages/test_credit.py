"""A credit exactly once, whatever is killed and whoever else is at it."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from decimal import Decimal
from itertools import count
from multiprocessing.process import BaseProcess

import pytest
import sqlalchemy as sa

from replenish.adapters.sql_billing.package import SqlBilling
from replenish.adapters.sql_billing.session import make_engine
from replenish.domain.money import Money
from replenish.errors import BillingUnavailable
from replenish.ports import BillingPackage
from tests.contract.package_sites import PackageSite, profile_of, tried

pytestmark = pytest.mark.integration

NOW = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)
USD25 = Money(Decimal(25), "USD")


class KilledError(BaseException):
    """What a crash is to the code that it ends."""


def credit(
    package: BillingPackage, reference: str = "att-1", ref: str = "1001"
) -> None:
    """Credit 25 USD."""
    package.apply_credit(
        ref, USD25, reference=reference, note="Automatic top-up", at=NOW
    )


@contextmanager
def killed_after(engine: sa.Engine, statements: int) -> Iterator[None]:
    """Let the process die when so many statements have run; no cleaning up."""
    seen = count(1)

    def die(connection: sa.Connection, *_: object) -> None:
        if next(seen) == statements:
            connection.invalidate()
            raise KilledError

    sa.event.listen(engine, "after_cursor_execute", die)
    try:
        yield
    finally:
        sa.event.remove(engine, "after_cursor_execute", die)


def test_a_credit_killed_after_any_statement_and_repeated_is_made_once(
    site: PackageSite,
) -> None:
    """By SIGKILL; its rows stand in the package's own report once, all of them."""
    for statements in count(1):
        ref, reference = str(2000 + statements), f"att-{statements}"
        site.add(ref, "5")
        killed = _spawn(site, _credit_until_killed, reference, ref, statements)
        killed.join(60)
        _until_free(site, reference, ref)
        credit(site.package, reference, ref)

        assert site.package.balances([ref])[ref].available.amount == Decimal(30)
        assert [r for r in site.report() if r[0] == ref] == [
            (ref, Decimal(25), reference)
        ], f"after statement {statements}"
        if killed.exitcode == 0:
            break
        assert killed.exitcode == -signal.SIGKILL
    assert statements > 5


def _spawn(
    site: PackageSite, target: Callable[..., None], *given: object
) -> BaseProcess:
    """Start a process that has nothing of ours but the address."""
    spawn = multiprocessing.get_context("forkserver")
    spawn.set_forkserver_preload([__name__])
    url = site.engine.url.render_as_string(hide_password=False)
    process = spawn.Process(target=target, args=(url, site.name, *given))
    process.start()
    return process


def _engine(url: str, name: str) -> sa.Engine:
    return make_engine(
        url,
        statement_timeout_ms=9_000,
        lock_timeout_ms=9_000,
        on_connect=profile_of(name).on_connect,
    )


def _credit_until_killed(
    url: str, name: str, reference: str, ref: str, statements: int
) -> None:
    """Credit, and die when so many statements have run; a commit is one too."""
    engine, seen = _engine(url, name), count(1)

    def die(*_: object) -> None:
        if next(seen) == statements:
            os.kill(os.getpid(), signal.SIGKILL)

    for boundary in ("after_cursor_execute", "commit"):
        sa.event.listen(engine, boundary, die)
    credit(SqlBilling(engine, profile_of(name), currency="USD"), reference, ref)


@pytest.mark.parametrize("how", ["correct_credit", "reverse_credit"])
def test_a_refund_or_correction_killed_anywhere_and_repeated_is_made_once(
    site: PackageSite, how: str
) -> None:
    """By the same statements, so by the same care."""
    moved = {"correct_credit": 25, "reverse_credit": -25}[how]
    site.add("1001", "50")
    for statements in count(1):
        reference = f"att-{statements}"

        def enter(reference: str = reference) -> None:
            getattr(site.package, how)(
                "1001", USD25, reference=reference, note="Put right", at=NOW
            )

        before = site.package.balances(["1001"])["1001"].available.amount
        with killed_after(site.engine, statements), suppress(KilledError):
            enter()
            break
        while site.package.find_credit("1001", reference=reference) is None:
            with suppress(BillingUnavailable):
                enter()
        enter()
        after = site.package.balances(["1001"])["1001"].available.amount
        assert after - before == moved, f"after statement {statements}"
    assert statements > 4


def _until_free(site: PackageSite, reference: str, ref: str) -> None:
    """Wait until the server has noticed that the dead one's connection is gone."""
    for _ in range(20):
        try:
            credit(site.package, reference, ref)
        except BillingUnavailable:
            continue
        return


def _credit_at_once(url: str, name: str, start: "threading.Barrier") -> None:
    engine = _engine(url, name)
    start.wait()
    for _ in range(20):
        try:
            credit(SqlBilling(engine, profile_of(name), currency="USD"))
        except BillingUnavailable:
            continue
        break
    engine.dispose()


def test_sixteen_processes_crediting_one_reference_credit_it_once(
    site: PackageSite,
) -> None:
    """Each with connections of its own."""
    site.add("1001", "5")
    start = multiprocessing.get_context("forkserver").Barrier(16)
    crowd = [_spawn(site, _credit_at_once, start) for _ in range(16)]
    for each in crowd:
        each.join(60)

    assert [each.exitcode for each in crowd] == [0] * 16
    assert site.package.balances(["1001"])["1001"].available.amount == Decimal(30)
    assert site.report() == [("1001", Decimal(25), "att-1")]


def test_the_package_s_own_statements_never_fail_because_of_ours(
    site: PackageSite,
) -> None:
    """Calls end while we credit the very same accounts: all of it adds up."""
    refs = [str(1001 + number) for number in range(4)]
    for ref in refs:
        site.add(ref, "100")
    failed: list[BaseException] = []
    crowd = [
        threading.Thread(target=work, args=(site, ref, failed))
        for ref in refs
        for work in (_talk, _pay)
    ]
    for each in crowd:
        each.start()
    for each in crowd:
        each.join()

    assert failed == []
    balances = site.package.balances(refs)
    expected = 100 - 60 * Decimal("0.5") + 15 * 25
    assert [balances[ref].available.amount for ref in refs] == [expected] * 4
    assert len(site.report()) == 4 * 15


def _talk(site: PackageSite, ref: str, failed: list[BaseException]) -> None:
    try:
        for _ in range(60):
            site.debit(ref, "0.5")
    except BaseException as error:  # noqa: BLE001 told by the test
        failed.append(error)


def _pay(site: PackageSite, ref: str, _: object) -> None:
    for number in range(15):
        _until_free(site, f"att-{ref}-{number}", ref)


WITHOUT_INDEX = {
    "a2billing": "INSERT INTO cc_logrefill (date, credit, card_id, description)",
    "astpp": "INSERT INTO payment_transaction (date, amount, accountid, tax,"
    " payment_method, actual_amount, transaction_id, customer_ip, user_currency,"
    " currency_rate, transaction_details)",
}
OTHERS_ROW = {
    "a2billing": "'Cash'",
    "astpp": "'0', 'Manual', 1, 'cash', '', 'USD', 1, '{}'",
}


@pytest.mark.parametrize(
    "site",
    [each for each in tried() if each.split()[0] in WITHOUT_INDEX],
    indirect=True,
)
@pytest.mark.parametrize("dated_back", [1, 4, 700])
def test_refills_that_were_dated_back_hide_no_earlier_credit(
    site: PackageSite, dated_back: int
) -> None:
    """An operator may give a refill any date, and old ones may be imported."""
    site.add("1001", "5")
    _log(site, 1000, days=100)
    credit(site.package)
    _log(site, dated_back, days=100)

    credit(site.package)

    assert site.package.balances(["1001"])["1001"].available.amount == Decimal(30)
    assert len(site.report()) == 1


def _log(site: PackageSite, rows: int, *, days: int) -> None:
    """Let refills of others stand in the log, dated so many days back."""
    into, other = WITHOUT_INDEX[site.profile.name], OTHERS_ROW[site.profile.name]
    row = f"(NOW() - INTERVAL {days} DAY, 1, 7, {other})"
    with site.engine.begin() as connection:
        connection.exec_driver_sql(f"{into} VALUES {', '.join([row] * rows)}")
