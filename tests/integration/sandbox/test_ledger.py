"""The sandbox's own ledger: written before the answer, enough to start again."""

import json
import socket
import threading
from pathlib import Path

import pytest
import stripe

from replenish.sandbox import ledger
from tests.integration.sandbox.makers import charge, confirm, make_intent
from tests.sandbox_server import SandboxServer

pytestmark = [pytest.mark.integration, pytest.mark.faults]


def test_every_money_effect_is_written_down(own: SandboxServer, key: str) -> None:
    """Intent, confirmation, charge and refund, with ids, amounts and the key."""
    api = own.client()
    intent = make_intent(api, metadata={"attempt": "a-1"})
    done = confirm(api, intent.id, key=key)
    api.v1.refunds.create({"payment_intent": intent.id, "amount": 500})

    records = list(ledger.read(own.ledger))

    assert [record.kind for record in records] == [
        "intent.created", "intent.confirmed", "charge.succeeded", "refund.created",
    ]  # fmt: skip
    charged = records[2]
    assert (charged.intent, charged.charge) == (intent.id, done.latest_charge)
    assert (charged.amount, charged.currency) == (2500, "usd")
    assert charged.customer == intent.customer
    assert charged.payment_method == intent.payment_method
    assert charged.metadata == {"attempt": "a-1"}
    assert charged.idempotency_key == key
    assert charged.fingerprint
    assert records[3].amount == 500
    assert [record.seq for record in records] == sorted(r.seq for r in records)


def test_a_decline_and_a_cancellation_are_written_down(own: SandboxServer) -> None:
    """The reason stands in the record of the failed charge."""
    api = own.client()
    intent = make_intent(api, "pm_sandbox_decline_insufficient_funds")
    with pytest.raises(stripe.CardError):
        confirm(api, intent.id)
    api.v1.payment_intents.cancel(intent.id)

    records = list(ledger.read(own.ledger))

    assert [r.kind for r in records][-2:] == ["charge.failed", "intent.canceled"]
    assert records[-2].decline_code == "insufficient_funds"
    assert records[-2].charge


def test_a_killed_sandbox_starts_where_it_was(tmp_path: Path, key: str) -> None:
    """After SIGKILL: objects, chains, keys with their answers, and events are back."""
    path = tmp_path / "ledger.jsonl"
    server = SandboxServer(path).start()
    api = server.client()
    intent = make_intent(api, "pm_sandbox_chain_insufficient_funds-succeed")
    method = str(intent.payment_method)
    with pytest.raises(stripe.CardError):
        confirm(api, intent.id, key=key, payment_method=method)
    events = [event.id for event in api.v1.events.list().data]
    server.kill()

    with SandboxServer(path) as again:
        api = again.client()
        with pytest.raises(stripe.CardError) as replayed:
            confirm(api, intent.id, key=key, payment_method=method)
        assert replayed.value.headers is not None
        assert replayed.value.headers["Idempotent-Replayed"] == "true"
        assert [event.id for event in api.v1.events.list().data] == events
        done = confirm(api, intent.id, payment_method=method)
        assert done.status == "succeeded"
        assert done.latest_charge != intent.latest_charge
        assert api.v1.customers.retrieve(str(intent.customer)).name == "Ada"
    kinds = [record.kind for record in ledger.read(path)]
    assert kinds.count("charge.succeeded") == 1


def test_a_torn_last_line_is_dropped(tmp_path: Path) -> None:
    """A line cut short by a crash was never answered; the rest is kept."""
    path = tmp_path / "ledger.jsonl"
    with SandboxServer(path) as server:
        charge(server.client(), "pm_card_visa")
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"seq":999,"kind":"state","obj')

    assert len(list(ledger.read(path))) == 3
    with SandboxServer(path) as server:
        assert len(server.client().v1.payment_intents.list().data) == 1
    assert path.read_bytes() == whole


def test_an_edited_line_is_refused(tmp_path: Path) -> None:
    """A finished line that is not JSON names its place."""
    path = tmp_path / "ledger.jsonl"
    path.write_text("nonsense\n")

    with pytest.raises(ValueError, match=r"ledger\.jsonl:1 is not a ledger record"):
        list(ledger.read(path))
    with pytest.raises(RuntimeError, match="could not start"):
        SandboxServer(path).start()


def test_two_sandboxes_can_not_share_a_ledger(own: SandboxServer) -> None:
    """The second one refuses to start and says why."""
    with pytest.raises(RuntimeError, match="in use by another sandbox"):
        SandboxServer(own.ledger).start()


def test_a_reset_forgets_but_the_file_remembers(own: SandboxServer) -> None:
    """After a reset nothing is found, and `read` begins anew."""
    api = own.client()
    charge(api, "pm_card_visa")
    own.tool.reset()

    assert not api.v1.payment_intents.list().data
    assert not list(ledger.read(own.ledger))
    kinds = [row["kind"] for row in ledger.read_raw(own.ledger)]
    assert "charge.succeeded" in kinds
    assert kinds[-1] == "reset"


def test_the_effect_happens_though_the_client_has_gone(own: SandboxServer) -> None:
    """A client that sends its request and leaves is charged all the same."""
    intent = make_intent(own.client())
    host, _, port = own.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port))) as link:
        link.sendall(
            f"POST /v1/payment_intents/{intent.id}/confirm HTTP/1.1\r\nHost: x\r\n"
            "Authorization: Bearer sk_test_1\r\nContent-Length: 0\r\n\r\n".encode()
        )

    assert own.client().v1.payment_intents.retrieve(intent.id).status == "succeeded"


def test_parallel_confirms_of_one_intent_charge_once(own: SandboxServer) -> None:
    """Ten clients, ten keys, one intent: one charge."""
    intent = make_intent(own.client())
    results: list[str] = []

    def attempt() -> None:
        try:
            results.append(confirm(own.client(), intent.id).status)
        except stripe.InvalidRequestError as error:
            results.append(str(error.code))

    threads = [threading.Thread(target=attempt) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(set(results)) == ["payment_intent_unexpected_state", "succeeded"]
    assert results.count("succeeded") == 1


def test_pipelined_requests_are_answered_in_order(own: SandboxServer) -> None:
    """Several requests in one packet get their answers in the same order."""
    host, _, port = own.url.removeprefix("http://").partition(":")
    own.tool.fault("latency", ms=200, times=1)
    head = "Host: x\r\nAuthorization: Bearer sk_test_1\r\n"
    requests = "".join(
        f"POST /v1/customers HTTP/1.1\r\n{head}Content-Length: 6\r\n\r\nname={n}"
        for n in range(3)
    )
    with socket.create_connection((host, int(port))) as link:
        link.sendall(
            (
                requests + f"GET /v1/x HTTP/1.1\r\n{head}Connection: close\r\n\r\n"
            ).encode()
        )
        text = b"".join(iter(lambda: link.recv(65536), b"")).decode()

    bodies = [part for part in text.split("\r\n") if part.startswith("{")]
    names = [json.loads(body[: body.rindex("}") + 1]).get("name") for body in bodies]
    assert names == ["0", "1", "2", None]
    assert "404 Not Found" in text


def test_the_sandbox_stops_politely(tmp_path: Path) -> None:
    """SIGTERM ends it with exit code 0 and a whole ledger."""
    server = SandboxServer(tmp_path / "ledger.jsonl").start()
    charge(server.client(), "pm_card_visa")

    assert server.stop() == 0
    assert list(ledger.read(tmp_path / "ledger.jsonl"))
