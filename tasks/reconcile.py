"""Recovery, from rows: of attempts, of charges without a row, of lost credits."""

import logging

from replenish.bootstrap import application
from replenish.pipeline import credits as credit_steps
from replenish.pipeline import reconcile as pipeline
from tasks import publish
from tasks.app import app

logger = logging.getLogger(__name__)


@app.task(name="replenish.reconcile")
def reconcile() -> str:
    """Hand out what was interrupted, and close batches whose chord was lost."""
    found = pipeline.reconcile(application().services)
    if found.accounts:
        publish.accounts(found.accounts)
        logger.info("Reconcile: %s", found, extra={"event": "reconcile.done"})
    return str(found)


@app.task(name="replenish.orphans")
def orphans() -> str:
    """Compare the gateway's charges with our rows, and adopt what has none."""
    return str(pipeline.orphans(application().services))


@app.task(name="replenish.credits")
def check_credits() -> str:
    """Look whether credits still stand, and put right what was overwritten."""
    return str(credit_steps.check_credits(application().services))
