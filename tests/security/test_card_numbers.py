"""S1: a card's own number gets in nowhere, whoever gives it and wherever."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from replenish import card_number, logs
from replenish.adapters import stripe_reading
from replenish.adapters.stripe_refusal import Refusal
from replenish.billing.forms import account_of
from replenish.cli import account_file
from replenish.cli.values import parse_reason
from replenish.domain import enrolment
from replenish.domain.enrolment import Consent
from replenish.domain.outcome import Declined
from replenish.errors import BadInput, ReplenishError
from replenish.pipeline import enrol as enrolling
from replenish.pipeline.enrol import Desk
from tasks import replenish as replenish_task
from tasks import told
from tests import bundled
from tests.integration.cli import conftest as cli
from tests.integration.cli.commands import NOWHERE, Terminal
from tests.postgres import MakeDatabase

pytestmark = pytest.mark.security("S1")

TEST_NUMBERS = (  # https://docs.stripe.com/testing
    *("4242424242424242", "4000056655665556", "5555555555554444", "2223003122003222"),
    *("5200828282828210", "5105105105105100", "378282246310005", "371449635398431"),
    *("6011111111111117", "6011000990139424", "6011981111111113", "3056930009020004"),
    *("36227206271667", "6555900000604105", "3566002020360505", "6200000000000005"),
    *("6200000000000047", "6205500000000000004", "4222222222222"),
)
GROUPS = ("", " ", "-")


@st.composite
def numbers(draw: st.DrawFn) -> str:
    """One of Stripe's test numbers or any other that passes, plain or in groups."""
    number = draw(st.sampled_from(TEST_NUMBERS) | passing())
    gap = draw(st.sampled_from(GROUPS))
    return gap.join(number[at : at + 4] for at in range(0, len(number), 4))


def passing() -> st.SearchStrategy[str]:
    """Any 13 to 19 digits that pass the check digit."""
    return st.text("0123456789", min_size=12, max_size=18).map(checked)


def checked(start: str) -> str:
    """Add the check digit (ISO/IEC 7812-1)."""
    doubled = [sum(divmod(2 * int(digit), 10)) for digit in start[::-2]]
    return f"{start}{-(sum(doubled) + sum(map(int, start[-2::-2]))) % 10}"


def gone(number: str, text: str) -> bool:
    """Whether neither the number nor its middle stands in a text."""
    digits = "".join(sign for sign in number if sign.isdigit())
    return number not in text and digits not in text.replace(" ", "").replace("-", "")


def refused(act: Callable[[], object], number: str) -> None:
    """Insist on a refusal that does not repeat the number."""
    with pytest.raises(ReplenishError) as caught:
        act()
    assert gone(number, str(caught.value) + caught.value.subject)


@given(numbers())
def test_no_account_is_called_by_a_card_number(number: str) -> None:
    """Not by hand, from a file, in a task, or in the bundled package."""
    cells = {"number": number.replace(" ", ""), "kind": "prepaid", "currency": "USD"}

    refused(lambda: enrolment.check_ref(number), number)
    refused(lambda: enrolment.check_ref(f"sip-{number}"), number)
    refused(lambda: told.account_of(number), number)
    refused(lambda: told.account_of([number]), number)
    refused(lambda: told.batch_of({"card": number}), number)
    refused(lambda: told.kind_of(number), number)
    refused(lambda: account_of({**cells, "credit_limit": "0"}), number)


@given(numbers())
def test_free_text_loses_it(number: str) -> None:
    """Consents, reasons, names, what the gateway says, every sentence of ours."""
    said = f"paid with {number}, thanks"
    consent = Consent(datetime(2026, 1, 1, tzinfo=UTC), said, said)
    cells = {
        "number": "1001",
        "kind": "prepaid",
        "currency": "USD",
        "deck": "d",
        "credit_limit": "0",
        "opening_balance": "1",
        "name": said,
        "email": said,
    }
    error = {"code": "card_declined", "message": said}
    declined = stripe_reading.declined("pi_1", error)
    lost = stripe_reading.card_gone("pi_1", Refusal(status=400, error=error))

    assert isinstance(declined, Declined)
    for text in (
        *(consent.text, consent.source, parse_reason(said), declined.message),
        *(lost.message, str(Refusal(status=402, error=error)), logs.redact(said)),
        *map(str, account_of(cells).values()),
        str(BadInput(said, subject=said)),
    ):
        assert gone(number, text)


@given(numbers())
def test_a_marked_charge_of_somebody_else_brings_none_in(number: str) -> None:
    """What is written into the metadata at the gateway is free text, too."""
    found = {
        "id": "pi_1",
        "amount": 2500,
        "currency": "usd",
        "metadata": {"attempt": "a-1", "account": number},
        "status": "canceled",
    }
    seen = stripe_reading.seen(found, marks={})

    assert seen is not None
    assert gone(number, repr(seen))


