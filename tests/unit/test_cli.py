"""The command line's own parts: values, help, JSON and exit codes."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import click
import pytest
import redis
from click.testing import CliRunner
from sqlalchemy.exc import OperationalError

from replenish import errors
from replenish.cli import main
from replenish.cli.failures import ExitCode, as_failure
from replenish.cli.output import as_data, span, text
from replenish.cli.values import parse_moment, parse_since, parse_span, since
from replenish.domain.rule import TopUpKind
from replenish.errors import BadInput, ReplenishError
from tests.factories import NOW, make_card, usd

SERVES = {("sandbox", "serve"), ("guard",)}  # they print their log, and no answer


def commands(
    command: click.Command, path: tuple[str, ...] = ()
) -> Iterator[tuple[str, ...]]:
    """Walk all commands, groups included."""
    yield path
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from commands(found, (*path, name))


@pytest.mark.parametrize("path", list(commands(main)), ids=" ".join)
def test_every_command_teaches_by_example(path: tuple[str, ...]) -> None:
    """Its help holds a whole command line that begins as it is called."""
    answer = CliRunner().invoke(main, [*path, "--help"])

    assert answer.exit_code == 0
    assert f"  {' '.join(('replenish', *path))}" in answer.stdout


@pytest.mark.parametrize("path", list(commands(main)), ids=" ".join)
def test_every_command_that_prints_prints_json(path: tuple[str, ...]) -> None:
    """What a person may read, a program may."""
    command: click.Command = main
    for name in path:
        assert isinstance(command, click.Group)
        command = command.get_command(click.Context(command), name) or command
    options = {option for each in command.params for option in each.opts}

    assert isinstance(command, click.Group) or path in SERVES or "--json" in options


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("90", 90), ("90s", 90), ("10m", 600), ("24H", 86400), ("7d", 604800), ("0", 0)],
)
def test_a_span_is_read(written: str, seconds: int) -> None:
    """In seconds unless a unit is given."""
    assert parse_span(written) == timedelta(seconds=seconds)


@pytest.mark.parametrize("written", ["", "x", "-5", "1.5h", "5w", "99999d", "5 m", "²"])
def test_nonsense_is_no_span(written: str) -> None:
    """Refused, with how to write one."""
    with pytest.raises(BadInput, match="give 90s, 10m, 24h or 7d"):
        parse_span(written)


def test_a_time_needs_its_zone() -> None:
    """A date alone is its midnight UTC; any zone becomes UTC."""
    assert parse_moment("2026-03-17") == datetime(2026, 3, 17, tzinfo=UTC)
    assert parse_moment("2026-03-17T21:00:00+09:00") == NOW
    with pytest.raises(BadInput, match="no time with a zone"):
        parse_moment("2026-03-17T12:00:00")


def test_since_is_a_span_back_or_a_moment() -> None:
    """Counted from the ledger's now."""
    assert since(parse_since("24h"), NOW) == NOW - timedelta(days=1)
    assert since(parse_since("2026-03-17T12:00:00Z"), NOW) == NOW
    with pytest.raises(BadInput, match="neither a span"):
        parse_since("lately")


def test_json_loses_no_digit() -> None:
    """Amounts are text, times ISO, spans seconds, words their values."""
    found = as_data(
        {
            "money": usd("0.100001"),
            "at": NOW,
            "span": timedelta(minutes=10),
            "kind": TopUpKind.FIXED,
            "set": (Decimal("1E+2"), None, True, 3),
        }
    )

    assert found == {
        "money": {"amount": "0.100001", "currency": "USD"},
        "at": "2026-03-17T12:00:00+00:00",
        "span": 600.0,
        "kind": "fixed",
        "set": ["100.00", None, True, 3],
    }
    assert as_data(make_card())["last4"] == make_card().last4


