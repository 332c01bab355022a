"""Which handler answers which address. `*` stands for an id."""

from collections.abc import Callable

from replenish.sandbox import (
    charges,
    customers,
    disputes,
    intents,
    payment_methods,
    refunds,
    setup_intents,
    webhooks,
)
from replenish.sandbox.world import Call

Handler = Callable[[Call], bytes]

_TABLE: dict[str, Handler] = {
    "POST customers": customers.create,
    "GET customers": customers.listed,
    "GET customers/*": customers.retrieve,
    "POST customers/*": customers.update,
    "DELETE customers/*": customers.delete,
    "GET customers/*/payment_methods": customers.methods,
    "GET customers/*/payment_methods/*": customers.method_of,
    "POST payment_methods": payment_methods.create,
    "GET payment_methods": payment_methods.listed,
    "GET payment_methods/*": payment_methods.retrieve,
    "POST payment_methods/*": payment_methods.update,
    "POST payment_methods/*/attach": payment_methods.attach,
    "POST payment_methods/*/detach": payment_methods.detach,
    "POST payment_intents": intents.create,
    "GET payment_intents": intents.listed,
    "GET payment_intents/search": intents.search,
    "GET payment_intents/*": intents.retrieve,
    "POST payment_intents/*": intents.update,
    "POST payment_intents/*/confirm": intents.confirm,
    "POST payment_intents/*/cancel": intents.cancel,
    "POST payment_intents/*/capture": intents.capture,
    "POST setup_intents": setup_intents.create,
    "GET setup_intents": setup_intents.listed,
    "GET setup_intents/*": setup_intents.retrieve,
    "POST setup_intents/*": setup_intents.update,
    "POST setup_intents/*/confirm": setup_intents.confirm,
    "POST setup_intents/*/cancel": setup_intents.cancel,
    "POST refunds": refunds.create,
    "GET refunds": refunds.listed,
    "GET refunds/*": refunds.retrieve,
    "POST refunds/*": refunds.update,
    "GET charges": charges.listed,
    "GET charges/*": charges.retrieve,
    "POST charges/*": charges.update,
    "GET charges/*/refunds": refunds.listed_of_charge,
    "GET disputes": disputes.listed,
    "GET disputes/*": disputes.retrieve,
    "GET balance_transactions": charges.list_balance_transactions,
    "GET balance_transactions/*": charges.retrieve_balance_transaction,
    "GET events": webhooks.list_events,
    "GET events/*": webhooks.retrieve_event,
    "POST webhook_endpoints": webhooks.create,
    "GET webhook_endpoints": webhooks.listed,
    "GET webhook_endpoints/*": webhooks.retrieve,
    "POST webhook_endpoints/*": webhooks.update,
    "DELETE webhook_endpoints/*": webhooks.delete,
}


def find(method: str, path: str) -> tuple[str, Handler, tuple[str, ...]] | None:
    """Return the endpoint's name, its handler and the ids in the path."""
    if not path.startswith("/v1/"):
        return None
    parts = path[4:].rstrip("/").split("/")
    name = f"{method} {'/'.join(parts)}"
    if name in _TABLE:
        return name, _TABLE[name], ()
    pattern = [part if place % 2 == 0 else "*" for place, part in enumerate(parts)]
    name = f"{method} {'/'.join(pattern)}"
    handler = _TABLE.get(name)
    return None if handler is None else (name, handler, tuple(parts[1::2]))
