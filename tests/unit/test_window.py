"""What `celery` and Flower show people, and whom Flower lets in."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from tornado.options import OptionParser

from replenish.errors import ConfigurationError
from tasks import window

ROOT = Path(__file__).parents[2]
CALL = ("-A", "replenish", "call", "replenish.account", "--args", '["1001"]')


def flower_at(
    address: str, *, auth: str = "", socket: str = "", port: int = 0
) -> OptionParser:
    """Give Flower's options as its command line would have set them."""
    found = OptionParser()
    found.define("address", default=address)
    found.define("port", default=port)
    found.define("basic_auth", default=auth.split() if auth else [])
    found.define("unix_socket", default=socket)
    found.define("debug", default=False)
    return found


@pytest.mark.parametrize("address", ["", "0.0.0.0", "192.0.2.7", "::"])  # noqa: S104
@pytest.mark.security("S13")
def test_flower_refuses_to_listen_to_everybody_without_a_password(address: str) -> None:
    """Its pages show account ids, and its API can stop workers."""
    with pytest.raises(SystemExit, match="FLOWER_BASIC_AUTH=user:password"):
        window.refuse_open_door(flower_at(address))


@pytest.mark.parametrize(
    "door",
    [
        flower_at("127.0.0.1"),
        flower_at("localhost"),
        flower_at("0.0.0.0", auth="me:secret"),  # noqa: S104 with a password
        flower_at("", socket="/run/flower.sock"),
    ],
)
def test_flower_listens_on_this_machine_or_with_a_password(door: OptionParser) -> None:
    """Loopback, a socket file, or a password."""
    window.refuse_open_door(door)


def test_flower_says_which_port_is_taken() -> None:
    """As when it runs already, or in another checkout; elsewhere it goes on."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(SystemExit, match=f"127.0.0.1:{port}.* set FLOWER_PORT"):
            window.refuse_taken_port(flower_at("127.0.0.1", port=port))
    window.refuse_taken_port(flower_at("127.0.0.1", port=port))
    window.refuse_taken_port(flower_at("", socket="/run/flower.sock"))


def test_flower_gets_its_defaults_from_our_settings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also the check of its door, after it has read its own options."""
    checks: list[object] = []
    monkeypatch.setattr(
        OptionParser, "add_parse_callback", lambda _, check: checks.append(check)
    )
    monkeypatch.setenv("FLOWER_PORT", "6001")
    monkeypatch.setenv("FLOWER_BASIC_AUTH", "me:secret")
    for name in ("FLOWER_ADDRESS", "FLOWER_READ_ONLY"):
        monkeypatch.setenv(name, "")  # as unset, and put back after

    window.guard(["celery", "-A", "replenish", "flower"])

    assert os.environ["FLOWER_ADDRESS"] == "127.0.0.1"
    assert os.environ["FLOWER_PORT"] == "6001"
    assert os.environ["FLOWER_READ_ONLY"] == "true"
    assert len(checks) == 3


def test_other_commands_do_not_even_load_flower(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A worker starts without it."""
    monkeypatch.delitem(sys.modules, "flower.options", raising=False)

    window.guard(["celery", "-A", "replenish", "worker"])

    assert "flower.options" not in sys.modules


def test_under_celery_a_redis_that_is_away_is_a_sentence(tmp_path: Path) -> None:
    """`celery call` has no such sentence of its own; bugs keep their traceback."""
    away = {
        "REDIS_URL": "redis://:secret@127.0.0.1:1/0",
        "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
    }
    done = subprocess.run(  # noqa: S603 our own program
        [Path(sys.executable).with_name("celery"), *CALL],
        cwd=tmp_path,
        env={**os.environ, **away, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 1
    assert done.stderr.startswith("Redis did not answer (")
    assert "Traceback" not in done.stderr
    assert "secret" not in done.stderr


def test_under_celery_a_wrong_setting_ends_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No traceback for an operator's typing mistake; elsewhere the error is raised."""

    def read() -> None:
        raise ConfigurationError("REDIS_URL is wrong; mend it.")

    monkeypatch.setattr(sys, "argv", [str(Path("/bin/celery")), "worker"])
    with pytest.raises(SystemExit, match=r"REDIS_URL is wrong; mend it\."):
        window.sentence_or(read)
    monkeypatch.setattr(sys, "argv", ["pytest"])
    with pytest.raises(ConfigurationError):
        window.sentence_or(read)