@pytest.mark.parametrize("number", TEST_NUMBERS)
def test_a_card_is_never_named_by_its_number(number: str) -> None:
    """It is refused before anybody is asked, the gateway included."""
    asked: list[str] = []
    desk = cast(
        "Desk",
        SimpleNamespace(
            register=SimpleNamespace(need=lambda _: None),
            gateway=SimpleNamespace(card=lambda *_: asked.append("card")),
        ),
    )

    for customer, method in ((number, "pm_1"), ("cus_1", number)):
        add = partial(enrolling.add_card, desk, "1001", actor="test")
        refused(partial(add, customer=customer, payment_method=method), number)
    assert asked == []


@pytest.mark.parametrize("number", TEST_NUMBERS[:3])
def test_a_task_that_is_given_one_keeps_no_trace(
    number: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither its result nor its log holds what the message held."""
    monkeypatch.setenv("REDIS_URL", NOWHERE)
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    account = replenish_task.account  # not before: whoever looks at it makes the app
    monkeypatch.setattr(account, "store_errors_even_if_ignored", False)
    for arguments in ((number,), (number, number), ([number],)):
        result = account.apply(arguments)
        assert "BadInput" in repr(result.result)
        assert gone(number, repr(result.result) + str(result.traceback))
    result = account.apply(("1001",), {number: 1})

    assert gone(number, str(result.result))
    assert gone(number, logs.redact(caplog.text))


@pytest.fixture
def terminal(
    make_database: MakeDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Terminal]:
    """A terminal on a ledger and the bundled package, with account 1001."""
    url = make_database(cli.prepare)
    with bundled.engine_of(url) as engine:
        bundled.add_account(engine, "1001", "10")
    yield from cli._terminal(url, tmp_path, monkeypatch)  # noqa: SLF001 its own place


CONSENT = ("--consent-at", "2026-01-01", "--consent-source", "form", "--consent-text")


@pytest.mark.integration
def test_no_command_writes_one_down(terminal: Terminal, tmp_path: Path) -> None:
    """Whatever is typed or imported: no row of any table holds it afterwards."""
    number, spaced = TEST_NUMBERS[0], "4242 4242 4242 4242"
    file = tmp_path / "accounts.csv"
    file.write_text(
        "account,customer,payment_method,consent_at,consent_text,consent_source\n"
        f"{number},,,,,\n1001,cus_1,{number},2026-01-01,{spaced},{number}\n"
        f"{spaced},,,2026-01-01,{number},{number}\n"
    )
    commands: tuple[tuple[str, ...], ...] = (
        ("account", "enrol", number),
        ("account", "enrol", "1001", "--customer", number, "--payment-method", "pm_1"),
        ("account", "enrol", "1001", *CONSENT, f"agreed with {spaced}"),
        ("account", "change", "1001", *CONSENT, number),
        ("account", "change", "1001", "--time-zone", number),
        ("account", "pause", "1001", "--reason", f"called about {number}"),
        ("account", "show", number),
        ("account", "import", str(file)),
        ("card", "add", "1001", "--customer", "cus_1", "--payment-method", number),
        ("card", "remove", "1001", number),
        ("charger", "stop", "--reason", f"stolen {spaced}"),
    )
    answers = [terminal.run(*words) for words in commands]

    assert [each.code for each in answers].count(0) == 4
    assert all(gone(number, each.out + each.err) for each in answers)
    rows = dump(terminal.variables["DATABASE_URL"])
    assert card_number.CARD_NUMBER in rows
    assert gone(number, rows)


TABLES = """
SELECT format('%I.%I', schemaname, tablename) FROM pg_tables
WHERE schemaname IN ('replenish', 'billing')
"""


def dump(url: str) -> str:
    """Give every row of every table of ours, as text."""
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        tables = connection.execute(sa.text(TABLES)).scalars().all()
        rows = [
            row
            for table in tables
            for row in connection.execute(
                sa.text(f"SELECT t::text FROM {table} t")  # noqa: S608 its catalogue's
            ).scalars()
        ]
    engine.dispose()
    return "\n".join(rows)


def test_a_file_is_read_row_by_row_without_one(tmp_path: Path) -> None:
    """A row's own reason does not repeat it either."""
    number = TEST_NUMBERS[1]
    file = tmp_path / "accounts.csv"
    file.write_text(f"account,threshold,count_day\n1001,{number}x,1\n1002,1,{number}\n")
    rows = account_file.read(file)

    assert all(isinstance(row.request, BadInput) for row in rows)
    assert all(gone(number, str(row.request)) for row in rows)


def test_what_is_no_card_number_is_left_alone() -> None:
    """Ids, phone numbers and amounts stay what they are."""
    for text in (
        *("1001", "+4915123456789", "447700900123", "4242424242424241"),
        "0192f0c1-7b1e-7cc3-9a5f-3f0e2d1c0b9a",
        "pm_1a4242424242424242bcdef0",
    ):
        enrolment.check_ref(text)
        assert card_number.blotted(text) == text
