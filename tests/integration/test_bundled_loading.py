"""Loading rate decks and accounts from files as people write them."""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
import sqlalchemy as sa

from replenish.billing.load import (
    BATCH,
    SAMPLE_ACCOUNTS,
    SAMPLE_RATES,
    LoadReport,
    load_accounts,
    load_rates,
)
from replenish.errors import BadInput, BillingUnavailable, ConfigurationError
from tests.bundled import add_account, add_rate, ask, balance, call, engine_of
from tests.postgres import MakeDatabase

pytestmark = pytest.mark.integration

RATES = "prefix,name,per_minute,currency,effective_from,effective_to"
GOOD_RATE = "44,United Kingdom,0.01,USD,2026-01-01,"
ACCOUNTS = "number,kind,currency,opening_balance,credit_limit"
GOOD_ACCOUNT = "1001,prepaid,USD,10,0"


def write(folder: Path, *lines: str | bytes) -> Path:
    """Write a file of lines, as given where they are bytes."""
    path = folder / "list.csv"
    raw = [line if isinstance(line, bytes) else line.encode() for line in lines]
    path.write_bytes(b"\n".join(raw) + b"\n")
    return path


def rates(engine: sa.Engine, folder: Path, *lines: str | bytes) -> LoadReport:
    """Load these rates, the good ones among them."""
    path = write(folder, RATES, *lines)
    return load_rates(engine, path, all_or_nothing=False)


def prefixes(engine: sa.Engine) -> list[object]:
    """List the prefixes that stand in the deck."""
    return [row[0] for row in ask(engine, "SELECT prefix FROM billing.rate ORDER BY 1")]


def accounts(engine: sa.Engine) -> list[object]:
    """List the accounts by number."""
    return [
        row[0] for row in ask(engine, "SELECT number FROM billing.account ORDER BY 1")
    ]


# ---------------------------------------------------------------------- samples


def test_the_sample_deck_loads_whole_and_again(billing: sa.Engine) -> None:
    """More than 250 real prefixes; loading them again changes nothing."""
    first = load_rates(billing, SAMPLE_RATES, all_or_nothing=True)
    second = load_rates(billing, SAMPLE_RATES, all_or_nothing=True)

    assert first == second
    assert first.problems == []
    assert first.loaded == len(prefixes(billing)) == len(set(prefixes(billing)))
    assert first.loaded >= 250


@pytest.mark.parametrize(
    ("called", "name"),
    [
        ("442079460000", "United Kingdom London"),
        ("447700900123", "United Kingdom Mobile"),
        ("441632960000", "United Kingdom"),
        ("12125550123", "United States New York"),
        ("14165550123", "Canada"),
        ("18765550123", "Jamaica"),
        ("390655500000", "Italy Rome"),
        ("77011234567", "Kazakhstan"),
        ("8816123456789", "Iridium Satellite"),
    ],
)
def test_the_sample_deck_knows_where_a_call_goes(
    billing: sa.Engine, called: str, name: str
) -> None:
    """Neighbours that share a country code are told apart."""
    load_rates(billing, SAMPLE_RATES, all_or_nothing=True)
    load_accounts(billing, SAMPLE_ACCOUNTS, all_or_nothing=True)

    call(billing, called=called)

    assert ask(
        billing,
        "SELECT r.name FROM billing.call c JOIN billing.rate r ON r.id = c.rate_id",
    ) == [(name,)]


def test_the_sample_accounts_are_of_both_kinds(billing: sa.Engine) -> None:
    """Prepaid ones with a balance, real-time paid ones with a credit limit."""
    report = load_accounts(billing, SAMPLE_ACCOUNTS, all_or_nothing=True)

    assert (report.loaded, report.problems) == (50, [])
    assert ask(
        billing,
        "SELECT kind, count(*), min(balance + credit_limit) > 0, min(state)"
        " FROM billing.account GROUP BY kind ORDER BY kind",
    ) == [("prepaid", 40, True, "active"), ("real_time", 10, True, "active")]


# ------------------------------------------------------------------------ files


