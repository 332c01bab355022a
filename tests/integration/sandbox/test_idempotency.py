"""One key, one execution, one answer, as docs.stripe.com/error-low-level says."""

import threading
import time

import pytest
import stripe
from stripe import StripeClient

from replenish.sandbox.control import Control
from tests.integration.sandbox.makers import confirm, make_intent
from tests.sandbox_server import SandboxServer

pytestmark = pytest.mark.integration


def test_a_repeated_confirm_charges_once(shared: SandboxServer, key: str) -> None:
    """The second answer is the first one, marked as replayed."""
    api = shared.client()
    intent = make_intent(api)

    first = confirm(api, intent.id, key=key)
    second = confirm(api, intent.id, key=key)

    assert first.latest_charge == second.latest_charge
    assert len(api.v1.charges.list({"payment_intent": intent.id}).data) == 1
    assert second.last_response is not None
    headers = second.last_response.headers
    assert headers["Idempotent-Replayed"] == "true"
    assert headers["Idempotency-Key"] == key
    assert first.last_response is not None
    assert headers["Original-Request"] == first.last_response.headers["Request-Id"]
    assert "Idempotent-Replayed" not in first.last_response.headers
    tally = shared.tool.counters()["keys"][key]
    assert tally == {"attempts": 2, "executions": 1, "captures": 1}


def test_a_decline_is_replayed_too(shared: SandboxServer, key: str) -> None:
    """The same key answers the same decline and does not ask the bank again."""
    api = shared.client()
    intent = make_intent(api, "pm_sandbox_chain_insufficient_funds-succeed")
    method = str(intent.payment_method)
    charges = set()
    for _ in range(2):
        with pytest.raises(stripe.CardError) as caught:
            confirm(api, intent.id, key=key, payment_method=method)
        assert caught.value.error is not None
        charges.add(caught.value.error.charge)

    assert len(charges) == 1
    assert shared.tool.counters()["keys"][key]["executions"] == 1


@pytest.mark.parametrize("change", ["name", "endpoint"])
def test_other_parameters_under_a_key_are_refused(
    api: StripeClient, key: str, change: str
) -> None:
    """Another name, or another endpoint, under a known key is an IdempotencyError."""
    api.v1.customers.create({"name": "Ada"}, {"idempotency_key": key})

    def repeat() -> object:
        if change == "name":
            return api.v1.customers.create({"name": "Bo"}, {"idempotency_key": key})
        return api.v1.payment_intents.create(
            {"amount": 500, "currency": "usd"}, {"idempotency_key": key}
        )

    with pytest.raises(stripe.IdempotencyError) as caught:
        repeat()

    assert caught.value.http_status == 400
    assert caught.value.code is None
    how = (
        "with the same parameters they were first used with"
        if change == "name"
        else "for the same endpoint they were first used for ('/v1/payment_intents' vs "
        "'/v1/customers')"
    )
    assert caught.value.user_message == (
        f"Keys for idempotent requests can only be used {how}. Try using a key other "
        f"than '{key}' if you meant to execute a different request."
    )


def test_a_validation_error_is_not_kept(api: StripeClient, key: str) -> None:
    """What was refused before it ran may be sent again, corrected, under the key."""
    with pytest.raises(stripe.InvalidRequestError):
        api.v1.payment_intents.create(
            {"amount": 10, "currency": "usd"}, {"idempotency_key": key}
        )

    intent = api.v1.payment_intents.create(
        {"amount": 1000, "currency": "usd"}, {"idempotency_key": key}
    )

    assert intent.amount == 1000


def test_a_missing_payment_method_is_kept(api: StripeClient, key: str) -> None:
    """`resource_missing` for a body id arises while executing, so the key is spent."""
    with pytest.raises(stripe.InvalidRequestError):
        api.v1.payment_intents.create(
            {"amount": 1000, "currency": "usd", "payment_method": "pm_none"},
            {"idempotency_key": key},
        )

    with pytest.raises(stripe.IdempotencyError):
        api.v1.payment_intents.create(
            {"amount": 1000, "currency": "usd"}, {"idempotency_key": key}
        )


def test_a_key_still_running_is_a_conflict(own: SandboxServer, key: str) -> None:
    """The second request gets 409 while the first one has no answer yet."""
    api = own.client()
    intent = make_intent(api)
    own.tool.fault("latency", ms=800, times=1, match={"path": "confirm"})
    done: list[stripe.PaymentIntent] = []
    other = own.client()
    first = threading.Thread(
        target=lambda: done.append(confirm(other, intent.id, key=key))
    )
    first.start()
    time.sleep(0.3)

    with pytest.raises(stripe.APIError) as caught:
        confirm(api, intent.id, key=key)
    first.join()

    assert caught.value.http_status == 409
    assert caught.value.error is not None
    assert caught.value.error.code == "idempotency_key_in_use"
    assert done[0].status == "succeeded"
    assert confirm(api, intent.id, key=key).id == intent.id


def test_a_key_is_forgotten_after_a_day(own: SandboxServer, key: str) -> None:
    """After 24 hours the same key executes again."""
    api = own.client()
    first = api.v1.customers.create({"name": "Ada"}, {"idempotency_key": key})
    own.tool.advance(23 * 3600)
    same = api.v1.customers.create({"name": "Ada"}, {"idempotency_key": key})
    own.tool.advance(3600)

    other = api.v1.customers.create({"name": "Ada"}, {"idempotency_key": key})

    assert same.id == first.id
    assert other.id != first.id


def test_the_order_of_parameters_does_not_matter(own: SandboxServer, key: str) -> None:
    """Two spellings of one request are the same request."""
    api = own.client()
    one = api.v1.customers.create(
        {"name": "A", "email": "a@b.c"}, {"idempotency_key": key}
    )

    two = api.v1.customers.create(
        {"email": "a@b.c", "name": "A"}, {"idempotency_key": key}
    )

    assert one.id == two.id


def test_a_key_of_256_characters_is_refused(api: StripeClient) -> None:
    """Stripe takes keys of up to 255 characters."""
    with pytest.raises(stripe.InvalidRequestError):
        api.v1.customers.create({}, {"idempotency_key": "k" * 256})

    assert api.v1.customers.create({}, {"idempotency_key": "k" * 255}).id


def test_control_counts_every_attempt(control: Control) -> None:
    """A sandbox nobody has called has counted nothing."""
    assert control.counters()["keys"] == {}
