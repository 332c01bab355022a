"""S24: the certificate of the gateway is always looked at, whatever is set."""

import ssl
import subprocess
import threading
from dataclasses import dataclass, field
from pathlib import Path
from shutil import which
from socket import create_server

import pytest
import requests

from replenish.domain.outcome import Unknown
from replenish.errors import ReplenishError
from tests.unit.stripe_site import CALLS, make_gateway

pytestmark = [pytest.mark.integration, pytest.mark.security("S24")]

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
TRUST = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR")


@dataclass
class Impostor:
    """A TLS server on loopback with a certificate that nobody has vouched for."""

    certificate: Path
    port: int = 0
    said: list[bytes] = field(default_factory=list)
    greeted: int = 0

    def serve(self, key: Path) -> None:
        """Answer in the background, as long as the process lives."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, key)
        listener = create_server(("127.0.0.1", 0))
        self.port = listener.getsockname()[1]

        def work() -> None:
            while True:
                link, _ = listener.accept()
                self.greeted += 1
                try:
                    with context.wrap_socket(link, server_side=True) as secure:
                        self.said.append(secure.recv(4096))
                        secure.sendall(
                            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
                        )
                except OSError:
                    link.close()

        threading.Thread(target=work, daemon=True).start()


@pytest.fixture(scope="module")
def impostor(tmp_path_factory: pytest.TempPathFactory) -> Impostor:
    """Make its certificate, for the very address that is asked, and start it."""
    openssl = which("openssl")
    if openssl is None:
        pytest.skip("openssl is not here to make a certificate.")
    folder: Path = tmp_path_factory.mktemp("impostor")
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    subprocess.run(  # noqa: S603 a program of the machine's, our arguments
        [
            *(openssl, "req", "-x509", "-newkey", "ec", "-nodes", "-days", "2"),
            *("-pkeyopt", "ec_paramgen_curve:prime256v1", "-subj", "/CN=127.0.0.1"),
            *("-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    found = Impostor(certificate)
    found.serve(key)
    return found


@pytest.fixture(params=["as it is", "with its certificate in the environment"])
def environment(
    request: pytest.FixtureRequest, impostor: Impostor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The shell as it is, or as somebody has set it who wants to listen in."""
    if request.param != "as it is":
        for name in TRUST:
            monkeypatch.setenv(name, str(impostor.certificate))


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize("name", CALLS)
def test_a_server_without_a_good_certificate_is_told_nothing(
    impostor: Impostor, name: str
) -> None:
    """No request reaches it, no key, and no answer of it counts."""
    before = impostor.greeted
    gateway = make_gateway(f"https://127.0.0.1:{impostor.port}")
    try:
        said = CALLS[name](gateway)
    except ReplenishError as error:
        said = error

    assert isinstance(said, Unknown | ReplenishError)
    assert impostor.greeted > before
    assert impostor.said == []


def test_the_impostor_would_have_answered(impostor: Impostor) -> None:
    """It is the certificate that is refused: whoever trusts it gets an answer."""
    url = f"https://127.0.0.1:{impostor.port}/"
    trusting = requests.get(url, verify=str(impostor.certificate), timeout=5)
    impostor.said.clear()

    assert trusting.status_code == 200


def test_nothing_of_ours_turns_it_off() -> None:
    """There is no such setting, and no line of code that does it."""
    root = Path(__file__).parents[2]
    off = ["verify" + "=False", "verify_ssl" + "_certs", "CERT" + "_NONE"]
    off += ["_create_unverified" + "_context", "disable" + "_warnings"]
    for folder in ("replenish", "tasks"):
        for path in (root / folder).rglob("*.py"):
            text = path.read_text("utf-8")
            assert not [each for each in off if each in text], path
