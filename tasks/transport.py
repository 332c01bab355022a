"""Kombu's Redis transport, which outlives whatever lies in Redis.

A worker of Celery ends on the first message that is not what Celery would have written:
no JSON, no headers, a body that is no base64. Whoever can write into Redis could end
every worker with a few bytes each. Here such a message is thrown away and told of; what
it may have stood for stands in a row. Losing the connection goes its usual way.
"""

import base64
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from queue import Empty
from types import UnionType
from typing import Any

from kombu import transport
from kombu.transport import redis

logger = logging.getLogger(__name__)

NONSENSE = (KeyError, ValueError, TypeError, AttributeError, IndexError)
"""What garbage raises; kombu takes some of it for a lost connection."""

USUAL: tuple[type[BaseException], ...] = (
    Empty,
    *redis.Transport.connection_errors,
    *redis.Transport.channel_errors,
)
"""What the worker's own loop knows how to deal with."""

NAMED: dict[str, type | UnionType] = {
    "task": str,
    "id": str,
    "retries": int | None,
    "eta": str | None,
    "expires": str | None,
}
"""The headers that a worker goes by, and what they must be."""

NO_SAY = frozenset({"timelimit", "compression", "stamps", "stamped_headers", "shadow"})
"""What a message has no say in: the settings of `tasks.app` hold for all."""

OURS, CALLBACK, JSON = "replenish.", "replenish.summarise", "application/json"
"""Whose tasks there are, which of them ends a chord, and how messages are written."""


@contextmanager
def _thrown_away(what: str) -> Iterator[None]:
    try:
        yield
    except NONSENSE as error:
        _tell(what, error)
    except USUAL:
        raise
    except Exception as error:  # noqa: BLE001 anything may lie in Redis
        _tell(what, error)


def _tell(what: str, error: Exception) -> None:
    logger.warning(
        "%s made no sense (%s) and was thrown away; reconcile finds whom it was for."
        " If this goes on, see who else can write into Redis.",
        what,
        type(error).__name__,
        extra={"event": "message.thrown_away"},
    )


class QoS(redis.QoS):
    """What is to be delivered again, told apart from garbage."""

    def restore_by_tag(
        self,
        tag: str,
        client: Any = None,  # noqa: ANN401 a connection of kombu's
        leftmost: bool = False,  # noqa: FBT001, FBT002 as kombu's
    ) -> None:
        """Put one message back into its queue, or drop it."""
        with _thrown_away("A message to be delivered again"):
            super().restore_by_tag(tag, client, leftmost)
            return
        with self.channel.conn_or_acquire(client) as connection:
            self._remove_from_indices(tag, connection.pipeline()).execute()


class Channel(redis.Channel):
    """Reads from queues what is no message, without harm."""

    QoS = QoS

    def _brpop_read(self, **options: Any) -> Any:  # noqa: ANN401 kombu's
        with _thrown_away("An entry of a queue"):
            return super()._brpop_read(**options)  # type: ignore[misc] # not in its stubs
        return True


class Transport(redis.Transport):
    """Takes messages of any shape; `use` makes it the one behind `redis://`."""

    Channel = Channel

    def _deliver(self, message: Any, queue: str | None) -> None:  # noqa: ANN401 kombu's
        with _thrown_away(f"A message for {queue}"):
            super()._deliver(_modest(message), queue)
            return
        self._forget(message)

    def _forget(self, message: Any) -> None:  # noqa: ANN401 anything at all
        """Let go of it, so that it takes up no room among those being worked on."""
        properties = message.get("properties") if isinstance(message, dict) else None
        tag = properties.get("delivery_tag") if isinstance(properties, dict) else None
        for channel in self.channels or ():
            taken = channel.qos._delivered or ()  # noqa: SLF001 it tells it nowhere else
            if isinstance(tag, str) and tag in taken:
                channel.qos.reject(tag, requeue=False)


def _modest(message: Any) -> Any:  # noqa: ANN401 anything at all
    """Take from a task's message what it may not say; the rest must be as we write it.

    Raises:
        TypeError, ValueError, KeyError: it is not.
    """
    headers = message["headers"]
    if "task" not in headers:
        return message  # remote control and events
    for name, kind in NAMED.items():
        if not isinstance(headers.get(name), kind):
            raise TypeError(name)
    if not headers["task"].startswith(OURS) or message["content-type"] != JSON:
        raise ValueError(headers["task"])
    said = {name: value for name, value in headers.items() if name not in NO_SAY}
    return message | {"headers": said, "body": _body(message["body"])}


def _body(text: str) -> str:
    """Read a task's arguments and what is to follow; a chord's end alone may follow."""
    args, kwargs, then = json.loads(base64.b64decode(text, validate=True))
    if not (isinstance(args, list) and isinstance(kwargs, dict)):
        raise TypeError(text)
    chord = then.get("chord")
    if not (chord is None or (isinstance(chord, dict) and chord["task"] == CALLBACK)):
        raise ValueError(text)
    then = dict.fromkeys(("callbacks", "errbacks", "chain")) | {"chord": chord}
    return base64.b64encode(json.dumps([args, kwargs, then]).encode()).decode()


def use() -> None:
    """Let every `redis://` address of this process be read by it."""
    ours = f"{__name__}:{Transport.__name__}"
    transport.TRANSPORT_ALIASES |= {"redis": ours, "rediss": ours}
