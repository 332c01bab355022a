"""One API request from its opening to its answer: the order of the layers.

keys and scopes → rate limit → edge faults → idempotency → handler → ledger →
answer faults. Handlers run to their end in one piece, so two requests can never
interleave. The server writes the ledger before it sends any answer.
"""

import asyncio
import json
import logging
import re
from collections.abc import Callable
from dataclasses import dataclass

from replenish.sandbox import errors, forms, router
from replenish.sandbox.errors import ApiError, Json
from replenish.sandbox.faults import DROP, EDGE, NOTHING, Fault, Plan
from replenish.sandbox.idempotency import Stored, digest
from replenish.sandbox.store import API_VERSION, dumps
from replenish.sandbox.wire import Answer, Request
from replenish.sandbox.world import Call, World

logger = logging.getLogger(__name__)

SEND, RESET, CLOSE, TRUNCATE = "send", "reset", "close", "truncate"
_VERSION = re.compile(r"\d{4}-\d{2}-\d{2}(\.\w+)?")
_HTML = (
    b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n"
    b"<center><h1>502 Bad Gateway</h1></center>\r\n</body>\r\n</html>\r\n"
)
_HOW = {
    "reset_before": RESET, "reset_after": RESET, "close_without_answer": CLOSE,
    "stall": CLOSE, "truncated_after": TRUNCATE,
}  # fmt: skip
STALL = 60.0  # seconds, unless the fault says otherwise


@dataclass(slots=True)
class Reply:
    """What leaves for the client: an answer, how it leaves, and how late."""

    answer: Answer | None
    how: str = SEND
    delay: float = 0.0


@dataclass(slots=True)
class Visit:
    """A request with what was found out about it before it runs."""

    call: Call
    pairs: list[str]
    endpoint: str
    handler: router.Handler | None


Deliver = Callable[[Reply], None]


