"""Whatever arrives, the sandbox answers in Stripe's manner and goes on."""

import http.client
import json
import random
import socket
from urllib.parse import quote, urlencode

import pytest

from tests.integration.sandbox.makers import confirm, make_intent
from tests.sandbox_server import SandboxServer

pytestmark = pytest.mark.integration

NAMES = [
    "amount", "currency", "customer", "payment_method", "confirm", "metadata",
    "metadata[a]", "metadata[a][b]", "card", "card[number]", "card[exp_month]", "type",
    "limit", "starting_after", "created", "created[gte]", "expand", "expand[]",
    "query", "page", "charge", "payment_intent", "url", "enabled_events[]",
    "invoice_settings", "automatic_payment_methods[enabled]", "off_session",
    "allowed_payment_method_types", "capture_method", "amount_to_capture",
    "billing_details",
]  # fmt: skip
VALUES = [
    "", "1", "500", "-5", "abc", "true", "usd", "jpy", "card", "data.customer.x",
    "customer", "status", "💥", "9" * 30, "tok_visa",
    "metadata['a']:'b'", "%", "\udcff",
]  # fmt: skip
PATHS = [
    "customers", "customers/{}", "payment_methods", "payment_methods/{}/attach",
    "payment_intents", "payment_intents/{}", "payment_intents/{}/confirm",
    "payment_intents/search", "refunds", "payment_intents/{}/capture", "charges",
    "events", "webhook_endpoints", "setup_intents", "setup_intents/{}/confirm",
    "disputes", "balance_transactions", "customers/{}/payment_methods",
]  # fmt: skip


@pytest.mark.parametrize("seed", range(3))
def test_no_parameters_break_it(shared: SandboxServer, seed: int) -> None:
    """Random calls get 2xx or a 4xx error object, never a 500."""
    dice = random.Random(seed)  # noqa: S311 - repeatable on purpose
    intent = confirm(shared.client(), make_intent(shared.client()).id)
    ids = [intent.id, str(intent.customer), str(intent.latest_charge), "x"]
    address = shared.url.removeprefix("http://")
    link = http.client.HTTPConnection(address, timeout=10)
    headers = {"Authorization": "Bearer sk_test_1"}
    for _ in range(300):
        count = dice.randint(0, 5)
        values = [*VALUES, *ids]
        pairs = [(dice.choice(NAMES), dice.choice(values)) for _ in range(count)]
        form = urlencode(pairs, errors="surrogateescape")
        path = "/v1/" + dice.choice(PATHS).format(quote(dice.choice(ids)))
        if dice.random() < 0.5:
            link.request("POST", path, form, headers)
        else:
            link.request("GET", f"{path}?{form}", headers=headers)
        answer = link.getresponse()
        body = json.loads(answer.read())
        assert answer.status < 500, (path, pairs)
        assert answer.status == 200 or body["error"]["message"]
    link.close()


@pytest.mark.parametrize(
    ("text", "status"),
    [
        (b"hello\r\n\r\n", 400),
        (b"GET /v1/charges HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST /v1/charges HTTP/1.1\r\nContent-Length: 9999999\r\n\r\n", 413),
        (b"POST /v1/charges HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", 411),
        (b"GET /" + b"x" * 70_000, 431),
    ],
)
def test_what_is_no_request_is_refused(
    shared: SandboxServer, text: bytes, status: int
) -> None:
    """One answer that says so, and the connection is closed."""
    host, _, port = shared.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=5) as link:
        link.sendall(text)
        answer = b"".join(iter(lambda: link.recv(65536), b""))

    assert answer.startswith(f"HTTP/1.1 {status} ".encode())
    assert shared.control("GET", "health") == {"ok": True}


def test_a_client_that_waits_for_100_continue_gets_it(shared: SandboxServer) -> None:
    """The tool curl asks before it sends a long body."""
    host, _, port = shared.url.removeprefix("http://").partition(":")
    body = b"name=" + b"x" * 200
    with socket.create_connection((host, int(port)), timeout=5) as link:
        link.sendall(
            b"POST /v1/customers HTTP/1.1\r\nAuthorization: Bearer sk_test_1\r\n"
            b"Expect: 100-continue\r\nConnection: close\r\n"
            b"Content-Length: %d\r\n\r\n" % len(body)
        )
        first = link.recv(1024)
        link.sendall(body)
        rest = b"".join(iter(lambda: link.recv(65536), b""))

    assert first == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert rest.startswith(b"HTTP/1.1 200 OK")


def test_an_unknown_address_is_404(shared: SandboxServer) -> None:
    """In Stripe's words; unknown control calls are 404 as well."""
    link = http.client.HTTPConnection(shared.url.removeprefix("http://"), timeout=5)
    link.request("GET", "/v1/fairies", headers={"Authorization": "Bearer sk_test_1"})
    answer = link.getresponse()
    message = json.loads(answer.read())["error"]["message"]
    link.request("GET", "/_sandbox/fairies")
    status = link.getresponse().status
    link.close()

    assert answer.status == 404
    assert message.startswith("Unrecognized request URL (GET: /v1/fairies).")
    assert status == 404
