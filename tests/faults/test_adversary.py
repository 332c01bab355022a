"""Whoever holds Redis can write anything there: no money moves for it, nothing shows.

For some seconds everything a broker may carry is forged, garbled and replayed, while
real workers listen. What the rows allow happens, and nothing else.
"""

import base64
import json
import os
import pickle
import random
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests import checker
from tests.acceptance.site import Site, until

pytestmark = [pytest.mark.faults, pytest.mark.deep, pytest.mark.timeout(240)]

SECONDS = 10.0
PASSWORD, KEY, DOOR = "canary-password", "sk_test_canary4711", "operator:canary-door"
CANARIES = (b"canary-password", b"canary4711", b"canary-door")
CONTROL = "/0.celery.pidbox"
EVENTS = ("/0.celeryev/worker.heartbeat", "/0.celeryev/task.call")
QUEUES = ("replenish", "sweep", "cutoff", "reconcile", "celery", "nowhere")
EMBED = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
ORDERS = (
    *("shutdown", "pool_restart", "pool_shrink", "pool_grow", "autoscale"),
    *("rate_limit", "time_limit", "add_consumer", "cancel_consumer", "election"),
    *("revoke", "terminate", "conf", "report", "hello", "stats", "no_such_thing"),
)
TASKS = (
    *("replenish.account", "replenish.sweep", "replenish.summarise"),
    *("replenish.cutoff", "replenish.reconcile", "replenish.orphans"),
    *("replenish.credits", "os.system", "celery.chord_unlock", "celery.map"),
    *("celery.group", "celery.backend_cleanup", "celery.accumulate", ""),
)


class Bomb:
    """Code in a message: whoever unpickles it makes a file."""

    def __init__(self, path: Path) -> None:
        """Name the file."""
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        """Tell pickle what to call."""
        return (Path.touch, (self.path,))