class Engine:
    """Answers API requests out of one `World`."""

    def __init__(self, world: World) -> None:
        self.world = world

    def handle(self, request: Request, deliver: Deliver) -> None:
        """Answer a request: `deliver` is called once, at once or later."""
        visit = self._open(request)
        try:
            self._admit(visit, request)
        except ApiError as error:
            deliver(Reply(self._refusal(visit.call, error)))
            return
        plan = self.world.faults.plan(lambda: facts(visit.call))
        if plan is NOTHING:
            deliver(Reply(self._run(visit, None)))
        else:
            self._spoil(visit, plan, deliver)

    # -- before it runs -----------------------------------------------------------

    def _open(self, request: Request) -> Visit:
        world = self.world
        text = request.body if request.method == "POST" else request.query
        params, pairs = forms.parse(text)
        found = router.find(request.method, request.path)
        endpoint, handler, args = found or (request.method, None, ())
        headers = request.headers
        key = headers.get("idempotency-key") if request.method == "POST" else None
        call = Call(
            world,
            request.method,
            request.path,
            args,
            params,
            key or None,
            headers.get("stripe-version", API_VERSION),
            world.ids.short("req_"),
            world.clock.now(),
        )
        world.by_endpoint[endpoint] += 1
        if call.key:
            world.by_key[call.key].attempts += 1
        return Visit(call, pairs, endpoint, handler)

    def _admit(self, visit: Visit, request: Request) -> None:
        """Let the request in, or refuse it before anything runs."""
        call = visit.call
        resource = request.path[4:].partition("/")[0]
        self.world.access.check(
            request.headers.get("authorization"),
            resource=resource,
            write=call.method != "GET",
        )
        if visit.handler is None:
            raise errors.no_route(call.method, call.path)
        if call.version != API_VERSION and not _VERSION.fullmatch(call.version):
            raise errors.unknown_version(call.version)
        self.world.limiter.check(visit.endpoint)
        if call.key:
            self.world.keys.check(call.key)

    # -- running ------------------------------------------------------------------

    def _run(self, visit: Visit, fault: Fault | None) -> Answer:
        """Run the call once, or replay what its key answered before."""
        call, key = visit.call, visit.call.key
        fingerprint = ""
        if key:
            fingerprint = digest(call.method, call.path, visit.pairs)
            try:
                stored = self.world.keys.find(key, fingerprint, call.at, path=call.path)
            except ApiError as error:
                return self._refusal(call, error)
            if stored is not None:
                return self._replay(call, stored)
        status, body, keep = self._execute(visit, fault)
        if key and keep:
            self._count(call)
            request_id = str(call.request_id)
            stored = Stored(fingerprint, status, body, request_id, call.at, call.path)
            self.world.keys.keep(key, stored, about=call.about)
        return self._answer(call, status, body, original=call.request_id)

    def _execute(self, visit: Visit, fault: Fault | None) -> tuple[int, bytes, bool]:
        """Return status, body, and whether the key shall remember them."""
        call = visit.call
        kind = fault.kind if fault else ""
        stored = fault is None or bool(fault.options.get("stored", True))
        if kind == "500_before":
            return 500, self._body(call, errors.broken(500)), stored
        try:
            body = visit.handler(call) if visit.handler else b""
            result = (200, body, True)
        except ApiError as error:
            result = (error.status, self._body(call, error), error.stored)
        except Exception:
            logger.exception("The sandbox broke on %s %s", call.method, call.path)
            result = (500, self._body(call, errors.broken(500)), True)
        if kind == "500_after":
            call.about = None
            return 500, self._body(call, errors.broken(500)), stored
        return result

    def _count(self, call: Call) -> None:
        tally = self.world.by_key[str(call.key)]
        tally.executions += 1
        tally.captures += call.captures

    # -- answers ------------------------------------------------------------------

    def _body(self, call: Call, error: ApiError) -> bytes:
        body = error.render(request_id=str(call.request_id), now=call.now)
        return dumps(body).encode()

    def _refusal(self, call: Call, error: ApiError) -> Answer:
        body = self._body(call, error)
        answer = self._answer(call, error.status, body, original=None)
        answer.headers |= error.headers
        return answer

    def _replay(self, call: Call, stored: Stored) -> Answer:
        answer = self._answer(
            call, stored.status, stored.body, original=stored.request_id
        )
        answer.headers["Idempotent-Replayed"] = "true"
        return answer

    def _answer(
        self, call: Call, status: int, body: bytes, *, original: str | None
    ) -> Answer:
        headers = {
            "Request-Id": str(call.request_id),
            "Stripe-Version": call.version,
        }
        if call.key:
            headers["Idempotency-Key"] = call.key
            if original:
                headers["Original-Request"] = original
        if status in {400, 402}:
            headers["Stripe-Should-Retry"] = "false"
        return Answer(status, body, headers)

    # -- faults -------------------------------------------------------------------

    def _spoil(self, visit: Visit, plan: Plan, deliver: Deliver) -> None:
        """Answer under faults: the wait comes before or after the effect."""
        key = visit.call.key
        keys = self.world.keys
        loop = asyncio.get_running_loop()
        if plan.wait and key:
            keys.running.add(key)
        if plan.wait and plan.effect_last:

            def late() -> None:
                keys.running.discard(str(key))
                self._leave(self._faulty(visit, plan.fault), deliver)

            loop.call_later(plan.wait, late)
            return
        reply = self._faulty(visit, plan.fault)
        if not plan.wait:
            self._leave(reply, deliver)
            return

        def done() -> None:
            keys.running.discard(str(key))
            self._leave(reply, deliver)

        loop.call_later(plan.wait, done)

    @staticmethod
    def _leave(reply: Reply, deliver: Deliver) -> None:
        if reply.delay:
            asyncio.get_running_loop().call_later(reply.delay, deliver, reply)
        else:
            deliver(reply)

    def _faulty(self, visit: Visit, fault: Fault | None) -> Reply:
        if fault is None:
            return Reply(self._run(visit, None))
        runs = fault.after or fault.kind == "500_before"
        answer = self._run(visit, fault) if runs else None
        if fault.kind in EDGE:
            return Reply(self._edge(visit.call, fault))
        how = _HOW.get(fault.kind, SEND)
        stall = float(fault.options.get("seconds", STALL))
        delay = stall if fault.kind == "stall" else 0.0
        if fault.kind in DROP or fault.kind == "reset_after":
            return Reply(None, how, delay)
        return Reply(lied(answer, fault) if answer else None, how)

    def _edge(self, call: Call, fault: Fault) -> Answer:
        """Return what a limiter, a lock or a proxy answers in Stripe's place."""
        if fault.kind == "html_502":
            return Answer(502, _HTML, {}, "text/html")
        if fault.kind == "429_rate":
            error = errors.too_many(str(fault.options.get("reason", "global-rate")))
        elif fault.kind == "429_lock":
            error = errors.lock_timeout()
        elif fault.kind == "409":
            error = errors.key_in_use(call.key or "")
        else:
            error = errors.broken(503)
        error.headers |= fault.options.get("headers", {})
        return self._refusal(call, error)


def lied(answer: Answer, fault: Fault) -> Answer:
    """Return the answer as a lying or broken gateway would send it."""
    if fault.kind == "garbage":
        return Answer(200, b'{"id": "pi_3', dict(answer.headers))
    if fault.kind not in {"wrong_amount", "wrong_status"} or answer.status != 200:  # noqa: PLR2004
        return answer
    body = json.loads(answer.body)
    if fault.kind == "wrong_status":
        body["status"] = fault.options.get("status", "processing")
    else:
        _change_money(body, fault.options)
    return Answer(200, dumps(body).encode(), answer.headers)


def _change_money(body: Json, options: Json) -> None:
    named = {"amount", "currency", "customer"} & set(options)
    body |= {name: options[name] for name in named}
    if not named:
        body["amount"] += 1
    if body.get("amount_received"):
        body["amount_received"] = body["amount"]


def facts(call: Call) -> Json:
    """Describe a call for fault selectors; an existing intent lends its values."""
    known: Json = {}
    if call.args:
        known = call.store.objects.get(call.args[0]) or {}
    names = ("customer", "amount", "currency", "payment_method", "metadata")
    found = {name: call.params.get(name) or known.get(name) for name in names}
    return found | {"method": call.method, "path": call.path, "key": call.key}
