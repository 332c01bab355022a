"""Limits over many accounts: they hold also for claims that do not see each other."""

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal

import pytest

from replenish.adapters.ledger import attempts
from replenish.domain.account import Card
from replenish.domain.decision import CardHistory
from replenish.domain.outcome import DeclineClass, Declined
from replenish.domain.policy import Reason
from replenish.domain.rule import Limits
from replenish.ports import Claims, Proposal
from tests.integration.ledger.claims import claim, propose
from tests.world import World

pytestmark = pytest.mark.integration

NO = Declined("pi", DeclineClass.SOFT, "insufficient_funds")


def limited(world: World, **changes: int) -> World:
    """Give the same installation with other limits."""
    return World(world.engine, limits=replace(Limits(), **changes))  # type: ignore[arg-type]


def share(world: World, *refs: str, cards: int = 1) -> list[str]:
    """Enrol accounts that all have one card number, under ids of their own."""
    for ref in refs:
        world.enrol(ref, card=False)
        for number in range(cards):
            put(world, ref, suffix=f"_{number}")
        world.of_years(ref)
    return list(refs)


def put(world: World, ref: str, suffix: str = "", **changes: object) -> Card:
    """Put the shared number on file for an account."""
    card = replace(world.card(ref, suffix), fingerprint="shared", **changes)  # type: ignore[arg-type]
    return world.register.add_card(ref, card, actor="test")


def seen(world: World, ref: str) -> CardHistory:
    """Read the account's first card as the policy does."""
    return world.services.ledger.subjects([ref])[0].history.cards[0]


@contextmanager
def at_one_moment(monkeypatch: pytest.MonkeyPatch, parties: int) -> Iterator[None]:
    """Let no claim commit before so many have inserted: none sees another's."""
    barrier = threading.Barrier(parties)

    def meet(point: str) -> None:
        if point == "claim_uncommitted":
            barrier.wait(timeout=10)

    with monkeypatch.context() as patch:
        patch.setattr(attempts, "failpoint", meet)
        yield


def claim_at_once(
    world: World,
    pages: Sequence[Sequence[Proposal]],
    monkeypatch: pytest.MonkeyPatch,
) -> list[Claims]:
    """Claim each page by a worker of its own, all at one moment."""
    with (
        at_one_moment(monkeypatch, len(pages)),
        ThreadPoolExecutor(len(pages)) as pool,
    ):
        return list(pool.map(lambda page: claim(world, page), pages))


def declined_before(world: World, times: int) -> None:
    """Let the shared number have been declined so often today, on another account."""
    world.enrol("9999", card=False)
    for number in range(times):
        world.run(
            "INSERT INTO replenish.attempt (id, account_id, amount, currency, customer,"
            " payment_method, fingerprint, state) VALUES (gen_random_uuid(), '9999', 1,"
            " 'USD', '', '', 'shared', 'claimed')"
        )
        for state in ("charging", "declined"):
            world.run(
                "UPDATE replenish.attempt SET state = :state, intent = :intent"
                " WHERE account_id = '9999' AND state IN ('claimed', 'charging')",
                state=state,
                intent=f"pi_{number}",
            )


def declines(world: World) -> int:
    """Count the declines of the shared number."""
    count = (
        "SELECT count(*) FROM replenish.attempt"
        " WHERE fingerprint = 'shared' AND state = 'declined'"
    )
    return int(str(world.ask(count)[0][0]))


def test_a_page_holds_no_more_tries_of_a_number_than_are_left(world: World) -> None:
    """The accounts of one statement do not see each other's rows; they are counted."""
    world = limited(world, card_declines_24h=3)
    declined_before(world, 1)
    refs = share(world, "1001", "1002", "1003", "1004")

    claims = claim(world, propose(world, *refs))

    assert [attempt.account for attempt in claims.attempts] == ["1001", "1002"]
    assert seen(world, "1003").in_flight == 2


