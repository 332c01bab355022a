"""`replenish.sweep`: find, decide, claim, and hand out one task an account."""

import logging

from replenish.bootstrap import application
from replenish.pipeline.summary import summarise
from replenish.pipeline.sweep import Sweep
from tasks import publish
from tasks.app import app
from tasks.told import kind_of

logger = logging.getLogger(__name__)


@app.task(name="replenish.sweep", trail=False)
def sweep(kind: str = "hot") -> str:
    """Sweep for a turn (`hot` or `full`) and publish a chord per page of claims.

    A full sweep of many accounts takes several turns: each hands over to the next.
    """
    services = application().services
    claimed = 0
    turn = Sweep(kind_of(kind), services)
    for claims in turn:
        batch = str(claims.batch)
        if claims.exhausted:
            publish.cutoff(batch)
        if claims.attempts:
            publish.chord([attempt.account for attempt in claims.attempts], batch)
            claimed += len(claims.attempts)
        else:
            summarise(batch, services, by="sweep")
    if turn.unfinished:
        publish.sweep(kind)
    if claimed:
        logger.info("Sweep claimed %s accounts", claimed, extra={"event": "sweep.done"})
    return f"{kind}: {claimed} claimed"
