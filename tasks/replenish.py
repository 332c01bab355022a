"""`replenish.account`: one account through the protocol; see the pipeline module."""

import logging
from typing import Any

from celery import Task
from celery.utils.time import get_exponential_backoff_interval

from replenish.bootstrap import application
from replenish.errors import Refused, Transient
from replenish.pipeline.replenish import QUICK_TRIES, replenish
from tasks import publish
from tasks.app import app
from tasks.told import account_of

logger = logging.getLogger(__name__)


@app.task(
    name="replenish.account",
    bind=True,
    max_retries=QUICK_TRIES,
    # Seconds, after a killed child: longer than a turn without an attempt may last
    # (`turns.PATIENCE`), so that the loss is noticed.
    default_retry_delay=12,
)
def account(self: "Task[Any, Any]", account: str) -> str:
    """Replenish one account if it needs it; by a sweep, by reconcile or by hand.

    Ends quietly when others are at it. Failures of a service are retried a few
    times, soon, with back-off and jitter; then the attempt waits in its row.
    Never raises for a business failure: a chord must not break.
    """
    try:
        result = replenish(account_of(account), application().services)
    except Transient as error:
        if self.request.retries >= QUICK_TRIES:
            return f"waiting {type(error).__name__}"
        raise self.retry(exc=error, countdown=_backoff(self.request.retries)) from error
    except Refused as error:
        logger.warning(str(error), extra={"event": "account.refused"})
        return f"refused {type(error).__name__}"
    if result.cleared:
        publish.reconcile()
    logger.info(
        "Account %s: %s", account, result, extra={"event": f"account.{result.outcome}"}
    )
    return str(result)


def _backoff(retries: int) -> int:
    """Give 1, 2, 4, 8 seconds, jittered but never below one."""
    return max(
        1, get_exponential_backoff_interval(1, retries, maximum=8, full_jitter=True)
    )
