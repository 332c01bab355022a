"""`replenish account import`: every bad row has its line and its reason."""

from pathlib import Path

import pytest

from tests.integration.cli.commands import Terminal

GOOD = "account,threshold,top_up,cooldown\n1001,5,25,10m\n"


def write(terminal: Terminal, text: str, *, encoding: str = "utf-8") -> str:
    """Write a file; give its path."""
    path = terminal.folder / "accounts.csv"
    path.write_text(text, encoding=encoding)
    return str(path)


def enrolled(terminal: Terminal) -> list[str]:
    """Give the refs of who is enrolled."""
    return [each["ref"] for each in terminal.run("account", "list", "--json").json]


def test_a_good_file_is_enrolled_whole(terminal: Terminal) -> None:
    """A spreadsheet's byte-order mark, empty lines and empty cells are no matter."""
    text = GOOD + ",,,\n1002,,,\n"

    answer = terminal.run(
        "account", "import", write(terminal, text, encoding="utf-8-sig")
    )

    assert (answer.code, answer.out) == (0, "2 enrolled, 0 rows refused.\n")
    assert enrolled(terminal) == ["1001", "1002"]


def test_a_file_with_a_header_alone_enrols_nobody(terminal: Terminal) -> None:
    """That is no mistake of anybody's."""
    answer = terminal.run("account", "import", write(terminal, "account\n"))

    assert (answer.code, answer.out) == (0, "0 enrolled, 0 rows refused.\n")


BAD = GOOD + "404,5,25,\n1001,5,25,\n1002,x,25,\n1002,5\n1002,5,25,soon\n"
REASONS = [
    ":3: The billing package has no account '404'",
    ":4: Account 1001 stands further up in the file.",
    ":5: threshold is 'x', which is not an amount",
    ":6: The row has 2 fields, the header 4.",
    ":7: 'soon' is no span of time",
]


def test_one_bad_row_keeps_all_out(terminal: Terminal) -> None:
    """That is the default; each row is named by file and line."""
    path = write(terminal, BAD)

    answer = terminal.run("account", "import", path)

    assert (answer.code, answer.out) == (1, "0 enrolled, 5 rows refused.\n")
    told = answer.err.splitlines()
    assert len(told) == len(REASONS)
    for line, reason in zip(told, REASONS, strict=True):
        assert line.startswith(path + reason)
    assert enrolled(terminal) == []


def test_good_rows_get_in_where_asked(terminal: Terminal) -> None:
    """The bad ones are still named, and the exit code still says so."""
    answer = terminal.run(
        "account", "import", write(terminal, BAD), "--good-rows", "--json"
    )

    assert answer.code == 1
    assert answer.json["enrolled"] == 1
    assert [row["line"] for row in answer.json["problems"]] == [3, 4, 5, 6, 7]
    assert enrolled(terminal) == ["1001"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "has no column `account`"),
        ("threshold\n5\n", "has no column `account`"),
        ("account,cap_dya\n1001,5\n", "unknown columns: 'cap_dya'"),
        ("account,account\n1001,1002\n", "names a column twice"),
        ('account\n"1001\n', "is no CSV file"),
    ],
)
def test_a_file_that_makes_no_sense_is_refused_whole(
    terminal: Terminal, text: str, sentence: str
) -> None:
    """A misspelt cap must not silently become the default."""
    answer = terminal.run("account", "import", write(terminal, text))

    assert answer.code == 2
    assert sentence in answer.err


def test_a_file_that_is_not_utf_8_is_refused(terminal: Terminal) -> None:
    """And says what to do about it."""
    Path("latin.csv").write_bytes(b"account\n10\xe901\n")

    answer = terminal.run("account", "import", "latin.csv")

    assert answer.code == 2
    assert "save it as UTF-8" in answer.err


@pytest.mark.parametrize(
    ("columns", "cells", "sentence"),
    [
        ("top_up,to_target", "5,50", "both a top_up and a to_target"),
        ("count_day", "1.5", "no whole number"),
        ("consent_at", "2026-01-01", "A consent needs all of"),
        ("consent_at,consent_text,consent_source", "then,v,w", "no time with a zone"),
        ("currency", "EUR", "is in USD"),
    ],
)
def test_a_cell_that_makes_no_sense_is_told(
    terminal: Terminal, columns: str, cells: str, sentence: str
) -> None:
    """Each with its own reason."""
    text = f"account,{columns}\n1001,{cells}\n"

    answer = terminal.run("account", "import", write(terminal, text))

    assert answer.code == 1
    assert sentence in answer.err


def test_terms_in_a_file_are_those_of_the_command_line(terminal: Terminal) -> None:
    """A target, a zone, a consent: read as their options are."""
    text = (
        "account,to_target,time_zone,count_day,consent_at,consent_text,consent_source\n"
        "1001,50,Asia/Tokyo,2,2026-01-01T00:00:00Z,v3,web\n"
    )

    terminal.run("account", "import", write(terminal, text))

    shown = terminal.run("account", "show", "1001", "--json").json
    assert (shown["rule"]["kind"], shown["rule"]["top_up"]) == ("target", "50.00")
    assert shown["rule"]["time_zone"] == "Asia/Tokyo"
    assert shown["consent"]["at"] == "2026-01-01T00:00:00+00:00"


def test_the_package_s_accounts_are_listed_completed_and_enrolled(
    terminal: Terminal,
) -> None:
    """What comes out goes in again; who is enrolled already says so."""
    terminal.run("account", "enrol", "1001", "--threshold", "5")

    listed = terminal.run("account", "import", "--from-package")
    shown = terminal.run("account", "import", "--from-package", "--json").json
    file = terminal.folder / "accounts.csv"
    lines = listed.out.splitlines()
    file.write_text("\n".join([lines[0], *[row for row in lines if "1002" in row]]))
    enrolled = terminal.run("account", "import", str(file))
    neither = terminal.run("account", "import")

    assert lines[1].startswith("1001,USD,,,")
    assert [row["why_not"] for row in shown] == ["is enrolled already", ""]
    assert (enrolled.code, enrolled.out) == (0, "1 enrolled, 0 rows refused.\n")
    assert neither.code == 2