class Adversary:
    """Writes into Redis; every choice comes from one seed."""

    def __init__(self, site: Site, refs: Sequence[str], trap: Path, seed: int) -> None:
        self.redis, self.refs, self.trap = site.redis(), refs, trap
        self.dice = random.Random(seed)  # noqa: S311 to be repeatable
        self.batches = [str(row["id"]) for row in site.ledger(BATCHES)]
        self.made = 0

    def attack(self) -> None:
        """Do one of the things that can be done."""
        self.dice.choice(self.ways())()
        self.made += 1

    def ways(self) -> Sequence[Callable[[], object]]:
        """Everything that can be done."""
        return (
            *[self.forge] * 6,
            *[self.garble] * 3,
            *[self.replay] * 2,
            *[self.order] * 2,
            *(self.carry_code, self.answer, self.chord, self.unacked, self.gossip),
            *(self.counters, self.bindings),
        )

    def forge(self) -> None:
        """Name real and unknown tasks, with real and absurd arguments."""
        body = json.dumps([self.arguments(), self.odd({}), self.embed()]).encode()
        self.push(envelope(body, task=self.dice.choice(TASKS), **self.odd_headers()))

    def arguments(self) -> Any:  # noqa: ANN401 anything at all
        """Give arguments, some of which a task takes."""
        ref, batch = self.dice.choice(self.refs), self.dice.choice(self.batches)
        return self.dice.choice(
            (
                [ref],
                [ref],
                [ref, 1e9, "pm_stolen"],
                [batch],
                [[{"outcome": "settled"}], batch],
                [[], str(uuid.uuid4())],
                ["hot"],
                ["full"],
                ["x" * 100_000],
                ["'; DROP SCHEMA replenish; --"],
                [{"$gt": ""}, None, 2**70],
                [],
                {"account": ref, "amount": "1000000000"},
                None,
            )
        )

    def embed(self) -> Mapping[str, Any]:
        """Give callbacks of one's own."""
        call = {"task": "replenish.account", "args": self.refs[:1], "options": {}}
        other = {"task": "os.system", "args": ["true"], "options": {"queue": "x"}}
        return EMBED | self.dice.choice(
            (
                {},
                {"callbacks": [call, other], "errbacks": [other]},
                {"chain": [call, 7]},
                {"chord": call | {"options": {"group_id": str(uuid.uuid4())}}},
            )
        )

    def odd(self, usual: object) -> object:
        """Give the usual, now and then something else."""
        return self.dice.choice((usual, usual, usual, None, 7, {"x": [usual]}))

    def odd_headers(self) -> Mapping[str, Any]:
        """Give headers that say too much."""
        return self.dice.choice(
            (
                {},
                {},
                {"timelimit": ["a", "b"]},
                {"timelimit": [0.001, 0.001], "retries": 99},
                {"id": None},
                {"retries": "many", "eta": "9999-99-99"},
                {"eta": "2999-01-01T00:00:00+00:00"},
                {"group": str(uuid.uuid4()), "group_index": 0},
                {"compression": "application/x-gzip"},
                {"stamps": 7, "stamped_headers": "x", "shadow": {"a": 1}},
            )
        )

    def garble(self) -> None:
        """Write what is no message, or half of one."""
        whole = envelope(b"[]", task="replenish.account")
        cut = whole[: self.dice.randrange(len(whole))]
        junk = self.dice.randbytes(self.dice.randrange(1, 400))
        self.push(
            self.dice.choice(
                (cut, junk, "7", "[]", "{}", "null", whole.replace("W1td", "!"))
            )
        )

    def replay(self) -> None:
        """Write again what lies in the queues, once and many times."""
        for queue in QUEUES:
            for seen in self.redis.lrange(queue, 0, 5):
                self.redis.lpush(queue, seen, seen)

    def carry_code(self) -> None:
        """Try to have code run by reading it."""
        kind = self.dice.choice(
            ("application/x-python-serialize", "application/x-yaml")
        )
        body = pickle.dumps(Bomb(self.trap))
        if "yaml" in kind:
            body = f"!!python/object/apply:os.mknod ['{self.trap}']".encode()
        self.push(envelope(body, task="replenish.account", kind=kind))

    def order(self) -> None:
        """Broadcast to the workers."""
        order = {
            "method": self.dice.choice(ORDERS),
            "arguments": self.dice.choice(
                ({}, {"queue": "replenish"}, {"task_id": "*", "terminate": True})
            ),
            "destination": None,
            "ticket": "forged",
            "reply_to": {"exchange": "reply.celery.pidbox", "routing_key": "spy"},
        }
        self.redis.sadd("_kombu.binding.reply.celery.pidbox", "spy\x06\x16\x06\x16spy")
        text = envelope(json.dumps(order).encode(), task=None)
        self.redis.publish(CONTROL, text)
        self.redis.publish(CONTROL, self.dice.choice(("", "{}", "[]", b"\xff")))

    def gossip(self) -> None:
        """Pretend to be a worker among workers."""
        event = {"type": "worker-elect", "id": 1, "clock": 2**60, "hostname": "spy"}
        body = json.dumps([event]).encode()
        for channel in EVENTS:
            self.redis.publish(channel, envelope(body, task=None))

    def answer(self) -> None:
        """Write results, with exceptions that name code."""
        result = {
            "status": "FAILURE",
            "result": {"exc_type": "system", "exc_module": "os", "exc_message": "true"},
            "children": [],
            "task_id": str(uuid.uuid4()),
        }
        for key in [*self.redis.scan_iter("celery-task-meta-*")][:5]:
            self.redis.set(key, json.dumps(result))

    def chord(self) -> None:
        """Let chords seem complete, or never to be."""
        for key in self.redis.scan_iter("celery-taskset-meta-*"):
            if self.redis.type(key) == b"zset":
                self.redis.zadd(key, {json.dumps([1, "x", "SUCCESS", {"a": 1}]): 0})
            elif self.redis.type(key) == b"string":
                self.redis.set(key, self.dice.choice(("1", "x", "-1")))

    def unacked(self) -> None:
        """Plant messages to be delivered again."""
        tag = str(uuid.uuid4())
        forged = json.loads(envelope(b"[]", task="replenish.account"))
        planted = self.dice.choice(("junk", [1, 2], [forged, "", "nowhere"], [7, 7, 7]))
        self.redis.hset("unacked", tag, json.dumps(planted)[self.dice.randrange(2) :])
        self.redis.zadd("unacked_index", {tag: 0})

    def counters(self) -> None:
        """Meddle with what counts requests to the gateway."""
        for key in self.redis.scan_iter("*replenish:stripe*"):
            self.redis.set(key, self.dice.choice(("0", "many", "-7")), ex=1)

    def bindings(self) -> None:
        """Let messages go elsewhere as well."""
        for queue in QUEUES[:2]:
            self.redis.sadd(f"_kombu.binding.{queue}", "spy\x06\x16\x06\x16spy", "junk")

    def push(self, text: str | bytes) -> None:
        """Write into one of the queues."""
        self.redis.lpush(self.dice.choice(QUEUES), text)

    def seen(self) -> Iterator[bytes]:
        """Read every key and every value there is."""
        for key in self.redis.scan_iter("*"):
            yield key
            yield self.redis.dump(key) or b""
            if self.redis.type(key) == b"list":
                for item in map(bytes, self.redis.lrange(key, 0, -1)):  # type: ignore[arg-type] # it decodes nothing
                    yield from (item, unwrapped(item))


