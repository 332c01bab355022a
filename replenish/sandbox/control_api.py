"""The control port, `/_sandbox/…`: JSON in, JSON out, no key needed.

| call | does |
| --- | --- |
| `GET /_sandbox/health` | says that it is up |
| `GET, POST, DELETE /_sandbox/faults[/ID]` | lists, sets, clears faults (`faults`) |
| `GET /_sandbox/clock`, `POST …/clock {"advance": S}` | reads, advances the clock |
| `GET /_sandbox/counters` | attempts, executions, captures per key; totals |
| `POST /_sandbox/cards/PM {"outcome": X}` or `{"outcomes": [X, …]}` | how a card answers from now on |
| `POST /_sandbox/customers/CUS/cards {…}` | the same for all cards of a customer |
| `POST /_sandbox/intents/PI/authenticate {"outcome": "succeed" or a decline}` | the cardholder's answer (SetupIntents too) |
| `POST /_sandbox/intents/PI/settle {"outcome": X}` | ends `processing` |
| `POST /_sandbox/disputes {"charge": CH, "reason": R}` | opens a dispute |
| `GET /_sandbox/events`, `POST …/events/EVT/resend` | lists, sends again |
| `GET, POST /_sandbox/webhooks {…}` | delivery switches (`postman.Mischief`) |
| `GET, POST /_sandbox/keys {"accepted", "revoked", "scopes"}` | API keys (`auth`) |
| `POST /_sandbox/settings {"search_lag", "rate_limit"}` | seconds; requests a second |
| `POST /_sandbox/reset` | forgets everything (the ledger file stays) |
"""  # noqa: E501 - a table

import json
from collections.abc import Callable
from dataclasses import asdict

from replenish.sandbox import bank, cards, disputes, setup_intents
from replenish.sandbox.errors import Json
from replenish.sandbox.store import API_VERSION, dumps
from replenish.sandbox.webhooks import as_json
from replenish.sandbox.wire import Answer, Request
from replenish.sandbox.world import Call, World