@pytest.mark.parametrize(
    ("all_or_nothing", "loaded"), [(False, ["1001", "1003"]), (True, [])]
)
def test_bad_lines_keep_back_the_good_ones_only_if_asked(
    billing: sa.Engine, tmp_path: Path, *, all_or_nothing: bool, loaded: list[str]
) -> None:
    """File, line and reason are reported either way."""
    path = write(
        tmp_path,
        ACCOUNTS,
        GOOD_ACCOUNT,
        "1002,prepaid,USD,lots,0",
        "1003,prepaid,USD,5,0",
    )

    report = load_accounts(billing, path, all_or_nothing=all_or_nothing)

    assert report.loaded == len(loaded)
    assert [(p.file, p.line) for p in report.problems] == [(str(path), 3)]
    assert "opening_balance is 'lots'" in report.problems[0].reason
    assert accounts(billing) == loaded


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("44,UK,abc,USD,2026-01-01,", "per_minute is 'abc'"),
        ("44,UK,,USD,2026-01-01,", "per_minute is ''"),
        ("44,UK,-0.01,USD,2026-01-01,", "between 0 and 10000"),
        ("44,UK,NaN,USD,2026-01-01,", "per_minute is 'NaN'"),
        ("44,UK,Infinity,USD,2026-01-01,", "per_minute is 'Infinity'"),
        ("44,UK,10001,USD,2026-01-01,", "between 0 and 10000"),
        ("44,UK,1e999999999,USD,2026-01-01,", "per_minute is"),
        ("44,UK,0.0000001,USD,2026-01-01,", "at most 6 places"),
        ("44,UK,0.01,usd,2026-01-01,", "ISO 4217"),
        ("44,UK,0.01,,2026-01-01,", "ISO 4217"),
        ("x44,UK,0.01,USD,2026-01-01,", "digits of E.164"),
        ("4412345678901234,UK,0.01,USD,2026-01-01,", "digits of E.164"),
        (",UK,0.01,USD,2026-01-01,", "digits of E.164"),
        ("44,UK,0.01,USD,01/02/2026,", "give a date like"),
        ("44,UK,0.01,USD,,", "effective_from is missing"),
        ("44,UK,0.01,USD,2026-01-01,2026-01-01", "not before effective_to"),
        ("44,UK,0.01,USD,0001-01-01T00:00:00+14:00,", "give a date like"),
        ("44,UK,0.01,USD", "it has 4 columns where the header has 6"),
        ("44,UK,0.01,USD,2026-01-01,,,", "it has 8 columns"),
        (b"44,R\xe9union,0.01,USD,2026-01-01,", "no printable UTF-8"),
        (b"44,U\x00K,0.01,USD,2026-01-01,", "no printable UTF-8"),
        ('44,"UK"x,0.01,USD,2026-01-01,', "not CSV"),
    ],
)
def test_a_rate_that_makes_no_sense_is_named(
    billing: sa.Engine, tmp_path: Path, line: str | bytes, reason: str
) -> None:
    """The line before and the line after it load."""
    report = rates(
        billing,
        tmp_path,
        "33,France,1,USD,2026-01-01,",
        line,
        "49,DE,1,USD,2026-01-01,",
    )

    assert [problem.line for problem in report.problems] == [3]
    assert reason in report.problems[0].reason
    assert prefixes(billing) == ["33", "49"]


