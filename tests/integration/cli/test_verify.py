"""`replenish verify` from the command line."""

from pathlib import Path

from tests.integration.cli.commands import Terminal
from tests.ledgers import engine_of, run

CONSENT = ("--consent-at", "2026-01-01", "--consent-text", "v", "--consent-source", "w")


def test_a_missing_table_names_the_command_that_makes_it(terminal: Terminal) -> None:
    """Not an SQL error, and no bug."""
    with engine_of(terminal.variables["DATABASE_URL"]) as engine:
        run(engine, "ALTER TABLE replenish.attempt RENAME TO gone")

    answer = terminal.run("verify")

    assert answer.code == 2
    assert "run `replenish db upgrade`" in answer.err


def test_a_clean_installation_ends_with_0(terminal: Terminal) -> None:
    """The table shows every invariant, also those it could not judge."""
    terminal.run("account", "enrol", "1001", "--threshold", "1", *CONSENT)

    answer = terminal.run("verify")

    assert answer.code == 0
    assert "one open attempt an account" in answer.out
    assert "not judged" in answer.out
    assert "All clean; the gateway's own ledger was not given" in answer.out


def test_a_violation_ends_with_1_and_names_the_account(terminal: Terminal) -> None:
    """Somebody has changed a balance by hand."""
    with engine_of(terminal.variables["DATABASE_URL"]) as engine:
        run(engine, "UPDATE billing.account SET balance = 11 WHERE number = '1001'")

    answer = terminal.run("verify")
    data = terminal.run("verify", "--json")

    assert (answer.code, data.code) == (1, 1)
    assert "1001: balance 11.00000" in answer.out
    (broken,) = [f for f in data.json["findings"] if f["violations"]]
    assert (broken["invariant"], broken["violations"]) == ("I9", 1)
    assert data.json["charges"] == 0


def test_an_empty_run_can_be_made_to_fail(terminal: Terminal) -> None:
    """For a script that expects charges."""
    answer = terminal.run("verify", "--at-least-charges", "1")

    assert answer.code == 1
    assert "Only 0 charges were seen; 1 are asked for." in answer.err


def test_any_count_can_be_asked_for(terminal: Terminal) -> None:
    """A run without crashes and lost answers proves nothing about them."""
    enough = terminal.run("verify", "--at-least", "accounts=0")
    few = terminal.run("verify", "--at-least", "unknown_resolved=5")
    misspelt = terminal.run("verify", "--at-least", "unknwon=5")

    assert (enough.code, few.code, misspelt.code) == (0, 1, 2)
    assert "Only 0 unknown resolved were seen; 5 are asked for." in few.err
    assert "NAME one of charges, accounts" in misspelt.err
    assert terminal.run("verify", "--json").json["counts"]["charges"] == 0


def test_while_things_run_less_is_judged(terminal: Terminal) -> None:
    """The line says so."""
    answer = terminal.run("verify", "--during")

    assert answer.code == 0
    assert "only when nothing is under way" in " ".join(answer.out.split())


def test_a_missing_gateway_ledger_is_a_misuse(
    terminal: Terminal, tmp_path: Path
) -> None:
    """It is not taken for an empty one."""
    answer = terminal.run("verify", "--gateway-ledger", str(tmp_path / "none.jsonl"))

    assert answer.code == 2
    assert "none.jsonl cannot be read" in answer.err


def test_another_file_is_no_gateway_ledger(terminal: Terminal, tmp_path: Path) -> None:
    """A log of ours has JSON lines too; judged by it, nothing would be wrong."""
    log = tmp_path / "worker.log"
    log.write_text('{"time": "2026-01-01T00:00:00Z", "level": "info"}\n')

    answer = terminal.run("verify", "--gateway-ledger", str(log))

    assert answer.code == 2
    assert "worker.log cannot be read" in answer.err


def test_what_may_only_be_under_way_says_how_to_look_again(terminal: Terminal) -> None:
    """A batch that a sweep has just opened is no damage where sweeps go on."""
    with engine_of(terminal.variables["DATABASE_URL"]) as engine:
        run(
            engine,
            "INSERT INTO replenish.batch (id, kind, opened_at, selected)"
            " VALUES (gen_random_uuid(), 'hot', now(), 0)",
        )

    answer = terminal.run("verify")
    during = terminal.run("verify", "--during")
    data = terminal.run("verify", "--during", "--json")

    assert (answer.code, during.code) == (1, 0)
    assert "only while nothing is under way: I16b." in answer.err
    assert "look again with --during" in " ".join(answer.err.split())
    told = {each["invariant"]: each["always"] for each in data.json["findings"]}
    assert (told["I2"], told["I16b"]) == (True, False)
