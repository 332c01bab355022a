"""`expand[]`: which fields may be expanded, and the objects put in their place.

docs.stripe.com/expand. A path is checked before anything runs, against the kind of
object that the address answers with; in a list it begins with `data.`.
"""

from replenish.sandbox.errors import ApiError, Json
from replenish.sandbox.store import Store, dumps

_ANY = "*"  # objects of several kinds: what follows is not checked
_HERE = ""  # an object that is there already, with nothing in it to expand

#: Kind -> field -> the kind behind it.
_FIELDS: dict[str, dict[str, str]] = {
    "customer": {
        "address": _HERE, "default_source": _HERE, "discount": _HERE,
        "invoice_settings": "invoice_settings", "shipping": _HERE,
        "test_clock": _HERE,
    },
    "invoice_settings": {"default_payment_method": "payment_method"},
    "payment_intent": {
        "amount_details": _HERE, "application": _HERE,
        "automatic_payment_methods": _HERE, "customer": "customer",
        "last_payment_error": "error", "latest_charge": "charge", "next_action": _HERE,
        "on_behalf_of": _HERE, "payment_method": "payment_method",
        "payment_method_configuration_details": _HERE, "payment_method_options": _HERE,
        "payment_record": _HERE, "processing": _HERE, "review": _HERE,
        "shipping": _HERE, "source": _HERE, "transfer_data": _HERE,
    },
    "error": {"payment_method": "payment_method", "payment_intent": "payment_intent"},
    "charge": {
        "application": _HERE, "application_fee": _HERE,
        "balance_transaction": "balance_transaction", "billing_details": _HERE,
        "customer": "customer", "dispute": "dispute",
        "failure_balance_transaction": "balance_transaction", "fraud_details": _HERE,
        "on_behalf_of": _HERE, "outcome": _HERE, "payment_intent": "payment_intent",
        "payment_method_details": _HERE, "radar_options": _HERE, "refunds": "refund",
        "review": _HERE, "shipping": _HERE, "source": _HERE, "source_transfer": _HERE,
        "transfer": _HERE, "transfer_data": _HERE,
    },
    "refund": {
        "balance_transaction": "balance_transaction", "charge": "charge",
        "customer": "customer", "destination_details": _HERE,
        "failure_balance_transaction": "balance_transaction",
        "payment_intent": "payment_intent", "payment_method": "payment_method",
        "source_transfer_reversal": _HERE, "transfer_reversal": _HERE,
    },
    "payment_method": {
        "billing_details": _HERE, "card": _HERE, "customer": "customer",
    },
    "setup_intent": {
        "application": _HERE, "automatic_payment_methods": _HERE,
        "customer": "customer", "last_setup_error": "error", "latest_attempt": _HERE,
        "mandate": _HERE, "next_action": _HERE, "on_behalf_of": _HERE,
        "payment_method": "payment_method",
        "payment_method_configuration_details": _HERE, "payment_method_options": _HERE,
        "single_use_mandate": _HERE,
    },
    "dispute": {
        "balance_transactions": "balance_transaction", "charge": "charge",
        "evidence": _HERE, "evidence_details": _HERE,
        "payment_intent": "payment_intent", "payment_method_details": _HERE,
    },
    "balance_transaction": {"fee_details": _HERE, "source": _ANY},
    "event": {"data": _HERE, "request": _HERE},
    "webhook_endpoint": {},
}  # fmt: skip
_COLLECTIONS = {f"{kind}s": kind for kind in _FIELDS}


def check(paths: list[str], *, method: str, address: str) -> None:
    """Refuse the paths that lead nowhere in what `address` answers with.

    Raises:
        ApiError: 400, with neither code nor param.
    """
    kind, is_list = _subject(method, address)
    for path in paths:
        steps = path.split(".")
        if is_list and steps[0] != "data":
            raise _cannot(steps[0], hint=f"data.{steps[0]}")
        start = 1 if is_list else 0
        _walk(steps[start:], kind)


def _walk(steps: list[str], kind: str) -> None:
    for place, step in enumerate(steps):
        if step == "data" and place and steps[place - 1] == "refunds":
            continue
        behind = _FIELDS.get(kind, {}).get(step)
        if behind is None:
            raise _cannot(".".join(steps[: place + 1]))
        if behind == _ANY:
            return
        kind = behind


def _subject(method: str, address: str) -> tuple[str, bool]:
    """Return the kind of object an address answers with, and whether it lists."""
    parts = address.removeprefix("/v1/").split("/")
    kinds = [_COLLECTIONS[part] for part in parts if part in _COLLECTIONS]
    lists = method == "GET" and (parts[-1] in _COLLECTIONS or parts[-1] == "search")
    return (kinds[-1] if kinds else ""), lists


def _cannot(what: str, hint: str = "") -> ApiError:
    message = f"This property cannot be expanded ({what})."
    if hint:
        message += f" You may want to try expanding '{hint}' instead."
    return ApiError(400, message)


def expanded(obj: Json, paths: list[str], store: Store) -> Json:
    """Return a copy of `obj` with the ids at `paths` replaced by their objects."""
    result = dict(obj)
    for path in paths:
        _expand(result, path.split("."), store)
    return result


def page(body: Json, paths: list[str], store: Store) -> bytes:
    """Return a list's JSON with what was asked to be expanded in its rows."""
    if paths:
        body = expanded(body, paths, store)
    return dumps(body).encode()


def _expand(obj: Json, steps: list[str], store: Store) -> None:
    name, rest = steps[0], steps[1:]
    if name == "refunds" and name not in obj:
        obj[name] = _refunds_of(obj["id"], store)
    value = obj.get(name)
    if isinstance(value, str):
        value = store.objects.get(value, value)
    if isinstance(value, dict):
        obj[name] = inner = dict(value)
        if rest:
            _expand(inner, rest, store)
    elif isinstance(value, list) and rest:
        obj[name] = [dict(item) for item in value]
        for item in obj[name]:
            _expand(item, rest, store)


def _refunds_of(charge: str, store: Store) -> Json:
    """Return the list that only `expand[]=refunds` shows."""
    rows = list(store.newest_first("refund", charge=charge))
    return {
        "object": "list", "data": rows[:10], "has_more": len(rows) > 10,  # noqa: PLR2004 - a page
        "total_count": len(rows), "url": f"/v1/charges/{charge}/refunds",
    }  # fmt: skip
