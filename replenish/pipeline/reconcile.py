"""Recovery: a sweep over our own rows, never the broker's redelivery.

Whatever was interrupted stands in a row: an attempt whose lease is over, one that
waits for an answer, a charge not yet credited, a batch not yet closed. `reconcile`
finds them every few seconds and hands them out again; each goes on from its state.
An account whose turns keep losing their workers is quarantined instead: whoever takes
it on next is lost as well, and all the others with him.
`orphans` compares the gateway's list of charges with our rows.
"""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice

from replenish.domain.outcome import SeenIntent
from replenish.errors import (
    BillingUnavailable,
    GatewayKeyRefused,
    ReplenishError,
    Transient,
)
from replenish.pipeline import breakers
from replenish.pipeline.jobs import Turn, turn
from replenish.pipeline.replenish import NOT_CREDITING, crediting
from replenish.pipeline.services import Services
from replenish.ports import KEY_REFUSED

JOB, ORPHANS = "reconcile", "orphans"
TURN = 20.0  # seconds
ORPHANS_TURN = 60.0  # seconds a page; longer than the gateway may take for one
NO_PACKAGE = BillingUnavailable.__name__  # why an attempt waits that could not read it
AT_ONCE = 500  # attempts handed out a pass; more would only wait in Redis
CHORD_GRACE = 5.0  # seconds after which a batch that could be closed is closed here
LOOK_BACK = timedelta(minutes=5)  # overlap of two looks; a listing may lag a little
FIRST_LOOK = timedelta(days=1)  # how far the very first look goes back


@dataclass(frozen=True, slots=True)
class Found:
    """What a pass found: accounts to hand out again, and what it did itself."""

    accounts: tuple[str, ...] = ()
    closed: int = 0
    adopted: tuple[str, ...] = ()
    resumed: bool = False
    quarantined: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Write it for a person."""
        told = (
            f"{len(self.accounts)} attempts handed out, {self.closed} batches closed,"
            f" {len(self.adopted)} orphans adopted"
        )
        held = len(self.quarantined)
        return f"{told}, {held} accounts quarantined" if held else told


def reconcile(services: Services) -> Found:
    """Find what was interrupted; the caller hands the accounts out again.

    Safe to repeat and to race: rows are shared out, and an account handed out
    twice is taken by one.

    Raises:
        Transient: a service is away; the turn is given back, with the reason.
        ConfigurationError: one refuses us; likewise.
    """
    with turn(JOB, services, seconds=TURN) as mine:
        if mine is None:
            return Found()
        found = _find(services)
        mine.detail = str(found)
    return found


def _find(services: Services) -> Found:
    resumed = _lift_stop(services)
    breakers.look(services)
    breakers.probe(services)
    quarantined = _quarantine(services)
    _wake(services)
    closed = [
        batch
        for batch in services.books.unclosed(older_than=CHORD_GRACE)
        if services.books.close_batch(batch, by="reconcile")
    ]
    # Last, since whom it lists it does not list again for some seconds.
    accounts = tuple(services.ledger.stranded(limit=AT_ONCE))
    return Found(accounts, len(closed), (), resumed, quarantined)


def orphans(services: Services) -> Found:
    """Adopt charges that carry our mark and have no row, e.g. after a restore.

    They enter as charged, and the ordinary steps credit them. Lists the gateway
    by time since the last look; a first look goes a day back. While one has to wait
    for another attempt of its account, the next look starts no later than this one.

    Raises:
        Transient: a service is away; the turn is given back, with the reason.
        ConfigurationError: one refuses us; likewise.
    """
    with turn(ORPHANS, services, seconds=ORPHANS_TURN) as mine:
        if mine is None:
            return Found()
        now = services.clock()
        adopted, waiting = _adopt(now, mine, services)
        done = Found(adopted=tuple(adopted))
        mine.detail = str(done)
        mine.cursor = None if waiting else now.isoformat()
    return done


def _adopt(now: datetime, mine: Turn, services: Services) -> tuple[list[str], bool]:
    """Take what has no row into the books; also: whether one of them has to wait."""
    adopted: list[str] = []
    waiting = False
    for page in _pages(services.gateway.list_since(_since(now, services))):
        mine.go_on(seconds=ORPHANS_TURN)
        found = services.ledger.adopt([intent for intent in page if intent.charged])
        adopted += found.adopted
        waiting = waiting or bool(found.waiting)
        for account, text in found.unsettled.items():
            services.notify("orphan.unsettled", account=account, text=text)
    for account in adopted:
        services.notify(
            "orphan.adopted", account=account, text="A charge without a row was found."
        )
    return adopted, waiting


def _wake(services: Services) -> None:
    """Let those go on who waited for the billing package, once it answers."""
    if crediting(services):
        services.ledger.wake(NOT_CREDITING)
    waiting = services.ledger.waiting(NO_PACKAGE)
    if waiting is None:
        return
    with suppress(ReplenishError):  # it still does not; that keeps nobody else waiting
        services.billing.balances([waiting])
        services.ledger.wake(NO_PACKAGE)


def _quarantine(services: Services) -> tuple[str, ...]:
    """Hold whose turns lost too many workers, and tell people what to look at."""
    found = services.turns.quarantine()
    for lost in found:
        paid = "; its card was charged and the credit is still owed"
        services.notify(
            "account.quarantined",
            account=lost.account,
            text=f"{lost.workers} workers in a row were lost in this account's turn,"
            f" the last of them {lost.worker}{paid if lost.state == 'charged' else ''}."
            " It is taken on alone only: see the worker's log, mend that, then"
            f" `replenish account resume {lost.account}`.",
        )
    return tuple(lost.account for lost in found)


def _since(now: datetime, services: Services) -> datetime:
    cursor = services.books.cursor(ORPHANS)
    return datetime.fromisoformat(cursor) - LOOK_BACK if cursor else now - FIRST_LOOK


def _pages(seen: Iterable[SeenIntent]) -> Iterator[list[SeenIntent]]:
    stream = iter(seen)
    while page := list(islice(stream, 100)):
        yield page


def _lift_stop(services: Services) -> bool:
    """Resume by itself when a key that was refused works again."""
    reason = services.stops.reason()
    if reason is None or not reason.startswith(KEY_REFUSED):
        return False
    try:
        problems = services.gateway.check()
    except (GatewayKeyRefused, Transient):
        return False
    if problems:
        return False
    if not services.stops.resume(reason):
        return False  # a person has stopped it meanwhile
    services.notify("charger.resumed", account="", text="The gateway's key works.")
    return True
