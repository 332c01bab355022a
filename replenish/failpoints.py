"""Named places where a test may stop the world; refused in production.

`FAILPOINTS="after_record=kill@2;before_confirm=sleep:3"` kills the process the
second time it passes `after_record` and sleeps three seconds each time before
`before_confirm`. Without the variable a failpoint costs one dictionary look-up.

`after_recheck/1007=kill` does so in the turn of account 1007 alone; it is for the
failpoints that know whose turn it is (`before_claim` and those of the steps).

Actions: `kill` (SIGKILL to itself, as a crash does), `stop` (SIGSTOP), `raise`,
`drop` (cuts the connections to PostgreSQL) and `sleep:SECONDS`; `@N` means only the
N-th time. With `FAILPOINTS_ONCE=FILE`, a file that the first process to act creates,
an action happens once in a fleet.
"""

import os
import re
import signal
import socket
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol
from weakref import WeakSet

from replenish.errors import ConfigurationError

NAMES = (
    "before_claim",
    "claim_uncommitted",
    "claim_commit_sent",
    "after_claim",
    "after_recheck",
    "before_create",
    "after_create",
    "pi_uncommitted",
    "before_confirm",
    "after_confirm",
    "record_uncommitted",
    "after_record",
    "before_credit",
    "credit_uncommitted",
    "credit_commit_sent",
    "after_credit",
    "done_uncommitted",
    "after_done",
    "after_break",
    "after_correction",
    "before_restore",
    "after_restore",
    "before_ack",
)


class InjectedFaultError(RuntimeError):
    """Raised by the action `raise`; nothing in the product catches it."""


@dataclass
class _Action:
    verb: str
    seconds: float
    only: int | None
    account: str | None = None
    passed: int = field(default=0)


def parse(text: str) -> dict[str, _Action]:
    """Read the variable.

    Raises:
        ConfigurationError: an unknown failpoint or action.
    """
    entries = filter(None, (part.strip() for part in text.split(";")))
    return dict(_entry(entry) for entry in entries)


_ENTRY = re.compile(
    r"(?P<name>\w+)(/(?P<account>[^=\s]+))?=(?P<verb>kill|stop|raise|drop|sleep:(?P<seconds>\d+(\.\d+)?))"
    r"(@(?P<only>[1-9]\d*))?"
)


def _entry(text: str) -> tuple[str, _Action]:
    found = _ENTRY.fullmatch(text)
    if found is None or found["name"] not in NAMES:
        msg = (
            f"FAILPOINTS has {text!r}; write NAME=ACTION with NAME one of"
            f" {', '.join(NAMES)} and ACTION kill, stop, raise, drop or sleep:SECONDS,"
            " with @N after it for the N-th time only, and with /ACCOUNT after NAME"
            " for one account's turn only."
        )
        raise ConfigurationError(msg, subject="FAILPOINTS")
    only = int(found["only"]) if found["only"] else None
    verb = found["verb"].partition(":")[0]
    action = _Action(verb, float(found["seconds"] or 0), only, found["account"])
    return found["name"], action


_actions = parse(os.environ.get("FAILPOINTS", ""))


class Connection(Protocol):
    """A database connection with a socket."""

    def fileno(self) -> int:
        """Give the socket's number."""


_connections: "WeakSet[Connection]" = WeakSet()


def shown(connection: Connection) -> None:
    """Remember a connection for the action `drop`; adapters show each new one."""
    if _actions:
        _connections.add(connection)


def failpoint(name: str, account: str | None = None) -> None:
    """Do what the variable says for this place, if anything, in this account's turn."""
    action = _actions.get(name)
    if action is None or action.account not in (None, account):
        return
    action.passed += 1
    if (action.only is None or action.passed == action.only) and _first():
        _act(action, name)


def _first() -> bool:
    marker = os.environ.get("FAILPOINTS_ONCE")
    if not marker:
        return True
    try:
        Path(marker).touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def _act(action: _Action, name: str) -> None:
    if action.verb == "sleep":
        time.sleep(action.seconds)
    elif action.verb == "raise":
        msg = f"The failpoint {name} was told to raise."
        raise InjectedFaultError(msg)
    elif action.verb == "drop":
        for connection in list(_connections):
            _cut(connection)
    else:
        number = signal.SIGKILL if action.verb == "kill" else signal.SIGSTOP
        os.kill(os.getpid(), number)


def _cut(connection: Connection) -> None:
    """End a connection under its owner, as a lost network does."""
    with (
        suppress(Exception),  # closed already
        socket.socket(fileno=os.dup(connection.fileno())) as line,
    ):
        line.shutdown(socket.SHUT_RDWR)
