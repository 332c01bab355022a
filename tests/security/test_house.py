"""A whole installation at work, watched: least rights suffice, and no secret shows."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import requests
from psutil import process_iter

from replenish.demo.operator import SignUp
from tests.acceptance.site import Site, until
from tests.security.house import CANARIES, KEY, House, standing
from tests.security.requirements import ROOT

pytestmark = [
    pytest.mark.integration,
    pytest.mark.deep,
    pytest.mark.timeout(240),
    pytest.mark.security("S2", "S3", "S4", "S11", "S14"),
]

FORGED = "2026-01-01T00:00:00.000Z INFO forged"
CALL = ("celery", "-A", "replenish", "call", "replenish.account", "--args")
PAGES = (
    *("/workers", "/tasks", "/broker", "/metrics", "/healthcheck"),
    *("/api/workers?refresh=1", "/api/tasks", "/api/queues/length", "/api/task/types"),
    "/tasks/datatable?draw=1&start=0&length=100&order[0][column]=0",
)


def test_an_installation_with_the_least_rights_works_and_shows_no_secret(
    tmp_path: Path,
) -> None:
    """A charge, a decline, a refused key and a bug; then everything is read."""
    with standing(tmp_path / "home") as house:
        at_work(house)
        nothing_in_arguments(house)
        told = dict(seen_by_people(house)) | dict(house.seen())
        nothing_told(told)


def at_work(house: House) -> None:
    """Let each process do its work, and things go wrong."""
    site = house.site
    good, bad, late = site.enrol(3)
    _decline(site, bad)
    site.worker("one", "-c", "2", LOG_LEVEL="DEBUG", LOG_FORMAT="json")
    site.worker("cutoff", "-Q", "cutoff", "-c", "1")
    site.beat()
    site.fleet.start("flower", ["celery", "-A", "replenish", "flower"])
    site.watch([good, bad])
    until(
        lambda: site.states() == {"settled": 1, "declined": 1},
        seconds=90,
        what="one charged, one declined",
    )
    ask(site.env, *CALL, json.dumps([f"nobody\r\n{FORGED}"]))
    site.control("POST", "keys", {"revoked": [KEY]})
    site.watch([late])
    until(
        lambda: bool(site.ledger("SELECT reason FROM replenish.stop")),
        seconds=60,
        what="charging stopped, since the key is refused",
    )
    until(lambda: not site.redis().llen("replenish"), seconds=30, what="all taken")
    site.fleet.wait_for_port(house.flower)
    site.fleet.check()


def _decline(site: Site, account: str) -> None:
    """Give an account a card that its bank says is lost."""
    page = SignUp(site.app.settings.stripe_api_base, "sk_test_sandbox")
    customer = page.customer(account)
    card = page.card(customer, "pm_sandbox_decline_lost_card", number=7)
    with site.app.ledger_engine.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE replenish.card SET payment_method = %s, customer = %s"
            " WHERE account_id = %s",
            (card, customer, account),
        )


def nothing_in_arguments(house: House) -> None:
    """Look at the command lines of all processes there are, the servers included."""
    house.site.fleet.check()
    lines = [" ".join(each.info["cmdline"] or ()) for each in process_iter(["cmdline"])]
    words = {word for line in lines for word in line.split()}

    assert {"worker", "beat", "flower", "replenish.sandbox"} <= words
    assert any("postgres" in line for line in lines)
    assert any("redis-server" in line for line in lines)
    assert not [line for line in lines if found_in(line.encode())]


def seen_by_people(house: House) -> Iterator[tuple[str, bytes]]:
    """Give Flower's pages, and what the commands print."""
    for page in PAGES:
        answer = requests.get(
            f"http://127.0.0.1:{house.flower}{page}", auth=house.door, timeout=30
        )
        assert answer.status_code == 200, page
        yield f"Flower's {page}", answer.content
    (name,) = {
        name
        for name in requests.get(
            f"http://127.0.0.1:{house.flower}/api/workers",
            auth=house.door,
            timeout=30,
        ).json()
        if name.startswith("one@")
    }
    answer = requests.get(
        f"http://127.0.0.1:{house.flower}/worker/{name}", auth=house.door, timeout=30
    )
    assert answer.status_code == 200
    yield "Flower's page of a worker", answer.content
    for words in (
        ("replenish", "check"),
        ("replenish", "--debug", "account", "show", "nobody"),
        ("celery", "-A", "replenish", "inspect", "conf"),
    ):
        yield " ".join(words), ask(house.site.env, *words)


def ask(env: Mapping[str, str], *words: str) -> bytes:
    """Run a command of the installation; give all that it prints."""
    done = subprocess.run(  # noqa: S603 our own program
        [sys.executable, "-m", *words],
        env={**os.environ, **env, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=90,
        check=False,
    )
    return done.stdout


def found_in(text: bytes) -> list[str]:
    """Name the secrets that stand in a text."""
    return [name for name, canary in CANARIES.items() if canary.encode() in text]


def nothing_told(told: Mapping[str, bytes]) -> None:
    """No secret anywhere; and what was looked at was no empty page."""
    assert {
        where: found_in(text) for where, text in told.items() if found_in(text)
    } == {}
    assert not [where for where, text in told.items() if f"\n{FORGED}".encode() in text]
    assert FORGED.encode() in told["the log of one"]
    assert b"accept_content" in told["celery -A replenish inspect conf"]
    assert b"declined" in told["the database replenish"]
    assert len(told) > len(PAGES) + 8