class ControlApi:
    """Answers control calls out of one `World`."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._table: dict[tuple[str, str], Callable[[list[str], Json], Json]] = {
            ("GET", "health"): lambda _args, _body: {"ok": True},
            ("GET", "faults"): self._faults,
            ("POST", "faults"): self._add_fault,
            ("DELETE", "faults"): self._clear_faults,
            ("GET", "clock"): self._clock,
            ("POST", "clock"): self._clock,
            ("GET", "counters"): self._counters,
            ("POST", "cards"): self._card,
            ("POST", "customers"): self._customer_cards,
            ("POST", "intents"): self._intent,
            ("POST", "disputes"): self._dispute,
            ("GET", "events"): self._events,
            ("POST", "events"): self._resend,
            ("GET", "webhooks"): self._webhooks,
            ("POST", "webhooks"): self._webhooks,
            ("GET", "keys"): self._keys,
            ("POST", "keys"): self._keys,
            ("POST", "settings"): self._settings,
            ("POST", "reset"): self._reset,
        }

    def answer(self, request: Request) -> Answer:
        """Carry out one control call; mistakes are 400 with a sentence."""
        name, *args = request.path.removeprefix("/_sandbox/").split("/")
        action = self._table.get((request.method, name))
        if action is None:
            return _json(404, {"error": f"No {request.method} {request.path} here."})
        try:
            body = json.loads(request.body or "{}")
            result = action([arg for arg in args if arg], body)
        except (ValueError, TypeError, AttributeError) as error:
            return _json(400, {"error": str(error)})
        except LookupError as error:
            return _json(404, {"error": f"Not found: {error}"})
        return _json(200, result)

    # -- faults, clock, counters ---------------------------------------------------

    def _faults(self, _args: list[str], _body: Json) -> Json:
        return {"faults": [f.describe() for f in self._world.faults.active]}

    def _add_fault(self, _args: list[str], body: Json) -> Json:
        return self._world.faults.add(body).describe()

    def _clear_faults(self, args: list[str], _body: Json) -> Json:
        return {"cleared": self._world.faults.clear(args[0] if args else None)}

    def _clock(self, _args: list[str], body: Json) -> Json:
        clock = self._world.clock
        if "advance" in body:
            clock.advance(float(body["advance"]))
            bank.settle_due(self._call())
        return {"now": clock.now(), "offset": clock.offset}

    def _counters(self, _args: list[str], _body: Json) -> Json:
        world = self._world
        return {
            "keys": {key: asdict(tally) for key, tally in world.by_key.items()},
            "endpoints": dict(world.by_endpoint),
            "totals": dict(world.totals),
            "webhooks": dict(world.postman.counts),
        }

    # -- cards and payments --------------------------------------------------------

    def _card(self, args: list[str], body: Json) -> Json:
        return {"cards": [self._set_card(args[0], body)]}

    def _customer_cards(self, args: list[str], body: Json) -> Json:
        store = self._world.store
        found = store.newest_first("payment_method", customer=args[0])
        return {"cards": [self._set_card(method["id"], body) for method in found]}

    def _set_card(self, id_: str, body: Json) -> Json:
        card = self._world.store.cards[id_]
        outcomes = tuple(body.get("outcomes") or [body["outcome"]])
        _check_outcomes(outcomes)
        card.outcomes, card.position, card.attachable = outcomes, 0, True
        self._world.store.keep_card(id_, card)
        return {"id": id_, "outcomes": list(outcomes)}

    def _intent(self, args: list[str], body: Json) -> Json:
        id_, action = args[0], args[1]
        intent = dict(self._world.store.objects[id_])
        outcome = str(body.get("outcome", cards.SUCCEED))
        _check_outcomes((outcome,))
        wanted = {"authenticate": "requires_action", "settle": "processing"}[action]
        if intent["status"] != wanted:
            message = f"{id_} is {intent['status']}; {action} needs {wanted}."
            raise ValueError(message)
        if intent["object"] == "setup_intent":
            method = self._world.store.objects[intent["payment_method"]]
            return setup_intents.finish(self._call(), intent, method)
        return bank.settle(self._call(), intent, outcome)

    def _dispute(self, _args: list[str], body: Json) -> Json:
        charge = self._world.store.objects[body["charge"]]
        reason = str(body.get("reason", "fraudulent"))
        status = str(body.get("status", "needs_response"))
        return disputes.dispute(self._call(), charge, reason=reason, status=status)

    # -- events and webhooks -------------------------------------------------------

    def _events(self, _args: list[str], _body: Json) -> Json:
        return {"events": [as_json(e) for e in self._world.store.events.values()]}

    def _resend(self, args: list[str], _body: Json) -> Json:
        event = self._world.store.events[args[0]]
        self._world.postman.send(event)
        return {"resent": event.id}

    def _webhooks(self, _args: list[str], body: Json) -> Json:
        self._world.postman.mischief.change(body)
        return asdict(self._world.postman.mischief)

    # -- keys, settings, reset -----------------------------------------------------

    def _keys(self, _args: list[str], body: Json) -> Json:
        access = self._world.access
        if "accepted" in body:
            access.accepted = set(body["accepted"])
        if "revoked" in body:
            access.revoked = set(body["revoked"])
        for key, scopes in body.get("scopes", {}).items():
            access.scopes[key] = frozenset(scopes)
        return {
            "accepted": sorted(access.accepted),
            "revoked": sorted(access.revoked),
            "scopes": {key: sorted(s) for key, s in access.scopes.items()},
        }

    def _settings(self, _args: list[str], body: Json) -> Json:
        world = self._world
        if "search_lag" in body:
            world.search_lag = float(body["search_lag"])
        if "rate_limit" in body:
            limit = body["rate_limit"]
            world.limiter.per_second = None if limit is None else float(limit)
            world.limiter.clear()
        return {
            "search_lag": world.search_lag,
            "rate_limit": world.limiter.per_second,
        }

    def _reset(self, _args: list[str], _body: Json) -> Json:
        self._world.reset()
        return {"reset": True}

    def _call(self) -> Call:
        """Return a call that no request caused, for the bank's own doings."""
        now = self._world.clock.now()
        return Call(self._world, "", "", (), {}, None, API_VERSION, None, now)


def _check_outcomes(outcomes: tuple[str, ...]) -> None:
    if unknown := set(outcomes) - cards.OUTCOMES:
        message = (
            f"A card cannot answer {', '.join(sorted(unknown))}; choose from "
            f"{', '.join(sorted(cards.OUTCOMES))}."
        )
        raise ValueError(message)


def _json(status: int, body: Json) -> Answer:
    return Answer(status, dumps(body).encode() + b"\n", {})
