"""The journal: what the database refuses, whoever asks, and how an edit shows."""

import hashlib
from enum import Enum
from itertools import product

import pytest
import sqlalchemy as sa

from replenish.adapters.ledger import models
from replenish.domain.attempt import OPEN, TRANSITIONS, State
from replenish.domain.rule import TopUpKind
from tests import ledgers
from tests.world import World

pytestmark = pytest.mark.integration

FROZEN = {
    "account_id": "'1002'",
    "card_id": "NULL",
    "amount": "26",
    "currency": "'EUR'",
    "customer": "'cus_other'",
    "payment_method": "'pm_other'",
    "fingerprint": "'other'",
    "claimed_at": "claimed_at - interval '1 second'",
    "id": "gen_random_uuid()",
    "intent": "'pi_other'",
}
ILLEGAL = [
    (old, new)
    for old, new in product(State, State)
    if old != new and new not in TRANSITIONS[old]
]
EVENTS = """
    SELECT account_id, seq, coalesce(attempt_id::text, ''), kind,
           coalesce(from_state, ''), coalesce(to_state, ''),
           (extract(epoch FROM at) * 1000000)::bigint, actor, detail::text,
           previous, hash
    FROM replenish.event ORDER BY account_id, seq
"""


def settled(world: World, ref: str = "1001") -> None:
    """Take an account through the whole protocol."""
    world.enrol(ref)
    assert world.replenish(ref).outcome == "settled"


def put(world: World, state: State) -> None:
    """Put the only attempt into a state, past the journal."""
    world.run("ALTER TABLE replenish.attempt DISABLE TRIGGER journal_step")
    world.run("UPDATE replenish.attempt SET state = :state", state=state)
    world.run("ALTER TABLE replenish.attempt ENABLE TRIGGER journal_step")


def first_break(world: World) -> int | None:
    """Recompute the only account's chain; give the first event that is wrong."""
    previous, number = "", 0
    for number, row in enumerate(world.ask(EVENTS), start=1):
        *told, before, digest = row
        text = "\x1f".join(str(part) for part in (before, *told))
        if before != previous or number != told[1]:
            return number
        if hashlib.sha256(text.encode()).hexdigest() != digest:
            return number
        previous = str(digest)
    whole = world.ask("SELECT seq, hash FROM replenish.chain") == [(number, previous)]
    return None if whole else number + 1


def test_the_database_knows_the_domain_s_steps_and_no_others(world: World) -> None:
    """Two lists that must agree; the database's is the one that is enforced."""
    rows = world.ask("SELECT from_state, to_state FROM replenish.transition")

    assert {tuple(row) for row in rows} == {
        (old, new) for old, steps in TRANSITIONS.items() for new in steps
    }


def test_an_illegal_step_is_refused_by_the_database(world: World) -> None:
    """Each pair that the domain does not list, whoever asks."""
    world.enrol()
    world.sweep()
    for old, new in ILLEGAL:
        put(world, old)
        with pytest.raises(sa.exc.IntegrityError, match="no step leads from"):
            world.run("UPDATE replenish.attempt SET state = :new", new=new)
    assert len(ILLEGAL) > 50


@pytest.mark.parametrize("state", [s for s in State if s not in ("claimed", "charged")])
def test_no_attempt_begins_in_the_middle(world: World, state: State) -> None:
    """It is claimed, or adopted as charged."""
    world.enrol()

    with pytest.raises(sa.exc.IntegrityError, match="cannot begin as"):
        world.run(
            "INSERT INTO replenish.attempt (id, account_id, amount, currency, customer,"
            " payment_method, fingerprint, state) VALUES (gen_random_uuid(), '1001', 1,"
            " 'USD', '', '', '', :state)",
            state=state,
        )


