"""Adding to the journal what no trigger sees: enrolments, cards, pauses.

The chain of hashes is the database's own work; see the first migration's
`record_event`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

_RECORD = sa.text(
    "SELECT replenish.record_event(r.account, NULL, r.kind, NULL, NULL, :actor,"
    " r.detail) FROM (SELECT * FROM jsonb_to_recordset(:rows)"
    " AS x(account text, kind text, detail jsonb) ORDER BY account, kind DESC) AS r"
).bindparams(sa.bindparam("rows", type_=JSONB))


def record(
    connection: sa.Connection,
    events: Sequence[tuple[str, str, Mapping[str, Any]]],
    *,
    actor: str,
) -> None:
    """Append (account, kind, detail) events to their accounts' chains."""
    rows = [
        {"account": account, "kind": kind, "detail": dict(detail)}
        for account, kind, detail in events
    ]
    connection.execute(_RECORD, {"rows": rows, "actor": actor})
