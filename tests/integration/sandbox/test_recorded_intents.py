"""PaymentIntents, as recordings of Stripe's test mode show them."""

from typing import Any

import pytest
from stripe import InvalidRequestError, PaymentIntent, StripeClient

from tests.integration.sandbox.makers import (
    charge,
    confirm,
    make_customer,
    make_intent,
    refused,
)
from tests.sandbox_server import SandboxServer

pytestmark = pytest.mark.integration

CANCELABLE = (
    "requires_payment_method, requires_capture, requires_reauthorization, "
    "requires_confirmation, requires_action, expired, processing"
)
OPEN = "requires_payment_method, requires_confirmation, requires_action"
DESCRIPTOR = "statement_descriptor"
SUFFIX = "statement_descriptor_suffix"


def shown(error: InvalidRequestError) -> PaymentIntent | None:
    """Return the intent in an error, if there is one."""
    assert error.error is not None
    return error.error.payment_intent


def test_an_intent_that_names_no_types_goes_by_the_dashboard(
    api: StripeClient,
) -> None:
    """Cards and Link, redirects allowed: confirming it needs a return address."""
    bare: Any = {"amount": 500, "currency": "usd"}
    intent = api.v1.payment_intents.create(bare)
    error = refused(lambda: confirm(api, intent.id, payment_method="pm_card_visa"))
    stays = api.v1.payment_intents.create(
        bare
        | {"automatic_payment_methods": {"enabled": True, "allow_redirects": "never"}}
    )

    assert intent.to_dict()["automatic_payment_methods"] == {
        "allow_redirects": "always", "enabled": True,
    }  # fmt: skip
    assert intent.payment_method_types == ["card", "link"]
    assert intent.to_dict()["payment_method_configuration_details"]["parent"] is None
    assert (error.code, error.param) == (None, None)
    assert confirm(api, stays.id, payment_method="pm_card_visa").status == "succeeded"


def test_named_types_turn_the_automatic_ones_off(api: StripeClient) -> None:
    """Then only those are listed, and nothing redirects."""
    intent = make_intent(api).to_dict()

    assert intent["automatic_payment_methods"] is None
    assert intent["payment_method_configuration_details"] is None
    assert intent["payment_method_types"] == ["card"]
    assert list(intent["payment_method_options"]) == ["card"]


def test_nothing_to_charge_says_what_to_do(api: StripeClient) -> None:
    """With a customer Stripe names it; a refused creation shows no intent."""
    customer, _ = make_customer(api)
    mine = make_intent(api, None, customer=customer)
    with_customer = refused(lambda: confirm(api, mine.id))
    bare: Any = {"amount": 500, "currency": "usd", "confirm": True}
    without = refused(lambda: api.v1.payment_intents.create(bare))

    assert f"To confirm the PaymentIntent with {customer}, specify a payment" in str(
        with_customer.user_message
    )
    assert "or ConfirmationToken." in str(without.user_message)
    assert without.code == with_customer.code == "payment_intent_unexpected_state"
    known = shown(with_customer)
    assert known is not None
    assert (known.id, shown(without)) == (mine.id, None)


def test_a_card_of_a_customer_needs_that_customer(api: StripeClient) -> None:
    """Another customer is one refusal, no customer at all a different one."""
    owner, method = make_customer(api, "pm_card_visa")
    other, _ = make_customer(api)
    foreign = refused(lambda: charge(api, method, customer=other))
    nobody = refused(lambda: charge(api, method))

    assert (foreign.code, foreign.param) == (None, "payment_method")
    assert foreign.user_message == (
        f"The PaymentMethod {method} does not belong to the Customer you supplied "
        f"{other}. Please use this PaymentMethod with the Customer that it belongs to "
        "instead."
    )
    assert (nobody.code, nobody.param) == ("parameter_missing", "source")
    assert f"belongs to the Customer {owner}. Please include the Customer" in str(
        nobody.user_message
    )


def test_absent_and_saving_do_not_go_together(api: StripeClient) -> None:
    """Nobody is there to agree that the card is kept."""
    customer, method = make_customer(api, "pm_card_visa")
    saving = {"customer": customer, "setup_future_usage": "off_session"}

    error = refused(lambda: charge(api, method, **saving))

    assert "`off_session` parameter when `setup_future_usage` is also set" in str(
        error.user_message
    )
    assert charge(api, method, off_session=False, **saving).status == "succeeded"


def test_cancelling_names_the_states_as_stripe_does(api: StripeClient) -> None:
    """The sentence lists more states than a card payment can be in."""
    done = confirm(api, make_intent(api).id)

    error = refused(lambda: api.v1.payment_intents.cancel(done.id))

    assert error.user_message == (
        "You cannot cancel this PaymentIntent because it has a status of succeeded. "
        f"Only a PaymentIntent with one of the following statuses may be canceled: "
        f"{CANCELABLE}."
    )
    reasons = refused(
        lambda: api.v1.payment_intents.cancel(
            done.id,
            {"cancellation_reason": "bored"},
        )
    )
    assert reasons.user_message == (
        "Invalid cancellation_reason: must be one of duplicate, fraudulent, "
        "requested_by_customer, or abandoned"
    )


