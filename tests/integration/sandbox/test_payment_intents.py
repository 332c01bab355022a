"""The PaymentIntent's states, rules and refusals, in Stripe's words."""

from typing import Any

import pytest
from stripe import InvalidRequestError, StripeClient

from tests.integration.sandbox.makers import charge, confirm, make_customer, make_intent

pytestmark = pytest.mark.integration

#: parameters, code, param, sentence
REFUSED: list[tuple[dict[str, Any], str | None, str | None, str]] = [
    ({"currency": "usd"}, "parameter_missing", "amount",
     "Missing required param: amount."),
    ({"amount": 500}, "parameter_missing", "currency",
     "Missing required param: currency."),
    ({"amount": "", "currency": "usd"}, "parameter_invalid_empty", "amount",
     "You passed an empty string for 'amount'. We assume empty values are an attempt"),
    ({"amount": 500, "currency": ""}, None, "currency", "Invalid currency: . Stripe"),
    ({"amount": 500, "currency": "usd", "customer": ""}, "parameter_invalid_empty",
     "customer", "however 'customer' cannot be unset."),
    ({"amount": "ten", "currency": "usd"}, "parameter_invalid_integer", "amount",
     "Invalid integer: ten"),
    ({"amount": 49, "currency": "usd"}, "amount_too_small", "amount",
     "Amount must be at least $0.50 usd"),
    ({"amount": 29, "currency": "gbp"}, "amount_too_small", "amount",
     "Amount must be at least £0.30 gbp"),
    ({"amount": 49, "currency": "jpy"}, "amount_too_small", "amount",
     "Amount must be at least ¥50 jpy"),
    ({"amount": 10**8, "currency": "usd"}, "amount_too_large", "amount",
     "Amount must be no more than $999,999.99 usd"),
    ({"amount": 1001, "currency": "kwd"}, "parameter_invalid_integer", "amount",
     "multiples of 10"),
    ({"amount": 0, "currency": "usd"}, "parameter_invalid_integer", "amount",
     "The amount must be greater than or equal to the minimum charge amount"),
    ({"amount": 500, "currency": "zzz"}, None, "currency", "Invalid currency: zzz"),
    ({"amount": 500, "currency": "usd", "colour": "red"}, "parameter_unknown",
     "colour", "Received unknown parameter: colour"),
    ({"amount": 500, "currency": "usd", "payment_method_types": ["card"]},
     "parameter_unknown", "payment_method_types",
     "Received unknown parameter: payment_method_types"),
    ({"amount": 500, "currency": "usd", "customer": "cus_none"}, "resource_missing",
     "customer", "No such customer: 'cus_none'"),
    ({"amount": 500, "currency": "usd", "payment_method": "pm_none"},
     "resource_missing", "payment_method", "No such PaymentMethod: 'pm_none'"),
    ({"amount": 500, "currency": "usd", "off_session": True}, None, "off_session",
     "`confirm`"),
    ({"amount": 500, "currency": "usd", "confirm": True},
     "payment_intent_unexpected_state", None, "missing a payment method"),
    ({"amount": 500, "currency": "usd", "confirm": True,
      "payment_method": "pm_card_visa", "automatic_payment_methods": {"enabled": True}},
     None, None, "you must provide a `return_url`"),
    ({"amount": 500, "currency": "usd", "metadata": {"k" * 41: "v"}}, None, "metadata",
     "Metadata keys can have up to 40 characters, but you passed in a key that is 41"),
]  # fmt: skip


@pytest.mark.parametrize(("params", "code", "param", "sentence"), REFUSED)
def test_a_bad_request_is_refused_in_stripes_words(
    api: StripeClient,
    params: Any,  # noqa: ANN401 - wrong on purpose
    code: str | None,
    param: str | None,
    sentence: str,
) -> None:
    """400 with Stripe's code, parameter and sentence."""
    with pytest.raises(InvalidRequestError) as caught:
        api.v1.payment_intents.create(params)

    error = caught.value
    assert (error.http_status, error.code, error.param) == (400, code, param)
    assert sentence in str(error.user_message)


