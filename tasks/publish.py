"""Handing tasks out: one bounded chord a page, published in one go.

Celery's own `chord` sends its header one message at a time. The same chord sent
through `Producer.batch` (kombu 5.7) is one Redis pipeline a page, about three times
as fast, and publishing is most of a sweep's time. A page whose delivery failed is
not sent again here: its claims stand in their rows, and reconcile hands them out.
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from celery import uuid
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from replenish.errors import BrokerUnavailable
from tasks.app import app

logger = logging.getLogger(__name__)

AWAY = (OperationalError, RedisError, OSError)
"""What the broker and the result backend raise when Redis is not there."""


def chord(accounts: Sequence[str], batch: str) -> None:
    """Publish `replenish.account` for each, then `replenish.summarise` once.

    A lost publication is logged and left to reconcile.
    """
    group = uuid()
    body = app.signature("replenish.summarise", args=(batch,), app=app)
    body.freeze(group_id=group)
    with _left_to("reconcile", f"Batch {batch}"):
        app.backend.set_chord_size(group, len(accounts))
        _publish(accounts, chord=body, group_id=group)


def cutoff(batch: str) -> None:
    """Publish `replenish.cutoff` for the exhausted accounts of a batch.

    A lost publication is logged and left to the periodic pass.
    """
    with _left_to("the next cutoff", f"The cut-off of batch {batch}"):
        _send("replenish.cutoff", batch)


def sweep(kind: str) -> None:
    """Publish the next turn of a sweep.

    A lost publication is logged and left to beat.
    """
    with _left_to("beat", f"The next turn of the {kind} sweep"):
        _send("replenish.sweep", kind)


def reconcile() -> None:
    """Publish another pass of `replenish.reconcile`.

    A lost publication is logged and left to beat.
    """
    with _left_to("beat", "A pass of reconcile"):
        _send("replenish.reconcile")


def accounts(refs: Sequence[str]) -> None:
    """Publish `replenish.account` for each, outside any chord.

    Raises:
        BrokerUnavailable: Redis is away; nothing is lost, the rows wait.
    """
    try:
        _publish(refs)
    except AWAY as error:
        msg = f"Redis did not take the tasks ({error}); check REDIS_URL."
        raise BrokerUnavailable(msg, subject="REDIS_URL") from error


@contextmanager
def _left_to(whom: str, what: str) -> Iterator[None]:
    try:
        yield
    except AWAY as error:
        logger.warning(
            "%s was not handed out (%s); %s does it",
            what,
            error,
            whom,
            extra={"event": "publish.failed"},
        )


def _publish(refs: Sequence[str], **of_chord: Any) -> None:  # noqa: ANN401 Celery's
    with app.producer_or_acquire() as producer, producer.batch():
        for index, ref in enumerate(refs):
            options = {**of_chord, "group_index": index} if of_chord else {}
            _send("replenish.account", ref, producer=producer, **options)


def _send(task: str, *arguments: str, **options: Any) -> None:  # noqa: ANN401 Celery's
    """Publish without asking for a result.

    Otherwise Celery subscribes to a channel per message, for an answer that nobody
    awaits, and after an outage of Redis refuses to publish until it is restarted.
    """
    app.send_task(task, arguments, retry=False, ignore_result=True, **options)
