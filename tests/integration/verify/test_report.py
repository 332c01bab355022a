"""What the checker is asked for, what it leaves open, and what it cannot read."""

import io
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
import sqlalchemy as sa
from rich.console import Console
from sqlalchemy.engine.interfaces import DBAPIConnection

from replenish.errors import BadInput
from replenish.sandbox.ledger import Record, read
from replenish.verify.invariants import INVARIANTS, NOT_JUDGED
from replenish.verify.sources import units
from tests import checker
from tests.integration.verify.books import Books
from tests.integration.verify.test_planted import PLANTS, charged_too

pytestmark = pytest.mark.integration

DOCUMENT = Path("docs/verify.md")


def test_while_things_are_under_way_only_some_invariants_hold(books: Books) -> None:
    """A cut-off that is being restored this second is no violation."""
    books.spoil(*PLANTS["I8"].sql)

    report = books.verify(quiet=False)

    assert report.clean
    notes = {f.invariant: f.note for f in report.findings if f.checked is None}
    assert "holds only when nothing is under way" in notes["I8"]


def test_without_the_gateway_s_ledger_it_says_what_it_cannot_judge(
    books: Books,
) -> None:
    """Such an invariant is never counted as holding."""
    books.records = []
    books.write()

    report = books.verify(gateway=False)

    assert report.clean
    left = {f.invariant for f in report.findings if f.checked is None}
    needs = {i.name for i in INVARIANTS if i.needs_gateway or i.needs_history}
    assert left == needs | set(NOT_JUDGED)


def test_nothing_is_changed_by_looking(books: Books) -> None:
    """The scratch tables are gone, and so is everything else it did."""
    before = books.world.ask("SELECT count(*) FROM pg_class")
    books.verify()

    assert books.world.ask("SELECT count(*) FROM pg_class") == before


def test_a_long_ledger_of_the_gateway_may_be_read_at_leisure(
    books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Our session stands idle meanwhile, longer than a step of the pipeline may."""
    engine = books.world.engine
    engine.dispose()

    @sa.event.listens_for(engine, "connect")
    def _impatient(connection: DBAPIConnection, _record: object) -> None:
        connection.cursor().execute("SET idle_in_transaction_session_timeout = 50")
        connection.commit()

    def read_at_leisure(path: Path) -> Iterator[Record]:
        time.sleep(0.3)
        yield from read(path)

    monkeypatch.setattr("replenish.sandbox.ledger.read", read_at_leisure)

    assert books.verify().clean


@pytest.mark.parametrize("content", [b"no json\n", b"[]\n", b'{"kind": "charge.x"}\n'])
def test_a_file_that_is_no_ledger_is_named(books: Books, content: bytes) -> None:
    """In a sentence, with the file."""
    books.path.write_bytes(content)

    with pytest.raises(BadInput, match=r"gateway\.jsonl cannot be read"):
        books.verify()


def test_a_missing_file_is_named(books: Books) -> None:
    """It is not taken for an empty one."""
    books.path.unlink()

    with pytest.raises(BadInput, match=r"gateway\.jsonl cannot be read"):
        books.verify()


def test_the_table_shows_what_holds_what_does_not_and_what_is_open(
    books: Books,
) -> None:
    """Invariant, sentence, rows, violations."""
    books.spoil(*PLANTS["I9"].sql)
    paper = io.StringIO()

    Console(width=140, file=paper).print(books.verify(gateway=False).table())

    shown = paper.getvalue()
    assert "1001: balance 31.00000, rows add up to 30.00000" in shown
    assert "not judged" in shown
    assert "one open attempt an account" in shown


def test_amounts_without_and_with_three_decimals_are_reckoned_right(
    books: Books,
) -> None:
    """1500 yen are 1500, and 1500 thousandths of a dinar are 1.5."""
    for record, currency in zip(books.records, ("jpy", "kwd", "usd"), strict=False):
        record |= {"currency": currency, "amount": 1500}
    books.write()

    amounts = [units(record) for record in read(books.path)][:3]

    assert amounts == [Decimal(1500), Decimal("1.5"), Decimal(15)]


def test_the_checks_are_documented_word_for_word() -> None:
    """Operators read the same sentence in the table and in the manual."""
    text = DOCUMENT.read_text("utf-8")
    for invariant in INVARIANTS:
        assert f"| {invariant.name} | {invariant.sentence} |" in text
    for name, why in NOT_JUDGED.items():
        assert f"| {name} | {why} |" in text


def test_the_shared_checker_refuses_to_judge_nothing(books: Books) -> None:
    """An empty installation proves nothing."""
    for statement in (
        (
            "TRUNCATE replenish.event, replenish.attempt, replenish.cut_off,"
            " replenish.chain, replenish.skip, replenish.batch, replenish.card,"
            " replenish.account CASCADE"
        ),
        "TRUNCATE billing.account, billing.refill, billing.call CASCADE",
    ):
        with books.world.engine.begin() as connection:
            connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
            connection.exec_driver_sql(statement)

    with pytest.raises(AssertionError, match="no invariant had a row"):
        checker.holds(books.verify(gateway=False))


def test_a_charge_that_was_given_back_needs_no_credit(books: Books) -> None:
    """Somebody refunded it in the gateway's dashboard."""
    books.records = charged_too(books.records)
    books.records.append({**books.records[-1], "kind": "refund.created"})
    books.write()

    checker.holds(books.verify(), charges=2)
