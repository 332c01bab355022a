"""Texts that become SQL where somebody pastes them together."""

from collections.abc import Sequence
from itertools import product

_QUOTES = ("'", '"', "`", "''", "\\'", "')", "%27", "\u02bc", "$$", "")
_TAILS = (
    *(" OR 1=1", " OR '1'='1", "; DROP TABLE account", " UNION SELECT 1,2,3"),
    *("; SELECT pg_sleep(9)", " AND SLEEP(9)", "/*!50000 OR 1=1 */", ":account"),
    *("%(account)s", "%s", "{0}", " LIMIT 1 OFFSET 1"),
)
_ENDS = ("--", "#")


def injections() -> Sequence[str]:
    """Give more than two hundred of them, none of which may have an effect."""
    made = product(_QUOTES, _TAILS, _ENDS)
    return [f"1001{quote}{tail} {end}" for quote, tail, end in made]
