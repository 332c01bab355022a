"""The faults: what each does, to what, and how often in two minutes."""

import json
import signal
import time
import uuid
from collections import Counter, deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random
from typing import Any

import sqlalchemy as sa
from redis.exceptions import RedisError

from tests.chaos.history import History
from tests.chaos.installation import (
    BEATS,
    CUTOFF,
    WATCHER,
    WORKERS,
    Installation,
    Server,
)

LEASE = 6.0  # seconds, as in the settings of the run

SESSIONS = sa.text("""
    SELECT pid FROM pg_stat_activity
    WHERE backend_type = 'client backend' AND application_name <> :watcher
      AND pid <> pg_backend_pid() ORDER BY pid
""")

GATEWAY: Mapping[str, Mapping[str, object]] = {
    "429, too many requests": {"kind": "429_rate", "probability": 0.03},
    "429, locked": {"kind": "429_lock", "probability": 0.02},
    "409, key in use": {"kind": "409", "probability": 0.02},
    "503": {"kind": "503", "probability": 0.03},
    "503 after it ran": {"kind": "503", "after": True, "probability": 0.02},
    "502 in HTML": {"kind": "html_502", "probability": 0.02},
    "500 before it ran": {"kind": "500_before", "probability": 0.04},
    "500 after it ran": {"kind": "500_after", "probability": 0.05},
    "reset before it ran": {"kind": "reset_before", "probability": 0.04},
    "reset after it ran": {"kind": "reset_after", "probability": 0.05},
    "closed before it ran": {"kind": "close_without_answer", "probability": 0.02},
    "half an answer": {"kind": "truncated_after", "probability": 0.02},
    "no answer, not run": {"kind": "stall", "seconds": 4, "probability": 0.01},
    "no answer, run": {
        "kind": "stall",
        "seconds": 4,
        "after": True,
        "probability": 0.01,
    },
    "wrong amount": {"kind": "wrong_amount", "amount": 777, "probability": 0.02},
    "wrong customer": {
        "kind": "wrong_amount",
        "customer": "cus_somebody_else",
        "probability": 0.01,
    },
    "wrong status": {
        "kind": "wrong_status",
        "status": "processing",
        "probability": 0.02,
    },
    "garbage": {"kind": "garbage", "probability": 0.02},
}
"""About a third of the requests about a payment; the first that falls is taken."""