@pytest.mark.security("S17")
def test_two_workers_cannot_take_a_number_past_its_limit_together(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both claims stand, since neither saw the other; the second look gives up."""
    world = limited(world, card_declines_24h=2)
    declined_before(world, 1)
    refs = share(world, "1001", "1002")
    pages = [propose(world, ref) for ref in refs]

    claims = claim_at_once(world, pages, monkeypatch)
    assert [len(each.attempts) for each in claims] == [1, 1]
    world.gateway.says("confirm", NO, NO)
    for ref in refs:
        world.replenish(ref)

    assert declines(world) <= 2
    released = "SELECT reason FROM replenish.attempt WHERE state = 'released'"
    assert ("card_in_flight",) in {tuple(row) for row in world.ask(released)}


def test_what_is_in_flight_may_still_be_declined(world: World) -> None:
    """One try is left, another account has it: this one waits, and then has it."""
    world = limited(world, card_declines_24h=2)
    declined_before(world, 1)
    share(world, "1001", "1002")
    claim(world, propose(world, "1001"))

    assert world.sweep() == []
    reason = "SELECT reason FROM replenish.skip WHERE account_id = '1002'"
    assert world.ask(reason) == [("card_in_flight",)]
    assert world.replenish("1001").outcome == "settled"
    world.later()
    assert world.sweep() == ["1002"]


@pytest.mark.parametrize("limit", ["card_declines_24h", "card_declines_30d"])
def test_the_claim_knows_of_declines_that_its_reader_did_not(
    world: World, limit: str
) -> None:
    """They have committed since."""
    world = limited(world, **{limit: 2})
    share(world, "1001")
    stale = propose(world, "1001")
    declined_before(world, 2)

    assert claim(world, stale).attempts == ()


def test_no_more_charges_a_minute_than_allowed(world: World) -> None:
    """The rest of the page waits for the next minute, with its reason."""
    world = limited(world, charges_per_minute=2)
    refs = [world.enrol(str(1001 + number)) for number in range(4)]

    assert world.sweep() == refs[:2]
    world.run("UPDATE replenish.job SET busy_until = NULL")
    assert world.sweep() == []
    why = "SELECT account_id, reason, detail FROM replenish.skip ORDER BY 1"
    assert world.ask(why) == [(r, "charge_rate", "2 a minute") for r in refs[2:]]
    for ref in refs[:2]:
        assert world.replenish(ref).outcome == "settled"
    world.run("UPDATE replenish.batch SET opened_at = now() - interval '61 seconds'")
    world.later()
    assert world.sweep() == refs[2:]


def test_two_workers_cannot_start_too_many_charges_together(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each had room for its page; together they had not, so none of it is charged."""
    world = limited(world, charges_per_minute=2)
    refs = [world.enrol(str(1001 + number)) for number in range(4)]
    pages = [propose(world, *refs[:2]), propose(world, *refs[2:])]

    claims = claim_at_once(world, pages, monkeypatch)
    assert sum(len(each.attempts) for each in claims) == 4
    outcomes = [world.replenish(ref).outcome for ref in refs]

    assert outcomes.count("settled") <= 2
    assert world.credits() <= 2


def test_the_last_charge_that_fits_is_not_given_up(world: World) -> None:
    """The second look leaves the claim itself out of the count."""
    world = limited(world, charges_per_minute=1)
    world.enrol()

    assert world.sweep() == ["1001"]
    assert world.replenish().outcome == "settled"


@pytest.mark.security("S18")
def test_a_new_account_has_lower_caps_in_the_claim_as_well(world: World) -> None:
    """100 of its 200 a day, in its first week; a customer of years has all of it."""
    world.enrol("1001", new=True)
    world.enrol("1002")

    claims = claim(world, propose(world, "1001", "1002", amount="100.01"))
    assert [attempt.account for attempt in claims.attempts] == ["1002"]
    assert len(claim(world, propose(world, "1001", amount="100")).attempts) == 1


@pytest.mark.security("S18")
def test_a_card_new_on_an_old_account_has_lower_caps_too(world: World) -> None:
    """A stolen card is used at once; it does not help that the account is old."""
    world.enrol("1001")
    world.run("UPDATE replenish.card SET added_at = now()")

    assert claim(world, propose(world, "1001", amount="100.01")).attempts == ()


def test_a_number_stays_old_under_a_new_id_and_is_new_after_it_was_gone(
    world: World,
) -> None:
    """A renewed card is the customer's own; one that comes back is looked at anew."""
    share(world, "1001")
    put(world, "1001", "_again", exp_year=2035)
    for card in world.services.ledger.subjects(["1001"])[0].history.cards:
        assert card.since is not None
        assert (card.since - world.register.need("1001").enrolled_at).days < 1

    for suffix in ("_0", "_again"):
        world.register.remove_card("1001", f"pm_1001{suffix}", actor="test")
    world.run("UPDATE replenish.card SET removed_at = now() - interval '31 days'")
    put(world, "1001", "_0")
    since = seen(world, "1001").since
    assert since is not None
    assert (since - world.register.need("1001").enrolled_at).days >= 364


@pytest.mark.security("S18")
def test_the_accounts_that_had_a_number_first_may_use_it(world: World) -> None:
    """The sixth waits for a person, the five go on."""
    world = limited(world, card_accounts=2)
    refs = share(world, "1001", "1002")
    share(world, "1003", cards=2)
    world.run("UPDATE replenish.card SET added_at = now() WHERE account_id = '1003'")
    assert [seen(world, ref).place for ref in (*refs, "1003")] == [1, 2, 3]

    assert world.sweep() == refs
    why = "SELECT reason, detail FROM replenish.skip"
    assert world.ask(why) == [("card_shared", "account 3 with it, 2 may use it")]


def test_taking_a_number_off_one_account_does_not_free_it_for_another(
    world: World,
) -> None:
    """Not for a month: otherwise a thief would go from account to account."""
    world = limited(world, card_accounts=1)
    share(world, "1001", "1002")
    world.run("UPDATE replenish.card SET added_at = now() WHERE account_id = '1002'")
    world.register.remove_card("1001", "pm_1001_0", actor="test")

    assert seen(world, "1002").place == 2
    world.run(
        "UPDATE replenish.card SET removed_at = now() - interval '31 days'"
        " WHERE account_id = '1001'"
    )
    assert seen(world, "1002").place == 1


@pytest.mark.parametrize(
    ("code", "dead"),
    [("stolen_card", "stolen_card"), ("incorrect_cvc", None)],
)
def test_a_card_that_died_on_one_account_is_dead_on_all(
    world: World, code: str, dead: str | None
) -> None:
    """Where the code speaks of the card itself, and not of how it was entered."""
    share(world, "1001", "1002")
    world.gateway.says("confirm", Declined("pi", DeclineClass.HARD, code))
    world.replenish("1001")

    assert seen(world, "1002").dead_elsewhere == dead
    outcome = world.replenish("1002")
    assert (outcome.reason == Reason.CARD_DEAD) is (dead is not None)


def test_a_card_that_dies_between_claim_and_card_is_not_charged(world: World) -> None:
    """Both were claimed; the first one's answer stops the second."""
    refs = share(world, "1001", "1002")
    claim(world, propose(world, *refs))
    world.gateway.says("confirm", Declined("pi", DeclineClass.HARD, "lost_card"))

    assert [world.replenish(ref).outcome for ref in refs] == ["declined", "released"]
    assert world.gateway.calls.count(("confirm 1", "1002")) == 0


def test_a_dead_card_stays_dead_wherever_it_is_added_again(world: World) -> None:
    """Under another id, on another account, after it was taken off file."""
    share(world, "1001")
    world.gateway.says("confirm", Declined("pi", DeclineClass.HARD, "lost_card"))
    world.replenish("1001")
    world.register.remove_card("1001", "pm_1001_0", actor="test")
    share(world, "1002")

    assert world.replenish("1002").reason == Reason.CARD_DEAD


def test_a_card_that_turns_out_to_be_indian_is_not_charged(world: World) -> None:
    """Its country was not known when it was enrolled, or has changed since."""
    world.enrol("1001")
    world.enrol("1002")
    stale = propose(world, "1001")
    claim(world, propose(world, "1002"))
    world.run("UPDATE replenish.card SET country = 'IN'")

    assert claim(world, stale).attempts == ()
    found = world.replenish("1001")
    assert (found.outcome, found.reason) == ("left", Reason.CARD_COUNTRY)
    assert world.replenish("1002").outcome == "released"
    reason = "SELECT reason, evidence ->> 'detail' FROM replenish.attempt"
    assert world.ask(reason) == [("card_country", "IN")]


def test_what_is_unusual_is_read_from_the_settled_top_ups(world: World) -> None:
    """The largest of them, and no more of them counted than are asked for."""
    world.enrol()
    world.run(
        "INSERT INTO replenish.attempt (id, account_id, amount, currency, customer,"
        " payment_method, fingerprint, state) SELECT gen_random_uuid(), '1001', n,"
        " 'USD', '', '', '', 'charged' FROM generate_series(5, 5) n"
    )
    world.run("UPDATE replenish.attempt SET state = 'settled'")
    history = world.services.ledger.subjects(["1001"])[0].history
    assert (history.settled, history.largest) == (1, Decimal(5))
    assert history.released == 0