def test_a_table_s_cells_read_as_people_write() -> None:
    """No exponents, no microseconds, no None."""
    cells = [None, True, False, Decimal(5), NOW, timedelta(hours=2), "x"]

    assert [text(cell) for cell in cells] == [
        "-",
        "yes",
        "no",
        "5.00",
        "2026-03-17 12:00:00 UTC",
        "2h",
        "x",
    ]
    assert [span(timedelta(seconds=s)) for s in (90, 86400, 0.5)] == [
        "90s",
        "1d",
        "0.5s",
    ]


CODES = {
    errors.Transient: ExitCode.UNREACHABLE,
    errors.GatewayUnavailable: ExitCode.UNREACHABLE,
    errors.BillingUnavailable: ExitCode.UNREACHABLE,
    errors.AccountLocked: ExitCode.UNREACHABLE,
    errors.ReplicaBehind: ExitCode.UNREACHABLE,
    errors.TrailUnread: ExitCode.UNREACHABLE,
    errors.LedgerUnavailable: ExitCode.UNREACHABLE,
    errors.BrokerUnavailable: ExitCode.UNREACHABLE,
    errors.ConfigurationError: ExitCode.MISUSE,
    errors.BadInput: ExitCode.MISUSE,
    errors.Refused: ExitCode.BAD_ANSWER,
    errors.AccountNotFound: ExitCode.BAD_ANSWER,
    errors.AccountExists: ExitCode.BAD_ANSWER,
    errors.CardNotFound: ExitCode.BAD_ANSWER,
    errors.GatewayMisuse: ExitCode.BAD_ANSWER,
    errors.GatewayKeyRefused: ExitCode.BAD_ANSWER,
    errors.LeaseLost: ExitCode.BAD_ANSWER,
}


def test_every_error_has_its_exit_code() -> None:
    """A new class without one fails here."""
    known = {
        each
        for each in vars(errors).values()
        if isinstance(each, type) and issubclass(each, ReplenishError)
    }

    assert known - {ReplenishError} == set(CODES)
    for kind, code in CODES.items():
        assert as_failure(kind("It is so.")).exit_code == code


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (
            redis.ConnectionError("Error 111. Connection refused."),
            (
                "Redis did not answer (Error 111. Connection refused.);"
                " check that it is up and REDIS_URL right."
            ),
        ),
        (
            OperationalError("SELECT 1", {}, Exception("no route\nto it")),
            (
                "A database did not answer (no route);"
                " check that it is up and its address right."
            ),
        ),
    ],
)
def test_a_service_that_is_away_is_named(error: Exception, sentence: str) -> None:
    """With its setting, so that `check` says what to do, too."""
    failure = as_failure(error)

    assert (failure.message, failure.exit_code) == (sentence, ExitCode.UNREACHABLE)


@pytest.mark.parametrize(
    "words",
    [
        ("demo", "--seconds", "-1"),
        ("demo", "--accounts", "1"),
        ("account", "pause", "1001", "--reason", " "),
        ("account", "pause", "1001", "--reason", "two\nlines"),
        ("charger", "stop", "--reason", ""),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_starts(
    words: tuple[str, ...],
) -> None:
    """A reason that says nothing, or a demonstration of nobody."""
    answer = CliRunner().invoke(main, words)

    assert answer.exit_code == ExitCode.MISUSE, answer.output
    assert f"Invalid value for '{words[-2]}'" in answer.stderr


def test_a_bug_is_one_sentence_too() -> None:
    """What nobody thought of ends as a sentence that asks for a report."""
    failure = as_failure(KeyError("x"))

    assert failure.exit_code == ExitCode.BAD_ANSWER
    assert "replenish --debug" in failure.message


def test_a_full_disk_is_misuse_in_one_sentence() -> None:
    """The system's own words are the sentence."""
    failure = as_failure(OSError(28, "No space left on device"))

    assert (failure.exit_code, "No space left" in failure.message) == (2, True)


def test_it_tells_its_version() -> None:
    """For a bug report."""
    answer = CliRunner().invoke(main, ["--version"])

    assert answer.exit_code == 0
    assert re.fullmatch(r"replenish, version \d+\.\d+\.\d+\n", answer.output)
