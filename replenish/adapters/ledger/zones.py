"""Time zones that the database does not know are refused before they are on file.

Python and PostgreSQL each have a list of their own. One account with a zone that only
Python knows would fail the statement that reads it, and with it the page of everybody
else's.
"""

from collections.abc import Iterable

import sqlalchemy as sa

from replenish.errors import BadInput

_UNKNOWN = sa.text("""
SELECT z.name FROM unnest(CAST(:zones AS text[])) AS z(name)
WHERE NOT EXISTS (SELECT FROM pg_timezone_names n WHERE lower(n.name) = lower(z.name))
ORDER BY z.name LIMIT 1
""")


def refuse_unknown(connection: sa.Connection, zones: Iterable[str | None]) -> None:
    """Refuse what the database could not count days in; asks only if any is given.

    Raises:
        BadInput: names the first.
    """
    given = sorted({zone for zone in zones if zone is not None})
    if not given:
        return
    unknown = connection.execute(_UNKNOWN, {"zones": given}).scalar()
    if unknown is not None:
        msg = (
            f"The ledger's database knows no time zone {unknown!r}; give another, such"
            " as Europe/Berlin, or update its list of zones."
        )
        raise BadInput(msg, subject="time_zone")
