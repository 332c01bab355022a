"""The commands an operator runs by hand, on real databases."""

import csv
from io import StringIO

from tests.integration.cli.commands import Terminal
from tests.ledgers import engine_of, run

CONSENT = ("--consent-at", "2026-01-01", "--consent-text", "v", "--consent-source", "w")


def drain(terminal: Terminal, ref: str = "1001") -> None:
    """Talk until the account's 10 USD are gone, at 0.60 a minute."""
    answer = terminal.run("billing", "call", ref, "442079460000", "86400")
    assert answer.code == 0, answer.err


def test_a_call_is_cut_short_by_the_balance_and_costs_it(terminal: Terminal) -> None:
    """A switch would do the same; after it the next one is refused."""
    found = terminal.run(
        "billing", "call", "1001", "442079460000", "86400", "--json"
    ).json
    again = terminal.run("billing", "call", "1001", "442079460000", "60")

    assert found["seconds"] == 1000
    assert found["cost"] == {"amount": "10.00", "currency": "USD"}
    assert found["available_after"] == "0.00"
    assert again.code == 1
    assert "refused: no funds" in again.err


def test_an_exhausted_account_is_explained_cut_off_and_counted(
    terminal: Terminal,
) -> None:
    """No card can save it: the dry run says who, the run does it, once."""
    terminal.run("account", "enrol", "1001", *CONSENT)
    drain(terminal)
    with engine_of(terminal.variables["DATABASE_URL"]) as engine:
        run(engine, "UPDATE replenish.account SET low_since = now()")

    explained = terminal.run("explain", "1001", "--json").json
    would = terminal.run("cutoff", "--dry-run")
    before = terminal.run("account", "show", "1001", "--json").json
    done = terminal.run("cutoff", "--json").json
    listed = terminal.run("account", "list", "--cut-off")

    assert (explained["decision"], explained["reason"]) == ("cut_off", "no_card")
    assert "no card is on file" in would.out
    assert before["cut_off"] is None
    assert done == {"cut_off": ["1001"], "restored": []}
    assert "cut off (no_card)" in listed.out
    refused = terminal.run("billing", "call", "1001", "442079460000", "60")
    assert refused.code == 1


def test_a_healthy_account_says_what_would_happen_were_it_low(
    terminal: Terminal,
) -> None:
    """So that a missing consent is seen before it matters."""
    terminal.run("account", "enrol", "1001", "--threshold", "5")

    answer = terminal.run("explain", "1001")

    assert "Leave alone: enough is available." in answer.out
    assert "Were it low: Leave alone: the customer has not agreed" in answer.out
    assert "spent today" in answer.out


def test_explaining_touches_nothing(terminal: Terminal) -> None:
    """No event, no skip, no mark."""
    terminal.run("account", "enrol", "1001", "--threshold", "50")
    before = terminal.run("account", "show", "1001", "--json").json

    terminal.run("explain", "1001")

    assert terminal.run("account", "show", "1001", "--json").json == before
    assert len(terminal.run("account", "history", "1001", "--json").json) == 1


def test_an_account_that_the_package_lost_is_explained(terminal: Terminal) -> None:
    """It is enrolled with us and gone there."""
    terminal.run("account", "enrol", "1001")
    with engine_of(terminal.variables["DATABASE_URL"]) as engine:
        run(engine, "DELETE FROM billing.account WHERE number = '1001'")

    answer = terminal.run("explain", "1001")

    assert answer.code == 1
    assert "gone from the billing package" in answer.err


def test_the_report_is_for_people_and_for_programs(terminal: Terminal) -> None:
    """The same counts as a table, as CSV and as JSON."""
    terminal.run("account", "enrol", "1001")
    drain(terminal)
    with engine_of(terminal.variables["DATABASE_URL"]) as engine:
        run(engine, "UPDATE replenish.account SET low_since = now()")
    terminal.run("cutoff")

    table = terminal.run("report", "--since", "1h")
    rows = list(csv.reader(StringIO(terminal.run("report", "--csv").out)))
    found = terminal.run("report", "--since", "2026-01-01", "--json").json

    assert "the customer has not agreed to automatic charges (no_consent)" in table.out
    assert ["cut off", "no_consent", "1", "", ""] in rows
    assert ["accounts", "cut_off", "1", "", ""] in rows
    assert found["accounts"]["cut_off"] == 1
    assert found["since"] == "2026-01-01T00:00:00+00:00"
    assert terminal.run("report", "--since", "soon").code == 2