def test_an_older_version_knows_the_older_name(api: StripeClient) -> None:
    """`payment_method_types` is accepted when an older API version is asked for."""
    params: Any = {"amount": 500, "currency": "usd", "payment_method_types": ["card"]}

    intent = api.v1.payment_intents.create(
        params, {"stripe_version": "2025-03-31.basil"}
    )

    assert intent.payment_method_types == ["card"]
    assert intent.last_response is not None
    assert intent.last_response.headers["Stripe-Version"] == "2025-03-31.basil"


def test_the_two_steps_of_a_charge(api: StripeClient) -> None:
    """Created unconfirmed nothing moves; confirming charges and keeps the metadata."""
    intent = make_intent(api, metadata={"attempt": "a-1"}, description="Top-up")

    assert intent.status == "requires_confirmation"
    assert (intent.amount_received, intent.latest_charge) == (0, None)
    done = confirm(api, intent.id, expand=["latest_charge.balance_transaction"])
    assert done.status == "succeeded"
    taken = done.latest_charge
    assert not isinstance(taken, str)
    assert taken is not None
    assert taken.metadata.to_dict() == {"attempt": "a-1"}
    assert not isinstance(taken.balance_transaction, str)
    assert taken.balance_transaction is not None
    assert taken.balance_transaction.fee == 103  # 2.9 % of 25.00, and 30 cents
    assert done.client_secret
    assert done.client_secret.startswith(f"{intent.id}_secret_")


def test_an_intent_without_a_card_waits_for_one(api: StripeClient) -> None:
    """requires_payment_method until a method is given by update or confirm."""
    intent = make_intent(api, None)
    assert intent.status == "requires_payment_method"
    with pytest.raises(InvalidRequestError) as caught:
        confirm(api, intent.id)
    assert caught.value.code == "payment_intent_unexpected_state"

    updated = api.v1.payment_intents.update(
        intent.id, {"payment_method": "pm_card_visa"}
    )

    assert updated.status == "requires_confirmation"
    assert confirm(api, intent.id).status == "succeeded"


def test_an_intent_that_may_redirect_needs_a_return_url(api: StripeClient) -> None:
    """Also in two steps: what was asked for at creation counts when confirming."""
    customer, method = make_customer(api, "pm_card_visa")
    intent = api.v1.payment_intents.create(
        {
            "amount": 500,
            "currency": "usd",
            "customer": customer,
            "payment_method": method,
            "automatic_payment_methods": {"enabled": True},
        }
    )

    with pytest.raises(InvalidRequestError, match="you must provide a `return_url`"):
        confirm(api, intent.id)
    done = confirm(api, intent.id, return_url="https://example.com/back")
    assert done.status == "succeeded"


def test_a_succeeded_intent_can_not_be_confirmed_or_cancelled(
    api: StripeClient,
) -> None:
    """The refusal carries the intent, so a caller learns that it was charged."""
    intent = confirm(api, make_intent(api).id)
    sentences = []
    for action in (confirm, lambda api, id_: api.v1.payment_intents.cancel(id_)):
        with pytest.raises(InvalidRequestError) as caught:
            action(api, intent.id)
        error = caught.value
        assert error.code == "payment_intent_unexpected_state"
        assert error.error is not None
        assert error.error.payment_intent is not None
        assert error.error.payment_intent.status == "succeeded"
        sentences.append(str(error.user_message))

    assert sentences[0] == (
        "You cannot confirm this PaymentIntent because it has already succeeded "
        "after being previously confirmed."
    )
    assert "it has a status of succeeded" in sentences[1]


