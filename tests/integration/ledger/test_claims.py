"""Claims: one statement a page that decides alone what may be charged."""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
import sqlalchemy as sa

from replenish.adapters.ledger import pages
from replenish.domain.policy import CutOff, Leave, Reason
from replenish.ports import Claims, Standing, Subject
from tests.integration.ledger.claims import claim, propose
from tests.world import World

pytestmark = pytest.mark.integration

OPEN_BY_HAND = sa.text(
    "INSERT INTO replenish.attempt (id, account_id, amount, currency, customer,"
    " payment_method, fingerprint, state) VALUES (gen_random_uuid(), '1001', 1,"
    " 'USD', '', '', '', 'claimed')"
)


def test_of_many_claims_at_once_one_stands_per_account(world: World) -> None:
    """Whoever reads the same facts at the same time; nobody waits crosswise."""
    refs = [world.enrol(str(1001 + number)) for number in range(12)]
    pages = [propose(world, *refs) for _ in range(8)]
    for page in pages[::2]:
        page.reverse()

    with ThreadPoolExecutor(8) as pool:
        claims = list(pool.map(lambda page: claim(world, page), pages))

    claimed = [attempt.account for each in claims for attempt in each.attempts]
    assert sorted(claimed) == refs
    adds_up = (
        "SELECT count(*) FROM replenish.batch WHERE selected <> claimed"
        " + coalesce((skipped ->> 'already_claimed')::int, 0)"
    )
    assert world.ask(adds_up) == [(0,)]


@pytest.mark.parametrize(
    ("spoiled", "back"),
    [
        (
            "UPDATE replenish.account SET paused_at = now(), pause_reason = 'x'",
            "UPDATE replenish.account SET paused_at = NULL",
        ),
        (
            "UPDATE replenish.account SET consent_at = NULL",
            "UPDATE replenish.account SET consent_at = now()",
        ),
        (
            "UPDATE replenish.account SET currency = 'EUR'",
            "UPDATE replenish.account SET currency = 'USD'",
        ),
        (
            "UPDATE replenish.card SET dead_reason = 'lost_card'",
            "UPDATE replenish.card SET dead_reason = NULL",
        ),
        (
            "UPDATE replenish.card SET removed_at = now()",
            "UPDATE replenish.card SET removed_at = NULL",
        ),
        (
            "INSERT INTO replenish.stop (id, reason) VALUES (1, 'by hand')",
            "DELETE FROM replenish.stop",
        ),
    ],
)
def test_what_changed_since_it_was_read_counts(
    world: World, spoiled: str, back: str
) -> None:
    """The claim looks once more; the proposal is counted as lost."""
    world.enrol()
    proposals = propose(world, "1001")
    world.run(spoiled)

    assert claim(world, proposals).attempts == ()
    assert world.ask("SELECT selected, claimed, skipped FROM replenish.batch") == [
        (1, 0, {"already_claimed": 1})
    ]
    world.run(back)
    assert len(claim(world, proposals).attempts) == 1


def test_money_in_flight_counts_as_spent(world: World) -> None:
    """What is read of an account tells what is under way."""
    world.enrol()
    world.sweep()

    (subject,) = world.services.ledger.subjects(["1001"])

    assert (subject.history.spent_day, subject.history.count_day) == (Decimal(25), 1)
    assert subject.history.open_attempt


def test_an_attempt_may_be_left_out_of_its_own_history(world: World) -> None:
    """The second look must not be put off by the claim itself."""
    world.enrol()
    world.sweep()
    attempt = world.services.ledger.take("1001", worker="w")
    assert attempt is not None

    (subject,) = world.services.ledger.subjects(["1001"], without=attempt.id)

    assert (subject.history.spent_day, subject.history.open_attempt) == (
        Decimal(0),
        False,
    )


def test_a_page_is_claimed_whole_or_not_at_all(world: World) -> None:
    """What the database refuses in the end leaves no batch, attempt or reason."""
    world.enrol("1001")
    world.enrol("1002")
    too_much = Decimal(10) ** 15
    standings = [Standing("1002", Leave(Reason.NO_CARD), too_much)]

    with pytest.raises(sa.exc.DataError, match="overflow"):
        world.services.ledger.claim(
            propose(world, "1001"), kind="hot", standings=standings
        )

    for table in ("batch", "attempt", "skip"):
        assert world.ask(f"SELECT count(*) FROM replenish.{table}") == [(0,)]  # noqa: S608
    low = "SELECT count(*) FROM replenish.account WHERE low_since IS NOT NULL"
    assert world.ask(low) == [(0,)]


