"""Events as the API lists them, and the webhook endpoints they are sent to."""

import json

from replenish.sandbox import forms, lists, metadata
from replenish.sandbox.errors import Json, invalid, missing, no_such
from replenish.sandbox.shapes import WEBHOOK_ENDPOINT
from replenish.sandbox.store import API_VERSION, Event, dumps
from replenish.sandbox.world import Call

_CREATE = frozenset({"url", "enabled_events", "description", "metadata", "api_version"})
_UPDATE = frozenset({"url", "enabled_events", "description", "metadata", "disabled"})


def create(call: Call) -> bytes:
    """`POST /v1/webhook_endpoints`; only this answer holds the secret."""
    call.only(_CREATE)
    url = call.required("url")
    if not url.startswith(("http://", "https://")):
        message = "Invalid URL: An explicit scheme (such as https) must be provided."
        raise invalid(message, "url", code="url_invalid")
    events = forms.strings(call.params, "enabled_events")
    if not events:
        raise missing(name="enabled_events")
    endpoint: Json = {
        **WEBHOOK_ENDPOINT,
        "id": call.world.ids.long("we_1"),
        "api_version": call.text("api_version"),
        "created": call.now,
        "description": call.text("description"),
        "enabled_events": events,
        "metadata": metadata.merged(call, {}),
        "url": url,
    }
    call.save(endpoint)
    secret = call.world.ids.long("whsec_")
    call.store.keep_secret(endpoint["id"], secret)
    return dumps({**endpoint, "secret": secret}).encode()


def retrieve(call: Call) -> bytes:
    """`GET /v1/webhook_endpoints/{id}`."""
    call.only(frozenset())
    return call.answer(call.alive("webhook_endpoint"))


def update(call: Call) -> bytes:
    """`POST /v1/webhook_endpoints/{id}`."""
    call.only(_UPDATE)
    endpoint = dict(call.alive("webhook_endpoint"))
    for name in ("url", "description"):
        if name in call.params:
            endpoint[name] = call.text(name)
    if events := forms.strings(call.params, "enabled_events"):
        endpoint["enabled_events"] = events
    if (disabled := call.flag("disabled")) is not None:
        endpoint["status"] = "disabled" if disabled else "enabled"
    endpoint["metadata"] = metadata.merged(call, endpoint["metadata"])
    return call.answer(call.save(endpoint))


def delete(call: Call) -> bytes:
    """`DELETE /v1/webhook_endpoints/{id}`."""
    call.only(frozenset())
    id_ = call.alive("webhook_endpoint")["id"]
    gone = {"id": id_, "object": "webhook_endpoint", "deleted": True}
    return call.answer(call.save(gone))


def listed(call: Call) -> bytes:
    """`GET /v1/webhook_endpoints`."""
    return lists.listing(call, "webhook_endpoint")


def retrieve_event(call: Call) -> bytes:
    """`GET /v1/events/{id}`."""
    call.only(frozenset())
    event = call.store.events.get(call.args[0])
    if event is None:
        raise no_such(what="event", id_=call.args[0], param="id", status=404)
    return event.body(api_version=API_VERSION)


def list_events(call: Call) -> bytes:
    """`GET /v1/events`, filtered by `type` (`charge.*` too) or `types[]`."""
    call.only(lists.PAGING | {"type", "types"})
    wanted = forms.strings(call.params, "types")
    if kind := call.text("type"):
        wanted.append(kind)
    events = reversed(call.store.events.values())
    rows = (as_json(event) for event in events if _is_one_of(event.type, wanted))
    return lists.page(call, rows, "event")


def as_json(event: Event) -> Json:
    """Return the event object as a dictionary."""
    body: Json = json.loads(event.body(api_version=API_VERSION))
    return body


def _is_one_of(kind: str, wanted: list[str]) -> bool:
    return not wanted or any(
        kind == name or (name.endswith("*") and kind.startswith(name[:-1]))
        for name in wanted
    )