@pytest.mark.parametrize("column", FROZEN)
def test_what_the_gateway_was_told_is_frozen(world: World, column: str) -> None:
    """A change would make our rows differ from what was charged."""
    settled(world)
    world.enrol("1002")

    with pytest.raises(sa.exc.DBAPIError, match="is frozen"):
        world.run(f"UPDATE replenish.attempt SET {column} = {FROZEN[column]}")  # noqa: S608


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE replenish.event SET detail = '{}'",
        "DELETE FROM replenish.event",
        "TRUNCATE replenish.event",
        "DELETE FROM replenish.attempt",
        "TRUNCATE replenish.attempt CASCADE",
    ],
)
def test_the_journal_and_the_attempts_only_grow(world: World, statement: str) -> None:
    """Also for whoever owns the tables."""
    settled(world)

    with pytest.raises(sa.exc.IntegrityError, match="only grows"):
        world.run(statement)


def test_every_step_is_in_the_journal_with_who_took_it(world: World) -> None:
    """By the same statement, so that no path goes round it."""
    settled(world)

    steps = world.ask(
        "SELECT from_state, to_state FROM replenish.event WHERE kind = 'attempt'"
        " ORDER BY seq"
    )
    assert steps == [
        (None, "claimed"),
        ("claimed", "charging"),
        ("charging", "charged"),
        ("charged", "settled"),
    ]
    assert world.ask("SELECT count(*) FROM replenish.event WHERE actor = ''") == [(0,)]


def test_the_chain_can_be_recomputed_from_the_rows_alone(world: World) -> None:
    """An auditor needs neither our code nor our database's functions."""
    settled(world)

    assert first_break(world) is None
    assert ledgers.chains_hold(world.engine)


LAST = 6  # enrolled, card added, claimed, charging, charged, settled


@pytest.mark.parametrize(
    ("edit", "seen_at"),
    [
        ("UPDATE replenish.event SET detail = '{\"amount\": 1}' WHERE seq = 3", 3),
        ("UPDATE replenish.event SET actor = 'nobody' WHERE seq = 3", 3),
        ("UPDATE replenish.event SET at = at + interval '1 second' WHERE seq = 3", 3),
        ("UPDATE replenish.event SET from_state = 'claimed' WHERE seq = 3", 3),
        ("UPDATE replenish.event SET attempt_id = NULL WHERE seq = 3", 3),
        ("UPDATE replenish.event SET hash = 'other' WHERE seq = 3", 3),
        ("DELETE FROM replenish.event WHERE seq = 3", 3),
        ("DELETE FROM replenish.event WHERE to_state = 'settled'", LAST),
        ("DELETE FROM replenish.event", 1),
    ],
)
def test_an_edited_or_missing_event_shows(
    world: World, edit: str, seen_at: int
) -> None:
    """A superuser can do it, but not unseen; the chain's head knows the last."""
    settled(world)
    assert first_break(world) is None
    world.run("ALTER TABLE replenish.event DISABLE TRIGGER USER")
    world.run(edit)

    assert first_break(world) == seen_at


WORDS = [
    (table.name, column.name, column.type.enum_class)
    for table in models.Base.metadata.sorted_tables
    for column in table.columns
    if isinstance(column.type, sa.Enum)
]


def test_every_column_of_words_is_compared() -> None:
    """A new one is found by itself; these two are known."""
    assert {kind for _, _, kind in WORDS} == {State, TopUpKind}


@pytest.mark.parametrize(("table", "column", "members"), WORDS)
def test_the_database_takes_the_domain_s_words_only(
    world: World, table: str, column: str, members: type[Enum]
) -> None:
    """A new word needs a migration; this fails until it has one."""
    checks = [
        str(text)
        for (text,) in world.ask(
            "SELECT pg_get_constraintdef(oid) FROM pg_constraint"
            " WHERE contype = 'c' AND conrelid = CAST(:name AS regclass)",
            name=f"{models.SCHEMA}.{table}",
        )
        if f"({column})" in str(text)
    ]

    assert len(checks) == 1
    assert set(checks[0].split("'")[1::2]) == {member.value for member in members}


def test_one_attempt_of_an_account_is_open(world: World) -> None:
    """The database keeps it to one in each state that the domain calls open."""
    ((predicate,),) = world.ask(
        "SELECT pg_get_expr(indpred, indrelid) FROM pg_index"
        " WHERE indexrelid = 'replenish.uq_attempt_open'::regclass AND indisunique"
    )

    assert set(str(predicate).split("'")[1::2]) == OPEN
