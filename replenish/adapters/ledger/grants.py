"""The least that the processes need in the ledger: rows, and never its shape.

The schema belongs to a role of its own, which `replenish db upgrade` is run as. That
of the workers then can alter and drop nothing, nor touch an event once it is written.
"""

from collections.abc import Iterator

from replenish.adapters.ledger.migrations import VERSION_TABLE
from replenish.adapters.ledger.models import SCHEMA, Base

ONLY_READ = frozenset({"transition", "installation", VERSION_TABLE})
ONLY_ADDED = frozenset({"event"})
ALSO_TAKEN_AWAY = frozenset({"skip", "stop", "turn"})


def statements(role: str) -> Iterator[str]:
    """Give the GRANT statements of the ledger; to be repeated after each upgrade."""
    yield f"GRANT USAGE ON SCHEMA {SCHEMA} TO {role}"
    names = {table.name for table in Base.metadata.sorted_tables} | {VERSION_TABLE}
    for name in sorted(names):
        yield f"GRANT {_rights(name)} ON {SCHEMA}.{name} TO {role}"


def _rights(table: str) -> str:
    if table in ONLY_READ:
        return "SELECT"
    if table in ONLY_ADDED:
        return "SELECT, INSERT"
    if table in ALSO_TAKEN_AWAY:
        return "SELECT, INSERT, UPDATE, DELETE"
    return "SELECT, INSERT, UPDATE"
