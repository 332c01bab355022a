"""End the service of the exhausted, give it back to the funded.

Cutting off does not wait for charges or for Redis: it goes by the accounts last
seen low in our rows and by balances read now. A cut-off is written down before it
happens; the billing package's own statement compares state and balance, so that a
credit in between is never overlooked; and only what stands in our rows is ever
restored.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal

from replenish.domain.account import Account, Service
from replenish.domain.policy import (
    CutOff,
    Reason,
    decide,
    exhausted,
    past_hard_floor,
    saved,
)
from replenish.errors import AccountLocked
from replenish.failpoints import failpoint
from replenish.pipeline.jobs import turn
from replenish.pipeline.services import Services
from replenish.ports import Subject

JOB = "cutoff"
TURN = 10.0  # seconds a pass may keep others out; a dead worker's turn ends by itself


@dataclass
class Pass:
    """What one pass did, by account.

    Attributes:
        locked: somebody else holds their rows; the next pass tries again.
        would: those of a dry run.
    """

    cut: list[str] = field(default_factory=list)
    restored: list[str] = field(default_factory=list)
    locked: list[str] = field(default_factory=list)
    would: list[tuple[str, CutOff, Decimal]] = field(default_factory=list)

    def __str__(self) -> str:
        """Write it for a person: `2 cut off, 1 restored`."""
        told = f"{len(self.cut)} cut off, {len(self.restored)} restored"
        return f"{told}, {len(self.locked)} locked" if self.locked else told


def cutoff(batch: str | None, services: Services) -> Pass:
    """Cut off the exhausted and restore the funded; safe to repeat and to race.

    Args:
        batch: only the accounts of this batch; None: all that are low.
        services: the ports.

    Raises:
        Transient: a service is away; nobody is cut off on what was seen before.
        ConfigurationError: the billing package refuses us; likewise.
    """
    if batch is not None:
        return _cut_all(batch, services)
    with turn(JOB, services, seconds=TURN) as mine:
        if mine is None:
            return Pass()
        done = _cut_all(None, services)
        _look_after(done, services)
        mine.detail = str(done)
    return done


def dry_run(services: Services) -> Pass:
    """Say who would be cut off now; touches nothing."""
    found = _due(None, services)
    return Pass(would=[(a.ref, cut, a.available.amount) for a, _, cut in found])


def restore_if_ours(account: str, services: Services, *, reason: str) -> bool:
    """Give service back if we had ended it and the account is funded now."""
    if not services.cut_offs.is_standing(account):
        return False
    done = Pass()
    _revisit([account], done, services, reason=reason)
    return bool(done.restored)


def _cut_all(batch: str | None, services: Services) -> Pass:
    done = Pass()
    for account, subject, cut in _due(batch, services):
        with _unless_locked(account.ref, done):
            if _cut(account, subject, cut, services):
                done.cut.append(account.ref)
    return done


@contextmanager
def _unless_locked(ref: str, done: Pass) -> Iterator[None]:
    """Let a row that somebody else holds be that account's trouble alone."""
    try:
        yield
    except AccountLocked:
        done.locked.append(ref)


def _due(
    batch: str | None, services: Services
) -> Iterator[tuple[Account, Subject, CutOff]]:
    after = ""
    while page := services.cut_offs.low(batch=batch, after=after, limit=services.page):
        after = page[-1]
        balances = services.billing.balances(page)
        spent = {ref: a.available.amount for ref, a in balances.items()}
        services.books.recovered(spent)
        for subject in services.ledger.subjects(page):
            account = balances.get(subject.account)
            cut = _verdict(account, subject, services) if account else None
            if account and cut:
                yield account, subject, cut


def _verdict(account: Account, subject: Subject, services: Services) -> CutOff | None:
    rule, history = subject.rule, subject.history
    if account.service is not Service.ACTIVE or any(rule.senseless()):
        return None
    if not exhausted(account, rule):
        return None
    decision = decide(account, rule, history, subject.now, limits=services.limits)
    if isinstance(decision, CutOff):
        return decision
    if past_hard_floor(account, rule):
        return CutOff(Reason.PAST_HARD_FLOOR)
    return None


def _cut(account: Account, subject: Subject, cut: CutOff, services: Services) -> bool:
    if not services.cut_offs.begin(
        account.ref, cut, available=account.available.amount
    ):
        return False
    at_most = _at_most(account, subject, services)
    if not services.billing.suspend(account.ref, at_most=at_most):
        services.cut_offs.restored(
            account.ref, reason="funded or blocked meanwhile", seen=subject.now
        )
        return False
    services.cut_offs.done(account.ref)
    services.notify(
        "account.cut_off",
        account=account.ref,
        text=f"Service ended at {account.available}: {cut.reason} {cut.detail}".strip(),
    )
    return True


def _at_most(account: Account, subject: Subject, services: Services) -> Decimal:
    """Give the balance that ends service: what was decided on may be old by now."""
    rule, history, now = subject.rule, subject.history, subject.now
    grace = saved(account, rule, history, now, limits=services.limits)
    return rule.hard_floor if grace else rule.floor


def _look_after(done: Pass, services: Services) -> None:
    after = ""
    while page := services.cut_offs.standing(after=after, limit=services.page):
        after = page[-1]
        _revisit(page, done, services, reason="funded")


def _revisit(
    page: Sequence[str], done: Pass, services: Services, *, reason: str
) -> None:
    """Go over accounts we cut off: restore the funded, finish what was begun.

    The cut-off of a row that is missing or cannot be read stands, and nothing is
    written: it may be back, and funded, by the next pass.
    """
    balances = services.billing.balances(page)
    for subject in services.ledger.subjects(page):
        account = balances.get(subject.account)
        if account is None or any(subject.rule.senseless()):
            continue  # nothing to go by
        if not subject.history.cut_off:
            continue  # given back by others since it was listed
        with _unless_locked(account.ref, done):
            _settle(account, subject, done, services, reason=reason)


def _settle(
    account: Account, subject: Subject, done: Pass, services: Services, *, reason: str
) -> None:
    """Give service back if the account is funded, else end what was not ended."""
    ref = account.ref
    if not exhausted(account, subject.rule):
        failpoint("before_restore")
        services.billing.restore(ref)
        failpoint("after_restore")
        services.cut_offs.restored(ref, reason=reason, seen=subject.now)
        services.notify(
            "account.restored",
            account=ref,
            text=f"Service is back at {account.available}.",
        )
        done.restored.append(ref)
    elif account.service is Service.ACTIVE and services.billing.suspend(
        ref, at_most=_at_most(account, subject, services)
    ):
        services.cut_offs.done(ref)
        done.cut.append(ref)
