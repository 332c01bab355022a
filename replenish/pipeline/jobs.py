"""A periodic job's turn, which one process has at a time; see `replenish.ports.Books`.

It ends by itself after a while, should its worker be lost. Nobody need wait for that
when the worker is alive and only a service was away.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from replenish.errors import ReplenishError
from replenish.pipeline.services import Services


@contextmanager
def giving_back(job: str, services: Services) -> Iterator[None]:
    """Give the turn back, with the reason, when the job cannot go on.

    Raises:
        ReplenishError: what it met; the next turn may be had at once.
    """
    try:
        yield
    except ReplenishError as error:
        services.books.end(job, detail=f"stopped: {error}")
        raise
