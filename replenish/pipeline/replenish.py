"""One account through the protocol: the only code that moves money.

The protocol
------------
1. **Claim.** An attempt row is inserted with account, card, amount and currency
   frozen; a partial unique index lets one open attempt per account through, and
   the same statement checks caps and cooldown. After the commit the balance, the
   state and the caps are read *again*, and the claim is released if it is no
   longer justified: what was read before a claim may be minutes old. A credit that
   the package has overwritten is put right first, so that nobody pays for it twice.
2. **Charge.** The gateway's intent is created unconfirmed (idempotency key: the
   attempt id), its id is stored, and only then is it confirmed off-session. Two
   calls on purpose: once the id is stored, an unknown outcome is a plain look-up,
   and cancelling the intent is proof that it never charges, which also disarms a
   worker that was frozen before its confirmation. Nothing is ever concluded from
   a timer, a search or a missing row.
3. **Credit.** The billing package is credited under the reference attempt id,
   exactly once, by a relative change, with the rows its own reports need.
4. **Settle.** The attempt is closed; service that we had ended is given back.

Each step is a short transaction of its own; none is open across a network call;
each may be repeated by anyone at any time. Who works on an attempt holds a lease
by the database's clock, and every write is conditional on lease and state, so
that a worker waking up late changes nothing. Nor does it charge: whoever is not done
with looking before the lease is over, or finds charging stopped by then, does not
confirm, and the next one looks again. Whoever comes to an attempt in the
middle goes on from its row (`STEPS`):

    claimed   recheck → create the intent → store its id → confirm
    charging  look the intent up: confirm it, cancel it, or take its answer
    unknown   the same; while the gateway cannot say, wait
    charged   credit → settle

A worker that dies in the middle is noticed by its lease. Three lost in a row at one
step quarantine the account (`pipeline.reconcile`): from then on it is taken on `alone`
only, where nobody else is harmed, and no card is charged; what was charged is credited.

A decline is an answer, not an error: its next try, if its class allows one, is a
date on the card that a later sweep honours. Failures of a service are `Transient`:
the lease is given back and the same attempt goes on, soon a few times (Celery's
retry), then after growing waits, from its row (`replenish.pipeline.reconcile`). While
a few charges wait because the package cannot be credited, no other card is charged;
those few are tried every two seconds, since everybody else waits for them.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import assert_never

from replenish.domain.attempt import Attempt, State
from replenish.domain.outcome import (
    ActionRequired,
    Cancelled,
    Charged,
    Declined,
    Evidence,
    Unconfirmed,
    Unknown,
)
from replenish.domain.policy import (
    Obstacle,
    Reason,
    TopUp,
    decide,
    justified,
)
from replenish.errors import (
    AccountNotFound,
    BadInput,
    ConfigurationError,
    GatewayKeyRefused,
    GatewayMisuse,
    LeaseLost,
    ReplenishError,
    Transient,
)
from replenish.failpoints import failpoint
from replenish.pipeline import declines
from replenish.pipeline.credits import put_right_before
from replenish.pipeline.cutoff import restore_if_ours
from replenish.pipeline.services import Services
from replenish.ports import (
    KEY_REFUSED,
    MISUSE,
    Order,
    Proposal,
    Receipt,
    Standing,
    Verdict,
)

QUICK_TRIES = 4  # takes after which a failing attempt waits in its row
QUICK_GAP = 0.5  # seconds; below the first back-off of the task's retry
FIRST_WAIT = 2.0  # seconds; doubling after the quick tries, up to `longest_wait`
MOST_DOUBLED = 20  # by then any longest wait is reached
CREDIT_WAIT = 2.0  # seconds between two tries to credit; they are few and it is owed
TOLD_EVERY = 10  # looks at an outcome that stays unknown, until people are told
PERSON_WAIT = 600.0  # seconds between looks at what only a person can mend

CANNOT_CREDIT = ("BillingUnavailable", "ConfigurationError", "AccountLocked")
"""Why a charged attempt waits when it is not the account's own fault; one locked row
may be, three at once are a locked table."""
MISUSES = 5  # so many accounts refused within minutes, and all charging stops
STUCK = 3  # so many of those at once, and no other card is charged
NOT_CREDITING = "package_not_crediting"  # why the others wait meanwhile

KEY_LIFETIME = timedelta(hours=20)  # of a claim; Stripe forgets its keys after 24 h


@dataclass(frozen=True, slots=True)
class Result:
    """How one account's turn ended, in words that stand in Flower and the log.

    Attributes:
        outcome: an attempt's state, or `left` (nothing to charge), `waiting`
            (the attempt goes on later), `taken_over` (others are at it).
        reason: a reason code, or empty.
        cleared: two workers had been lost at it and this one was not, so that the next
            such account need not wait for the next pass of reconcile.
    """

    account: str
    outcome: str
    reason: str = ""
    attempt: str | None = None
    batch: str | None = None
    cleared: bool = False

    def __str__(self) -> str:
        """Write it for a person: `settled 25.00 USD`, `declined lost_card`."""
        return f"{self.outcome} {self.reason}".strip()


@dataclass(frozen=True, slots=True)
class Later:
    """The attempt goes on after so many seconds."""

    seconds: float
    reason: str


def replenish(account: str, services: Services, *, alone: bool = False) -> Result:
    """Take one account as far as it can go now; safe to repeat and to race.

    Args:
        account: the billing package's ref of an enrolled account.
        services: the ports.
        alone: nobody else works in this process, so that a quarantined account may be
            finished here.

    Raises:
        AccountNotFound: not enrolled, or not in the billing package.
        Transient: a service failed early on; the attempt waits to be repeated.
    """
    attempt = services.ledger.take(account, worker=services.worker, alone=alone)
    if attempt is not None:
        return replace(_finish(attempt, services), cleared=attempt.suspect)
    claimed = _begin(account, services)
    if isinstance(claimed, Result):
        return claimed
    failpoint("after_claim", account)
    result = _finish(claimed, services)
    services.books.close_batch(str(claimed.batch), by="hand")
    return result


def _begin(account: str, services: Services) -> Attempt | Result:
    """Claim within a turn that is written down first: a lost worker is noticed."""
    if not services.turns.begin(account, worker=services.worker):
        return Result(account, "left", Reason.QUARANTINED)
    failpoint("before_claim", account)
    try:
        claimed = _claim(account, services)
    except ReplenishError:
        services.turns.end(account, worker=services.worker)
        raise
    services.turns.end(account, worker=services.worker)
    return claimed


def _claim(account: str, services: Services) -> Attempt | Result:
    subjects = services.ledger.subjects([account])
    if not subjects:
        msg = (
            f"Account {account} is not enrolled; see `replenish account enrol --help`."
        )
        raise AccountNotFound(msg, subject=account)
    subject = subjects[0]
    seen = services.billing.balances([account]).get(account)
    if seen is None:
        msg = f"Account {account} is not in the billing package; was it deleted?"
        raise AccountNotFound(msg, subject=account)
    decision = decide(
        seen, subject.rule, subject.history, subject.now, limits=services.limits
    )
    available = seen.available.amount
    if not isinstance(decision, TopUp):
        if decision.reason not in (Reason.HEALTHY, Reason.OPEN_ATTEMPT):
            standing = Standing(account, decision, available)
            services.ledger.claim([], kind="hand", standings=[standing])
        return Result(account, "left", decision.reason)
    proposal = Proposal(subject, decision, available)
    claims = services.ledger.claim([proposal], kind="hand")
    taken = services.ledger.take(account, worker=services.worker)
    if not claims.attempts or taken is None:
        return Result(account, "left", Reason.ALREADY_CLAIMED, batch=claims.batch)
    return taken


def _finish(attempt: Attempt, services: Services) -> Result:
    """Take steps until the attempt is closed or must wait."""
    step = STEPS[attempt.state]
    while True:
        try:
            moved = _guarded(step, attempt, services)
        except LeaseLost:
            with suppress(Transient):
                services.ledger.came_late(attempt)
            return _result(attempt, "taken_over")
        except Transient as error:
            if attempt.takes <= QUICK_TRIES:
                _put_back(attempt, Later(QUICK_GAP, type(error).__name__), services)
                raise
            moved = _slowly(attempt, error, services)
        if isinstance(moved, Later):
            _put_back(attempt, moved, services)
            return _result(attempt, "waiting", moved.reason)
        if not moved.open:
            failpoint("before_ack", attempt.account)
            return _result(moved, moved.state)
        step = _next(attempt, moved)
        attempt = moved


def _slowly(attempt: Attempt, error: Transient, services: Services) -> Later:
    """Go on after growing waits; people are told when the first of them begins."""
    if attempt.takes == QUICK_TRIES + 1:
        services.notify(
            "attempt.waits",
            account=attempt.account,
            text=f"The top-up of {attempt.amount} waits, {attempt.state}: {error}",
        )
    owed = attempt.state is State.CHARGED
    wait = CREDIT_WAIT if owed else _wait(attempt, services)
    return Later(wait, type(error).__name__)


def _next(before: Attempt, attempt: Attempt) -> "Step":
    """Having just entered `charging`, nobody can have confirmed yet: confirm."""
    if attempt.state is State.CHARGING and before.state is not State.CHARGING:
        return _confirm
    return STEPS[attempt.state]


def _guarded(step: "Step", attempt: Attempt, services: Services) -> Attempt | Later:
    """Take one step; what only a person can mend is told to people."""
    try:
        return step(attempt, services)
    except GatewayKeyRefused as error:
        services.stops.stop(f"{KEY_REFUSED}: {error}")
        services.notify("charger.stopped", account=attempt.account, text=str(error))
        return Later(PERSON_WAIT, "gateway_key_refused")
    except GatewayMisuse as error:
        return _misused(attempt, error, services)
    except ConfigurationError as error:
        services.notify("billing.refused", account=attempt.account, text=str(error))
        return Later(_wait(attempt, services), type(error).__name__)
    except (AccountNotFound, BadInput) as error:
        services.notify("credit.refused", account=attempt.account, text=str(error))
        return Later(PERSON_WAIT, "credit_refused")


# ------------------------------------------------------------------- the steps


def _claimed(attempt: Attempt, services: Services) -> Attempt | Later:
    put_right_before(attempt.account, services)
    obstacle = _recheck(attempt, services)
    failpoint("after_recheck", attempt.account)
    if obstacle and not _is_credited(attempt, obstacle, services):
        return _give_up(attempt, obstacle, services)
    failpoint("before_create", attempt.account)
    created = services.gateway.create(order_of(attempt))
    failpoint("after_create", attempt.account)
    if isinstance(created, Declined):
        return services.ledger.advance(
            attempt,
            State.RELEASED,
            reason=created.code,
            verdict=Verdict(dead=created.code),
        )
    moved = services.ledger.advance(attempt, State.CHARGING, intent=created)
    return Later(FIRST_WAIT, "credited_before") if obstacle else moved


def _charging(attempt: Attempt, services: Services) -> Attempt | Later:
    """Go on in the middle: the gateway knows what became of the intent."""
    evidence = services.gateway.look_up(order_of(attempt), _intent(attempt))
    if not isinstance(evidence, Unconfirmed):
        return _record(attempt, evidence, services)
    if _recheck(attempt, services):
        return _cancel(attempt, services)
    if attempt.state is State.UNKNOWN:
        return services.ledger.advance(attempt, State.CHARGING, reason="unconfirmed")
    return _confirm(attempt, services)


def _charged(attempt: Attempt, services: Services) -> Attempt | Later:
    failpoint("before_credit", attempt.account)
    receipt = services.billing.apply_credit(
        attempt.account,
        attempt.amount,
        reference=attempt.id,
        note=f"Automatic top-up, {attempt.intent}",
        at=services.clock(),
    )
    failpoint("after_credit", attempt.account)
    settled = services.ledger.advance(
        attempt,
        State.SETTLED,
        evidence=_left(attempt, receipt, services),
    )
    failpoint("after_done", attempt.account)
    restore_if_ours(attempt.account, services, reason="settled")
    return settled


Step = Callable[[Attempt, Services], Attempt | Later]

STEPS: dict[State, Step] = {
    State.CLAIMED: _claimed,
    State.CHARGING: _charging,
    State.UNKNOWN: _charging,
    State.CHARGED: _charged,
}
"""From every open state, the step that leads on."""


# ------------------------------------------------------------- parts of the steps


def _recheck(attempt: Attempt, services: Services) -> Obstacle | None:
    """Read everything again, now that the claim stands; None: still justified."""
    seen = services.billing.balances([attempt.account]).get(attempt.account)
    subjects = services.ledger.subjects([attempt.account], without=attempt.id)
    if seen is None or not subjects:
        return Obstacle(Reason.ACCOUNT_GONE)
    subject = subjects[0]
    if subject.now - attempt.claimed_at > KEY_LIFETIME:
        return Obstacle(Reason.CLAIM_TOO_OLD)
    return justified(
        TopUp(attempt.amount, attempt.card),
        seen,
        subject.rule,
        subject.history,
        subject.now,
        limits=services.limits,
    )


def _left(attempt: Attempt, receipt: Receipt, services: Services) -> dict[str, str]:
    """Give what was available after the credit; for a repeated one also what is now.

    Calls may have gone on since it was made, or somebody may have overwritten it: the
    first is what later looks at the credit compare with.
    """
    after = {"available": str(receipt.available_after)}
    if not receipt.already_applied:
        return after
    seen = services.billing.balances([attempt.account]).get(attempt.account)
    return after | ({"now": str(seen.available.amount)} if seen else {})


def _is_credited(attempt: Attempt, obstacle: Obstacle, services: Services) -> bool:
    """Whether the package has this attempt's credit: then its card was charged, too.

    So it is when our database was set back after that. The attempt goes on, without a
    confirmation: the gateway gives the same intent for the same key, and the look-up
    says that it is paid. A claim that is too old would get another intent.
    """
    if obstacle.reason in (Reason.CLAIM_TOO_OLD, Reason.ACCOUNT_GONE):
        return False
    try:
        found = services.billing.find_credit(attempt.account, reference=attempt.id)
    except BadInput:
        return True  # its row is there; somebody has edited its words
    return found is not None


def _give_up(attempt: Attempt, obstacle: Obstacle, services: Services) -> Attempt:
    return services.ledger.advance(
        attempt,
        State.RELEASED,
        reason=obstacle.reason,
        evidence={"detail": obstacle.detail} if obstacle.detail else None,
    )


def _confirm(attempt: Attempt, services: Services) -> Attempt | Later:
    if not crediting(services):
        return Later(_wait(attempt, services), NOT_CREDITING)
    if not services.ledger.holds(attempt):
        return Later(_wait(attempt, services), "overtaken")
    failpoint("before_confirm", attempt.account)
    outcome = services.gateway.confirm(
        order_of(attempt), _intent(attempt), number=attempt.confirms
    )
    failpoint("after_confirm", attempt.account)
    return _record(attempt, outcome, services)


def _cancel(attempt: Attempt, services: Services) -> Attempt | Later:
    evidence = services.gateway.cancel(order_of(attempt), _intent(attempt))
    return _record(attempt, evidence, services)


def _record(
    attempt: Attempt, evidence: Evidence, services: Services
) -> Attempt | Later:
    """Write down what the gateway said; only its word leaves `unknown`."""
    advance = services.ledger.advance
    match evidence:
        case Charged():
            moved = advance(
                attempt, State.CHARGED, evidence={"charge": evidence.charge}
            )
            failpoint("after_record", attempt.account)
            return moved
        case Declined() | ActionRequired():
            return declines.record(attempt, evidence, services)
        case Cancelled():
            return _nothing_kept(attempt, evidence, services)
        case Unknown() if attempt.state is State.UNKNOWN:
            return _still_unknown(attempt, evidence, services)
        case Unknown():
            return advance(
                attempt,
                State.UNKNOWN,
                reason=evidence.reason,
                evidence={"detail": evidence.detail},
            )
        case Unconfirmed():
            return Later(_wait(attempt, services), "unconfirmed")
        case _:
            assert_never(evidence)


def _nothing_kept(attempt: Attempt, proof: Cancelled, services: Services) -> Attempt:
    """Close it without a credit; what a person gave back is not charged anew."""
    held = f"{proof.refunded} was refunded before it was credited"
    closed = services.ledger.advance(
        attempt,
        State.CANCELLED,
        evidence=_proved(proof),
        verdict=Verdict(pause=held) if proof.refunded else None,
    )
    if not proof.refunded:
        return closed
    services.notify(
        "charge.refunded",
        account=attempt.account,
        text=f"The charge {proof.refunded} of {attempt.amount} was given back whole at"
        " the gateway before it was credited; it is not credited now. The account is"
        " held: `replenish account resume` lets its card be charged again.",
    )
    return closed


def _proved(proof: Cancelled) -> dict[str, str]:
    given_back = {"refunded": proof.refunded} if proof.refunded else {}
    return {"cancelled": "proved"} | given_back


def _still_unknown(attempt: Attempt, evidence: Unknown, services: Services) -> Later:
    """Ask again later; when that has not helped for minutes, tell people as well."""
    if attempt.takes % TOLD_EVERY == 0:
        services.notify(
            "charge.unclear",
            account=attempt.account,
            text=f"Whether the card was charged {attempt.amount} is still unclear"
            f" ({evidence.reason}); look at {attempt.intent} at the gateway.",
        )
    return Later(_wait(attempt, services), evidence.reason)


def _misused(
    attempt: Attempt, error: GatewayMisuse, services: Services
) -> Attempt | Later:
    """Our request was wrong: make sure nothing is charged, and get a person."""
    services.notify("gateway.misuse", account=attempt.account, text=str(error))
    verdict = Verdict(pause=f"{MISUSE}: {error}")
    if attempt.state is State.CLAIMED:
        released = services.ledger.advance(
            attempt, State.RELEASED, reason="gateway_misuse", verdict=verdict
        )
        _stop_if_all_are_refused(error, services)
        return released
    try:
        evidence = services.gateway.cancel(order_of(attempt), _intent(attempt))
    except GatewayMisuse:
        return Later(PERSON_WAIT, "gateway_misuse")
    if not isinstance(evidence, Cancelled):
        return _record(attempt, evidence, services)
    cancelled = services.ledger.advance(
        attempt,
        State.CANCELLED,
        reason="gateway_misuse",
        evidence=_proved(evidence),
        verdict=verdict,
    )
    _stop_if_all_are_refused(error, services)
    return cancelled


def _stop_if_all_are_refused(error: GatewayMisuse, services: Services) -> None:
    """Several accounts in a row are not to blame: it is the operator's account there.

    Stopped, nobody else is held one by one, and nobody loses service for it.
    """
    if services.ledger.misused(limit=MISUSES) < MISUSES:
        return
    reason = f"the gateway refused {MISUSES} accounts within minutes: {error}"
    services.stops.stop(reason)
    services.notify("charger.stopped", account="", text=reason)


def order_of(attempt: Attempt) -> Order:
    """Give what the gateway is told, from what the claim froze."""
    return Order(
        attempt=attempt.id,
        account=attempt.account,
        amount=attempt.amount,
        customer=attempt.card.customer,
        payment_method=attempt.card.payment_method,
    )


def _intent(attempt: Attempt) -> str:
    return attempt.intent or ""


def crediting(services: Services) -> bool:
    """Say whether the package takes credits, or none of them has to wait for it."""
    return services.ledger.uncredited(CANNOT_CREDIT, limit=STUCK) < STUCK


def _wait(attempt: Attempt, services: Services) -> float:
    """Give the wait: short for the quick tries, then growing; in seconds."""
    slow_tries = max(attempt.takes - QUICK_TRIES, 0)
    doubled = min(slow_tries, MOST_DOUBLED)  # after days, 2.0 to that is no float
    return min(FIRST_WAIT * 2.0**doubled, services.longest_wait)


def _put_back(attempt: Attempt, later: Later, services: Services) -> None:
    """Give the lease back; if even that fails, it ends by itself."""
    try:
        services.ledger.put_back(attempt, seconds=later.seconds, reason=later.reason)
    except Transient:
        return


def _result(attempt: Attempt, outcome: str, reason: str = "") -> Result:
    return Result(attempt.account, outcome, reason or str(attempt.amount), attempt.id)
