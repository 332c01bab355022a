"""What every step is given: the ports, and the few numbers they go by."""

from dataclasses import dataclass

from replenish.domain.rule import Limits
from replenish.ports import (
    BillingPackage,
    Books,
    Breakers,
    CardGateway,
    Clock,
    Credits,
    CutOffs,
    Ledger,
    Notifier,
    Stops,
    Turns,
)


@dataclass(frozen=True, slots=True)
class Services:
    """The ports of one installation, wired by `replenish.bootstrap`.

    Attributes:
        limits: what bounds charges and the tries of a card.
        worker: this process's name, as it stands in the journal.
        page: accounts per page of a sweep, and attempts per batch.
        pause: seconds between two pages of the full sweep, so that the billing
            package does not feel it.
        longest_wait: seconds between two tries of an attempt that waits for the
            gateway or the package.
    """

    billing: BillingPackage
    gateway: CardGateway
    ledger: Ledger
    books: Books
    cut_offs: CutOffs
    credits: Credits
    stops: Stops
    breakers: Breakers
    turns: Turns
    notify: Notifier
    clock: Clock
    limits: Limits
    worker: str
    page: int = 500
    pause: float = 0.3
    longest_wait: float = 60.0
