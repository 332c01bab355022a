"""One account through the protocol, whatever happens on the way."""

from collections import Counter
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from replenish import failpoints
from replenish.domain.account import Account
from replenish.domain.attempt import State
from replenish.domain.outcome import (
    ActionRequired,
    Cancelled,
    Charged,
    DeclineClass,
    Declined,
    Unconfirmed,
    Unknown,
)
from replenish.errors import (
    AccountNotFound,
    BadInput,
    BillingUnavailable,
    ConfigurationError,
    GatewayKeyRefused,
    GatewayMisuse,
    GatewayUnavailable,
    LeaseLost,
    LedgerUnavailable,
    ReplenishError,
)
from replenish.pipeline.reconcile import reconcile
from replenish.pipeline.replenish import MISUSES, QUICK_TRIES, order_of, replenish
from replenish.ports import BillingPackage
from tests.world import World

LOST = Declined("pi", DeclineClass.HARD, "lost_card")


def test_a_low_account_is_charged_and_credited_once(world: World) -> None:
    """One capture, one credit, settled, and no longer low."""
    world.enrol()

    assert str(world.replenish()) == "settled 25.00 USD"
    assert world.balance() == Decimal(30)
    assert sum(world.gateway.captures.values()) == world.credits() == 1
    assert world.ask("SELECT low_since FROM replenish.account") == [(None,)]


def test_a_second_run_finds_nothing_to_do(world: World) -> None:
    """A repeated delivery ends quietly."""
    world.enrol()
    world.replenish()

    assert str(world.replenish()) == "left healthy"
    assert sum(world.gateway.captures.values()) == 1


def test_an_account_in_other_hands_is_left_to_them(world: World) -> None:
    """While an attempt is leased, asking again ends quietly."""
    world.enrol()
    world.sweep()
    world.services.ledger.take("1001", worker="other")

    assert str(world.replenish()) == "left open_attempt"


def test_a_balance_that_recovered_after_the_claim_is_not_charged(world: World) -> None:
    """Read-then-claim is re-read: no call reaches the gateway."""
    world.enrol()
    world.sweep()
    world.set_balance("50")

    assert str(world.replenish()) == "released 25.00 USD"
    assert world.gateway.calls == []


def test_a_held_account_is_released_with_the_reason_and_its_detail(
    world: World,
) -> None:
    """What was learned after the claim stands in the journal."""
    world.enrol()
    world.sweep()
    world.register.pause("1001", "on holiday", actor="test")

    assert world.replenish().outcome == "released"
    assert world.ask("SELECT reason, evidence FROM replenish.attempt") == [
        ("paused", {"detail": "on holiday"})
    ]


def test_an_unknown_account_is_refused_in_a_sentence(world: World) -> None:
    """Not enrolled, and enrolled but gone from the package, are told apart."""
    with pytest.raises(AccountNotFound, match="not enrolled"):
        world.replenish()
    world.enrol()
    world.run("DELETE FROM billing.account")
    with pytest.raises(AccountNotFound, match="billing package"):
        world.replenish()


def test_an_account_gone_after_the_claim_is_released(world: World) -> None:
    """Nothing is charged for an account that vanished between two steps."""
    world.enrol()
    world.sweep()
    world.run("DELETE FROM billing.account")

    assert world.replenish().outcome == "released"
    assert world.ask("SELECT reason FROM replenish.attempt") == [("account_gone",)]


def test_asking_by_hand_says_why_nothing_is_done(world: World) -> None:
    """A reason is given and recorded, as a sweep would."""
    world.enrol(card=False)

    assert str(world.replenish()) == "left no_card"
    assert world.ask("SELECT reason FROM replenish.skip") == [("no_card",)]


