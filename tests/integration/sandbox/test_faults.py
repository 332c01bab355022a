"""Every fault kind, what the SDK makes of it, and whether money has moved."""

import time

import pytest
import stripe

from replenish.sandbox import ledger
from replenish.sandbox.control import ControlError
from replenish.sandbox.faults import KINDS
from tests.integration.sandbox.makers import confirm, make_intent
from tests.sandbox_server import SandboxServer

pytestmark = [pytest.mark.integration, pytest.mark.faults]

#: kind, options, the SDK's class, HTTP status, whether the card was charged.
TROUBLE = [
    ("429_rate", {}, stripe.RateLimitError, 429, False),
    ("429_lock", {}, stripe.RateLimitError, 429, False),
    ("409", {}, stripe.APIError, 409, False),
    ("503", {}, stripe.APIError, 503, False),
    ("503", {"after": True}, stripe.APIError, 503, True),
    ("500_before", {}, stripe.APIError, 500, False),
    ("500_after", {}, stripe.APIError, 500, True),
    ("html_502", {}, stripe.APIError, 502, False),
    ("html_502", {"after": True}, stripe.APIError, 502, True),
    ("reset_before", {}, stripe.APIConnectionError, None, False),
    ("reset_after", {}, stripe.APIConnectionError, None, True),
    ("close_without_answer", {}, stripe.APIConnectionError, None, False),
    ("close_without_answer", {"after": True}, stripe.APIConnectionError, None, True),
    ("truncated_after", {}, stripe.APIConnectionError, None, True),
    ("stall", {"seconds": 30}, stripe.APIConnectionError, None, False),
    ("stall", {"seconds": 30, "after": True}, stripe.APIConnectionError, None, True),
    ("latency", {"ms": 30_000}, stripe.APIConnectionError, None, True),
    ("garbage", {}, stripe.APIError, 200, True),
]


@pytest.mark.parametrize(("kind", "options", "error", "status", "charged"), TROUBLE)
def test_trouble_looks_as_it_would_at_stripe(
    own: SandboxServer,
    *,
    kind: str,
    options: dict[str, object],
    error: type[stripe.StripeError],
    status: int | None,
    charged: bool,
) -> None:
    """The SDK raises its own class; a plain retrieve then tells what is true."""
    api = own.client(timeout=1.0)
    intent = make_intent(api)
    own.tool.fault(kind, times=1, match={"path": "/confirm$"}, **options)

    with pytest.raises(error) as caught:
        confirm(api, intent.id)

    assert caught.value.http_status == status
    wanted = "succeeded" if charged else "requires_confirmation"
    assert own.client().v1.payment_intents.retrieve(intent.id).status == wanted
    kinds = [record.kind for record in ledger.read(own.ledger)]
    assert kinds.count("charge.succeeded") == int(charged)


def test_every_kind_has_a_row() -> None:
    """A new fault kind needs a test of what the SDK makes of it."""
    lies = {"wrong_amount", "wrong_status"}

    assert {row[0] for row in TROUBLE} | lies == KINDS


@pytest.mark.parametrize("kind", ["500_before", "500_after"])
def test_a_500_is_replayed_for_ever(own: SandboxServer, key: str, kind: str) -> None:
    """The 500 is stored under the key; only the intent itself tells the truth."""
    api = own.client()
    intent = make_intent(api)
    own.tool.fault(kind, times=1, match={"path": "/confirm$"})

    for _ in range(3):
        with pytest.raises(stripe.APIError) as caught:
            confirm(api, intent.id, key=key)
        assert caught.value.http_status == 500

    assert own.tool.counters()["keys"][key]["executions"] == 1
    charges = api.v1.charges.list({"payment_intent": intent.id}).data
    assert len(charges) == (1 if kind == "500_after" else 0)


@pytest.mark.parametrize("kind", ["reset_after", "truncated_after", "garbage"])
def test_the_same_key_learns_what_was_lost(
    own: SandboxServer, key: str, kind: str
) -> None:
    """After a lost answer the same key gets the true one, and no second charge."""
    api = own.client()
    intent = make_intent(api)
    own.tool.fault(kind, times=1, match={"path": "/confirm$"})
    with pytest.raises(stripe.StripeError):
        confirm(api, intent.id, key=key)

    assert confirm(api, intent.id, key=key).status == "succeeded"
    assert own.tool.counters()["keys"][key]["captures"] == 1


