"""Reads Stripe's form encoding: `metadata[order]=7&expand[0]=customer`.

Nested keys become nested dictionaries; a list stays a dictionary keyed by its
indices until `strings` is asked for it. Values are always text, as on the wire.
"""

from typing import Union
from urllib.parse import unquote_plus

Value = Union[str, "Params"]
Params = dict[str, Value]


def parse(body: str) -> tuple[Params, list[str]]:
    """Return the nested parameters and the flat `key=value` pairs, decoded.

    The pairs, sorted, are what the idempotency layer compares.
    """
    params: Params = {}
    pairs: list[str] = []
    if not body:
        return params, pairs
    for part in body.split("&"):
        key, _, text = part.partition("=")
        if "%" in part or "+" in part:
            key, text = unquote_plus(key), unquote_plus(text)
            part = f"{key}={text}"  # noqa: PLW2901 - decoded
        if not key:
            continue
        pairs.append(part)
        if key[-1] == "]":
            _nest(params, key, text)
        else:
            params[key] = text
    return params, pairs


def _nest(params: Params, key: str, text: str) -> None:
    """Put `text` at `a[b][c]`; `a[]` takes the next free index."""
    head, _, tail = key[:-1].partition("[")
    steps = [head, *tail.split("][")]
    here = params
    for step in steps[:-1]:
        inner = here.get(step)
        if not isinstance(inner, dict):
            inner = {}
            here[step] = inner
        here = inner
    last = steps[-1] or str(len(here))
    here[last] = text


def text(params: Params, name: str) -> str | None:
    """Return the text of `name`; an empty one (Stripe's "unset") is `None`."""
    value = params.get(name)
    return value if isinstance(value, str) and value else None


def group(params: Params, name: str) -> Params:
    """Return the nested parameters under `name`, or none."""
    value = params.get(name)
    return value if isinstance(value, dict) else {}


def strings(params: Params, name: str) -> list[str]:
    """Return the list `name[0]=…&name[1]=…` (or one bare value) in order."""
    value = params.get(name)
    if isinstance(value, str):
        return [value] if value else []
    if value is None:
        return []
    return [item for item in value.values() if isinstance(item, str)]
