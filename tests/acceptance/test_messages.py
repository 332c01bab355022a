"""Whatever is written into the broker, nothing moves that the rows do not allow."""

import base64
import json
import os
import pickle
import signal
from pathlib import Path

import pytest

from tests import checker
from tests.acceptance.site import Site, until

pytestmark = [pytest.mark.faults, pytest.mark.timeout(120)]


class Bomb:
    """Code in a message: whoever unpickles it makes a file."""

    def __init__(self, path: Path) -> None:
        """Name the file."""
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        """Tell pickle what to call."""
        return (Path.touch, (self.path,))


def message(body: bytes, content_type: str, task: str = "replenish.account") -> str:
    """Write a message as kombu would, with what the test puts into it."""
    return json.dumps(
        {
            "body": base64.b64encode(body).decode(),
            "content-encoding": "binary",
            "content-type": content_type,
            "headers": {"task": task, "id": "forged", "lang": "py", "retries": 0},
            "properties": {
                "body_encoding": "base64",
                "correlation_id": "forged",
                "delivery_info": {"exchange": "", "routing_key": "replenish"},
                "delivery_mode": 2,
                "delivery_tag": "forged",
                "priority": 0,
            },
        }
    )


@pytest.mark.security("S8", "S9", "S10")
def test_garbage_in_the_broker_moves_nothing_and_stops_nobody(
    site: Site, tmp_path: Path
) -> None:
    """Pickle, no JSON, forged tasks, wrong arguments: then a good one is done."""
    (low, full) = site.enrol(2)
    site.run(
        "UPDATE billing.account SET balance = 50, opening_balance = 50"
        " WHERE number = :ref",
        ref=full,
    )
    trap = tmp_path / "trap"
    args = [[full], {}, {"callbacks": None, "errbacks": None, "chain": None}]
    odd = [[{"$gt": ""}], {}, args[2]]
    bomb = pickle.dumps(Bomb(trap))
    json_type = "application/json"
    queue = [
        message(bomb, "application/x-python-serialize"),
        message(b"\xff\xfe no json", json_type),
        message(json.dumps(args).encode(), json_type, task="os.system"),
        message(json.dumps(args).encode(), json_type),
        message(json.dumps(odd).encode(), json_type),
        message(json.dumps([[low, 9], {}, args[2]]).encode(), json_type),
        message(json.dumps([[low], {}, args[2]]).encode(), json_type),
    ]
    for number, each in enumerate(queue):
        site.redis().lpush("replenish", each.replace("forged", f"forged-{number}"))
    site.worker("one", "-P", "threads", "-c", "2")

    until(lambda: site.states() == {"settled": 1}, seconds=60, what="the good one done")

    until(lambda: site.redis().llen("replenish") == 0, seconds=30, what="all taken")
    assert not trap.exists()
    assert site.control.counters()["totals"]["charge.succeeded"] == 1
    checker.holds(site.verify())


def test_a_stopped_worker_that_wakes_up_late_charges_nothing_twice(site: Site) -> None:
    """Frozen before the card, overtaken, thawed: one charge, one credit."""
    (account,) = site.enrol(1)
    site.worker("frozen", "-P", "solo", FAILPOINTS="before_confirm=stop")
    site.beat()
    site.watch([account])
    frozen = site.pid("frozen")
    until(
        lambda: Path(f"/proc/{frozen}/stat").read_text().split()[2] == "T",
        seconds=60,
        what="frozen before the card",
    )
    site.worker("heir", "-c", "1")
    until(
        lambda: site.states() == {"settled": 1}, seconds=60, what="settled by the heir"
    )

    os.kill(frozen, signal.SIGCONT)

    until(lambda: site.redis().llen("replenish") == 0, seconds=30, what="nothing waits")
    until(lambda: not site.unclosed(), seconds=30, what="every batch closed")
    checker.holds(site.verify(), charges=1)