def test_a_page_adds_up(world: World) -> None:
    """What it selected was claimed, lost to somebody else, or left for a reason."""
    for ref in ("1001", "1002", "1003", "1004", "1005"):
        world.enrol(ref)
    proposals = propose(world, "1001", "1002")
    claim(world, propose(world, "1002"))
    left = [
        Standing("1003", Leave(Reason.NO_CARD), Decimal(5)),
        Standing("1004", Leave(Reason.NO_CARD), Decimal(5)),
        Standing("1005", Leave(Reason.NO_CONSENT), Decimal(5)),
    ]

    claims = world.services.ledger.claim(proposals, kind="full", standings=left)

    assert [attempt.account for attempt in claims.attempts] == ["1001"]
    page = "SELECT selected, claimed, skipped FROM replenish.batch WHERE kind = 'full'"
    assert world.ask(page) == [
        (5, 1, {"no_card": 2, "no_consent": 1, "already_claimed": 1})
    ]


def test_a_page_is_claimed_in_account_order(world: World) -> None:
    """So that two pages never wait for each other crosswise.

    One that waits for its first account holds none of the others yet, whatever
    order it was given in, and whatever order the rows lie in.
    """
    for ref in ("1002", "1001"):
        world.enrol(ref)
    backwards = propose(world, "1001", "1002")[::-1]
    other = propose(world, "1002")

    with ThreadPoolExecutor(1) as pool:
        with world.engine.begin() as held:
            held.execute(OPEN_BY_HAND)
            waiting = pool.submit(claim, world, backwards)
            _until_somebody_waits(world)
            assert len(claim(world, other).attempts) == 1
            held.rollback()

        (claimed,) = waiting.result().attempts
    assert claimed.account == "1001"


def _until_somebody_waits(world: World) -> None:
    """Return when a transaction waits for another, which it does in a moment."""
    waiting = (
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    while world.ask(waiting) == [(0,)]:
        time.sleep(0.01)


def test_a_reason_is_journalled_when_it_is_new(world: World) -> None:
    """Each sweep finds it again; the history tells it once, the row how often."""
    world.enrol()
    for reason in (Reason.NO_CARD, Reason.NO_CARD, Reason.NO_CONSENT):
        left = [Standing("1001", Leave(reason), Decimal(5))]
        world.services.ledger.claim([], kind="hot", standings=left)

    events = "SELECT detail ->> 'reason' FROM replenish.event WHERE kind = 'skipped'"
    assert world.ask(f"{events} ORDER BY seq") == [("no_card",), ("no_consent",)]
    assert world.ask("SELECT reason, times FROM replenish.skip") == [("no_consent", 3)]


@pytest.mark.parametrize(
    ("until", "seconds"),
    [(None, pages.RECHECK), (10, 10), (3600, pages.RECHECK)],
)
def test_who_is_left_alone_is_looked_at_again_before_long(
    world: World, until: int | None, seconds: float
) -> None:
    """When its wait is over, and once a minute at the latest."""
    world.enrol()
    ((now,),) = world.ask("SELECT now()")
    assert isinstance(now, datetime)
    cut = CutOff(
        Reason.COOLDOWN, until=now + timedelta(seconds=until) if until else None
    )
    left = [Standing("1001", cut, Decimal(5))]
    assert world.services.ledger.claim([], kind="hot", standings=left).exhausted

    wait = world.register.need("1001").not_before
    assert wait is not None
    assert (
        timedelta(0) <= wait - now - timedelta(seconds=seconds) < timedelta(seconds=5)
    )


def test_who_is_claimed_is_low(world: World) -> None:
    """The cut-off step looks at the low ones; the first time seen stands."""
    world.enrol("1001")
    world.enrol("1002")
    since = datetime(2026, 1, 1, tzinfo=UTC)
    world.run("UPDATE replenish.account SET low_since = :s WHERE id = '1002'", s=since)
    claim(world, propose(world, "1001", "1002"))

    assert world.register.need("1001").low_since is not None
    assert world.register.need("1002").low_since == since


def test_nothing_to_claim_writes_nothing(world: World) -> None:
    """An idle sweep leaves no rows."""
    assert claim(world, []) == Claims(None, ())
    assert world.ask("SELECT count(*) FROM replenish.batch") == [(0,)]


def test_accounts_not_enrolled_are_left_out(world: World) -> None:
    """The others are read all the same."""
    world.enrol("1001")

    found: Sequence[Subject] = world.services.ledger.subjects(["9999", "1001"])

    assert [subject.account for subject in found] == ["1001"]


def test_who_waits_is_not_due(world: World) -> None:
    """An open attempt, or a wait that is not over, keeps an account out of a sweep."""
    for ref in ("1001", "1002", "1003"):
        world.enrol(ref)
    claim(world, propose(world, "1001"))
    world.run(
        "UPDATE replenish.account SET not_before = now() + interval '1 minute'"
        " WHERE id = '1002'"
    )

    due = world.services.ledger.subjects(["1001", "1002", "1003"], due=True)

    assert [subject.account for subject in due] == ["1003"]
