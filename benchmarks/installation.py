"""An installation of its own for a measurement: real servers in a temporary home."""

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from replenish import bootstrap, embedded
from replenish.adapters.ledger import migrations
from replenish.billing import schema
from replenish.bootstrap import Application

ADDRESSES = ("DATABASE_URL", "REDIS_URL", "BILLING_DATABASE_URL", "BILLING_PACKAGE")


@contextmanager
def alone(**settings: str) -> Iterator[Application]:
    """Start PostgreSQL and Redis, make the schemas, and end all of it after.

    The settings go into this process's environment, so that the Celery app, which
    reads them on first use, finds the same servers.
    """
    with tempfile.TemporaryDirectory(prefix="replenish-bench-") as folder:
        home = Path(folder) / "home"
        os.environ.update(dict.fromkeys(ADDRESSES, ""))
        os.environ.update({"REPLENISH_HOME": str(home), "LOG_LEVEL": "ERROR"})
        os.environ.update(
            {"CHARGES_PER_MINUTE": "1000000"}
        )  # what can be, not what may
        os.environ.update(settings)
        app = bootstrap.application()
        try:
            migrations.upgrade(app.ledger_engine)
            schema.create(app.billing_engine)
            yield app
        finally:
            app.ledger_engine.dispose()
            app.billing_engine.dispose()
            embedded.release(home)


def machine() -> str:
    """Say what it was measured on."""
    with Path("/proc/meminfo").open() as meminfo:
        kilobytes = int(meminfo.readline().split()[1])
    return f"{os.cpu_count()} cores, {kilobytes // 1024**2} GB"


def print_table(
    title: str, names: Sequence[str], rows: Sequence[Sequence[str]]
) -> None:
    """Print figures, aligned, under what they were measured on."""
    table = Table(title=f"{title} ({machine()})", box=box.SIMPLE_HEAD, pad_edge=False)
    for name in names:
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(*row)
    Console(width=120).print(table)
