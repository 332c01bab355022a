"""Lists: newest first, read-after-write, with `has_more` and cursors.

docs.stripe.com/api/pagination.
"""

from collections.abc import Callable, Iterator
from itertools import dropwhile, islice, takewhile

from replenish.sandbox import expansion, forms
from replenish.sandbox.errors import Json, invalid, no_such
from replenish.sandbox.world import CALLED, Call, whole

PAGING = frozenset({"limit", "starting_after", "ending_before", "created"})
_COUNTED = frozenset({"refund", "dispute"})  # by charge, these lists have a `count`
_BOUNDS: dict[str, Callable[[int, int], bool]] = {
    "gt": int.__gt__,
    "gte": int.__ge__,
    "lt": int.__lt__,
    "lte": int.__le__,
}


def listing(call: Call, kind: str, *, by: tuple[str, ...] = (), **fixed: str) -> bytes:
    """Answer a list of one kind, filtered by the named parameters."""
    call.only(PAGING | set(by))
    where = {name: value for name in by if (value := call.text(name))} | fixed
    if "customer" in where and call.store.get("customer", where["customer"]) is None:
        raise no_such(what="customer", id_=where["customer"], param="customer")
    return page(call, call.store.newest_first(kind, **where), kind)


def page(call: Call, rows: Iterator[Json], kind: str) -> bytes:
    """Answer one page of `rows`, which come newest first.

    A cursor needs to be in the list no more: one of a deleted object keeps its place.
    """
    after, before = call.text("starting_after"), call.text("ending_before")
    if after and before:
        message = (
            "Received both starting_after and ending_before parameters. Please pass in "
            "only one."
        )
        raise invalid(message, None)
    limit, born = limit_of(call), call.store.born
    rows = _created(call, rows)
    body: Json = {"object": "list"}
    if kind in _COUNTED and call.text("charge"):
        all_rows = list(rows)
        body["count"], rows = len(all_rows), iter(all_rows)
    if before:
        place = _place(call, kind, before, param="ending_before")
        newer = list(takewhile(lambda row: born[row["id"]] > place, rows))
        found, more = newer[-limit:], len(newer) > limit
    else:
        if after:
            place = _place(call, kind, after, param="starting_after")
            rows = dropwhile(lambda row: born[row["id"]] >= place, rows)
        found = list(islice(rows, limit + 1))
        more, found = len(found) > limit, found[:limit]
    body |= {"data": found, "has_more": more, "url": call.path}
    return expansion.page(body, call.expand, call.store)


def limit_of(call: Call) -> int:
    """Return the size of a page; Stripe quietly takes the nearest it allows."""
    limit = call.integer("limit")
    return 10 if limit is None else min(max(limit, 1), 100)


def _place(call: Call, kind: str, id_: str, *, param: str) -> int:
    """Return when the object of a cursor came into being."""
    store = call.store
    known = store.events if kind == "event" else store.objects
    place = store.born.get(id_)
    if place is None or id_ not in known or store.kind_of(id_) != kind:
        raise no_such(CALLED.get(kind, kind), id_, param=param)
    return place


def _created(call: Call, rows: Iterator[Json]) -> Iterator[Json]:
    """Keep rows inside `created` or `created[gte]` …; stop at the lower bound."""
    if (exact := call.integer("created")) is not None:
        return (row for row in rows if row["created"] == exact)
    bounds = forms.group(call.params, "created")
    tests = [
        (_BOUNDS[name], whole(value, f"created[{name}]"), name)
        for name, value in bounds.items()
        if name in _BOUNDS
    ]
    return _within(rows, tests) if tests else rows


def _within(
    rows: Iterator[Json], tests: list[tuple[Callable[[int, int], bool], int, str]]
) -> Iterator[Json]:
    for row in rows:
        created = row["created"]
        if all(test(created, bound) for test, bound, _ in tests):
            yield row
        elif any(created < bound for _, bound, name in tests if name[0] == "g"):
            return
