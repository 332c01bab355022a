"""A periodic job's turn, which one process has at a time; see `replenish.ports.Books`.

It ends by itself after a while, should its worker be lost. Nobody need wait for that
when the worker is alive and only a service was away. Who comes back after that time
ends nothing: the turn may be somebody else's by then.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime

from replenish.errors import ReplenishError
from replenish.pipeline.services import Services
from replenish.ports import Books

SOME = 4  # a quarter of a turn may be over until it is made longer


@dataclass
class Turn:
    """What a job says of itself when it gives its turn back.

    Attributes:
        detail: what was done, for people.
        so_far: how far it had come, should it stop: `after 500 accounts`.
        cursor: how far it came; None: where it was.
    """

    job: str
    books: Books = field(repr=False)
    begun: datetime
    detail: str = ""
    so_far: str = ""
    cursor: str | None = None
    told: float = field(default_factory=time.monotonic, init=False)

    def go_on(self, *, seconds: float) -> None:
        """Keep the turn for so long from now, with how far it came.

        Between pages; it asks the database only when some of the turn is over.
        """
        now = time.monotonic()
        if now - self.told < seconds / SOME:
            return
        self.told = now
        self.books.extend(self.job, self.begun, seconds=seconds, cursor=self.cursor)

    def end(self, detail: str) -> None:
        """Give it back."""
        self.books.end(self.job, self.begun, detail=detail, cursor=self.cursor)


@contextmanager
def turn(job: str, services: Services, *, seconds: float) -> Iterator[Turn | None]:
    """Have a job's turn for at most so long; None: somebody else has it.

    Raises:
        ReplenishError: what the job met; the reason is written down, and the next turn
            may be had at once.
    """
    begun = services.books.begin(job, seconds=seconds)
    if begun is None:
        yield None
        return
    mine = Turn(job, services.books, begun)
    try:
        yield mine
    except ReplenishError as error:
        mine.end(f"{f'stopped {mine.so_far}'.strip()}: {error}")
        raise
    mine.end(mine.detail)