def test_an_empty_report_says_so(terminal: Terminal) -> None:
    """Nothing is an answer too."""
    assert "Nothing happened." in terminal.run("report").out


def test_the_charger_is_stopped_and_resumed(terminal: Terminal) -> None:
    """Its exit code tells a script; the first reason stands."""
    assert terminal.run("charger", "status").code == 0

    terminal.run("charger", "stop", "--reason", "wrong rates")
    terminal.run("charger", "stop", "--reason", "later")
    stopped = terminal.run("charger", "status", "--json")
    terminal.run("charger", "resume")

    assert stopped.code == 1
    assert stopped.json == {"stopped": True, "reason": "wrong rates", "breakers": []}
    assert terminal.run("charger", "status").out == "Charging goes on.\n"


TRIPPED = (
    "INSERT INTO replenish.breaker (name, by_hand, until, detail) VALUES"
    " ('decline_share', false, '2126-01-01T00:00:00Z', '18 of 20 were declines'),"
    " ('gateway_down', false, NULL, '5 charges wait'),"
    " ('charge_rate', true, NULL, '601 charges were started')"
)


CHARGED = (
    "INSERT INTO replenish.attempt (id, account_id, amount, currency, customer,"
    " payment_method, fingerprint, state) VALUES (gen_random_uuid(), '1001', :amount,"
    " 'USD', '', '', '', 'charged')"
)


def test_a_breaker_is_told_everywhere_and_resumed(terminal: Terminal) -> None:
    """In status, check, explain and report, with how it goes on."""
    terminal.run("account", "enrol", "1001", "--threshold", "50", *CONSENT)
    with engine_of(terminal.variables["DATABASE_URL"]) as engine:
        run(engine, TRIPPED)

    status = terminal.run("charger", "status")
    assert status.code == 1
    by_itself = "it goes on by itself at 2126-01-01 00:00:00 UTC"
    assert status.out.splitlines() == [
        f"Stopped: 18 of 20 were declines; {by_itself}",
        "Stopped: 5 charges wait; it goes on when the gateway answers",
        "Stopped: 601 charges were started; go on with `replenish charger resume`",
    ]
    lines = terminal.run("check", "charger", "--json").json
    assert [line["ok"] for line in lines] == [False] * 3
    assert lines[1]["text"].startswith("stopped: 5 charges wait; it goes on when")
    explained = terminal.run("explain", "1001").out
    assert "the card gateway does not answer (5 charges wait)" in explained
    rows = list(csv.reader(StringIO(terminal.run("report", "--csv").out)))
    assert ["breakers", "gateway_down", "1", "", ""] in rows
    assert ["breakers", "standing now", "3", "", ""] in rows

    terminal.run("charger", "resume")

    assert terminal.run("charger", "status").out == "Charging goes on.\n"
    assert terminal.run("check", "charger").code == 0


def test_what_is_held_is_listed_and_released(terminal: Terminal) -> None:
    """By account and amount; what was not held is said to be so."""
    terminal.run("account", "enrol", "1001", *CONSENT)
    assert "No account waits for a person." in terminal.run("account", "held").out
    with engine_of(terminal.variables["DATABASE_URL"]) as engine:
        run(
            engine,
            "INSERT INTO replenish.skip (account_id, decision, reason, detail)"
            " VALUES ('1001', 'leave', 'unusual_amount', 'up to 100.00 is usual')",
        )
        run(
            engine,
            "INSERT INTO replenish.card (account_id, customer, payment_method, brand,"
            " last4, exp_month, exp_year, fingerprint) VALUES ('1001', 'cus_1',"
            " 'pm_1', 'visa', '4242', 12, 2040, 'print')",
        )

    held = terminal.run("account", "held", "--limit", "1")
    assert "far more than it ever paid at once" in held.out
    assert "--after 1001" in held.err
    (row,) = terminal.run("account", "held", "--json").json
    assert (row["account"], row["reason"]) == ("1001", "unusual_amount")
    released = terminal.run("account", "release", "1001", "--up-to", "300")
    first = terminal.run("card", "release", "1001", "pm_1", "--everywhere")
    second = terminal.run("card", "release", "1001", "pm_1")

    assert released.out == "Charges of 1001 up to 300.00 are usual now; sweeps look.\n"
    assert first.out == "1001 may use the card number of pm_1.\n"
    assert second.out == "Nobody new may use the card number of pm_1.\n"
    history = terminal.run("account", "history", "1001").out
    assert "A person let charges up to 300.00 pass as usual." in history
    assert "A person let it use the card number of pm_1" in history


