"""What each task does with what it is sent, and how it says so."""

import logging

import pytest

from replenish import logs
from replenish.adapters.ledger.attempts import PostgresLedger
from replenish.errors import BadInput, BrokerUnavailable, LedgerUnavailable
from replenish.pipeline.replenish import QUICK_TRIES
from tasks import cutoff, publish, reconcile, replenish, summary, sweep
from tests.world import World

pytestmark = pytest.mark.integration

GARBAGE = ["", "\x00", "1001\n1002", None, ["1001"], {"id": 1}, 1.5, "9" * 65]
NO_BATCH = ["", "nonsense", 7, None, ["x"], "' OR 1=1"]


def test_a_low_account_is_replenished_and_flower_shows_how(world: World) -> None:
    """The result is a few words for a person."""
    world.enrol()

    assert replenish.account.apply(("1001",)).get() == "settled 25.00 USD"


def test_an_account_may_be_named_by_a_number(world: World) -> None:
    """As people type it into `celery call`."""
    world.enrol()

    assert replenish.account.apply((1001,)).get() == "settled 25.00 USD"


def test_an_unknown_account_is_refused_and_breaks_no_chord(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """It ends as a task that succeeded, with the sentence in the log."""
    assert world.credits() == 0
    assert replenish.account.apply(("9999",)).get() == "refused AccountNotFound"
    assert "Account 9999 is not enrolled" in caplog.text


@pytest.mark.parametrize("garbage", GARBAGE)
@pytest.mark.security("S9")
def test_an_argument_that_names_no_account_is_refused(
    world: World, garbage: object
) -> None:
    """Whoever can write into the broker can send anything; nothing comes of it."""
    world.enrol()

    assert replenish.account.apply((garbage,)).get() == "refused BadInput"
    assert world.state() == "none"


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [((), {}), (("1001", "1002"), {}), (("1001",), {"amount": 5}), ((), {"ref": "1"})],
)
@pytest.mark.security("S9")
def test_arguments_that_do_not_fit_are_refused(
    world: World,
    args: tuple[str, ...],
    kwargs: dict[str, object],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """In a sentence, not a traceback: too many, too few, or of another name."""
    world.enrol()
    ended = replenish.account.apply(args, kwargs)

    assert isinstance(ended.result, BadInput)
    assert "replenish.account does not take these arguments" in caplog.text
    assert "Traceback" not in caplog.text
    assert world.state() == "none"


def test_only_an_account_is_logged_as_one(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a sweep's kind nor a batch stands in its place."""
    bound: list[dict[str, str]] = []
    monkeypatch.setattr(logs, "bind", lambda **ids: bound.append(ids))
    world.enrol()

    replenish.account.apply((1001,)).get()
    sweep.sweep.apply(("hot",)).get()

    assert [ids.get("account_id") for ids in bound] == ["1001", None]


@pytest.mark.parametrize("garbage", NO_BATCH)
def test_a_batch_that_makes_no_sense_is_refused(
    world: World, garbage: object, caplog: pytest.LogCaptureFixture
) -> None:
    """In a sentence, not a traceback."""
    world.enrol()
    ended = summary.summarise.apply(([], garbage))

    assert isinstance(ended.result, BadInput)
    assert "A batch is named by a UUID" in caplog.text
    assert "Traceback" not in caplog.text


def test_a_sweep_of_no_kind_is_refused(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """It names what may be asked for."""
    assert world.credits() == 0
    ended = sweep.sweep.apply(("lukewarm",))

    assert isinstance(ended.result, BadInput)
    assert "There is no sweep 'lukewarm'; ask for hot or full." in caplog.text


def test_a_service_that_is_away_is_retried_a_few_times(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then the task ends, and reconcile goes on from the row."""
    world.enrol()
    tries: list[str] = []

    def away(_: object, ref: str, **__: object) -> None:
        tries.append(ref)
        raise LedgerUnavailable("The ledger is away.")

    monkeypatch.setattr(PostgresLedger, "take", away)

    assert replenish.account.apply(("1001",)).get() == "waiting LedgerUnavailable"
    assert len(tries) == QUICK_TRIES + 1


def test_a_periodic_task_that_finds_the_ledger_away_says_so_in_a_sentence(
    world: World, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next beat repeats it; nobody has to read a traceback each second."""
    assert world.credits() == 0

    def away(*_: object, **__: object) -> None:
        raise LedgerUnavailable("The ledger's database did not answer.")

    monkeypatch.setattr(type(world.services.books), "begin", away)

    for task in (sweep.sweep, cutoff.cutoff, reconcile.reconcile, reconcile.orphans):
        assert isinstance(task.apply().result, LedgerUnavailable)
    assert caplog.text.count("The ledger's database did not answer.") >= 4
    assert "Traceback" not in caplog.text


def test_a_bug_is_told_with_its_traceback(
    world: World, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only what we expect is told without one."""
    assert world.credits() == 0

    def bug(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(type(world.services.books), "begin", bug)

    assert isinstance(sweep.sweep.apply().result, ZeroDivisionError)
    assert "Traceback" in caplog.text


def test_a_page_that_could_not_be_handed_out_stands_in_its_rows(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """Redis is away: the claims wait for reconcile, and the sweep goes on."""
    for number in range(1001, 1006):
        world.enrol(str(number))
    world.enrol("2001", balance="0", card=False)

    with caplog.at_level(logging.WARNING):
        told = sweep.sweep.apply(("hot",)).get()

    assert told == "hot: 5 claimed"
    assert world.ask("SELECT count(*) FROM replenish.attempt") == [(5,)]
    assert "was not handed out" in caplog.text
    assert "the next cutoff does it" in caplog.text


def test_a_full_sweep_of_many_hands_over_to_its_next_turn(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Well before the time limit of a task; the last turn hands over to nobody."""
    monkeypatch.setattr("replenish.pipeline.sweep.SLICE", 0.0)
    monkeypatch.setattr("replenish.pipeline.sweep.GENTLE", 2)
    handed: list[str] = []
    monkeypatch.setattr("tasks.publish.sweep", handed.append)
    for number in range(1001, 1004):
        world.enrol(str(number), balance="50")

    sweep.sweep.apply(("full",)).get()
    sweep.sweep.apply(("full",)).get()

    assert handed == ["full"]


def test_a_turn_that_could_not_be_handed_over_is_left_to_beat(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """Redis is away."""
    assert world.credits() == 0

    publish.sweep("full")

    assert "The next turn of the full sweep was not handed out" in caplog.text
    assert "beat does it" in caplog.text


def test_an_account_that_came_through_makes_room_for_the_next(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who has lost two workers is tried alone; then reconcile finds the next."""
    passes: list[str] = []
    monkeypatch.setattr("tasks.publish.reconcile", lambda: passes.append("asked"))
    for ref, lost in (("1001", 1), ("1002", 2)):
        world.enrol(ref)
        world.sweep()
        for _ in range(lost):
            assert world.services.ledger.take(ref, worker="doomed")
            world.later()

    assert replenish.account.apply(("1001",)).get() == "settled 25.00 USD"
    assert passes == []
    assert replenish.account.apply(("1002",)).get() == "settled 25.00 USD"
    assert passes == ["asked"]


def test_a_pass_of_reconcile_that_could_not_be_asked_for_is_left_to_beat(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """Redis is away."""
    assert world.credits() == 0

    publish.reconcile()

    assert "A pass of reconcile was not handed out" in caplog.text
    assert "beat does it" in caplog.text


def test_what_reconcile_cannot_hand_out_it_says(world: World) -> None:
    """The rows wait for Redis."""
    world.enrol()
    world.sweep()
    world.later()

    assert isinstance(reconcile.reconcile.apply().result, BrokerUnavailable)
    with pytest.raises(BrokerUnavailable, match="REDIS_URL"):
        publish.accounts(["1001"])


def test_a_page_without_claims_is_closed_by_the_sweep_itself(world: World) -> None:
    """There is nobody to wait for."""
    world.enrol(card=False)

    assert sweep.sweep.apply().get() == "hot: 0 claimed"
    assert world.ask("SELECT closed_by FROM replenish.batch") == [("sweep",)]


def test_the_callback_sums_up_or_leaves_it_to_reconcile(world: World) -> None:
    """What the tasks returned is not even looked at."""
    world.enrol()
    world.sweep()
    ((batch,),) = world.ask("SELECT id FROM replenish.batch")

    early = summary.summarise.apply((["forged"], str(batch))).get()
    world.replenish()
    told = summary.summarise.apply((["forged"], str(batch))).get()

    assert early == "still open; reconcile closes it"
    assert told == "1 selected: 1 settled (25.00 USD)"


def test_a_cutoff_says_what_it_did(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """And is silent in the log when there was nothing to do."""
    with caplog.at_level(logging.INFO):
        assert cutoff.cutoff.apply().get() == "0 cut off, 0 restored"
        assert "Cutoff:" not in caplog.text
        world.enrol(balance="0", card=False)
        world.sweep()
        assert cutoff.cutoff.apply().get() == "1 cut off, 0 restored"
    assert "Cutoff: 1 cut off, 0 restored" in caplog.text


def test_orphans_are_looked_for(world: World) -> None:
    """Nothing listed, nothing adopted."""
    assert world.credits() == 0
    assert reconcile.orphans.apply().get() == (
        "0 attempts handed out, 0 batches closed, 0 orphans adopted"
    )
