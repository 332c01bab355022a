"""`replenish check --live`: health by progress, from rows alone."""

from collections.abc import Iterator

import pytest

from replenish.domain.attempt import State
from tests import ledgers
from tests.integration.cli.commands import Terminal
from tests.world import World

JOBS = ("cutoff", "sweep.hot", "reconcile", "sweep.full", "orphans", "credits", "guard")


@pytest.fixture
def alive(terminal: Terminal) -> Terminal:
    """Everything happened a moment ago, and a guard stands by."""
    with ledgers.engine_of(terminal.variables["DATABASE_URL"]) as engine:
        ledgers.run(
            engine,
            "INSERT INTO replenish.job (name, begun_at, ended_at, detail)"
            " SELECT name, now(), now(), CASE name WHEN 'guard' THEN 'stands by'"
            " ELSE 'done' END FROM unnest(CAST(:names AS text[])) AS name",
            names=list(JOBS),
        )
    return terminal


def change(terminal: Terminal, statement: str, **values: object) -> None:
    """Change the ledger."""
    with ledgers.engine_of(terminal.variables["DATABASE_URL"]) as engine:
        ledgers.run(engine, statement, **values)


def bad(terminal: Terminal, *words: str) -> dict[str, str]:
    """Ask, and give what is bad: name → sentence; the exit code must agree."""
    answer = terminal.run("check", "--live", "--json", *words)
    found = {line["name"]: line["text"] for line in answer.json if not line["ok"]}
    assert answer.code == (1 if found else 0), answer
    return found


def test_when_all_of_it_happens_it_is_healthy(alive: Terminal) -> None:
    """Redis and the gateway are away here: it asks the ledger alone."""
    assert bad(alive) == {}
    assert "stands by" in alive.run("check", "--live").out


@pytest.mark.parametrize("job", JOBS[:6])
def test_a_job_that_no_longer_happens_is_told(alive: Terminal, job: str) -> None:
    """After a few of its cadences."""
    change(
        alive,
        "UPDATE replenish.job SET ended_at = now() - interval '30 minutes'"
        " WHERE name = :job",
        job=job,
    )

    assert "Start `celery -A replenish beat`" in bad(alive)[job]


@pytest.mark.parametrize("job", ["cutoff", "sweep.hot"])
def test_a_run_that_failed_did_not_happen(alive: Terminal, job: str) -> None:
    """However recently it did not."""
    change(
        alive,
        "UPDATE replenish.job SET detail = 'stopped: the package is away'"
        " WHERE name = :job",
        job=job,
    )

    assert "the package is away" in bad(alive)[job]


def test_a_job_that_is_always_busy_and_never_ends_is_told(alive: Terminal) -> None:
    """Somebody begins it again and again."""
    change(
        alive,
        "UPDATE replenish.job SET ended_at = now() - interval '5 minutes',"
        " busy_until = now() + interval '10 seconds' WHERE name = 'cutoff'",
    )

    assert "cutoff" in bad(alive)


def test_a_guard_at_work_is_a_fault_of_the_others(alive: Terminal) -> None:
    """The jobs happen, but not where they should."""
    change(
        alive,
        "UPDATE replenish.job SET detail = 'stands in for cutoff' WHERE name = 'guard'",
    )

    assert bad(alive) == {
        "jobs": "the guard stands in for cutoff: beat, the workers or Redis are away"
    }
    assert bad(alive, "guard") == {}


def test_without_a_guard_it_says_so(alive: Terminal) -> None:
    """One that has been silent for long is none."""
    change(
        alive,
        "UPDATE replenish.job SET ended_at = now() - interval '1 minute'"
        " WHERE name = 'guard'",
    )
    silent = bad(alive, "guard")
    change(alive, "DELETE FROM replenish.job WHERE name = 'guard'")

    expected = {"guard": "no guard runs; start `replenish guard`"}
    assert silent == bad(alive, "guard") == expected
    assert bad(alive, "jobs") == {}


@pytest.fixture
def world(alive: Terminal) -> Iterator[World]:
    """The same ledger, with hands."""
    with ledgers.engine_of(alive.variables["DATABASE_URL"]) as engine:
        yield World(engine)


AGED = """
    SET session_replication_role = replica;
    UPDATE replenish.attempt SET claimed_at = claimed_at - interval '20 minutes',
      changed_at = changed_at - interval '20 minutes';
"""


@pytest.mark.parametrize(
    ("state", "names"),
    [
        (State.CLAIMED, {"open", "unheard"}),
        (State.UNKNOWN, {"open", "unknown"}),
        (State.CHARGED, {"open", "uncredited"}),
    ],
)
def test_what_waits_for_too_long_is_told(
    alive: Terminal, world: World, state: State, names: set[str]
) -> None:
    """With its age, its bound, and where to look."""
    world.enrol("3001")
    world.sweep()
    if state is not State.CLAIMED:
        ledger = world.services.ledger
        taken = ledger.take("3001", worker="w")
        assert taken
        charging = ledger.advance(taken, State.CHARGING, intent="pi_1")
        ledger.put_back(ledger.advance(charging, state), seconds=0, reason="away")
    young = bad(alive, "attempts")
    change(alive, AGED)

    told = bad(alive, "attempts")

    assert young == {}
    assert set(told) == names
    assert all("for 120" in text and "; see" in text for text in told.values())


def test_claims_that_wait_while_others_are_taken_on_are_heard(
    alive: Terminal, world: World
) -> None:
    """A long queue is no deaf one."""
    world.enrol("3001")
    world.sweep()
    change(alive, AGED)
    world.enrol("3002")
    world.sweep()
    world.services.ledger.take("3002", worker="w")

    assert set(bad(alive, "attempts")) == {"open"}


def test_quarantined_accounts_are_noted(alive: Terminal, world: World) -> None:
    """A person's business, and no reason to restart anything."""
    world.enrol("3001")
    change(alive, "UPDATE replenish.account SET quarantined_at = now()")

    answer = alive.run("check", "--live", "attempts")

    assert answer.code == 0
    assert "1 accounts; see `replenish account list --quarantined`" in answer.out
    listed = alive.run("account", "list", "--quarantined", "--json").json
    assert [each["ref"] for each in listed] == ["3001"]


def test_an_unknown_name_is_a_misuse(alive: Terminal) -> None:
    """It says what may be asked for."""
    answer = alive.run("check", "--live", "redis")

    assert answer.code == 2
    assert "ask for jobs, attempts, guard" in answer.err
    assert alive.run("check", "guard").code == 2


def test_a_ledger_that_is_away_is_unreachable(terminal: Terminal) -> None:
    """Its own exit code."""
    away = terminal.with_(DATABASE_URL="postgresql://x@127.0.0.1:1/x")

    assert away.run("check", "--live").code == 3


def test_an_account_is_finished_by_hand(alive: Terminal, world: World) -> None:
    """Without a worker; a healthy one is left alone."""
    world.enrol("3001", balance="50")

    answer = alive.run("account", "finish", "3001")
    found = alive.run("account", "finish", "3001", "--json").json

    assert (answer.code, answer.out) == (0, "3001: left healthy.\n")
    assert (found["outcome"], found["reason"]) == ("left", "healthy")