BATCHES = "SELECT id FROM replenish.batch"


def envelope(
    body: bytes,
    *,
    task: str | None,
    kind: str = "application/json",
    **headers: object,
) -> str:
    """Write a message as kombu would, with what the adversary puts into it."""
    named = {"task": task, "id": str(uuid.uuid4()), "lang": "py", "retries": 0}
    return json.dumps(
        {
            "body": base64.b64encode(body).decode(),
            "content-encoding": "utf-8",
            "content-type": kind,
            "headers": {} if task is None else named | headers,
            "properties": {
                "body_encoding": "base64",
                "correlation_id": str(uuid.uuid4()),
                "delivery_info": {"exchange": "", "routing_key": "replenish"},
                "delivery_mode": 2,
                "delivery_tag": str(uuid.uuid4()),
                "priority": 0,
            },
        }
    )


def unwrapped(item: bytes) -> bytes:
    """Give a message's body as plain bytes, if it is one."""
    try:
        return base64.b64decode(json.loads(item)["body"])
    except (ValueError, KeyError, TypeError):
        return b""


def held_back(site: Site) -> Sequence[str]:
    """Enrol accounts that are low and must not be charged: each for its own reason."""
    refs = site.enrol(4, first=2001)
    changes = (
        "UPDATE replenish.account SET paused_at = now(), pause_reason = 'dispute'",
        "UPDATE replenish.account SET consent_at = NULL",
        "UPDATE replenish.account SET count_day = 0",
        "UPDATE replenish.card SET dead_reason = 'stolen_card', dead_at = now()",
    )
    with site.app.ledger_engine.begin() as connection:
        for ref, change in zip(refs, changes, strict=True):
            where = "account_id" if "card SET" in change else "id"
            connection.exec_driver_sql(f"{change} WHERE {where} = '{ref}'")
    return refs


@pytest.mark.security("S4", "S8", "S9", "S10", "S12")
def test_whoever_holds_redis_moves_no_money_and_reads_no_secret(tmp_path: Path) -> None:
    """Ten seconds of forgeries; then the workers live, and work."""
    site = Site.apart(
        tmp_path / "home",
        password=PASSWORD,
        STRIPE_API_KEY=KEY,
        FLOWER_BASIC_AUTH=DOOR,
    )
    try:
        under_attack(site, tmp_path / "trap")
    finally:
        site.close()


def under_attack(site: Site, trap: Path) -> None:
    """Attack, and look at what came of it."""
    low = site.enrol(8)
    healthy = site.enrol(4, balance=Decimal(50), first=3001)
    held = held_back(site)
    for name in ("one", "two"):
        site.worker(name, "-c", "2")
    site.beat()
    site.watch([*low[:4], *held])
    until(lambda: site.settled(*low[:4]), seconds=60, what="at work")
    adversary = Adversary(site, [*low, *healthy, *held, "nobody"], trap, seed=4711)
    seen: set[bytes] = set()

    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        adversary.attack()
        if adversary.made % 50 == 0:
            seen.update(adversary.seen())
    seen.update(adversary.seen())

    assert adversary.made > 200
    assert not trap.exists()
    assert not [each for each in seen for canary in CANARIES if canary in each]
    site.fleet.check()  # alive throughout
    late = site.enrol(2, first=4001)
    site.watch([*low, *late])
    until(lambda: site.settled(*low, *late), seconds=90, what="the good ones settled")
    until(lambda: not site.unclosed(), seconds=60, what="every batch closed")
    assert "2 nodes online" in ping(site)
    charged = {
        row["account_id"]: row["n"]
        for row in site.ledger(
            "SELECT account_id, count(*) AS n FROM replenish.attempt"
            " GROUP BY account_id"
        )
    }
    assert charged == dict.fromkeys([*low, *late], 1)
    assert site.control.counters()["totals"]["charge.succeeded"] == 10
    checker.holds(site.verify(), charges=10)


def ping(site: Site) -> str:
    """Ask the workers whether they are there; questions are still answered."""
    command = ["celery", "-A", "replenish", "inspect", "ping", "--timeout", "10"]
    done = subprocess.run(  # noqa: S603 our own program
        [sys.executable, "-m", *command],
        env={**os.environ, **site.env},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.stdout + done.stderr