def test_a_rate_limit_names_its_reason(own: SandboxServer) -> None:
    """429 carries Stripe-Rate-Limited-Reason; a lock timeout carries its code."""
    api = own.client()
    own.tool.fault("429_rate", times=1, reason="endpoint-rate")
    with pytest.raises(stripe.RateLimitError) as limited:
        api.v1.customers.create({})
    own.tool.fault("429_lock", times=1)
    with pytest.raises(stripe.RateLimitError) as locked:
        api.v1.customers.create({})

    assert limited.value.headers is not None
    assert limited.value.headers["Stripe-Rate-Limited-Reason"] == "endpoint-rate"
    assert locked.value.error is not None
    assert locked.value.error.code == "lock_timeout"
    assert locked.value.headers is not None
    assert "Stripe-Rate-Limited-Reason" not in locked.value.headers


def test_a_liar_changes_the_answer_and_not_the_truth(own: SandboxServer) -> None:
    """`wrong_amount` and `wrong_status` lie once; the next look tells the truth."""
    api = own.client()
    one, two = make_intent(api), make_intent(api)
    own.tool.fault("wrong_amount", times=1, amount=9900, currency="eur")
    lie = confirm(api, one.id)
    own.tool.fault("wrong_status", times=1)
    pending = confirm(api, two.id)

    assert (lie.status, lie.amount, lie.currency) == ("succeeded", 9900, "eur")
    assert lie.amount_received == 9900
    assert pending.status == "processing"
    truth = api.v1.payment_intents.retrieve(one.id)
    assert (truth.amount, truth.currency) == (2500, "usd")
    assert api.v1.payment_intents.retrieve(two.id).status == "succeeded"


@pytest.mark.parametrize("by", ["metadata", "amount", "customer"])
def test_a_fault_hits_only_what_it_matches(own: SandboxServer, by: str) -> None:
    """Selectors look at the call or at the intent it is about."""
    api = own.client()
    other = make_intent(api, metadata={"attempt": "1"})
    hit = make_intent(api, metadata={"attempt": "2"}, amount=3000)
    value = {
        "metadata": {"attempt": "2"}, "amount": 3000, "customer": hit.customer,
    }[by]  # fmt: skip
    own.tool.fault("503", match={by: value, "path": "confirm"})

    assert confirm(api, other.id).status == "succeeded"
    with pytest.raises(stripe.APIError):
        confirm(api, hit.id)
    own.tool.clear_faults()
    assert confirm(api, hit.id).status == "succeeded"


def test_dice_are_seeded(own: SandboxServer) -> None:
    """With a probability about that share of calls is hit, the same every run."""
    api = own.client()
    own.tool.fault("503", probability=0.3)
    hits = []
    for _ in range(40):
        try:
            api.v1.customers.list()
            hits.append(0)
        except stripe.APIError:
            hits.append(1)

    assert 4 <= sum(hits) <= 22


def test_latency_delays_the_answer(own: SandboxServer) -> None:
    """A fixed delay is kept; `effect: last` moves the effect behind it."""
    api = own.client()
    intent = make_intent(api)
    own.tool.fault("latency", ms=300, times=1)
    began = time.monotonic()
    api.v1.customers.list()
    waited = time.monotonic() - began
    own.tool.fault("latency", ms=700, times=1, effect="last", match={"path": "confirm"})
    impatient = own.client(timeout=0.3)

    with pytest.raises(stripe.APIConnectionError):
        confirm(impatient, intent.id)
    before = api.v1.payment_intents.retrieve(intent.id).status
    time.sleep(0.8)

    assert waited >= 0.3
    assert before == "requires_confirmation"
    assert api.v1.payment_intents.retrieve(intent.id).status == "succeeded"


def test_a_mistaken_fault_is_refused(own: SandboxServer) -> None:
    """The control port says in a sentence what is wrong."""
    with pytest.raises(ControlError, match="There is no fault 'explode'"):
        own.tool.fault("explode")
    with pytest.raises(ControlError, match="cannot match on colour"):
        own.tool.fault("503", match={"colour": "red"})
    with pytest.raises(ControlError, match="probability"):
        own.tool.fault("503", probability=2)


def test_the_real_limiter_refuses_before_anything_runs(own: SandboxServer) -> None:
    """With a rate limit set, a burst gets 429 and nothing is created for those."""
    api = own.client()
    own.control("POST", "settings", {"rate_limit": 5})
    refused = 0
    for _ in range(15):
        try:
            api.v1.customers.create({})
        except stripe.RateLimitError:
            refused += 1
    own.control("POST", "settings", {"rate_limit": None})

    assert 5 <= refused <= 10
    assert len(api.v1.customers.list({"limit": 100}).data) == 15 - refused
