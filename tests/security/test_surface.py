"""S23: what listens beside Flower is the sandbox, on this machine, telling nothing."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from click.testing import CliRunner

from replenish.cli import main
from tests.sandbox_server import SandboxServer

pytestmark = [pytest.mark.integration, pytest.mark.security("S23")]

EVERYBODY = ("0.0.0.0", "::", "192.0.2.7", "example.net", "")  # noqa: S104 refused
TELLTALE = (b"Traceback", b'File "', b".py", b"site-packages", b"sk_test_probe")
ODD = (
    *("/", "/v1/", "/v1/customers/%00", "/v1/payment_intents?limit=x", "/.env"),
    *("/v1/../../etc/passwd", "/_sandbox/", "/_sandbox/nothing", "/_sandbox/keys"),
    *("/v1/payment_intents/pi_1/confirm", "/debug", "/v1/customers?%ff=%ff"),
)


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxServer]:
    """A sandbox to be probed."""
    folder: Path = tmp_path_factory.mktemp("sandbox")
    with SandboxServer(folder / "ledger.jsonl") as server:
        yield server


@pytest.mark.parametrize("host", EVERYBODY)
def test_the_sandbox_listens_on_this_machine_only(
    host: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Elsewhere: a sentence, and no server."""
    ledger = ("--ledger", str(tmp_path / "ledger.jsonl"))
    words = ("sandbox", "serve", "--host", host, "--port", "0", *ledger)

    answer = CliRunner().invoke(main, words)

    assert answer.exit_code == 2
    assert "loopback only" in caplog.text + answer.output
    assert not (tmp_path / "ledger.jsonl").exists()


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "TRACE"])
@pytest.mark.parametrize("path", ODD)
def test_no_answer_shows_how_it_is_built(
    sandbox: SandboxServer, path: str, method: str
) -> None:
    """No traceback, no path of a file, no key, whatever is asked."""
    answer = requests.request(
        method,
        sandbox.url + path,
        data=b"\xff=\xff&amount=x",
        headers={"Authorization": "Bearer sk_test_probe"},
        timeout=5,
    )
    told = answer.content + repr(answer.headers).encode()

    assert answer.status_code < 600
    assert not [each for each in TELLTALE if each in told]
