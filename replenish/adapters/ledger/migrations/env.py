"""Alembic's entry: one transaction, one migrator at a time, bounded waits."""

import sqlalchemy as sa
from alembic import context

from replenish.adapters.ledger.migrations import VERSION_TABLE
from replenish.adapters.ledger.models import SCHEMA, Base

MIGRATORS = 7_305_001  # any number of ours: the advisory lock of migrations


def include_name(name: str | None, kind: str, _parents: object) -> bool:
    """Look at our own schema only, when models and database are compared."""
    return name == SCHEMA if kind == "schema" else True


connection = context.config.attributes["connection"]
connection.execute(sa.text("SET LOCAL lock_timeout = '5s'"))
connection.execute(sa.text("SET LOCAL statement_timeout = '5min'"))
connection.execute(sa.text(f"SELECT pg_advisory_xact_lock({MIGRATORS})"))
connection.execute(sa.text(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}"))
context.configure(
    connection=connection,
    target_metadata=Base.metadata,
    version_table=VERSION_TABLE,
    version_table_schema=SCHEMA,
    include_schemas=True,
    include_name=include_name,
)
context.run_migrations()
