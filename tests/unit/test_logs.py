"""Log lines carry what happened and never a secret."""

import io
import json
import logging
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replenish import card_number, logs
from replenish.adapters.notify import LogNotifier
from replenish.settings import Settings

SECRETS = [
    ("key sk_live_51HxyzABC was refused", "51HxyzABC"),
    ("key rk_test_abc123 was refused", "abc123"),
    ("signed with whsec_0123abc", "0123abc"),
    ("method pm_1PqRs declined", "1PqRs"),
    ("connect postgresql+psycopg2://me:hunter2@db/x failed", "hunter2"),
    ("connect redis://:hun@ter2@cache:6379/0 failed", "ter2"),
    ("headers {'Authorization': 'Bearer abcdefgh12'}", "abcdefgh12"),
    ("Authorization: Basic dXNlcjpwYXNz", "dXNlcjpwYXNz"),
    ("dsn host=db password=hunter2 user=me", "hunter2"),
    ("card 4242424242424242 given", "4242424242424242"),
    ("card 4242 4242 4242 4242 given", "4242 4242"),
    ("card 3782-822463-10005 given", "822463"),
]


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """Where the lines go; logging is put back as it was afterwards."""
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    yield io.StringIO()
    root.handlers[:] = before
    root.setLevel(level)
    logging.captureWarnings(capture=False)
    logs.unbind()


def _fail(message: str) -> None:
    raise ValueError(message)


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize(("said", "secret"), SECRETS)
@pytest.mark.security("S1", "S4")
def test_a_secret_never_reaches_the_log(
    stream: io.StringIO, form: str, said: str, secret: str
) -> None:
    """Not in the message, an extra field, or a traceback."""
    logs.configure(Settings(log_format=form), stream=stream)
    try:
        _fail(said)
    except ValueError:
        logging.getLogger("x").exception("It said %s", said, extra={"said": said})

    assert secret not in stream.getvalue()
    assert "ValueError" in stream.getvalue()


@pytest.mark.parametrize(
    "harmless",
    [
        "balance 4242424242424241 is no card number",  # fails the check digit
        "attempt 0192f0c1-7b1e-7cc3-9a5f-3f0e2d1c0b9a settled",
        "task 29511451-5268-4c9b-93ec-e1b203f8987e ended",  # begins as a card might
        "id 42424242424242424242424242424242",  # too long for a card
        "postgresql+psycopg2://postgres@/replenish?host=%2Ftmp&port=5432",
        "25.00 USD to account 1001",
    ],
)
def test_what_is_no_secret_stays_readable(harmless: str) -> None:
    """Blotting is for secrets only; ids and amounts are the point of a log."""
    assert harmless == logs.redact(harmless)


@given(st.text(alphabet="0123456789", min_size=12, max_size=18))
@pytest.mark.security("S1")
def test_every_card_number_is_blotted(start: str) -> None:
    """Whatever passes the card schemes' check digit is hidden."""
    digits = [int(sign) for sign in start]
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[::-2]]
    check = -(sum(doubled) + sum(digits[-2::-2])) % 10

    assert logs.redact(f"card {start}{check}.") == f"card {card_number.CARD_NUMBER}."


@pytest.mark.security("S4")
def test_a_line_feed_in_a_name_does_not_forge_a_line(stream: io.StringIO) -> None:
    """What an attacker names an account stays within its own line."""
    logs.configure(Settings(), stream=stream)
    logging.getLogger("x").info(
        "Account %s", "1\n2026-01-01 forged\r\x1b[2J\u2028", extra={"name_": "a\nb"}
    )

    assert len(stream.getvalue().splitlines()) == 1
    assert r"1\n2026-01-01 forged\r\x1b[2J\u2028" in stream.getvalue()


@pytest.mark.security("S4")
def test_a_traceback_cannot_forge_a_line(stream: io.StringIO) -> None:
    """Every line of a traceback is indented, whatever its message holds."""
    logs.configure(Settings(), stream=stream)
    try:
        _fail("bad\n2026-01-01T00:00:00.000Z INFO forged")
    except ValueError:
        logging.getLogger("x").exception("Failed")

    head, *rest = stream.getvalue().splitlines()
    assert "Failed" in head
    assert rest
    assert all(line.startswith("    ") for line in rest)


def test_bound_ids_and_extra_fields_stand_in_the_line(stream: io.StringIO) -> None:
    """One line tells which account and attempt it is about."""
    logs.configure(Settings(), stream=stream)
    logs.bind(account_id="1001")
    with logs.bound(attempt_id="a-1"):
        logging.getLogger("x").info(
            "Attempt settled", extra={"event": "attempt.settled", "why": "low balance"}
        )
    logging.getLogger("x").info("Done")
    first, second = stream.getvalue().splitlines()

    assert first.endswith(
        'Attempt settled event=attempt.settled why="low balance" '
        "account_id=1001 attempt_id=a-1"
    )
    assert second.endswith("Done account_id=1001")
    logs.unbind()
    logging.getLogger("x").info("Over")
    assert stream.getvalue().endswith("Over\n")


def test_what_a_line_says_itself_beats_what_is_bound(stream: io.StringIO) -> None:
    """A pass over many accounts names each of those that it cuts off."""
    logs.configure(Settings(), stream=stream)
    with logs.bound(account_id="1001", task_id="t-1"):
        logging.getLogger("x").info("Service ended", extra={"account_id": "1002"})

    assert stream.getvalue().endswith("Service ended account_id=1002 task_id=t-1\n")


@pytest.mark.security("S4")
def test_a_json_line_is_one_object(stream: io.StringIO) -> None:
    """A log collector reads each line by itself."""
    logs.configure(Settings(log_format="json"), stream=stream)
    logs.bind(task_id="t-1")
    logging.getLogger("x").warning("Two\nlines", extra={"event": "e"})
    line = json.loads(stream.getvalue())

    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "WARNING",
        "logger": "x",
        "message": r"Two\nlines",
        "event": "e",
        "task_id": "t-1",
    }


def test_configuring_twice_does_not_double_the_lines(stream: io.StringIO) -> None:
    """A worker and the command line may both configure."""
    logs.configure(Settings(), stream=stream)
    logs.configure(Settings(log_level="WARNING"), stream=stream)
    logging.getLogger("x").info("Silent")
    logging.getLogger("x").warning("Once")

    assert stream.getvalue().count("\n") == 1


def test_what_people_are_told_is_never_below_the_level(stream: io.StringIO) -> None:
    """Whoever keeps routine out of the log still learns that a card waits for them."""
    logs.configure(Settings(log_level="WARNING"), stream=stream)

    LogNotifier()("charger.stopped", account="1001", text="The key is refused.")

    assert "The key is refused." in stream.getvalue()
