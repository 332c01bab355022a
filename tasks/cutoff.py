"""`replenish.cutoff`: end service where nothing can save it, give it back."""

import logging

from replenish.bootstrap import application
from replenish.pipeline.cutoff import cutoff as run
from tasks.app import app
from tasks.told import batch_of

logger = logging.getLogger(__name__)


@app.task(name="replenish.cutoff")
def cutoff(batch: str | None = None) -> str:
    """Cut off the exhausted of a batch, or of all that are low; restore the funded."""
    done = run(batch and batch_of(batch), application().services)
    if done.cut or done.restored:
        logger.info("Cutoff: %s", done, extra={"event": "cutoff.done"})
    return str(done)
