"""HTTP/1.1 as far as API clients speak it: Content-Length bodies, keep-alive.

Requests come out of a buffer one at a time, so pipelined ones wait their turn.
"""

import re
from dataclasses import dataclass
from email.utils import formatdate

LONGEST_HEAD = 64 * 1024
LONGEST_BODY = 1024 * 1024

REASONS = {
    200: "OK", 400: "Bad Request", 401: "Unauthorized", 402: "Payment Required",
    403: "Forbidden", 404: "Not Found", 409: "Conflict", 411: "Length Required",
    413: "Content Too Large", 429: "Too Many Requests",
    431: "Request Header Fields Too Large", 500: "Internal Server Error",
    502: "Bad Gateway", 503: "Service Unavailable", 504: "Gateway Timeout",
}  # fmt: skip

#: The headers anything here looks at; the others are not even kept.
_HEADER = re.compile(
    r"\r\n(authorization|connection|content-length|idempotency-key|stripe-version"
    r"|transfer-encoding)[ \t]*:[ \t]*([^\r]*)",
    re.IGNORECASE,
)
_ALWAYS = (
    "Server: nginx\r\n"
    "Access-Control-Allow-Credentials: true\r\n"
    "Access-Control-Allow-Origin: *\r\n"
    "Cache-Control: no-cache, no-store\r\n"
    "Vary: Origin\r\n"
)


class BadRequestError(Exception):
    """What arrived is not a request we read; `status` says why."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(slots=True)
class Request:
    """One request; the headers that matter by lower-case name, the body as text."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: str
    keep_alive: bool


@dataclass(slots=True)
class Answer:
    """Status, body and headers of an answer, before it is written."""

    status: int
    body: bytes
    headers: dict[str, str]
    content_type: str = "application/json"


def take(buffer: bytearray) -> Request | None:
    """Remove one whole request from the buffer, or return `None` to wait for more.

    Raises:
        BadRequestError: If the bytes are no request, or too long.
    """
    end = buffer.find(b"\r\n\r\n")
    if end < 0:
        if len(buffer) > LONGEST_HEAD:
            raise BadRequestError(431, "The request's headers are too long.")
        return None
    head = buffer[:end].decode("latin-1")
    first = head.partition("\r\n")[0]
    headers = {name.lower(): value.rstrip() for name, value in _HEADER.findall(head)}
    length = _body_length(headers)
    total = end + 4 + length
    if len(buffer) < total:
        return None
    body = buffer[end + 4 : total].decode("utf-8", "surrogateescape")
    del buffer[:total]
    method, path, query, version = _first_line(first)
    wish = headers.get("connection", "").lower()
    keep = wish == "keep-alive" if version == "HTTP/1.0" else wish != "close"
    return Request(method, path, query, headers, body, keep)


def expects_continue(buffer: bytearray) -> bool:
    """Tell whether a client waits for `100 Continue` before it sends its body."""
    return b"expect: 100-continue" in bytes(buffer[:LONGEST_HEAD]).lower()


def _first_line(line: str) -> tuple[str, str, str, str]:
    try:
        method, target, version = line.split(" ")
    except ValueError:
        raise BadRequestError(400, "The request line is not HTTP.") from None
    path, _, query = target.partition("?")
    return method, path, query, version


def _body_length(headers: dict[str, str]) -> int:
    if "transfer-encoding" in headers:
        raise BadRequestError(411, "Send a Content-Length; chunks are not read here.")
    text = headers.get("content-length", "0")
    if not text.isdecimal():
        raise BadRequestError(400, "Content-Length is not a number.")
    if int(text) > LONGEST_BODY:
        raise BadRequestError(413, "The request's body is too long.")
    return int(text)


def write(answer: Answer, *, keep_alive: bool, now: float) -> bytes:
    """Return the bytes of the answer."""
    status = answer.status
    reason = REASONS.get(status, "Unknown")
    extra = "".join([f"{name}: {value}\r\n" for name, value in answer.headers.items()])
    head = (
        f"HTTP/1.1 {status} {reason}\r\n{_ALWAYS}"
        f"Date: {_date(int(now))}\r\n"
        f"Content-Type: {answer.content_type}\r\n"
        f"Content-Length: {len(answer.body)}\r\n"
        f"Connection: {'keep-alive' if keep_alive else 'close'}\r\n{extra}\r\n"
    )
    return head.encode("latin-1", "replace") + answer.body


_last_date = (0, "")


def _date(second: int) -> str:
    """Format the second once; thousands of answers share it."""
    global _last_date  # noqa: PLW0603 - a one-entry cache, single-threaded
    if _last_date[0] != second:
        _last_date = (second, formatdate(second, usegmt=True))
    return _last_date[1]
