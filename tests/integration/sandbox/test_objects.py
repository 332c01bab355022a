"""Customers, refunds, keys, addresses, events and their delivery."""

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import stripe
from stripe import StripeClient

from tests.integration.sandbox.makers import charge, confirm, make_customer, make_intent
from tests.sandbox_server import KEY, SandboxServer

pytestmark = pytest.mark.integration


def test_a_customer_lives_and_dies(api: StripeClient) -> None:
    """Created, changed, given a default card, deleted; afterwards it says so."""
    customer, method = make_customer(api, "pm_card_visa")
    updated = api.v1.customers.update(
        customer,
        {"email": "a@b.c", "invoice_settings": {"default_payment_method": method}},
    )
    gone = api.v1.customers.delete(customer)

    assert updated.email == "a@b.c"
    assert updated.invoice_settings is not None
    assert updated.invoice_settings.default_payment_method == method
    assert gone.deleted
    assert api.v1.customers.retrieve(customer).deleted
    with pytest.raises(stripe.InvalidRequestError, match="No such customer"):
        charge(api, "pm_card_visa", customer=customer)


def test_a_foreign_default_card_is_refused(api: StripeClient) -> None:
    """The default must be attached to that customer."""
    customer, _ = make_customer(api)
    _, foreign = make_customer(api, "pm_card_visa")

    with pytest.raises(stripe.InvalidRequestError) as caught:
        api.v1.customers.update(
            customer, {"invoice_settings": {"default_payment_method": foreign}}
        )

    assert caught.value.param == "invoice_settings[default_payment_method]"
    assert f"does not have a payment method with the ID {foreign}" in str(caught.value)


def test_an_unknown_id_in_the_path_is_404(api: StripeClient) -> None:
    """In the path an unknown id is 404, in the body it is 400."""
    with pytest.raises(stripe.InvalidRequestError) as caught:
        api.v1.payment_intents.retrieve("pi_none")

    assert (caught.value.http_status, caught.value.code) == (404, "resource_missing")
    assert caught.value.user_message == "No such payment_intent: 'pi_none'"


def test_refunds_stop_at_what_was_taken(api: StripeClient) -> None:
    """In parts, never above the rest, never twice."""
    intent = confirm(api, make_intent(api).id)
    part = api.v1.refunds.create({"payment_intent": intent.id, "amount": 1000})
    with pytest.raises(stripe.InvalidRequestError) as over:
        api.v1.refunds.create({"payment_intent": intent.id, "amount": 1501})
    rest = api.v1.refunds.create({"payment_intent": intent.id})
    with pytest.raises(stripe.InvalidRequestError) as twice:
        api.v1.refunds.create({"charge": str(intent.latest_charge)})

    assert (part.status, part.amount, rest.amount) == ("succeeded", 1000, 1500)
    assert over.value.param == "amount"
    assert over.value.user_message == (
        "Refund amount ($15.01) is greater than unrefunded amount on charge ($15.00)"
    )
    assert twice.value.code == "charge_already_refunded"
    charged = api.v1.charges.retrieve(str(intent.latest_charge))
    assert (charged.refunded, charged.amount_refunded) == (True, 2500)
    listed = api.v1.refunds.list({"payment_intent": intent.id}).data
    assert [refund.id for refund in listed] == [rest.id, part.id]


@pytest.mark.parametrize("bad", ["pk_live_1", "sk_live_123456789", "nonsense"])
def test_a_wrong_key_is_401(shared: SandboxServer, bad: str) -> None:
    """AuthenticationError, with the key masked."""
    with pytest.raises(stripe.AuthenticationError) as caught:
        shared.client(key=bad).v1.customers.list()

    assert caught.value.http_status == 401
    assert "Invalid API Key provided" in str(caught.value.user_message)
    assert bad[9:] == "" or bad not in str(caught.value.user_message)


def test_a_publishable_key_is_403(shared: SandboxServer) -> None:
    """It is known, and may do nothing here."""
    with pytest.raises(stripe.PermissionError) as caught:
        shared.client(key="pk_test_1").v1.customers.list()

    assert caught.value.http_status == 403
    assert caught.value.error is not None
    assert caught.value.error.code == "secret_key_required"


def test_revoked_and_restricted_keys(own: SandboxServer) -> None:
    """A revoked key is 401, a restricted one 403 outside its scopes."""
    own.control(
        "POST",
        "keys",
        {
            "revoked": ["sk_test_old"],
            "scopes": {"rk_test_narrow": ["payment_intents:write", "customers:read"]},
        },
    )
    narrow = own.client(key="rk_test_narrow")

    with pytest.raises(stripe.AuthenticationError, match="Expired API Key"):
        own.client(key="sk_test_old").v1.customers.list()
    assert narrow.v1.customers.list().data == []
    assert narrow.v1.payment_intents.create({"amount": 500, "currency": "usd"}).id
    with pytest.raises(stripe.PermissionError, match="rak_refund_write") as caught:
        narrow.v1.refunds.create({"charge": "ch_1"})
    assert caught.value.http_status == 403


