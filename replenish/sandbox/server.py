"""The listening process: connections in, answers out, resets where wanted.

Built on `asyncio.Protocol` alone, because it owns the socket: it can reset a
connection, cut a body short, or answer late, and costs little per request.
"""

import asyncio
import contextlib
import gc
import logging
import signal
import socket
import struct
import sys
from collections.abc import Callable
from pathlib import Path

from replenish.sandbox.control_api import ControlApi
from replenish.sandbox.engine import RESET, SEND, TRUNCATE, Engine, Reply
from replenish.sandbox.wire import (
    Answer,
    BadRequestError,
    Request,
    expects_continue,
    take,
    write,
)
from replenish.sandbox.world import World

logger = logging.getLogger(__name__)
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class Outbox:
    """Answers on their way out: the ledger is written first, once for them all.

    Everything one turn of the event loop has answered leaves together, so under
    load many answers share one write of the ledger file.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._waiting: list[Callable[[], None]] = []

    def add(self, leave: Callable[[], None]) -> None:
        """Let an answer leave once the ledger has been written."""
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self.flush)
        self._waiting.append(leave)

    def flush(self) -> None:
        """Write the ledger, then send."""
        waiting, self._waiting = self._waiting, []
        self._world.store.flush()
        for leave in waiting:
            leave()


class Connection(asyncio.Protocol):
    """One client connection; pipelined requests are answered in their order."""

    def __init__(self, engine: Engine, control: ControlApi, outbox: Outbox) -> None:
        self._engine = engine
        self._control = control
        self._outbox = outbox
        self._buffer = bytearray()
        self._out: list[bytes] = []
        self._transport: asyncio.Transport | None = None
        self._busy = False  # a request is being answered
        self._inside = False  # and its answer did not have to wait
        self._continued = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember the transport."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - TCP is one
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the client; what it asked for still happens."""
        del exc
        self._transport = None

    def data_received(self, data: bytes) -> None:
        """Collect bytes and answer every whole request."""
        self._buffer += data
        self._advance()

    def _advance(self) -> None:
        while not self._busy and self._transport is not None:
            try:
                request = take(self._buffer)
            except BadRequestError as error:
                answer = Answer(error.status, str(error).encode(), {}, "text/plain")
                self._send(Reply(answer), keep_alive=False)
                return
            if request is None:
                self._maybe_continue()
                return
            self._continued = False
            self._begin(request)

    def _begin(self, request: Request) -> None:
        self._busy = self._inside = True
        keep_alive = request.keep_alive

        def deliver(reply: Reply) -> None:
            self._send(reply, keep_alive=keep_alive)
            if not self._inside:
                self._advance()

        if request.path.startswith("/_sandbox/"):
            deliver(Reply(self._control.answer(request)))
        else:
            self._engine.handle(request, deliver)
        self._inside = False
        if self._busy:  # the answer is late, but what it did is written now
            self._outbox.add(_nothing)

    def _send(self, reply: Reply, *, keep_alive: bool) -> None:
        """Hand a reply to the outbox; a client that has left gets none."""
        if reply.answer is not None and reply.how in {SEND, TRUNCATE}:
            now = self._engine.world.clock.now()
            data = write(reply.answer, keep_alive=keep_alive, now=now)
            if reply.how == TRUNCATE:
                data = data[: -max(1, len(reply.answer.body) // 2)]
            self._out.append(data)
        last = not keep_alive or reply.how != SEND
        self._busy = last  # after its last answer a connection reads no more
        if last or len(self._out) == 1:
            self._outbox.add(
                lambda: self._leave(reply.how if last else SEND, last=last)
            )

    def _leave(self, how: str, *, last: bool) -> None:
        transport, out = self._transport, self._out
        self._out = []
        if transport is None:
            return
        if out:
            transport.write(b"".join(out))
        if how == RESET:
            _reset(transport)
        elif last:
            transport.close()

    def _maybe_continue(self) -> None:
        """Answer `Expect: 100-continue`, as curl sends it for long bodies."""
        if self._buffer and not self._continued and self._transport is not None:
            if expects_continue(self._buffer):
                self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self._continued = True


def _nothing() -> None:
    """Leave nothing; the outbox is only asked to write the ledger."""


def _reset(transport: asyncio.Transport) -> None:
    """Close with a TCP reset: linger on, zero seconds."""
    sock = transport.get_extra_info("socket")
    if sock is not None:
        linger = struct.pack("ii", 1, 0)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    transport.abort()


def serve(  # noqa: PLR0913 - one switch per thing an operator may set
    host: str,
    port: int,
    ledger_path: Path | str | None,
    *,
    webhook_url: str | None = None,
    webhook_secret: str | None = None,
    seed: int = 0,
    rate_limit: float | None = None,
    ready: Callable[[str], None] | None = None,
) -> int:
    """Serve until SIGINT or SIGTERM; return the process's exit code.

    Args:
        host: Address to listen on; anything but loopback is refused.
        port: TCP port, 0 for a free one.
        ledger_path: File of the append-only ledger, `None` to keep none.
        webhook_url: Where to deliver every event, besides API endpoints.
        webhook_secret: What those deliveries are signed with.
        seed: Makes ids, fault dice and webhook mischief repeatable.
        rate_limit: Requests per second on each endpoint, `None` for no limit.
        ready: Called once with the server's URL when it listens.

    Returns:
        0 after a normal stop, 1 when it could not start (the reason goes to
        the log), 2 when the arguments make no sense.
    """
    if host not in LOOPBACK:
        logger.error("The sandbox listens on loopback only; %s is not.", host)
        return 2
    if bool(webhook_url) != bool(webhook_secret):
        logger.error("Give a webhook URL and its secret together, or neither.")
        return 2
    path = Path(ledger_path) if ledger_path is not None else None
    try:
        world = World(path, seed=seed, rate_limit=rate_limit)
        if webhook_url and webhook_secret:
            world.postman.also(webhook_url, webhook_secret)
        asyncio.run(_serve(world, host, port, ready or _announce))
    except (OSError, RuntimeError, ValueError) as error:
        logger.error("The sandbox could not start: %s", error)  # noqa: TRY400 - one sentence, no traceback
        return 1
    return 0


def _announce(url: str) -> None:
    sys.stdout.write(f"Sandbox listening on {url}\n")
    sys.stdout.flush()


async def _serve(
    world: World, host: str, port: int, ready: Callable[[str], None]
) -> None:
    engine, control, outbox = Engine(world), ControlApi(world), Outbox(world)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: Connection(engine, control, outbox), host, port
    )
    bound = server.sockets[0].getsockname()[1]
    name = f"[{host}]" if ":" in host else host
    gc.freeze()
    gc.set_threshold(200_000, 100, 100)  # objects live long here; look at them rarely
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(ValueError, NotImplementedError):
            loop.add_signal_handler(number, stop.set)
    ready(f"http://{name}:{bound}")
    await stop.wait()
    server.close()
    world.postman.clear()
    world.store.close()