@pytest.mark.parametrize("column", ["initial", "subsequent"])
@pytest.mark.parametrize("value", ["0", "-6", "6.5", "3601", "six", "9999999"])
def test_increments_are_whole_seconds(
    billing: sa.Engine, tmp_path: Path, column: str, value: str
) -> None:
    """From one second to an hour."""
    path = write(tmp_path, f"{RATES},{column}", f"{GOOD_RATE},{value}")

    report = load_rates(billing, path, all_or_nothing=False)

    assert f"{column} is '{value}'" in report.problems[0].reason
    assert prefixes(billing) == []


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (",prepaid,USD,10,0", "without spaces"),
        ("10 01,prepaid,USD,10,0", "without spaces"),
        ("1" * 65 + ",prepaid,USD,10,0", "without spaces"),
        ("1001,postpaid,USD,10,0", "give prepaid or real_time"),
        ("1001,prepaid,USD,10,5", "must be 0 for a prepaid"),
        ("1001,real_time,USD,0,-5", "between 0 and"),
        ("1001,prepaid,USD,10000000000,0", "between 0 and"),
        ("1001,prepaid,USD,0.000001,0", "at most 5 places"),
        ("1001,prepaid,dollars,5,0", "ISO 4217"),
    ],
)
def test_an_account_that_makes_no_sense_is_named(
    billing: sa.Engine, tmp_path: Path, line: str, reason: str
) -> None:
    """Nothing is stored of it."""
    path = write(tmp_path, ACCOUNTS, line)

    report = load_accounts(billing, path, all_or_nothing=False)

    assert reason in report.problems[0].reason
    assert accounts(billing) == []


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ("number,kind,currency", "it lacks opening_balance"),
        (f"{ACCOUNTS},colour", "'colour' is no column"),
        (f"{ACCOUNTS},kind", "stands in it twice"),
        (b"\xff\xfe" + ACCOUNTS.encode("utf-16-le"), "the header is wrong"),
        ('"number', "not CSV"),
    ],
)
def test_a_wrong_header_loads_nothing(
    billing: sa.Engine, tmp_path: Path, header: str | bytes, reason: str
) -> None:
    """It is one problem, on line 1, not one for each line."""
    path = write(tmp_path, header, GOOD_ACCOUNT)

    report = load_accounts(billing, path, all_or_nothing=False)

    assert [problem.line for problem in report.problems] == [1]
    assert reason in report.problems[0].reason
    assert accounts(billing) == []


def test_an_empty_file_is_a_problem(billing: sa.Engine, tmp_path: Path) -> None:
    """Nothing to load is never what was meant."""
    path = tmp_path / "empty.csv"
    path.touch()

    report = load_rates(billing, path, all_or_nothing=False)

    assert [problem.reason for problem in report.problems] == ["the file is empty"]


def test_spreadsheets_may_leave_their_marks(billing: sa.Engine, tmp_path: Path) -> None:
    """A byte order mark, capitals, spaces, CRLF, blank lines and quotes are fine."""
    path = write(
        tmp_path,
        b"\xef\xbb\xbfNumber, Kind ,currency,opening_balance,name\r",
        b'1001, prepaid ,USD,10,"Smith, Ann"\r',
        b"\r",
        "1002,prepaid,USD,,Zoë\r",
    )

    report = load_accounts(billing, path, all_or_nothing=False)

    assert [(p.line, p.reason[:22]) for p in report.problems] == [
        (4, "opening_balance is '',")
    ]
    assert ask(billing, "SELECT number, name, deck FROM billing.account") == [
        ("1001", "Smith, Ann", "default")
    ]


def test_a_file_that_is_not_there_is_named(billing: sa.Engine, tmp_path: Path) -> None:
    """So is a folder in its place."""
    with pytest.raises(BadInput, match=r"nowhere\.csv cannot be read"):
        load_rates(billing, tmp_path / "nowhere.csv", all_or_nothing=False)
    with pytest.raises(BadInput, match="cannot be read"):
        load_accounts(billing, tmp_path, all_or_nothing=False)


def test_a_big_file_is_loaded_in_batches(billing: sa.Engine, tmp_path: Path) -> None:
    """A duplicate is found across batches, and bad lines keep their numbers."""
    lines = [
        f"{10_000 + n},Somewhere,0.01,USD,2026-01-01," for n in range(2 * BATCH + 5)
    ]
    lines[1500] = "bad"

    report = rates(billing, tmp_path, *lines, lines[0])

    assert report.loaded == 2 * BATCH + 4
    assert [problem.line for problem in report.problems] == [1502, 2 * BATCH + 7]
    assert "stands on line 2 already" in report.problems[1].reason


# --------------------------------------------------------------------- overlaps