def test_events_come_in_stripes_order(own: SandboxServer) -> None:
    """Success and decline as recorded: intent created, charge, then the intent."""
    api = own.client()
    charge(api, "pm_card_visa")
    with pytest.raises(stripe.CardError):
        charge(api, "pm_card_visa_chargeDeclined")

    events = api.v1.events.list().data
    kinds = [event.type for event in reversed(events)]

    assert kinds == [
        "payment_intent.created",
        "charge.succeeded",
        "payment_intent.succeeded",
        "payment_intent.created",
        "charge.failed",
        "payment_intent.payment_failed",
    ]
    one = api.v1.events.retrieve(events[-1].id)
    assert one.api_version == "2026-10-28.endive"
    assert one.request is not None
    assert str(one.request.id).startswith("req_")
    assert one.request.idempotency_key
    assert one.data.object.to_dict()["status"] == "requires_confirmation"
    only = api.v1.events.list({"type": "charge.*"}).data
    assert [event.type for event in only] == ["charge.failed", "charge.succeeded"]


class Inbox(ThreadingHTTPServer):
    """A webhook receiver that keeps what it gets; it may refuse the first ones."""

    def __init__(self) -> None:
        self.got: list[tuple[bytes, str]] = []
        self.refuse = 0
        super().__init__(("127.0.0.1", 0), _Receiver)

    @property
    def url(self) -> str:
        """Where to deliver."""
        return f"http://127.0.0.1:{self.server_port}/hook"

    def wait(self, count: int) -> list[tuple[bytes, str]]:
        """Return what arrived once there are `count`, or after five seconds."""
        end = time.monotonic() + 5
        while len(self.got) < count and time.monotonic() < end:
            time.sleep(0.02)
        return self.got


class _Receiver(BaseHTTPRequestHandler):
    server: Inbox

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append((body, self.headers["Stripe-Signature"]))
        refuse = len(self.server.got) <= self.server.refuse
        self.send_response(500 if refuse else 200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        del format, args


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    """A running webhook receiver."""
    with Inbox() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_the_sdk_verifies_what_is_delivered(own: SandboxServer, inbox: Inbox) -> None:
    """The signature passes the SDK's own check with the endpoint's secret."""
    api = own.client()
    endpoint = api.v1.webhook_endpoints.create(
        {"url": inbox.url, "enabled_events": ["payment_intent.succeeded"]}
    )
    inbox.refuse = 1
    intent = charge(api, "pm_card_visa")

    got = inbox.wait(2)

    assert len(got) == 2  # the refused try and its repeat
    event = api.construct_event(got[1][0], got[1][1], str(endpoint.secret))
    assert event.type == "payment_intent.succeeded"
    assert event.data.object.to_dict()["id"] == intent.id
    assert "secret" not in api.v1.webhook_endpoints.retrieve(endpoint.id).to_dict()


def test_deliveries_can_misbehave(own: SandboxServer, inbox: Inbox) -> None:
    """Duplicates, a wrong signature, and drops, as the control port says."""
    api = own.client()
    endpoint = api.v1.webhook_endpoints.create(
        {"url": inbox.url, "enabled_events": ["*"]}
    )
    own.control("POST", "webhooks", {"duplicate": 1, "bad_signature": True})
    api.v1.customers.create({})
    got = list(inbox.wait(2))
    own.control("POST", "webhooks", {"duplicate": 0, "drop": 1.0})
    api.v1.customers.create({})
    time.sleep(0.2)

    assert len(got) == 2
    assert got[0][0] == got[1][0]
    with pytest.raises(stripe.SignatureVerificationError):
        api.construct_event(got[0][0], got[0][1], str(endpoint.secret))
    assert len(inbox.got) == 2
    assert own.tool.counters()["webhooks"]["dropped"] == 1


def test_reordered_events_arrive_newest_first(own: SandboxServer, inbox: Inbox) -> None:
    """Reordering collects events for a moment and sends them backwards."""
    api = own.client()
    secret = api.v1.webhook_endpoints.create(
        {"url": inbox.url, "enabled_events": ["*"]}
    ).secret
    own.control("POST", "webhooks", {"reorder": True, "hold_ms": 200})
    charge(api, "pm_card_visa")

    got = inbox.wait(3)

    kinds = [api.construct_event(b, s, str(secret)).type for b, s in got]
    assert sorted(kinds) == [
        "charge.succeeded", "payment_intent.created", "payment_intent.succeeded",
    ]  # fmt: skip
    event = api.v1.events.list().data[0]
    own.control("POST", "webhooks", {"reorder": False})
    own.control("POST", f"events/{event.id}/resend")
    assert len(inbox.wait(4)) == 4


def test_search_may_lag(own: SandboxServer) -> None:
    """With a lag set, a search misses what a list already shows."""
    api = own.client()
    own.control("POST", "settings", {"search_lag": 60})
    make_intent(api)

    assert not api.v1.payment_intents.search({"query": "currency:'usd'"}).data
    assert api.v1.payment_intents.list().data
    own.tool.advance(61)
    assert api.v1.payment_intents.search({"query": "currency:'usd'"}).data


def test_the_default_key_is_a_test_key() -> None:
    """Nothing here may look like a live key."""
    assert KEY.startswith("sk_test_")
