"""The connection to Stripe: what no well-behaved server says, byte by byte."""

import os
import socket

import pytest

from replenish.domain.outcome import Charged, Unknown
from replenish.errors import ConfigurationError, GatewayUnavailable
from tests.scripted_http import HANG, answer, scripted
from tests.unit.stripe_site import (
    CALLS,
    ORDER,
    closed_port,
    error,
    intent,
    make_gateway,
)

each_call = pytest.mark.parametrize("name", CALLS)


@each_call
def test_a_refused_connection_sent_nothing(name: str) -> None:
    """Even a confirmation is only unavailable when it never left."""
    with pytest.raises(GatewayUnavailable, match="nothing was sent"):
        CALLS[name](make_gateway(closed_port()))


def test_an_unknown_host_sent_nothing() -> None:
    """A name that does not resolve is told with its setting."""
    gateway = make_gateway("http://stripe.invalid")
    with pytest.raises(GatewayUnavailable, match="STRIPE_API_BASE"):
        gateway.confirm(ORDER, "pi_1", number=1)
    with pytest.raises(GatewayUnavailable, match="STRIPE_API_BASE"):
        gateway.check()


def test_a_connection_that_never_stands_sent_nothing() -> None:
    """A connect timeout is no unknown outcome."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = full.getsockname()
        fillers = [socket.socket() for _ in range(3)]
        for filler in fillers:
            filler.setblocking(False)  # noqa: FBT003 - its own way of being called
            filler.connect_ex(address)
        try:
            with pytest.raises(GatewayUnavailable, match="ConnectTimeout"):
                make_gateway(f"http://127.0.0.1:{address[1]}").look_up(ORDER, "pi_1")
        finally:
            for filler in fillers:
                filler.close()


@pytest.mark.parametrize(
    ("step", "reason"),
    [
        (HANG, "timeout"),
        (answer(200, intent())[:-9] + HANG, "timeout"),
        (answer(200, "null"), "garbled"),
        (answer(200, "[]"), "garbled"),
        (answer(200, '"pi_1"'), "garbled"),
        (answer(200, ""), "garbled"),
        (answer(200, {}), "mismatch"),
        (answer(402, "<html>"), "garbled"),
        (answer(402, {"error": "declined"}), "garbled"),
        (answer(400, "[]"), "garbled"),
        (answer(418, {"error": {"message": "teapot"}}), "garbled"),
        (answer(500, "null"), "server_error"),
        (answer(307, "", "Location: /v1/elsewhere"), "connection_lost"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "connection_lost"),
        (answer(200, intent(status="requires_capture")), "mismatch"),
        (answer(200, intent(status=None)), "mismatch"),
        (answer(200, intent(status="requires_confirmation")), "unconfirmed"),
        (answer(200, intent(amount_received=1)), "mismatch"),
        (answer(200, intent(metadata=None)), "mismatch"),
        (answer(200, intent(id="pi_2")), "mismatch"),
        (error(402, payment_intent={"id": "pi_2"}), "mismatch"),
    ],
)
def test_no_other_answer_is_taken_for_a_charge(step: bytes, reason: str) -> None:
    """Whatever is not the charge word for word is unknown, and asked once."""
    with scripted(step) as server:
        said = make_gateway(server.url).confirm(ORDER, "pi_1", number=1)

        assert isinstance(said, Unknown)
        assert said.reason == reason
        assert len(server.requests) == 1


def test_an_https_base_that_speaks_plainly_is_unknown() -> None:
    """A broken handshake is not proof of anything."""
    with scripted(b"") as server:
        gateway = make_gateway(server.url.replace("http:", "https:"))
        said = gateway.confirm(ORDER, "pi_1", number=1)

    assert isinstance(said, Unknown)
    assert said.reason == "connection_lost"


def test_requests_share_connections_and_carry_their_marks() -> None:
    """One connection, the pinned version, our keys, no telemetry, no proxy."""
    with scripted(answer(200, intent())) as server:
        gateway = make_gateway(server.url, statement_suffix="TOPUP")
        gateway.create(ORDER)
        gateway.confirm(ORDER, "pi_1", number=7)
        gateway.look_up(ORDER, "pi_1")
        creation, confirmation, look_up = server.requests

        assert server.connections == 1
        assert "Idempotency-Key: attempt-1\r\n" in creation
        assert "statement_descriptor_suffix=TOPUP" in creation
        assert "allowed_payment_method_types[0]=card" in creation
        assert "off_session" not in creation
        assert "Idempotency-Key: attempt-1:confirm:7\r\n" in confirmation
        assert "off_session=true" in confirmation
        assert "error_on_requires_action=true" in confirmation
        assert "payment_method" not in confirmation.partition("\r\n\r\n")[2]
        assert "expand%5B0%5D=latest_charge" in look_up
        for request in server.requests:
            assert "Stripe-Version: 2026-10-28.endive\r\n" in request
            assert "Telemetry" not in request


@pytest.mark.security("S24")
def test_the_environments_proxy_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Money goes one way only, whatever the shell says."""
    monkeypatch.setenv("HTTP_PROXY", closed_port())
    with scripted(answer(200, intent())) as server:
        found = make_gateway(server.url).look_up(ORDER, "pi_1")

    assert isinstance(found, Charged)


def test_a_forked_process_uses_a_connection_of_its_own() -> None:
    """Parent and child never read each other's answers."""
    with scripted(answer(200, intent())) as server:
        gateway = make_gateway(server.url)
        gateway.look_up(ORDER, "pi_1")
        child = os.fork()
        if child == 0:
            seen = gateway.look_up(ORDER, "pi_1")
            os._exit(0 if isinstance(seen, Charged) else 1)
        _, status = os.waitpid(child, 0)
        gateway.look_up(ORDER, "pi_1")

        assert status == 0
        assert server.connections == 2


def test_a_timeout_beyond_the_lease_is_refused() -> None:
    """More than 15 seconds together would outlive the lease."""
    make_gateway("http://stripe.invalid", timeout=(5, 10))
    with pytest.raises(ConfigurationError, match="STRIPE_TIMEOUT_READ"):
        make_gateway("http://stripe.invalid", timeout=(5, 10.5))


@pytest.mark.parametrize("suffix", ["X" * 23, "TOP*UP", "123", "<b>"])
def test_a_suffix_that_stripe_refuses_is_refused(suffix: str) -> None:
    """A charge must not fail because of its statement text."""
    with pytest.raises(ConfigurationError, match="statement suffix"):
        make_gateway("http://stripe.invalid", statement_suffix=suffix)