@pytest.mark.parametrize(
    "line",
    [
        "44,Again,0.02,USD,2026-01-01,",
        "44,Again,0.02,USD,2026-03-01,",
        "44,Again,0.02,USD,2025-12-01,2026-01-02",
    ],
    ids=["same start", "before the end", "into the start"],
)
@pytest.mark.parametrize(
    "together", [True, False], ids=["in one file", "loaded before"]
)
def test_rates_that_overlap_are_refused(
    billing: sa.Engine, tmp_path: Path, line: str, *, together: bool
) -> None:
    """Within the file as against what is loaded; the first stays."""
    first = "44,United Kingdom,0.01,USD,2026-01-01,2026-06-01"
    if together:
        report = rates(billing, tmp_path, first, line)
    else:
        rates(billing, tmp_path, first)
        report = rates(billing, tmp_path, line)

    assert len(report.problems) == 1
    assert ask(billing, "SELECT per_minute FROM billing.rate") == [(Decimal("0.01"),)]


def test_a_new_price_needs_only_its_date(billing: sa.Engine, tmp_path: Path) -> None:
    """A rate without an end gives way to the next; one with an end may be followed."""
    add_account(billing)
    report = rates(
        billing,
        tmp_path,
        "44,UK,0.01,USD,2026-01-01,",
        "44,UK,0.02,USD,2026-02-01,",
        "44,UK,0.09,EUR,2026-01-01,",
        "33,FR,0.03,USD,2026-01-01,2026-02-01",
        "33,FR,0.04,USD,2026-02-01T00:00:00+00:00,",
    )

    assert (report.loaded, report.problems) == (5, [])
    first_of_march = datetime(2026, 3, 1, tzinfo=UTC)
    assert call(billing, started=first_of_march).cost.amount == Decimal("0.02")


def test_an_open_rate_that_is_already_there_is_named(
    billing: sa.Engine, tmp_path: Path
) -> None:
    """Another price from the same day on is no new price but a contradiction."""
    add_rate(billing, effective_from=datetime(2026, 1, 1, tzinfo=UTC))

    report = rates(billing, tmp_path, GOOD_RATE)

    assert "effective from 2026-01-01 on" in report.problems[0].reason


def test_an_account_that_exists_keeps_its_balance(
    billing: sa.Engine, tmp_path: Path
) -> None:
    """Loading it again is a problem of that line alone, as is a line twice."""
    add_account(billing, balance="3.5")
    path = write(
        tmp_path, ACCOUNTS, GOOD_ACCOUNT, "1002,prepaid,USD,5,0", "1002,prepaid,USD,6,0"
    )

    report = load_accounts(billing, path, all_or_nothing=False)

    assert [(p.line, p.reason) for p in report.problems] == [
        (2, "account 1001 exists already and was left alone"),
        (4, "account 1002 stands in it twice"),
    ]
    assert (balance(billing), balance(billing, "1002")) == (Decimal("3.5"), Decimal(5))


# ---------------------------------------------------------------------- trouble


def test_two_loads_at_once_wait_for_each_other(
    billing: sa.Engine, billing_url: str, tmp_path: Path
) -> None:
    """They would not see each other's rates; the second gives up with a sentence."""
    with (
        engine_of(billing_url, lock_timeout_ms=100) as impatient,
        billing.begin() as other,
    ):
        other.execute(sa.text("LOCK TABLE billing.rate IN SHARE ROW EXCLUSIVE MODE"))
        with pytest.raises(BillingUnavailable, match="locked"):
            rates(impatient, tmp_path, GOOD_RATE)

    assert prefixes(billing) == []


def test_loading_into_no_schema_is_a_sentence(
    make_database: MakeDatabase, tmp_path: Path
) -> None:
    """It says what to run."""
    with (
        engine_of(make_database()) as engine,
        pytest.raises(ConfigurationError, match="replenish db upgrade"),
    ):
        load_accounts(
            engine, write(tmp_path, ACCOUNTS, GOOD_ACCOUNT), all_or_nothing=True
        )