def test_a_claim_lost_to_somebody_else_ends_quietly(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the decision and the claim another worker may be quicker."""
    world.enrol()
    claim = type(world.services.ledger).claim

    def slow(ledger: object, proposals: object, **named: object) -> object:
        if named["kind"] == "hand":
            world.sweep()
            world.services.ledger.take("1001", worker="other")
        return claim(ledger, proposals, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(type(world.services.ledger), "claim", slow)

    assert str(world.replenish()) == "left already_claimed"


@pytest.mark.parametrize("lost", ["lost before", "lost after"])
def test_a_lost_answer_is_looked_up_and_never_charged_twice(
    world: World, lost: str
) -> None:
    """A timeout before or after the charge ends in one capture and one credit."""
    world.enrol()
    world.gateway.says("confirm", lost)

    assert world.replenish().outcome == "settled"
    assert sum(world.gateway.captures.values()) == world.credits() == 1
    assert ("unknown",) in world.ask("SELECT to_state FROM replenish.event")


def test_an_unknown_outcome_waits_and_waits_longer(world: World) -> None:
    """While the gateway cannot say, nothing is concluded."""
    world.enrol()
    world.gateway.says("confirm", "lost after")
    tries = QUICK_TRIES + 3
    world.gateway.says("look_up", *[Unknown("pi", "timeout")] * tries)

    waits = []
    for _ in range(tries):
        assert str(world.replenish()) == "waiting timeout"
        rows = world.ask(
            "SELECT extract(epoch FROM next_at - now()) FROM replenish.attempt"
        )
        waits.append(float(str(rows[0][0])))
        world.later()

    assert max(waits[:QUICK_TRIES]) <= 2
    assert waits[QUICK_TRIES:] == sorted(waits[QUICK_TRIES:])
    assert waits[-1] > 2 * waits[0] > 0
    assert world.replenish().outcome == "settled"
    assert sum(world.gateway.captures.values()) == 1


def test_a_charge_that_stays_unclear_is_told_to_people(world: World) -> None:
    """Not at the first lost answer; after ten looks in vain, and every ten more."""
    world.enrol()
    world.gateway.says("confirm", "lost after")
    world.gateway.says("look_up", *[Unknown("pi", "refunded")] * 20)
    for _ in range(20):
        assert str(world.replenish()) == "waiting refunded"
        world.later()

    told = [text for event, _, text in world.notices if event == "charge.unclear"]
    assert len(told) == 2
    assert "25.00 USD is still unclear (refunded); look at pi_" in told[0]
    assert world.state() == "unknown"


def test_an_unconfirmed_intent_is_confirmed_again_under_the_next_number(
    world: World,
) -> None:
    """The gateway's word that nothing happened permits a new confirmation."""
    world.enrol()
    world.gateway.says("confirm", "lost before")
    world.replenish()

    told = [call for call, _ in world.gateway.calls]
    assert told == ["create", "confirm 1", "look_up", "confirm 2"]


def test_an_unconfirmed_intent_no_longer_wanted_is_cancelled(world: World) -> None:
    """Funded meanwhile: proof that it never charges, then the attempt is closed."""
    world.enrol()
    world.gateway.says("confirm", GatewayUnavailable("busy"))
    with pytest.raises(GatewayUnavailable):
        world.replenish()
    world.later()
    world.set_balance("50")

    assert world.replenish().outcome == "cancelled"
    assert not world.gateway.captures


@pytest.mark.parametrize(
    ("evidence", "state"),
    [
        (Charged("pi", "ch"), "settled"),
        (LOST, "declined"),
        (ActionRequired("pi"), "action_required"),
        (Cancelled("pi"), "cancelled"),
    ],
)
@pytest.mark.parametrize("found", ["charging", "unknown"])
def test_whatever_the_gateway_says_later_is_taken(
    world: World, found: str, evidence: Charged | Declined, state: str
) -> None:
    """Recovery in the middle goes on from the gateway's evidence."""
    world.enrol()
    first = GatewayUnavailable("busy") if found == "charging" else "lost before"
    world.gateway.says("confirm", first)
    if found == "unknown":
        world.gateway.says("look_up", Unknown("pi", "timeout"))
        world.replenish()
    else:
        with pytest.raises(GatewayUnavailable):
            world.replenish()
    world.later()
    world.gateway.says("look_up", evidence)

    assert world.replenish().outcome == state


def test_an_intent_seen_unconfirmed_right_after_confirming_waits(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer that makes no sense there changes nothing."""
    world.enrol()
    confirmed: list[str] = []

    def confirm(_order: object, intent: str, **_: object) -> Unconfirmed:
        confirmed.append(intent)
        return Unconfirmed(intent)

    monkeypatch.setattr(world.gateway, "confirm", confirm)

    assert str(world.replenish()) == "waiting unconfirmed"
    assert world.state() == "charging"


def test_a_card_that_is_gone_is_dead_and_nothing_was_charged(world: World) -> None:
    """A detached card ends the attempt before any intent exists."""
    world.enrol()
    gone = Declined("", DeclineClass.HARD, "payment_method_missing")
    world.gateway.says("create", gone)

    assert world.replenish().outcome == "released"
    assert world.ask("SELECT dead_reason FROM replenish.card") == [
        ("payment_method_missing",)
    ]


ELSEWHERE = {
    *("before_restore", "after_restore", "after_break", "after_correction"),
    *(
        "credit_uncommitted",
        "credit_commit_sent",
    ),  # one statement here
}
SEAMS = [name for name in failpoints.NAMES if name not in ELSEWHERE]


@pytest.mark.parametrize("seam", SEAMS)
def test_a_crash_at_any_seam_ends_in_one_charge_and_one_credit(
    world: World, seam: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever comes later goes on from the row."""
    world.enrol()
    crash = failpoints.parse(f"{seam}=raise")
    monkeypatch.setattr(failpoints, "_actions", crash)
    with pytest.raises(failpoints.InjectedFaultError):
        world.replenish()
    monkeypatch.setattr(failpoints, "_actions", {})

    world.later()
    world.settle_all()

    assert world.balance() == Decimal(30)
    assert sum(world.gateway.captures.values()) == world.credits() == 1
    assert world.state() == "settled"


def test_a_worker_that_wakes_up_late_changes_nothing(world: World) -> None:
    """Its lease is gone, so its step is refused, and it ends quietly."""
    world.enrol()
    world.sweep()
    ledger = world.services.ledger
    zombie = ledger.take("1001", worker="zombie")
    assert zombie is not None
    world.later()
    world.replenish()

    with pytest.raises(LeaseLost):
        ledger.advance(zombie, State.CHARGING, intent="pi_other")
    assert world.state() == "settled"


def test_a_worker_overtaken_in_the_middle_says_so(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others took the attempt on while it waited for the gateway."""
    world.enrol()
    create = world.gateway.create

    def slow(order: object) -> object:
        world.later()
        world.services.ledger.take("1001", worker="other")
        return create(order)  # type: ignore[arg-type]

    monkeypatch.setattr(world.gateway, "create", slow)

    assert world.replenish().outcome == "taken_over"


def test_a_refused_key_stops_all_charging_until_it_works(world: World) -> None:
    """The charger stops, says so, and starts again by itself."""
    world.enrol()
    world.gateway.says("create", GatewayKeyRefused("The key is refused; set it."))

    assert str(world.replenish()) == "waiting gateway_key_refused"
    assert "charger.stopped" in world.told()
    world.enrol("1002")
    assert str(world.replenish("1002")) == "left charger_stopped"
    world.gateway.problems = ["still refused"]
    assert not reconcile(world.services).resumed
    world.gateway.problems = []
    world.gateway.says("check", GatewayUnavailable("away"))
    assert not reconcile(world.services).resumed


def test_what_waited_for_the_key_goes_on_at_once(world: World) -> None:
    """Nobody with a good card waits longer because the key was wrong."""
    for ref in ("1001", "1002"):
        world.enrol(ref)
    world.gateway.says("create", GatewayKeyRefused("The key is refused; set it."))
    world.replenish("1001")
    world.replenish("1002")

    found = reconcile(world.services)

    assert found.resumed
    assert found.accounts == ("1001",)
    assert world.replenish("1001").outcome == "settled"
    assert world.sweep() == ["1002"]


def test_a_stop_by_hand_is_lifted_by_hand_only(world: World) -> None:
    """Reconcile resumes only what the key had stopped."""
    world.services.stops.stop("manual: holiday")

    assert not reconcile(world.services).resumed
    assert world.services.stops.reason() == "manual: holiday"
    world.services.stops.resume()
    assert world.services.stops.reason() is None


@pytest.mark.parametrize("verb", ["create", "confirm"])
def test_a_malformed_request_charges_nothing_and_gets_a_person(
    world: World, verb: str
) -> None:
    """The account is held, and the intent is proved never to charge."""
    world.enrol()
    world.gateway.says(verb, GatewayMisuse("The amount is odd; look at it."))

    ended = world.replenish().outcome

    assert ended == ("released" if verb == "create" else "cancelled")
    assert not world.gateway.captures
    assert "gateway.misuse" in world.told()
    assert world.register.need("1001").paused


@pytest.mark.parametrize("verb", ["create", "confirm"])
def test_requests_that_are_refused_one_after_another_stop_all_charging(
    world: World, verb: str
) -> None:
    """It is no account's fault then: who comes next keeps card, service and turn."""
    refs = [world.enrol(str(1001 + number)) for number in range(MISUSES + 1)]
    refused = GatewayMisuse("Your account cannot currently make live charges.")
    world.gateway.says(verb, *[refused] * MISUSES)

    for ref in refs[:-1]:
        assert world.services.stops.reason() is None
        assert world.replenish(ref).outcome in ("released", "cancelled")

    assert "cannot currently make live charges" in str(world.services.stops.reason())
    assert "charger.stopped" in world.told()
    assert world.replenish(refs[-1]).reason == "charger_stopped"
    assert not world.register.need(refs[-1]).paused


def test_refused_requests_stop_nobody_while_others_are_charged(world: World) -> None:
    """It is those accounts' own trouble: each of them is held, and no one else."""
    refs = [world.enrol(str(1001 + number)) for number in range(2 * MISUSES - 1)]
    refused = GatewayMisuse("The currency of this customer is another.")
    good = refs.pop(MISUSES - 1)
    for ref in (*refs[: MISUSES - 1], good, *refs[MISUSES - 1 :]):
        if ref != good:
            world.gateway.says("create", refused)
        assert world.replenish(ref).outcome == (
            "settled" if ref == good else "released"
        )

    assert world.services.stops.reason() is None
    assert all(world.register.need(ref).paused for ref in refs)


def test_a_malformed_request_that_had_charged_is_credited(world: World) -> None:
    """The gateway's evidence counts, not its complaint."""
    world.enrol()
    world.gateway.says("confirm", "lost after")
    world.gateway.says("look_up", GatewayMisuse("odd"))

    assert world.replenish().outcome == "settled"
    assert world.credits() == 1


def test_a_request_that_cannot_even_be_cancelled_waits_for_a_person(
    world: World,
) -> None:
    """Nothing is guessed; it is looked at again later."""
    world.enrol()
    world.gateway.says("confirm", GatewayMisuse("odd"))
    world.gateway.says("cancel", GatewayMisuse("odd"))

    assert str(world.replenish()) == "waiting gateway_misuse"


def test_a_failing_service_is_retried_soon_then_waited_for(world: World) -> None:
    """A few quick tries raise for Celery; then the attempt waits in its row."""
    world.enrol()
    world.gateway.says("create", *[GatewayUnavailable("away")] * (QUICK_TRIES + 1))
    for _ in range(QUICK_TRIES):
        with pytest.raises(GatewayUnavailable):
            world.replenish()
        world.later()

    assert world.told() == []
    assert str(world.replenish()) == "waiting GatewayUnavailable"
    assert world.notices == [
        ("attempt.waits", "1001", "The top-up of 25.00 USD waits, claimed: away")
    ]
    world.later()
    assert world.replenish().outcome == "settled"


def test_a_ledger_away_while_giving_back_is_survived(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lease ends by itself then."""
    world.enrol()
    world.gateway.says("create", GatewayUnavailable("away"))

    def away(*_: object, **__: object) -> None:
        raise LedgerUnavailable("away")

    monkeypatch.setattr(type(world.services.ledger), "put_back", away)

    with pytest.raises(GatewayUnavailable):
        world.replenish()


def test_no_charge_starts_while_the_balance_cannot_be_read(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Billing down: the gateway is not called."""
    world.enrol()
    world.sweep()

    def away(*_: object, **__: object) -> dict[str, Account]:
        raise BillingUnavailable("away")

    monkeypatch.setattr(type(world.services.billing), "balances", away)

    with pytest.raises(BillingUnavailable):
        world.replenish()
    assert world.gateway.calls == []


@pytest.mark.parametrize("error", [BillingUnavailable, AccountNotFound, BadInput])
def test_a_charge_that_cannot_be_credited_waits_and_is_credited_once(
    world: World, error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Charged and not credited is never the end of it."""
    world.enrol()

    def away(*_: object, **__: object) -> None:
        raise error("The account cannot be credited now.")

    with monkeypatch.context() as patch:
        patch.setattr(type(world.services.billing), "apply_credit", away)
        if error is BillingUnavailable:
            with pytest.raises(BillingUnavailable):
                world.replenish()
        else:
            assert str(world.replenish()) == "waiting credit_refused"
            assert "credit.refused" in world.told()
    assert world.state() == "charged"
    world.later()

    assert world.replenish().outcome == "settled"
    assert sum(world.gateway.captures.values()) == world.credits() == 1


def test_the_gateway_is_told_what_the_claim_froze(world: World) -> None:
    """An order is made of the row alone."""
    world.enrol()
    world.sweep()
    attempt = world.services.ledger.take("1001", worker="w")
    assert attempt is not None

    order = order_of(attempt)

    assert (order.attempt, order.account) == (attempt.id, "1001")
    assert (order.customer, order.payment_method) == ("cus_1001", "pm_1001")


class ReadOnly:
    """A package that can be read and not written: a full disk, a server gone read-only.

    Attributes:
        error: what a credit meets, until it is None.
    """

    def __init__(self, package: BillingPackage, error: Exception) -> None:
        self.package = package
        self.error: Exception | None = error

    def __getattr__(self, name: str) -> object:
        return getattr(self.package, name)

    def apply_credit(self, *args: object, **values: object) -> object:
        """Credit, once it can."""
        if self.error:
            raise self.error
        return self.package.apply_credit(*args, **values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "error", [BillingUnavailable("read-only"), ConfigurationError("no grant")]
)
def test_no_more_cards_are_charged_while_the_package_cannot_be_credited(
    world: World, error: Exception
) -> None:
    """Three charges wait for their credits, the others for those; then all go on."""
    refs = [world.enrol(str(number)) for number in range(1001, 1007)]
    package = ReadOnly(world.services.billing, error)
    services = replace(world.services, billing=package)  # type: ignore[arg-type]

    for _ in range(7):
        for ref in refs:
            with suppress(BillingUnavailable):
                replenish(ref, services)
        world.later()

    assert sum(world.gateway.captures.values()) == 3
    states = Counter(world.state(ref) for ref in refs)
    assert states == {"charged": 3, "charging": 3}
    assert ("billing.refused" in world.told()) == isinstance(error, ConfigurationError)
    package.error = None
    for _ in range(3):
        world.later()
        for ref in refs:
            replenish(ref, services)
    assert Counter(world.state(ref) for ref in refs) == {"settled": 6}
    assert sum(world.gateway.captures.values()) == world.credits() == 6


def test_after_an_outage_nobody_waits_for_long(world: World) -> None:
    """However often it was tried: charges are credited soon, then the others go on.

    Found under chaos: attempts that had waited often waited for minutes more, three of
    them charged, so that nobody else was charged although the package was back.
    """
    refs = [world.enrol(str(number)) for number in range(1001, 1006)]
    package = ReadOnly(world.services.billing, BillingUnavailable("away"))
    services = replace(world.services, billing=package)  # type: ignore[arg-type]
    for _ in range(15):
        for ref in refs:
            with suppress(BillingUnavailable):
                replenish(ref, services)
        world.later()
    for ref in refs:
        replenish(ref, services)

    waits = "SELECT max(next_at) - now() FROM replenish.attempt WHERE state = "
    ((charged,),) = world.ask(f"{waits}'charged'")
    ((others,),) = world.ask(f"{waits}'charging'")
    assert timedelta(0) < charged <= timedelta(seconds=2) < others  # type: ignore[operator]
    assert reconcile(services).accounts == ()
    package.error = None
    world.run("UPDATE replenish.attempt SET next_at = now() WHERE state = 'charged'")
    for ref in refs:
        replenish(ref, services)
    world.run("UPDATE replenish.job SET busy_until = NULL")
    found = reconcile(services)

    assert sorted(found.accounts) == refs[3:]
    for ref in found.accounts:
        assert replenish(ref, services).outcome == "settled"


def test_who_could_not_be_read_goes_on_as_soon_as_the_package_answers(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long the wait was; not while it still does not answer, or refuses us."""
    world.enrol()
    world.sweep()
    away: list[ReplenishError] = [BillingUnavailable("away")]

    def fails(*_: object) -> None:
        raise away[0]

    with monkeypatch.context() as patch:
        patch.setattr(type(world.services.billing), "balances", fails)
        for _ in range(QUICK_TRIES):
            with suppress(BillingUnavailable):
                world.replenish()
            world.later()
        assert str(world.replenish()) == "waiting BillingUnavailable"
        assert reconcile(world.services).accounts == ()
        away[0] = ConfigurationError("no grant")
        assert reconcile(world.services).accounts == ()

    assert reconcile(world.services).accounts == ("1001",)
    assert world.replenish().outcome == "settled"


def test_a_quarantined_account_is_not_let_go_with_the_others(world: World) -> None:
    """Its waits grow on purpose; it is taken on alone."""
    for ref in ("1001", "1002"):
        world.enrol(ref)
    world.sweep()
    world.run(
        "UPDATE replenish.attempt SET reason = 'BillingUnavailable',"
        " next_at = now() + interval '1 hour', nudge_at = now() + interval '1 hour'"
    )
    world.run("UPDATE replenish.account SET quarantined_at = now() WHERE id = '1001'")

    assert reconcile(world.services).accounts == ("1002",)
    due = "SELECT account_id FROM replenish.attempt WHERE next_at <= now()"
    assert world.ask(due) == [("1002",)]
