"""An empty task beside ours, for workers started with `-I benchmarks.worker`.

What Celery and Redis can do at all, in the same workers and the same run, is what the
replenishments are compared with.
"""

from tasks.app import app


@app.task(name="bench.empty")
def empty() -> None:
    """Do nothing, as an acknowledged task of the same queue."""
