"""The sandbox's own account of what happened to money: JSON lines, append-only.

Each line is one record with `seq` (1, 2, 3 …), `kind` and `at` (Unix seconds by
the sandbox clock). Three families share the file:

- money, what `read` yields: `intent.created`, `intent.confirmed`,
  `intent.processing`, `intent.requires_action`, `intent.canceled`,
  `charge.succeeded`, `charge.authorized`, `charge.captured`, `charge.failed`,
  `refund.created`, `dispute.created`;
- state, from which a restart restores itself: `state` (an object's snapshot),
  `card`, `secret`, `event`, `key` (an idempotency key with its stored answer);
- `reset`: everything before it was forgotten.

Records of one request are written in one `write`, before its answer is sent. A
last line cut short by a crash belongs to a request that was never answered; it
is dropped when the file is opened again.
"""

import fcntl
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MONEY = (
    "intent.", "charge.", "refund.", "dispute.",
)  # fmt: skip
STATE = tuple(
    f'"kind":"{kind}"'.encode() for kind in ("state", "card", "secret", "event", "key")
)
HEAD = 64  # bytes of a line in which the sandbox writes its kind


@dataclass(frozen=True, slots=True)
class Record:
    """One money effect as the gateway itself wrote it down.

    `amount` is in the currency's minor units, `at` in Unix seconds (UTC).
    `confirmed` and `failed` records carry the card's answer in `code` and
    `decline_code`.
    """

    seq: int
    kind: str
    at: float
    intent: str | None
    charge: str | None
    refund: str | None
    amount: int
    currency: str
    customer: str | None
    payment_method: str | None
    fingerprint: str | None
    metadata: dict[str, str]
    idempotency_key: str | None
    request: str | None
    code: str | None
    decline_code: str | None


def read(path: Path | str) -> Iterator[Record]:
    """Yield the money records since the last reset, oldest first.

    Safe while the sandbox runs: an unfinished last line is left out.
    """
    start = 0
    for number, line in _finished(path):
        if b'"reset"' in line and _row(path, number, line)["kind"] == "reset":
            start = number
    for number, line in _finished(path):
        if number > start and _may_be_money(line):
            row = _row(path, number, line)
            if row["kind"].startswith(MONEY):
                yield _record(row)


def read_raw(path: Path | str) -> Iterator[dict[str, Any]]:
    """Yield every record of every family as a dictionary, oldest first.

    Raises:
        ValueError: If a finished line is not JSON; the file was edited by hand.
    """
    for number, line in _finished(path):
        yield _row(path, number, line)


def _finished(path: Path | str) -> Iterator[tuple[int, bytes]]:
    with Path(path).open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                return
            yield number, line


def _may_be_money(line: bytes) -> bool:
    """Spare the many lines of state; whatever else there is must be a record."""
    head = line[:HEAD]
    return not any(kind in head for kind in STATE)


def _row(path: Path | str, number: int, line: bytes) -> dict[str, Any]:
    try:
        row: dict[str, Any] = json.loads(line)
    except ValueError as error:
        message = f"{path}:{number} is not a ledger record: {error}"
        raise ValueError(message) from error
    return row


def _record(row: dict[str, Any]) -> Record:
    return Record(
        seq=row["seq"],
        kind=row["kind"],
        at=row["at"],
        intent=row.get("intent"),
        charge=row.get("charge"),
        refund=row.get("refund"),
        amount=row.get("amount", 0),
        currency=row.get("currency", ""),
        customer=row.get("customer"),
        payment_method=row.get("payment_method"),
        fingerprint=row.get("fingerprint"),
        metadata=row.get("metadata") or {},
        idempotency_key=row.get("idempotency_key"),
        request=row.get("request"),
        code=row.get("code"),
        decline_code=row.get("decline_code"),
    )


class Journal:
    """Appends finished lines to the ledger file; with no path it keeps nothing."""

    def __init__(self, path: Path | None) -> None:
        """Open the file for appending and take it for this process alone.

        Raises:
            RuntimeError: If another sandbox is writing the same file.
        """
        self._fd = -1
        if path is None:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._fd = os.open(path, flags, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._fd)
            message = (
                f"The ledger {path} is in use by another sandbox; stop that one or "
                "name another file."
            )
            raise RuntimeError(message) from error
        _drop_torn_line(self._fd)

    def write(self, lines: list[bytes]) -> None:
        """Append the lines in one write; returns once the kernel has them."""
        if self._fd >= 0:
            left = memoryview(b"".join(lines))
            while left:
                left = left[os.write(self._fd, left) :]

    def close(self) -> None:
        """Give the file back. Calling it again does nothing."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _drop_torn_line(fd: int) -> None:
    """Cut the file after its last newline."""
    size = end = os.fstat(fd).st_size
    while end > 0:
        start = max(0, end - 65536)
        found = os.pread(fd, end - start, start).rfind(b"\n")
        if found >= 0:
            end = start + found + 1
            break
        end = start
    if end < size:
        os.ftruncate(fd, end)
