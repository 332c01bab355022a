"""`replenish.summarise`: the chord's callback; counts come from the rows."""

import logging

from replenish.bootstrap import application
from replenish.pipeline.summary import in_words
from replenish.pipeline.summary import summarise as close
from tasks import publish
from tasks.app import app
from tasks.told import batch_of

logger = logging.getLogger(__name__)


@app.task(name="replenish.summarise")
def summarise(_outcomes: list[str], batch: str) -> str:
    """Close the batch, then have its exhausted accounts cut off."""
    summary = close(batch_of(batch), application().services)
    publish.cutoff(batch)
    if summary is None:
        return "still open; reconcile closes it"
    told = in_words(summary)
    logger.info("Batch %s: %s", batch, told, extra={"event": "batch.closed"})
    return told
