"""The same commands as real processes: what a shell script sees."""

import pytest

from tests.integration.cli.commands import NOWHERE, Terminal

CLOSED = "postgresql://nobody@127.0.0.1:1/none"


def test_from_an_empty_database_to_a_told_history(empty_terminal: Terminal) -> None:
    """Schema, account, enrolment, call, story: each by its own process."""
    rates = empty_terminal.folder / "rates.csv"
    rates.write_text(
        "prefix,name,per_minute,currency,effective_from\n"
        "44,London,0.60,USD,2020-01-01\n"
    )
    accounts = empty_terminal.folder / "accounts.csv"
    accounts.write_text("number,kind,currency,opening_balance\n1001,prepaid,USD,10\n")
    process = empty_terminal.process

    before = process("db", "status")
    upgraded = process("db", "upgrade")
    after = process("db", "status", "--json")
    steps = [
        process("billing", "load-rates", str(rates)),
        process("billing", "load-accounts", str(accounts)),
        process("account", "enrol", "1001", "--threshold", "9.5"),
        process("billing", "call", "1001", "442079460000", "60"),
        process("account", "pause", "1001", "--reason", "a test"),
    ]
    told = process("account", "history", "1001")

    assert before.code == 1
    assert "run `replenish db upgrade`" in before.out
    assert (upgraded.code, after.code) == (0, 0)
    assert [row["problem"] for row in after.json] == ["", ""]
    assert [step.code for step in steps] == [0] * len(steps), steps
    assert "Was paused: a test." in told.out
    assert "\x1b" not in told.out  # no colours into a pipe


@pytest.mark.parametrize(
    ("words", "changes", "code", "sentence"),
    [
        (("account", "list"), {"DATABASE_URL": CLOSED}, 3, "did not answer"),
        (("db", "status"), {"DATABASE_URL": CLOSED}, 3, "did not answer"),
        (("sweep",), {"REDIS_URL": NOWHERE}, 3, "check"),
        (("account", "list"), {"RULE_TOP_UP": "lots"}, 2, "RULE_TOP_UP"),
        (("check",), {"DATABASE_URL": CLOSED}, 3, ""),
        (("account", "nonsense"), {}, 2, "No such command"),
    ],
)
def test_whatever_is_away_or_wrong_is_one_sentence(
    terminal: Terminal,
    words: tuple[str, ...],
    changes: dict[str, str],
    code: int,
    sentence: str,
) -> None:
    """An exit code for the script, a sentence for the person, no traceback."""
    answer = terminal.process(*words, **changes)

    assert answer.code == code, answer
    assert sentence in answer.err
    assert "Traceback" not in answer.err + answer.out


def test_a_missing_schema_names_the_command_that_makes_it(
    empty_terminal: Terminal,
) -> None:
    """Not an SQL error."""
    answer = empty_terminal.process("account", "list")

    assert answer.code == 2
    assert "run `replenish db upgrade`" in answer.err


def test_check_tells_of_everything_although_something_is_away(
    terminal: Terminal,
) -> None:
    """Redis and the gateway are away: their lines say so, the others are as usual."""
    answer = terminal.process("check", "--json")

    lines = {line["name"]: line for line in answer.json}
    assert answer.code == 3
    assert lines["ledger"]["ok"]
    assert lines["billing"]["ok"]
    assert lines["charger"]["ok"]
    assert lines["redis"]["unreachable"]
    assert lines["gateway"]["unreachable"]
    assert not lines["sweep.hot"]["ok"]
    assert "beat" in lines["sweep.hot"]["text"]


def test_help_needs_no_settings_and_no_services(terminal: Terminal) -> None:
    """It must help exactly then."""
    answer = terminal.process("--help", REPLENISH_ENV="nonsense")

    assert answer.code == 0
    assert "replenish account enrol --help" in answer.out


def test_debug_shows_the_traceback(terminal: Terminal) -> None:
    """For a bug report, and only when asked for."""
    answer = terminal.process("--debug", "account", "list", DATABASE_URL=CLOSED)

    assert answer.code == 1
    assert "Traceback" in answer.err


def test_only_what_is_asked_for_is_checked(terminal: Terminal) -> None:
    """A supervisor of one service does not hang on the others."""
    named = terminal.process("check", "ledger", "billing", "charger", "--json")
    wrong = terminal.process("check", "everything")

    assert named.code == 0
    assert [line["name"] for line in named.json] == ["ledger", "billing", "charger"]
    assert wrong.code == 2


def test_the_least_grants_of_a_package_are_printed(terminal: Terminal) -> None:
    """To be pasted into its database; nothing is asked of a server."""
    magnus = terminal.process(
        "check",
        "--grants",
        "us",
        BILLING_PACKAGE="magnusbilling",
        BILLING_DATABASE_URL="mysql://x@127.0.0.1:1/mbilling",
    )
    wrong = terminal.process(
        "check",
        "--grants",
        "us",
        BILLING_PACKAGE="magnusbilling",
        BILLING_DATABASE_URL="postgresql://x@127.0.0.1:1/mbilling",
    )

    assert magnus.code == 0, magnus.err
    assert "UPDATE (credit, active) ON `mbilling`.`pkg_user` TO us;" in magnus.out
    assert wrong.code == 2
    assert "BILLING_DATABASE_URL is no mysql address" in wrong.err


def test_a_package_that_nobody_knows_is_refused(terminal: Terminal) -> None:
    """With those that are known."""
    answer = terminal.process("check", BILLING_PACKAGE="astp")

    assert answer.code == 2
    assert "use one of a2billing, astpp, bundled" in answer.err
