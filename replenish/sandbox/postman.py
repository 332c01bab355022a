"""Delivers events to webhook endpoints, signed, with retries and with mischief.

Signature: `Stripe-Signature: t=…,v1=HMAC-SHA256(secret, "t.body")`
(docs.stripe.com/webhooks#verify-manually). Like a Stripe sandbox it tries three
times; any 2xx is success, a redirect is a failure.
"""

import asyncio
import hashlib
import hmac
import random
from collections import Counter
from dataclasses import dataclass, fields
from urllib.parse import urlsplit

from replenish.sandbox.clock import Clock
from replenish.sandbox.errors import Json
from replenish.sandbox.store import API_VERSION, Event, Store

TRIES = 3
TIMEOUT = 10.0  # seconds for one delivery
MANUAL = "we_from_command_line"


@dataclass(slots=True)
class Mischief:
    """What the control port may do to deliveries; the defaults do nothing."""

    duplicate: int = 0  # extra copies of every delivery
    delay_ms: float = 0
    reorder: bool = False  # hold events and send them newest first
    hold_ms: float = 300  # how long reordering collects events
    drop: float = 0.0  # probability that an event is never sent
    bad_signature: bool = False
    retry_ms: float = 500  # pause before the second try; doubles after that

    def change(self, values: Json) -> None:
        """Set some switches.

        Raises:
            ValueError: If there is no such switch.
        """
        known = {item.name for item in fields(self)}
        if extra := set(values) - known:
            message = f"There is no webhook switch {', '.join(sorted(extra))}."
            raise ValueError(message)
        for name, value in values.items():
            setattr(self, name, value)


class Postman:
    """Sends events to every enabled endpoint, in the running event loop."""

    def __init__(self, store: Store, clock: Clock, *, seed: int) -> None:
        self._store = store
        self._clock = clock
        self._dice = random.Random(f"webhooks/{seed}")  # noqa: S311 - repeatable on purpose
        self._tasks: set[asyncio.Task[None]] = set()
        self._held: list[Event] = []
        self._manual: tuple[str, str] | None = None
        self.mischief = Mischief()
        self.counts: Counter[str] = Counter()

    def also(self, url: str, secret: str) -> None:
        """Deliver every event to a fixed address, besides the API's endpoints."""
        self._manual = (url, secret)

    def clear(self) -> None:
        """Forget the switches and what waits to be sent."""
        self.mischief = Mischief()
        self._held.clear()
        self.counts.clear()
        for task in self._tasks:
            task.cancel()

    def send(self, event: Event) -> None:
        """Start delivering an event; returns at once."""
        if not (self._manual or self._store.secrets):
            return
        if self.mischief.drop and self._dice.random() < self.mischief.drop:
            self.counts["dropped"] += 1
            return
        if not self.mischief.reorder:
            self._start(event)
            return
        if not self._held:
            pause = self.mischief.hold_ms / 1000
            asyncio.get_running_loop().call_later(pause, self._release)
        self._held.append(event)

    def _release(self) -> None:
        held, self._held = self._held, []
        for event in reversed(held):
            self._start(event)

    def _start(self, event: Event) -> None:
        for url, secret in self._addresses(event.type):
            for _ in range(1 + self.mischief.duplicate):
                task = asyncio.get_running_loop().create_task(
                    self._deliver(event, url, secret)
                )
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    def _addresses(self, kind: str) -> list[tuple[str, str]]:
        found = [self._manual] if self._manual else []
        for id_, secret in self._store.secrets.items():
            endpoint = self._store.objects.get(id_)
            if endpoint is None or endpoint.get("status") != "enabled":
                continue
            if {"*", kind} & set(endpoint["enabled_events"]):
                found.append((endpoint["url"], secret))
        return found

    async def _deliver(self, event: Event, url: str, secret: str) -> None:
        mischief = self.mischief
        if mischief.delay_ms:
            await asyncio.sleep(mischief.delay_ms / 1000)
        body = event.body(api_version=API_VERSION, pending=1)
        pause = mischief.retry_ms / 1000
        for attempt in range(TRIES):
            if attempt:
                await asyncio.sleep(pause)
                pause *= 2
            key = "whsec_wrong" if mischief.bad_signature else secret
            header = signature(body, key, int(self._clock.now()))
            self.counts["tried"] += 1
            if await _post(url, body, header):
                self.counts["delivered"] += 1
                return
        self.counts["given_up"] += 1


def signature(body: bytes, secret: str, now: int) -> str:
    """Return the `Stripe-Signature` header for a body at a time (Unix seconds)."""
    signed = str(now).encode() + b"." + body
    code = hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()
    return f"t={now},v1={code}"


async def _post(url: str, body: bytes, header: str) -> bool:
    """Send one delivery; true if the receiver answered 2xx in time."""
    try:
        async with asyncio.timeout(TIMEOUT):
            return await _exchange(url, body, header)
    except (OSError, TimeoutError, ValueError, IndexError):
        return False


async def _exchange(url: str, body: bytes, header: str) -> bool:
    parts = urlsplit(url)
    tls = parts.scheme == "https"
    port = parts.port or (443 if tls else 80)
    reader, writer = await asyncio.open_connection(parts.hostname, port, ssl=tls)
    try:
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        head = (
            f"POST {target} HTTP/1.1\r\nHost: {parts.netloc}\r\n"
            "Content-Type: application/json; charset=utf-8\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n"
            "User-Agent: Stripe/1.0 (+https://stripe.com/docs/webhooks)\r\n"
            f"Stripe-Signature: {header}\r\n\r\n"
        )
        writer.write(head.encode() + body)
        await writer.drain()
        line = await reader.readline()
        return line.split(b" ", 2)[1][:1] == b"2"
    finally:
        writer.close()