def test_an_explanation_tells_the_numbers_of_every_limit(terminal: Terminal) -> None:
    """New until when and with what caps, what is usual, and what all others do."""
    terminal.run("account", "enrol", "1001", *CONSENT)
    with engine_of(terminal.variables["DATABASE_URL"]) as engine:
        run(
            engine,
            "INSERT INTO replenish.card (account_id, customer, payment_method, brand,"
            " last4, exp_month, exp_year, fingerprint) VALUES ('1001', 'cus_1',"
            " 'pm_1', 'visa', '4242', 12, 2040, 'print')",
        )
        numbers = terminal.run("explain", "1001", "--json").json["numbers"]
        for amount in (25, 40, 30):
            run(engine, CHARGED, amount=amount)
            run(engine, "UPDATE replenish.attempt SET state = 'settled'")
        run(
            engine,
            "UPDATE replenish.account SET enrolled_at = now() - interval '1 year'",
        )
        run(engine, "UPDATE replenish.card SET added_at = now() - interval '1 year'")
    later = terminal.run("explain", "1001", "--json").json["numbers"]

    assert numbers["new until"].endswith("at most 100.00 a day, 500.00 a month")
    assert numbers["usual up to"] == "anything, after fewer than 3 top-ups"
    assert numbers["charges of all"] == "0 of 600 within a minute"
    assert later["new until"] is None
    assert later["usual up to"] == "160.00, the largest so far was 40.00"


def test_reconcile_says_what_it_found(terminal: Terminal) -> None:
    """With nothing interrupted it needs no Redis."""
    answer = terminal.run("reconcile")

    assert answer.code == 0
    assert answer.out.startswith("0 attempts handed out")
    assert terminal.run("reconcile", "--json").json[0]["closed"] == 0


def test_loading_reports_each_bad_row(terminal: Terminal) -> None:
    """File, line and reason; the good ones where asked."""
    path = terminal.folder / "accounts.csv"
    path.write_text(
        "number,kind,currency,opening_balance\n"
        "3001,prepaid,USD,5\n"
        "3002,prepaid,USD,lots\n"
    )

    none = terminal.run("billing", "load-accounts", str(path))
    some = terminal.run("billing", "load-accounts", str(path), "--good-rows", "--json")

    assert (none.code, some.code) == (1, 1)
    assert none.err.startswith(f"{path}:3: ")
    assert some.json["loaded"] == 1
    assert some.json["problems"][0]["line"] == 3


def test_another_package_s_accounts_are_its_own_business(terminal: Terminal) -> None:
    """The bundled package's commands refuse to touch it."""
    other = terminal.with_(BILLING_PACKAGE="asterix")

    assert other.run("billing", "call", "1001", "44207", "60").code == 2


def test_the_samples_load_without_a_file(terminal: Terminal) -> None:
    """For a trial; naming both or neither is a misuse."""
    with engine_of(terminal.variables["DATABASE_URL"]) as engine:
        run(engine, "DELETE FROM billing.rate")

    rates = terminal.run("billing", "load-rates", "--sample", "--json")
    both = terminal.run("billing", "load-rates", __file__, "--sample")
    neither = terminal.run("billing", "load-accounts")

    assert rates.code == 0
    assert rates.json["loaded"] > 600
    assert (both.code, neither.code) == (2, 2)
    assert "Name a FILE, or ask for --sample" in both.err