@dataclass
class Mischief:
    """Does what it is told, and counts what hit.

    Attributes:
        hits: kind → how often it has hit something.
    """

    site: Installation
    history: History
    seed: int
    hits: Counter[str] = field(default_factory=Counter)
    _messages: deque[tuple[str, bytes]] = field(
        default_factory=lambda: deque(maxlen=200)
    )

    def __post_init__(self) -> None:
        self._chance = Random(f"mischief/{self.seed}")  # noqa: S311 repeatable
        self._redis = self.site.redis()

    def do(self, kind: str) -> None:
        """Do one fault now; what finds nothing to hit is not counted."""
        if INFRASTRUCTURE.get(kind, MESSAGES.get(kind, (0, _nothing)))[1](self):
            self.hits[kind] += 1
            self.history.note(f"FAULT {kind}")

    def listen(self) -> None:
        """Remember messages as they pass, to replay them later."""
        with suppress(RedisError):
            found: Any = self._redis.hrandfield("unacked", 3, withvalues=True) or []
            for raw in found[1::2]:
                message, _, queue = json.loads(raw)
                self._messages.append((queue, json.dumps(message).encode()))

    def spoil_the_gateway(self) -> None:
        """Let about a third of the answers be wrong or lost."""
        for fault in GATEWAY.values():
            options = {key: value for key, value in fault.items() if key != "kind"}
            match = {"path": "^/v1/payment_intents"}
            self.site.control.fault(str(fault["kind"]), match=match, **options)
        self.site.control.fault("latency", median_ms=20, sigma=1.0, probability=0.5)

    def mend_the_gateway(self) -> Mapping[str, int]:
        """Let it answer well again; how often each fault has hit."""
        found = self.site.control("GET", "faults")["faults"]
        self.site.control.clear_faults()
        return {
            name: fault["hits"] for name, fault in zip(GATEWAY, found, strict=False)
        }

    # ------------------------------------------------------------ processes

    def kill_worker(self) -> bool:
        """A worker and all its children; never while another one is coming up."""
        crew = self.site.crew
        return all(map(crew.ready, WORKERS)) and crew.kill(self._worker())

    def kill_cutoff(self) -> bool:
        """The worker of the cut-offs."""
        return self.site.crew.ready(CUTOFF) and self.site.crew.kill(CUTOFF)

    def kill_beat(self) -> bool:
        """One of the two clocks."""
        return self.site.crew.kill(self._chance.choice(BEATS))

    def kill_child(self) -> bool:
        """A process in the middle of a task, as when memory runs out."""
        return self.site.crew.kill_child(self._worker(CUTOFF), self._chance)

    def freeze_child(self) -> bool:
        """A task that sleeps for longer than its lease, and wakes up."""
        return self.site.crew.freeze_child(self._worker(), self._chance, LEASE + 2)

    def freeze_worker(self) -> bool:
        """A whole worker that sleeps for longer than a lease."""
        return self.site.crew.freeze(self._worker(), LEASE + 2)

    def _worker(self, *others: str) -> str:
        return self._chance.choice((*WORKERS, *others))

    # -------------------------------------------------------------- servers

    def wipe_redis(self) -> bool:
        """Everything Redis holds is gone."""
        with suppress(RedisError):
            return bool(self._redis.flushall())
        return False

    def restart_redis(self) -> bool:
        """Redis is killed, away for a while, and comes back empty."""
        return self._restart(self.site.redis_server, signal.SIGKILL, 0.2, 2.0)

    def crash_ours(self) -> bool:
        """Our database stops at once and replays its log."""
        return self._restart(self.site.ours, signal.SIGQUIT, 0.0, 0.5)

    def stop_billing(self) -> bool:
        """The billing package's database is away for seconds."""
        return self._restart(self.site.billing, signal.SIGQUIT, 1.5, 4.0)

    def end_our_session(self) -> bool:
        """A connection to our database ends in the middle of anything."""
        return self._end_session(self.site.watching_ledger)

    def end_their_session(self) -> bool:
        """A connection to the billing package's ends, the switch's too."""
        return self._end_session(self.site.watching_billing)

    def _restart(self, server: Server, number: int, least: float, most: float) -> bool:
        if not server.lock.acquire(blocking=False):
            return False
        try:
            server.stop(number)
            time.sleep(self._chance.uniform(least, most))
            server.start()
        finally:
            server.lock.release()
        return True

    def _end_session(self, engine: sa.Engine) -> bool:
        with suppress(sa.exc.SQLAlchemyError), engine.connect() as connection:
            found = connection.execute(SESSIONS, {"watcher": WATCHER}).scalars().all()
            if not found:
                return False
            pid = self._chance.choice(found)
            end = sa.text("SELECT pg_terminate_backend(:pid)")
            return bool(connection.execute(end, {"pid": pid}).scalar())
        return False

    # ------------------------------------------------------------- messages

    def replay(self) -> bool:
        """A message that was seen before is delivered three times more."""
        return self._send(lambda _body: True)

    def sweep_thrice(self) -> bool:
        """Three sweeps start at once."""
        return self._send(lambda body: b'"replenish.sweep"' in body)

    def _send(self, wanted: Callable[[bytes], bool]) -> bool:
        fitting = [each for each in list(self._messages) if wanted(each[1])]
        if not fitting:
            return False
        queue, body = self._chance.choice(fitting)
        with suppress(RedisError):
            for _ in range(3):
                message = json.loads(body)
                message["properties"]["delivery_tag"] = str(uuid.uuid4())
                message["headers"].pop("expires", None)
                self._redis.lpush(queue, json.dumps(message))
            return True
        return False


def _nothing(_: Mischief) -> bool:
    return False


Act = tuple[int, Callable[[Mischief], bool]]

INFRASTRUCTURE: Mapping[str, Act] = {
    "worker killed": (6, Mischief.kill_worker),
    "cutoff worker killed": (2, Mischief.kill_cutoff),
    "beat killed": (2, Mischief.kill_beat),
    "child killed": (45, Mischief.kill_child),
    "child frozen past its lease": (12, Mischief.freeze_child),
    "worker frozen past its lease": (3, Mischief.freeze_worker),
    "Redis wiped": (10, Mischief.wipe_redis),
    "Redis restarted empty": (3, Mischief.restart_redis),
    "our database crashed": (3, Mischief.crash_ours),
    "billing database away": (3, Mischief.stop_billing),
    "session of ours ended": (150, Mischief.end_our_session),
    "session at billing ended": (100, Mischief.end_their_session),
}
"""Kind → how often in two minutes, and what it does."""

MESSAGES: Mapping[str, Act] = {
    "message replayed three times": (60, Mischief.replay),
    "three sweeps at once": (24, Mischief.sweep_thrice),
}


def plan(seed: int, seconds: float, longer: float = 1.0) -> list[tuple[float, str]]:
    """Say when which fault is due, in seconds from the beginning; by the seed alone.

    Args:
        seed: decides.
        seconds: each kind falls as often as it should within them, at a moment of
            chance in each of as many equal parts, so that none falls in heaps.
        longer: the plan goes on, as dense, for so many times the seconds.
    """
    chance = Random(f"plan/{seed}")  # noqa: S311 repeatable on purpose
    due = []
    for kind, (often, _) in {**INFRASTRUCTURE, **MESSAGES}.items():
        part = seconds / max(1, round(often * seconds / 120))
        parts = round(longer * seconds / part)
        due += [((n + chance.random()) * part, kind) for n in range(parts)]
    return sorted(due)
