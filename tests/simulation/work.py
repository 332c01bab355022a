"""The tasks as Celery runs them, over a queue that loses, repeats and reorders.

The bodies follow `tasks/`, which itself is tested with a real worker.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from replenish.errors import Refused, Transient
from replenish.pipeline.credits import check_credits
from replenish.pipeline.cutoff import cutoff
from replenish.pipeline.reconcile import orphans, reconcile
from replenish.pipeline.replenish import QUICK_TRIES, replenish
from replenish.pipeline.services import Services
from replenish.pipeline.summary import summarise
from replenish.pipeline.sweep import Kind, Sweep


@dataclass(frozen=True, slots=True)
class Message:
    """One message: a task, its argument, and the chord it is part of."""

    task: str
    argument: str = ""
    retries: int = 0
    batch: str | None = None


@dataclass
class Queue:
    """What waits in Redis; all of it may be gone at any moment."""

    messages: list[Message] = field(default_factory=list)
    chords: dict[str, int] = field(default_factory=dict)

    def publish(self, messages: Sequence[Message], chord: str | None = None) -> None:
        """Hand messages out, as a chord if so."""
        self.messages += messages
        if chord is not None:
            self.chords[chord] = len(messages)

    def finished(self, batch: str | None) -> None:
        """Count a chord's task as done; the last one brings the callback."""
        if batch is None or batch not in self.chords:
            return
        self.chords[batch] -= 1
        if self.chords[batch] <= 0:
            del self.chords[batch]
            self.messages.append(Message("summarise", batch))

    def wipe(self) -> None:
        """Lose everything."""
        self.messages.clear()
        self.chords.clear()


def run(message: Message, services: Services, queue: Queue) -> None:
    """Do what the worker does with a message."""
    TASKS[message.task](message, services, queue)


def _sweep(message: Message, services: Services, queue: Queue) -> None:
    turn = Sweep(Kind(message.argument), services)
    for claims in turn:
        batch = str(claims.batch)
        if claims.exhausted:
            queue.publish([Message("cutoff", batch)])
        if claims.attempts:
            refs = [attempt.account for attempt in claims.attempts]
            queue.publish([Message("account", ref, 0, batch) for ref in refs], batch)
        else:
            summarise(batch, services, by="sweep")
    if turn.unfinished:
        queue.publish([Message("sweep", message.argument)])


def _account(message: Message, services: Services, queue: Queue) -> None:
    try:
        replenish(message.argument, services)
    except Transient:
        if message.retries < QUICK_TRIES:
            again = Message(
                "account", message.argument, message.retries + 1, message.batch
            )
            queue.publish([again])
            return
    except Refused:
        pass
    queue.finished(message.batch)


def _summarise(message: Message, services: Services, queue: Queue) -> None:
    summarise(message.argument, services)
    queue.publish([Message("cutoff", message.argument)])


def _cutoff(message: Message, services: Services, queue: Queue) -> None:
    del queue
    cutoff(message.argument or None, services)


def _reconcile(message: Message, services: Services, queue: Queue) -> None:
    del message
    found = reconcile(services)
    if found.accounts:
        queue.publish([Message("account", ref) for ref in found.accounts])


def _orphans(message: Message, services: Services, queue: Queue) -> None:
    del message, queue
    orphans(services)


def _credits(message: Message, services: Services, queue: Queue) -> None:
    del message, queue
    check_credits(services)


TASKS = {
    "sweep": _sweep,
    "account": _account,
    "summarise": _summarise,
    "cutoff": _cutoff,
    "reconcile": _reconcile,
    "orphans": _orphans,
    "credits": _credits,
}
