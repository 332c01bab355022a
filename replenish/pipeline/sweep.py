"""Find the low accounts, decide, and claim them a page at a time.

The hot sweep's cost follows the traffic: a package that knows who is low is asked
for them; of any other the call records since a cursor are read, and then the
balances of only the accounts they debited. The full sweep is the net under it: all
accounts in small primary-key pages, paced, and in slices: a turn that has lasted long
enough keeps how far it came, and the next one goes on there. Neither holds more than
a page in memory, and both write a page's batch, claims and reasons in one transaction.
"""

import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import assert_never

from replenish.domain.account import Account
from replenish.domain.policy import CutOff, Leave, Reason, TopUp, Wait, decide
from replenish.pipeline.jobs import Turn, turn
from replenish.pipeline.services import Services
from replenish.ports import Claims, Page, Proposal, Standing, Subject


class Kind(StrEnum):
    """Which sweep."""

    HOT = "hot"
    FULL = "full"


SLICE = 20.0
"""Seconds after which a full sweep leaves the rest to the next turn; well below the
time limit of a task, so that none is killed in the middle of a million accounts."""

TURN = {Kind.HOT: 10.0, Kind.FULL: 2 * SLICE}
"""Seconds a sweep keeps the next one out; two at once are harmless, only wasteful."""

GENTLE = 100
"""Accounts a page of the full sweep, at most: a short statement delays nobody's call
by much, and the pause after it keeps such statements rare (docs/benchmarks.md)."""

BEGINNING = ""
"""The full sweep's cursor before the first account and after the last."""


@dataclass
class Sweep:
    """One turn of a sweep; iterate over it for the claims of each page.

    The caller hands out one task per claimed attempt. A worker that dies in the
    middle loses nothing: reconcile finds the claims in their rows.

    Attributes:
        unfinished: the turn ended before the last account; another goes on there.
    """

    kind: Kind
    services: Services
    unfinished: bool = field(default=False, init=False)

    def __iter__(self) -> Generator[Claims, None, None]:
        """Yield each page's claims as soon as they stand; nothing if one is running.

        Raises:
            Transient: a service is away; the turn is given back, with the reason.
            ConfigurationError: the billing package refuses us; likewise.
        """
        job = f"sweep.{self.kind}"
        with turn(job, self.services, seconds=TURN[self.kind]) as mine:
            if mine is not None:
                yield from self._sweep(mine)

    def _sweep(self, mine: Turn) -> Generator[Claims, None, None]:
        cursor = self.services.books.cursor(mine.job)
        accounts = claimed = 0
        mine.so_far = "after 0 accounts"
        until = time.monotonic() + SLICE
        for page, reached in _pages(self.kind, cursor, self.services):
            claims = claim_page(page, self.kind, self.services)
            mine.cursor = reached
            accounts += len(page.accounts)
            claimed += len(claims.attempts)
            mine.so_far = f"after {accounts} accounts"
            mine.go_on(seconds=TURN[self.kind])
            if claims.batch:
                yield claims
            self.unfinished = self.kind is Kind.FULL and reached != BEGINNING
            if self.unfinished and time.monotonic() >= until:
                break
        rest = ", more to come" if self.unfinished else ""
        mine.detail = f"{accounts} accounts read, {claimed} claimed{rest}"


def claim_page(page: Page, kind: Kind, services: Services) -> Claims:
    """Decide one page and write it down: claims, waits, cut-offs and leaves."""
    accounts = {account.ref: account for account in page.accounts}
    low = _low(page, kind, services)
    refs = [*low, *page.unreadable]
    subjects = services.ledger.subjects(refs, due=True) if refs else ()
    proposals: list[Proposal] = []
    standings: list[Standing] = []
    for subject in subjects:
        found = _consider(subject, accounts, page.unreadable, services)
        if isinstance(found, Proposal):
            proposals.append(found)
        elif found:
            standings.append(found)
    return services.ledger.claim(proposals, kind=kind, standings=standings)


def _consider(
    subject: Subject,
    accounts: Mapping[str, Account],
    unreadable: Mapping[str, str],
    services: Services,
) -> Proposal | Standing | None:
    account = accounts.get(subject.account)
    if account is None:
        why = Leave(Reason.UNREADABLE, unreadable[subject.account])
        return Standing(subject.account, why, None)
    available = account.available.amount
    decision = decide(
        account, subject.rule, subject.history, subject.now, limits=services.limits
    )
    match decision:
        case TopUp():
            return Proposal(subject, decision, available)
        case Leave(reason=Reason.HEALTHY | Reason.OPEN_ATTEMPT):
            return None
        case CutOff() | Wait() | Leave():
            return Standing(subject.account, decision, available)
        case _:
            assert_never(decision)


def _low(page: Page, kind: Kind, services: Services) -> Sequence[str]:
    """Give who is low, and take note of who is not.

    Not by a page that may be old: it shows the low as they were before. They are read
    anew as soon as their wait is over.
    """
    available = {account.ref: account.available.amount for account in page.accounts}
    if not available:
        return ()
    if kind is Kind.HOT and services.billing.knows_low:
        return list(available)
    if not page.stale:
        services.books.recovered(available)
    return services.books.low_of(available)


def _pages(
    kind: Kind, cursor: str | None, services: Services
) -> Iterator[tuple[Page, str | None]]:
    if kind is Kind.FULL:
        yield from _all(cursor, services)
    elif services.billing.knows_low:
        yield from _known_low(services)
    else:
        yield from _due(cursor, services)
        yield from _debited(cursor, services)


def _all(cursor: str | None, services: Services) -> Iterator[tuple[Page, str]]:
    """Page all accounts after the cursor, from the first on if there is none."""
    after, limit = cursor or None, min(services.page, GENTLE)
    while True:
        page = services.billing.accounts(after=after, limit=limit)
        after = page.after
        yield page, after or BEGINNING
        if after is None:
            return
        time.sleep(services.pause)


def _known_low(services: Services) -> Iterator[tuple[Page, None]]:
    after: str | None = None
    while True:
        page = services.billing.accounts(after=after, limit=services.page, low=True)
        yield page, None
        after = page.after
        if after is None:
            return


def _due(cursor: str | None, services: Services) -> Iterator[tuple[Page, str | None]]:
    """Page those we know to be low whose wait is over; they may make no calls."""
    after = ""
    while refs := services.books.due(after=after, limit=services.page):
        after = refs[-1]
        yield Page(list(services.billing.balances(refs).values()), None), cursor


def _debited(
    cursor: str | None, services: Services
) -> Iterator[tuple[Page, str | None]]:
    calls = services.billing.calls_since(cursor)
    for start in range(0, len(calls.accounts), services.page):
        refs = calls.accounts[start : start + services.page]
        yield Page(list(services.billing.balances(refs).values()), None), cursor
    yield Page((), None), calls.cursor
