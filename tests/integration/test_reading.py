"""What people ask of the ledger, against a real one with known rows."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
import sqlalchemy as sa

from replenish.adapters.ledger.reading import Progress, Reading, Tally
from replenish.adapters.ledger.register import Register
from replenish.domain.enrolment import NewAccount, Overrides
from replenish.domain.story import tell
from tests import ledgers
from tests.factories import make_card, make_rule
from tests.postgres import MakeDatabase

ATTEMPT = """
    INSERT INTO replenish.attempt
      (id, account_id, amount, currency, customer, payment_method, fingerprint,
       state, batch_id)
    VALUES (gen_random_uuid(), :account, :amount, 'USD', 'cus_1', 'pm_1', 'fp',
            'claimed', CAST(:batch AS uuid))
"""
STEP = """
    UPDATE replenish.attempt
    SET state = :to, reason = :reason, evidence = CAST(:evidence AS jsonb)
    WHERE account_id = :account AND state NOT IN ('settled', 'declined')
"""
BATCH = """
    INSERT INTO replenish.batch (id, kind, selected)
    VALUES ('00000000-0000-0000-0000-000000000001', 'hot', 2)
"""
THIS_BATCH = "00000000-0000-0000-0000-000000000001"


@pytest.fixture
def engine(make_database: MakeDatabase) -> Iterator[sa.Engine]:
    """A ledger with 1001 settled, 1002 declined and 1003 claimed, in one batch."""
    with ledgers.engine_of(make_database(ledgers.prepare)) as engine:
        accounts = [NewAccount(r, "USD", Overrides()) for r in ("1001", "1002", "1003")]
        Register(engine, make_rule()).enrol_many(accounts, actor="test")
        ledgers.run(engine, BATCH)
        for number, account in enumerate(("1001", "1002", "1003")):
            ledgers.run(
                engine, ATTEMPT, account=account, amount=25 + number, batch=THIS_BATCH
            )
        for state in ("charging", "charged", "settled"):
            step(engine, "1001", state, evidence='{"available": 29.20}')
        step(engine, "1002", "charging")
        step(engine, "1002", "declined", reason="insufficient_funds")
        yield engine


@pytest.fixture
def reading(engine: sa.Engine) -> Reading:
    """Questions to that ledger."""
    return Reading(engine)


def step(
    engine: sa.Engine, account: str, to: str, *, reason: str = "", evidence: str = "{}"
) -> None:
    """Take one step with the account's open attempt."""
    ledgers.run(engine, STEP, account=account, to=to, reason=reason, evidence=evidence)


def test_the_report_counts_what_is_in_the_rows(reading: Reading) -> None:
    """Settled money, open money and declines by code, each in its currency."""
    tallies = reading.report(reading.now() - timedelta(hours=1))

    assert set(tallies) == {
        Tally("batches", "hot", 1),
        Tally("batches", "not yet closed", 1),
        Tally("charges", "settled", 1, "USD", Decimal(25)),
        Tally("charges", "claimed", 1, "USD", Decimal(27)),
        Tally("declines", "insufficient_funds", 1, "USD", Decimal(26)),
    }


def test_the_report_leaves_out_what_was_before(reading: Reading) -> None:
    """What is open now is always in it."""
    tallies = reading.report(reading.now() + timedelta(hours=1))

    assert [tally.name for tally in tallies] == ["claimed"]


def test_the_report_counts_cut_offs_skips_and_orphans(
    reading: Reading, engine: sa.Engine
) -> None:
    """A cut-off that stands, one that was lifted, a skip, an orphan."""
    for account, restored in (("1001", None), ("1002", reading.now())):
        ledgers.run(
            engine,
            "INSERT INTO replenish.cut_off (account_id, reason, available,"
            " restored_at) VALUES (:account, 'no_card', 0, :restored)",
            account=account,
            restored=restored,
        )
    ledgers.run(
        engine,
        "INSERT INTO replenish.skip (account_id, decision, reason)"
        " VALUES ('1001', 'leave', 'no_card')",
    )
    ledgers.run(
        engine,
        "INSERT INTO replenish.orphan (intent, attempt_id, account_id, amount,"
        " currency) VALUES ('pi_1', 'x', '1001', 25, 'USD')",
    )

    tallies = reading.report(reading.now() - timedelta(hours=1))

    assert {
        Tally("cut off", "no_card", 2),
        Tally("cut off", "restored", 1),
        Tally("cut off", "standing now", 1),
        Tally("left alone", "no_card", 1),
        Tally("orphans", "not adopted", 1, "USD", Decimal(25)),
    } < set(tallies)
    assert reading.counts() == {"enrolled": 3, "low": 0, "paused": 0, "cut_off": 1}


