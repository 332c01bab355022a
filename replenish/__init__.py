"""Automatic card replenishment for prepaid VoIP billing packages.

The whole pipeline, in the order in which things happen:

    calls debit accounts            the billing package's business, never ours
          │
    sweep          beat, every second: who is low? One page at a time, decide
          │        (`domain.policy`) and claim, in one transaction
          │
    account        one task per claimed account, through the protocol that moves
          │        money (`pipeline.replenish`): recheck → charge → credit → settle
          │
    summarise      the chord's callback: counts and amounts, from the rows
          │
    cutoff         end the service of whoever nothing can save; and every second
          │        for all that are low, so that it never waits behind charges
          │
    reconcile      every few seconds: whatever was interrupted goes on from its row

The database arbitrates, and Redis is a hint: it may be wiped at any moment with
nothing lost but seconds. The words are those of `domain`; the promises stand in
`ports`; `pipeline` orders the steps and `adapters` do the talking.

`celery -A replenish worker|beat|flower|call|shell|inspect` all work: the Celery app
is `replenish.app`, made on first use.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from celery import Celery

    app: Celery


def __getattr__(name: str) -> object:
    """Give the Celery app to whoever asks for it; importing us stays cheap."""
    if name == "app":
        from tasks.app import app as celery_app  # noqa: PLC0415 only when asked for

        return celery_app
    msg = f"module 'replenish' has no attribute {name!r}"
    raise AttributeError(msg)
