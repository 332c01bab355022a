"""`replenish account` and `card`, typed in."""

import pytest

from tests.integration.cli.commands import Terminal

TERMS = ("--threshold", "5", "--top-up", "25")


def test_an_account_is_enrolled_shown_and_told(terminal: Terminal) -> None:
    """What was agreed reads back, the history tells it, nothing is lost in JSON."""
    enrolled = terminal.run("account", "enrol", "1001", *TERMS)
    shown = terminal.run("account", "show", "1001", "--json")
    told = terminal.run("account", "history", "1001")

    assert enrolled.code == 0
    assert "threshold   5.00 USD" in enrolled.out
    assert shown.json["overrides"]["threshold"] == "5.00"
    assert shown.json["available"] == {"amount": "10.00", "currency": "USD"}
    assert "Was enrolled in USD with its own threshold 5.00, top-up 25.00" in told.out


def test_enrolling_without_a_card_or_consent_says_what_follows(
    terminal: Terminal,
) -> None:
    """It is allowed, and never charged."""
    answer = terminal.run("account", "enrol", "1001")

    assert answer.code == 0
    assert "No consent: it is never charged" in answer.out
    assert "No card that works" in answer.out


def test_a_threshold_out_of_reach_of_one_top_up_is_told(terminal: Terminal) -> None:
    """A slip of the hand would charge up to the caps; 10 are available."""
    enrolled = terminal.run("account", "enrol", "1001", *TERMS)
    changed = terminal.run("account", "change", "1001", "--threshold", "500")

    assert "meant so high" not in enrolled.out
    assert "leaves it at 35.00, still not above its threshold 500.00" in changed.out


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (("404",), 1, "no account '404'"),
        (("1001", "--threshold", "-5"), 2, "is negative"),
        (("1001", "--threshold", "NaN"), 2, "not an amount"),
        (("1001", "--cap-day", "1e30"), 2, "not an amount"),
        (("1001", "--to-target", "1"), 2, "not above the threshold"),
        (("1001", "--top-up", "5", "--to-target", "9"), 2, "not both"),
        (("1001", "--top-up", "25", "--cap-charge", "5"), 2, "below the top-up"),
        (("1001", "--currency", "EUR"), 2, "is in USD"),
        (("1001", "--cooldown", "soon"), 2, "no span of time"),
        (("1001", "--consent-at", "2026-01-01"), 2, "together"),
        (("1001", "--consent-at", "yesterday"), 2, "no time with a zone"),
        (("1001", "--customer", "cus_1"), 2, "give both or neither"),
    ],
)
def test_a_bad_enrolment_ends_in_one_sentence(
    terminal: Terminal, words: tuple[str, ...], code: int, sentence: str
) -> None:
    """Misuse is 2, a bad answer 1; nothing is enrolled."""
    answer = terminal.run("account", "enrol", *words)

    assert (answer.code, answer.out) == (code, "")
    assert sentence in answer.err
    assert terminal.run("account", "list", "--json").json == []


def test_an_account_is_enrolled_once(terminal: Terminal) -> None:
    """The second time names the two commands that help."""
    terminal.run("account", "enrol", "1001")

    again = terminal.run("account", "enrol", "1001")

    assert again.code == 1
    assert "is already enrolled" in again.err
    assert "account change" in again.err


def test_terms_are_changed_and_given_back_to_the_defaults(terminal: Terminal) -> None:
    """Every change is in the history, with who did it."""
    terminal.run("account", "enrol", "1001", *TERMS)
    consent = ("--consent-at", "2026-01-01", "--consent-text", "v3")
    changed = terminal.run(
        "account", "change", "1001", "--default", "threshold", "--cap-day", "80"
    )
    agreed = terminal.run(
        "account", "change", "1001", *consent, "--consent-source", "form 4711"
    )

    assert "threshold   10.00 USD  (default)" in changed.out
    assert "No consent" not in agreed.out
    told = terminal.run("account", "history", "1001", "--json").json
    assert [event["kind"] for event in told] == [
        "enrolled",
        "rule_changed",
        "consent_given",
    ]
    assert told[1]["actor"].startswith("cli")
    assert terminal.run("account", "change", "1001").code == 2


def test_pausing_holds_and_resuming_lets_go(terminal: Terminal) -> None:
    """The list and the explanation both show it."""
    terminal.run("account", "enrol", "1001", "--threshold", "20")

    terminal.run("account", "pause", "1001", "--reason", "dispute dp_1")
    listed = terminal.run("account", "list", "--paused")
    explained = terminal.run("explain", "1001")
    resumed = terminal.run("account", "resume", "1001")

    assert "paused (dispute dp_1)" in listed.out
    assert "the account is paused (dispute dp_1)" in explained.out
    assert resumed.out.startswith("1001 is resumed; the next sweep looks")
    assert "fine" in terminal.run("account", "list").out


def test_the_list_is_paged(terminal: Terminal) -> None:
    """A full page says how to go on."""
    for ref in ("1001", "1002"):
        terminal.run("account", "enrol", ref)

    first = terminal.run("account", "list", "--limit", "1")
    rest = terminal.run("account", "list", "--after", "1001", "--json")

    assert "--after 1001" in first.err
    assert [each["ref"] for each in rest.json] == ["1002"]


@pytest.mark.parametrize(
    "words",
    [
        ("account", "show"),
        ("account", "history"),
        ("account", "resume"),
        ("card", "list"),
        ("explain",),
    ],
)
def test_an_account_that_is_not_enrolled_is_named(
    terminal: Terminal, words: tuple[str, ...]
) -> None:
    """One sentence, exit 1, whatever is asked about it."""
    answer = terminal.run(*words, "404")

    assert answer.code == 1
    assert "404" in answer.err
    assert "not enrolled" in answer.err


def test_a_card_that_is_not_on_file_is_named(terminal: Terminal) -> None:
    """And an account without cards lists none."""
    terminal.run("account", "enrol", "1001")

    assert terminal.run("card", "remove", "1001", "pm_1").code == 1
    assert "no card on file" in terminal.run("card", "list", "1001").out


def test_watching_again_counts_the_accounts(terminal: Terminal) -> None:
    """After the default threshold was changed, one command tells the package."""
    terminal.run("account", "enrol", "1001")

    assert terminal.run("account", "watch").out == "1 accounts are watched.\n"