def test_a_history_reads_as_a_story(reading: Reading) -> None:
    """Oldest first; amounts keep every digit; a page back goes on before it."""
    told = [tell(event) for event in reading.history("1001")]

    assert told == [
        "Was enrolled in USD under the usual rule, without consent.",
        "A top-up of 25.00 USD from the card on file was begun.",
        "The gateway was told of the charge.",
        "The card was charged.",
        "The account was credited: 29.20 is available.",
    ]
    last = reading.history("1001", limit=2)
    assert [event.seq for event in last] == [4, 5]
    before = reading.history("1001", limit=2, before=4)
    assert [event.seq for event in before] == [2, 3]


def test_a_sweep_s_progress_is_counted_from_its_attempts(reading: Reading) -> None:
    """Three claimed, one of them still open, and the batch is not closed."""
    hour = timedelta(hours=1)

    assert reading.progress("hot", since=reading.now() - hour) == Progress(1, 1, 3, 1)
    assert reading.progress("full", since=reading.now() - hour) == Progress(0, 0, 0, 0)


def test_delays_are_measured_over_what_settled(reading: Reading) -> None:
    """Nothing settled has no delay."""
    delays = reading.delays(reading.now() - timedelta(hours=1))

    assert delays.count == 1
    assert delays.median == delays.p99
    assert reading.delays(reading.now() + timedelta(hours=1)).median is None


def test_a_job_that_runs_has_not_run(reading: Reading, engine: sa.Engine) -> None:
    """Only a run that ended after it began counts."""
    start = reading.now()
    ledgers.run(
        engine,
        "INSERT INTO replenish.job (name, begun_at, busy_until)"
        " VALUES ('sweep.hot', now(), now() + interval '10 s')",
    )
    [running] = reading.jobs()
    ledgers.run(engine, "UPDATE replenish.job SET ended_at = now(), busy_until = NULL")
    [ended] = reading.jobs()

    assert (running.busy, running.ran_since(start)) == (True, False)
    assert (ended.busy, ended.ran_since(start)) == (False, True)
    assert not ended.ran_since(start + timedelta(hours=1))


def test_a_full_sweep_has_run_when_its_last_turn_has(
    reading: Reading, engine: sa.Engine
) -> None:
    """Its cursor says whether others follow."""
    start = reading.now()
    ledgers.run(
        engine,
        "INSERT INTO replenish.job (name, begun_at, ended_at, cursor)"
        " VALUES ('sweep.full', now(), now(), '1007')",
    )
    [between] = reading.jobs()
    ledgers.run(engine, "UPDATE replenish.job SET cursor = ''")
    [over] = reading.jobs()

    assert (between.ran_since(start), over.ran_since(start)) == (False, True)


def test_cards_are_called_by_their_faces(engine: sa.Engine, reading: Reading) -> None:
    """Removed ones too, since the history speaks of them."""
    register = Register(engine, make_rule())
    card = replace(make_card(), id="", brand="visa", last4="4242")
    added = register.add_card("1001", card, actor="test")
    register.remove_card("1001", card.payment_method, actor="test")

    assert reading.card_faces("1001") == {added.id: "visa 4242"}
    assert reading.card_faces("1002") == {}


def test_reading_can_change_nothing(engine: sa.Engine) -> None:
    """The transaction itself is read-only."""
    reading = Reading(engine)
    write = sa.text("DELETE FROM replenish.skip RETURNING account_id")

    with pytest.raises(sa.exc.DBAPIError, match="read-only"):
        reading._rows(write)  # noqa: SLF001 there is no public way to write
