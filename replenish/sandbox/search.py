"""Searches, in Stripe's query language: docs.stripe.com/search.

Clauses stand side by side or are joined by AND or by OR, never by both. A search may
lag behind writes (the control port sets by how much), so nobody may rely on it.
"""

import re
from collections.abc import Callable, Iterable
from itertools import islice
from typing import NamedTuple

from replenish.sandbox import expansion
from replenish.sandbox.errors import Json, invalid
from replenish.sandbox.lists import limit_of
from replenish.sandbox.world import Call

_CLAUSE = re.compile(
    r"""(-?)(\w+)(?:\[(['"])(.*?)\3\])?\s*(:|~|>=|<=|>|<)\s*(?:(['"])(.*?)\6|([\w.-]+))"""
)
_JOINT = re.compile(r"(?:\s+(AND|OR))?\s+", re.IGNORECASE)
_MOST = 10  # clauses
_OPERATORS: dict[str, Callable[[str, str], bool]] = {
    ":": lambda have, want: have == want,
    "~": lambda have, want: want in have,
    ">": lambda have, want: int(have) > int(want),
    "<": lambda have, want: int(have) < int(want),
    ">=": lambda have, want: int(have) >= int(want),
    "<=": lambda have, want: int(have) <= int(want),
}
_FIELDS = {
    "payment_intent": frozenset(
        {"amount", "created", "currency", "customer", "metadata", "status"}
    ),
}
_UNREADABLE = (
    "We were unable to parse your search query. Try using the format "
    '`metadata["key"]:"value"` to query for metadata or key:"value" to query for other '
    "fields."
)


class _Clause(NamedTuple):
    """One condition of a query."""

    minus: bool
    field: str
    key: str | None  # of the metadata
    operator: str
    wanted: str


def search(call: Call, kind: str) -> bytes:
    """Answer a search; objects younger than the lag are not found yet."""
    call.only(frozenset({"query", "limit", "page"}))
    clauses, join = _read(call.required("query"), kind)
    newest = call.at - call.world.search_lag
    rows = (
        row
        for row in call.store.newest_first(kind)
        if row["created"] <= newest and join(_holds(row, c) for c in clauses)
    )
    limit, start = limit_of(call), max(0, call.integer("page") or 0)
    found = list(islice(rows, start, start + limit + 1))
    more = len(found) > limit
    body: Json = {
        "object": "search_result", "data": found[:limit], "has_more": more,
        "next_page": str(start + limit) if more else None, "url": call.path,
    }  # fmt: skip
    return expansion.page(body, call.expand, call.store)


def _read(
    query: str, kind: str
) -> tuple[list[_Clause], Callable[[Iterable[bool]], bool]]:
    """Return the clauses of a query, and whether all or any of them must hold.

    Raises:
        ApiError: 400, for what cannot be read or searched for.
    """
    found: list[_Clause] = []
    joints: set[str] = set()
    rest = query.strip()
    while True:
        match = _CLAUSE.match(rest)
        if match is None:
            raise invalid(_UNREADABLE, None)
        found.append(_clause(match, kind))
        rest = rest[match.end() :]
        if not rest:
            break
        joint = _JOINT.match(rest)
        if joint is None:
            raise invalid(_UNREADABLE, None)
        joints.add((joint[1] or "and").lower())
        rest = rest[joint.end() :]
    if len(joints) > 1 or len(found) > _MOST:
        raise invalid(_UNREADABLE, None)
    return found, any if joints == {"or"} else all


def _clause(match: re.Match[str], kind: str) -> _Clause:
    minus, field, _, key, operator, _, quoted, bare = match.groups()
    if field not in _FIELDS[kind]:
        page = f"search#query-fields-for-{kind.replace('_', '-')}s"
        message = (
            f"Field `{field}` is an unsupported search field for resource `{kind}s`. "
            f"See https://stripe.com/docs/{page} for a list of supported fields."
        )
        raise invalid(message, None)
    wanted = quoted if quoted is not None else bare
    return _Clause(bool(minus), field, key, operator, wanted)


def _holds(row: Json, clause: _Clause) -> bool:
    value = row.get(clause.field)
    if clause.key is not None:
        value = (value or {}).get(clause.key)
    if value is None:
        return clause.minus
    try:
        return _OPERATORS[clause.operator](str(value), clause.wanted) != clause.minus
    except ValueError:
        return False
