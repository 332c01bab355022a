"""A proxy before PostgreSQL that cuts the line at a COMMIT of one's choice.

The client cannot know what became of its transaction: before the cut the server never
hears of the COMMIT and rolls back; after it the server has committed, and the answer is
lost. Which transaction is told by a piece of a statement within it.
"""

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

HEADER = 5  # a type and the length of what follows, itself included
COMMIT = b"COMMIT\0"


class Cut(Enum):
    """On which side of the COMMIT."""

    BEFORE = "before"
    AFTER = "after"


@dataclass
class CommitProxy:
    """Passes everything on, until the armed transaction commits.

    Attributes:
        server: the server's Unix socket.
        cuts: how many lines were cut, by side.
        over: set once the server has done with the transaction that was cut.
    """

    server: Path
    cuts: dict[Cut, int] = field(default_factory=lambda: dict.fromkeys(Cut, 0))
    over: threading.Event = field(default_factory=threading.Event)
    _piece: bytes = b""
    _side: Cut = Cut.BEFORE

    def __post_init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def arm(self, piece: str, side: Cut) -> None:
        """Cut once, at the next COMMIT of a transaction with this in a statement."""
        self.over.clear()
        self._piece, self._side = piece.encode(), side

    def close(self) -> None:
        """Take no more connections."""
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(
                    target=self._serve, args=(client,), daemon=True
                ).start()

    def _serve(self, client: socket.socket) -> None:
        upstream = socket.socket(socket.AF_UNIX)
        upstream.connect(str(self.server))
        back = threading.Thread(target=_pump, args=(upstream, client), daemon=True)
        back.start()
        with client, upstream, suppress(OSError):
            upstream.sendall(_startup(client))
            matched = False
            for message in _messages(client):
                matched = matched or (bool(self._piece) and self._piece in message)
                if not message.endswith(COMMIT):
                    upstream.sendall(message)
                elif matched and self._piece:
                    try:
                        self._cut(client, upstream, message)
                    finally:
                        self.over.set()
                    return
                else:
                    upstream.sendall(message)
                    matched = False

    def _cut(
        self, client: socket.socket, upstream: socket.socket, commit: bytes
    ) -> None:
        self._piece = b""
        self.cuts[self._side] += 1
        client.shutdown(socket.SHUT_RDWR)
        if self._side is Cut.AFTER:
            upstream.sendall(commit)
            upstream.sendall(b"X" + struct.pack("!I", 4))  # ends when it has committed
            while upstream.recv(4096):
                pass
        upstream.shutdown(socket.SHUT_RDWR)


def _startup(client: socket.socket) -> bytes:
    """Read the first message, which has no type; say no to encryption."""
    while True:
        length = _exactly(client, 4)
        rest = _exactly(client, struct.unpack("!I", length)[0] - 4)
        if struct.unpack("!I", rest[:4])[0] != 80877103:  # the request for SSL
            return length + rest
        client.sendall(b"N")


def _messages(client: socket.socket) -> Iterator[bytes]:
    while True:
        header = _exactly(client, HEADER)
        length = struct.unpack("!I", header[1:])[0]
        yield header + _exactly(client, length - 4)


def _exactly(line: socket.socket, length: int) -> bytes:
    found = b""
    while len(found) < length:
        piece = line.recv(length - len(found))
        if not piece:
            raise OSError(line, "closed")
        found += piece
    return found


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while piece := source.recv(65536):
            sink.sendall(piece)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


@contextmanager
def proxied(server: Path) -> Iterator[CommitProxy]:
    """Lend a proxy."""
    proxy = CommitProxy(server)
    try:
        yield proxy
    finally:
        proxy.close()
