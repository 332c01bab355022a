"""S13: what Flower shows to whom, and that it changes nothing."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests
from tornado.options import OptionParser

from replenish.demo.fleet import Fleet, free_port
from tasks import window
from tests.security import redis_server

pytestmark = [pytest.mark.integration, pytest.mark.security("S13")]

DOOR = ("operator", "secret")
READ = (
    *("/workers", "/tasks", "/broker", "/worker/one@vm", "/task/1"),
    *("/api/workers", "/api/tasks", "/api/queues/length", "/api/task/types"),
)
CHANGED = (
    *("/api/task/apply/replenish.account", "/api/task/async-apply/replenish.account"),
    *("/api/task/send-task/replenish.account", "/api/task/revoke/1"),
    *("/api/task/abort/1", "/api/task/timeout/replenish.account"),
    *("/api/task/rate-limit/replenish.account", "/api/worker/shutdown/one@vm"),
    *("/api/worker/pool/restart/one@vm", "/api/worker/pool/grow/one@vm"),
    *("/api/worker/pool/shrink/one@vm", "/api/worker/pool/autoscale/one@vm"),
    *("/api/worker/queue/add-consumer/x", "/api/worker/queue/cancel-consumer/x"),
)
OPEN = ("/metrics", "/healthcheck")


@dataclass(frozen=True)
class Flowers:
    """One with a password, and one without, both on loopback."""

    guarded: str
    bare: str


@pytest.fixture(scope="module")
def flowers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flowers]:
    """Start both, over a Redis of their own."""
    home: Path = tmp_path_factory.mktemp("flower")
    with redis_server.running(home, "") as port:
        env = {
            "REDIS_URL": f"redis://127.0.0.1:{port}/0",
            "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
            "REPLENISH_HOME": str(home),
        }
        ports = free_port(), free_port()
        with Fleet(env, home / "logs") as fleet:
            for name, at, auth in zip(
                ("guarded", "bare"), ports, (":".join(DOOR), ""), strict=True
            ):
                fleet.env = {**env, "FLOWER_PORT": str(at), "FLOWER_BASIC_AUTH": auth}
                fleet.start(name, ["celery", "-A", "replenish", "flower"])
            for at in ports:
                fleet.wait_for_port(at)
            yield Flowers(*(f"http://127.0.0.1:{at}" for at in ports))


def test_a_stranger_sees_the_metrics_and_nothing_else(flowers: Flowers) -> None:
    """No page and no answer of the API; so /metrics stays on loopback."""
    seen = {page: status("GET", flowers.guarded + page) for page in (*READ, *OPEN)}

    assert seen == dict.fromkeys(READ, 401) | dict.fromkeys(OPEN, 200)
    for page in CHANGED:
        assert status("POST", flowers.guarded + page) == 401


def test_an_operator_sees_and_changes_nothing(flowers: Flowers) -> None:
    """Reading is answered; sending, revoking and shutting down are forbidden."""
    for page in ("/workers", "/tasks", "/broker", "/api/tasks", "/api/task/types"):
        assert status("GET", flowers.guarded + page, auth=DOOR) == 200
    for page in CHANGED:
        assert status("POST", flowers.guarded + page, auth=DOOR) == 403
    assert status("GET", flowers.guarded + "/workers", auth=("operator", "no")) == 401


def test_without_a_password_the_api_is_closed(flowers: Flowers) -> None:
    """On loopback the pages are open to whoever is on the machine; the API is not."""
    for page in ("/workers", "/tasks", "/broker", *OPEN):
        assert status("GET", flowers.bare + page) == 200
    for page in ("/api/workers", "/api/tasks"):
        assert status("GET", flowers.bare + page) == 401
    for page in CHANGED:
        assert status("POST", flowers.bare + page) in {401, 403}


@pytest.mark.security("S23")
def test_no_page_shows_how_it_is_built(flowers: Flowers) -> None:
    """An error is a page without a traceback, and tells the browser not to guess."""
    for page in ("/nothing", "/task/%00", "/worker/", "/tasks/datatable", "/api/x"):
        answer = requests.get(flowers.guarded + page, auth=DOOR, timeout=20)
        assert answer.status_code < 500
        assert "Traceback" not in answer.text
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_an_api_open_to_everybody_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Flower's own switch for it ends in a sentence."""
    monkeypatch.setenv("FLOWER_UNAUTHENTICATED_API", "true")

    with pytest.raises(SystemExit, match="remove it"):
        window.refuse_open_api()
    monkeypatch.delenv("FLOWER_UNAUTHENTICATED_API")
    window.refuse_open_api()


@pytest.mark.security("S23")
def test_pages_with_tracebacks_are_refused() -> None:
    """Flower's `--debug` shows them to whoever looks."""
    found = OptionParser()
    found.define("debug", default=True)
    with pytest.raises(SystemExit, match="tracebacks"):
        window.refuse_debugging(found)
    found.debug = False
    window.refuse_debugging(found)


def status(method: str, url: str, *, auth: tuple[str, str] | None = None) -> int:
    """Ask, and give the status."""
    answer = requests.request(method, url, auth=auth, timeout=20)
    assert os.sep + "site-packages" not in answer.text
    return answer.status_code
