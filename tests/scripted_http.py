"""An HTTP server that says exactly the bytes a test wants, one script a server.

Each step is the raw answer to one request; `HANG` never answers, and bytes followed
by `HANG` stop in the middle. What was asked, and over how many connections, is kept.
"""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

HANG = b"\0hang"


def answer(status: int, body: object, *headers: str) -> bytes:
    """Write an answer; text goes as it is, anything else as JSON."""
    text = body if isinstance(body, str) else json.dumps(body)
    lines = [
        f"HTTP/1.1 {status} Said",
        "Content-Type: application/json",
        f"Content-Length: {len(text.encode())}",
        *headers,
    ]
    return ("\r\n".join(lines) + "\r\n\r\n" + text).encode()


class Scripted:
    """A server on loopback that works off its script; the last step stays."""

    def __init__(self, script: tuple[bytes, ...]) -> None:
        self.requests: list[str] = []
        self.connections = 0
        self._script = list(script)
        self._over = threading.Event()
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening and drop every connection."""
        self._over.set()
        self._listener.close()
        for link in self._open:
            link.close()

    def _accept(self) -> None:
        while not self._over.is_set():
            try:
                link, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(link)
            threading.Thread(target=self._serve, args=(link,), daemon=True).start()

    def _serve(self, link: socket.socket) -> None:
        try:
            while request := _read(link):
                self.requests.append(request)
                many = len(self._script) > 1
                step = self._script.pop(0) if many else self._script[0]
                link.sendall(step.partition(HANG)[0])
                if HANG in step:
                    self._over.wait(10)
                    return
        except OSError:
            return
        finally:
            link.close()


def _read(link: socket.socket) -> str:
    """Read one request with its body; nothing, when the client has gone."""
    got = b""
    while b"\r\n\r\n" not in got:
        more = link.recv(65536)
        if not more or more.startswith(b"\x16"):
            return ""  # the client has gone, or speaks TLS
        got += more
    head, _, body = got.partition(b"\r\n\r\n")
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            while len(body) < int(line.split(b":")[1]):
                body += link.recv(65536)
    return (head + b"\r\n\r\n" + body).decode()


@contextmanager
def scripted(*script: bytes) -> Iterator[Scripted]:
    """Lend a server with a script."""
    server = Scripted(script)
    try:
        yield server
    finally:
        server.close()