def test_a_cancelled_hold_was_never_taken(own: SandboxServer) -> None:
    """The charge stays uncaptured and unrefunded; one event tells of the end."""
    api = own.client()
    held = confirm(api, make_intent(api, capture_method="manual").id)
    gone = api.v1.payment_intents.cancel(held.id)

    taken = api.v1.charges.retrieve(str(held.latest_charge))
    assert (gone.status, gone.amount_capturable) == ("canceled", 0)
    assert (taken.captured, taken.refunded, taken.amount_refunded) == (False, False, 0)
    assert api.v1.events.list().data[0].type == "payment_intent.canceled"
    again = refused(lambda: confirm(api, held.id, payment_method="pm_card_visa"))
    assert again.param == "payment_method"
    assert f"with one of the following statuses: {OPEN}." in str(again.user_message)


def test_only_what_is_held_can_be_captured(api: StripeClient) -> None:
    """Every refusal shows the intent; what is left over is released, not refunded."""
    intent = confirm(api, make_intent(api, capture_method="manual").id)
    capture = api.v1.payment_intents.capture
    held = api.v1.charges.retrieve(str(intent.latest_charge)).to_dict()
    over = refused(lambda: capture(intent.id, {"amount_to_capture": 2501}))
    nothing = refused(lambda: capture(intent.id, {"amount_to_capture": 0}))
    negative = refused(lambda: capture(intent.id, {"amount_to_capture": -1}))
    assert capture(intent.id, {"amount_to_capture": 2000}).amount_received == 2000
    twice = refused(lambda: capture(intent.id))

    until = held["payment_method_details"]["card"]["capture_before"]
    assert until == held["created"] + 7 * 86400
    assert (over.code, over.param) == ("amount_too_large", None)
    assert (nothing.code, nothing.param) == ("parameter_invalid_integer", "amount")
    assert (negative.code, negative.param) == (None, "amount_to_capture")
    assert negative.user_message == "Invalid non-negative integer"
    assert twice.code == "payment_intent_unexpected_state"
    for error in (over, nothing, negative, twice):
        known = shown(error)
        assert known is not None
        assert known.id == intent.id
    taken = api.v1.charges.retrieve(str(intent.latest_charge))
    assert (taken.amount, taken.amount_captured) == (2500, 2000)
    assert (taken.amount_refunded, taken.refunded) == (0, False)


def test_an_amount_of_nothing_is_refused_on_update_too(api: StripeClient) -> None:
    """A zero is not taken for an amount left out."""
    intent = make_intent(api)

    error = refused(lambda: api.v1.payment_intents.update(intent.id, {"amount": 0}))

    assert (error.code, error.param) == ("parameter_invalid_integer", "amount")
    assert api.v1.payment_intents.retrieve(intent.id).amount == 2500
    done = confirm(api, intent.id)
    late = refused(lambda: api.v1.payment_intents.update(done.id, {"amount": 900}))
    assert (late.code, late.param) == ("payment_intent_unexpected_state", "amount")


@pytest.mark.parametrize(
    ("params", "param", "sentence"),
    [
        ({DESCRIPTOR: "Replenish"}, DESCRIPTOR,
         "parameter is not supported for the payment_method_type `card`"),
        ({SUFFIX: "A" * 23}, SUFFIX, "at most 22 characters"),
        ({SUFFIX: "123"}, SUFFIX, "at least one"),
        ({SUFFIX: "A*B"}, SUFFIX, "may not contain"),
        ({"currency": "zzz"}, "currency",
         "Stripe currently supports these currencies: usd, aed, afn, all, amd"),
        ({"metadata": {f"k{n}": "v" for n in range(51)}}, "metadata",
         "Metadata can have up to 50 keys, but you've set 51."),
        ({"metadata": {"a": "v" * 501}}, "metadata[a]", "up to 500 characters"),
        ({"setup_future_usage": "never"}, "setup_future_usage",
         "must be one of off_session or on_session"),
        ({"capture_method": "later"}, "capture_method",
         "must be one of automatic, automatic_async, or manual"),
        ({"automatic_payment_methods": {"on": True}}, "automatic_payment_methods[on]",
         "Received unknown parameter: automatic_payment_methods[on]"),
    ],
)  # fmt: skip
def test_a_setting_is_refused_in_stripes_words(
    api: StripeClient, params: dict[str, object], param: str, sentence: str
) -> None:
    """400, naming the parameter."""
    error = refused(lambda: make_intent(api, None, **params))

    assert error.param == param
    assert sentence in str(error.user_message)


def test_a_suffix_within_the_rules_stays(api: StripeClient) -> None:
    """It is copied to the charge."""
    intent = charge(api, "pm_card_visa", statement_descriptor_suffix="TOP-UP 7")

    taken = api.v1.charges.retrieve(str(intent.latest_charge))
    assert taken.statement_descriptor_suffix == "TOP-UP 7"