def test_a_cancelled_intent_can_never_charge(api: StripeClient) -> None:
    """Cancelling is proof of non-charge; a later confirm is refused."""
    intent = make_intent(api)

    gone = api.v1.payment_intents.cancel(
        intent.id, {"cancellation_reason": "abandoned"}
    )

    assert (gone.status, gone.cancellation_reason) == ("canceled", "abandoned")
    assert gone.canceled_at
    with pytest.raises(InvalidRequestError, match="status of canceled"):
        confirm(api, intent.id)
    with pytest.raises(InvalidRequestError, match="must be one of"):
        api.v1.payment_intents.cancel(
            make_intent(api).id, {"cancellation_reason": "bored"}
        )


def test_another_customers_card_is_refused(api: StripeClient) -> None:
    """The method must be attached to the intent's customer; the intent is attached."""
    _, foreign = make_customer(api, "pm_card_visa")
    intent = make_intent(api, None)

    with pytest.raises(InvalidRequestError) as caught:
        confirm(api, intent.id, payment_method=foreign)

    assert (caught.value.param, caught.value.code) == ("payment_method", None)
    assert caught.value.error is not None
    assert caught.value.error.payment_intent is not None
    assert caught.value.error.payment_intent.id == intent.id


def test_a_detached_card_may_not_be_used(api: StripeClient) -> None:
    """Detaching is for good, as Stripe says in two ways."""
    customer, method = make_customer(api, "pm_card_visa")
    detached = api.v1.payment_methods.detach(method)

    assert detached.customer is None
    with pytest.raises(InvalidRequestError, match="It may not be used again"):
        charge(api, method, customer=customer)
    with pytest.raises(InvalidRequestError, match="and may not be used again"):
        api.v1.payment_methods.attach(method, {"customer": customer})
    assert not api.v1.customers.payment_methods.list(customer).data


def test_a_manual_capture_takes_the_money_later(api: StripeClient) -> None:
    """requires_capture holds the amount; capture takes part of it, once."""
    held = confirm(api, make_intent(api, capture_method="manual").id)
    assert (held.status, held.amount_capturable) == ("requires_capture", 2500)

    taken = api.v1.payment_intents.capture(held.id, {"amount_to_capture": 2000})

    assert (taken.status, taken.amount_received) == ("succeeded", 2000)
    with pytest.raises(InvalidRequestError, match="has been released"):
        api.v1.payment_intents.capture(held.id)


def test_metadata_is_merged_and_unset(api: StripeClient) -> None:
    """A new key is added, an empty value removes one, an empty hash removes all."""
    intent = make_intent(api, metadata={"a": "1", "b": "2"})

    one = api.v1.payment_intents.update(intent.id, {"metadata": {"a": "", "c": "3"}})
    none = api.v1.payment_intents.update(intent.id, {"metadata": ""})

    assert one.metadata.to_dict() == {"b": "2", "c": "3"}
    assert none.metadata.to_dict() == {}


def test_the_list_is_newest_first_and_read_after_write(api: StripeClient) -> None:
    """Listing by customer and time finds what was just created, page by page."""
    customer, method = make_customer(api, "pm_card_visa")
    ids = [charge(api, method, customer=customer).id for _ in range(5)]
    first = api.v1.payment_intents.list({"customer": customer, "limit": 2})
    rest = list(first.auto_paging_iter())

    assert [intent.id for intent in first.data] == ids[:2:-1]
    assert first.has_more
    assert [intent.id for intent in rest] == ids[::-1]
    created = rest[0].created
    assert api.v1.payment_intents.list(
        {"customer": customer, "created": {"gte": created - 60}}
    ).data
    assert not api.v1.payment_intents.list(
        {"customer": customer, "created": {"gt": created + 60}}
    ).data


def test_search_finds_by_metadata(api: StripeClient, key: str) -> None:
    """The query language knows metadata, status and AND."""
    intent = make_intent(api, metadata={"attempt": key})

    found = api.v1.payment_intents.search(
        {"query": f"metadata['attempt']:'{key}' AND status:'requires_confirmation'"}
    )

    assert [row.id for row in found.data] == [intent.id]
    with pytest.raises(InvalidRequestError, match="unable to parse"):
        api.v1.payment_intents.search({"query": "what?"})
