"""Cards, customers and setup intents, as recordings of Stripe's test mode show them."""

from typing import Any

import pytest
from stripe import CardError, StripeClient

from tests.integration.sandbox.makers import charge, make_customer, make_intent, refused

pytestmark = pytest.mark.integration


def test_attaching_needs_a_customer_and_is_done_once(api: StripeClient) -> None:
    """To the same customer again is no fault; to another one it is."""
    customer, method = make_customer(api, "pm_card_visa")
    other, _ = make_customer(api)
    attach: Any = api.v1.payment_methods.attach

    again = attach(method, {"customer": customer})
    elsewhere = refused(lambda: attach(method, {"customer": other}))
    nowhere = refused(lambda: attach(method, {}))
    unknown = refused(lambda: attach(method, {"customer": "cus_none"}))

    assert again.customer == customer
    assert "already been attached to a customer" in str(elsewhere.user_message)
    assert nowhere.user_message == "Must provide customer or customer_account."
    assert (unknown.code, unknown.param) == ("resource_missing", "customer")


def test_the_bank_looks_at_a_card_when_it_is_saved(api: StripeClient) -> None:
    """Before that nothing is checked; a refused attachment shows no card."""
    loose = api.v1.payment_methods.retrieve("pm_card_visa")
    customer, method = make_customer(api, "pm_card_visa")
    saved = api.v1.payment_methods.retrieve(method)
    with pytest.raises(CardError) as caught:
        api.v1.payment_methods.attach(
            "pm_card_visa_chargeDeclinedLostCard", {"customer": customer}
        )

    assert loose.to_dict()["card"]["checks"]["cvc_check"] == "unchecked"
    assert saved.to_dict()["card"]["checks"]["cvc_check"] == "pass"
    body: Any = caught.value.json_body
    assert body["error"]["decline_code"] == "generic_decline"
    assert body["error"]["param"] == ""
    assert "payment_method" not in body["error"]


def test_a_card_is_not_made_and_saved_in_one_step(api: StripeClient) -> None:
    """`customer` is a parameter that Stripe knows, and refuses."""
    customer, _ = make_customer(api)

    error = refused(
        lambda: api.v1.payment_methods.create(
            {"type": "card", "card": {"token": "tok_visa"}, "customer": customer}
        )
    )

    assert "attach a PaymentMethod to a Customer during PaymentMethod creation" in str(
        error.user_message
    )


@pytest.mark.parametrize(
    ("card", "country"),
    [
        ("pm_card_threeDSecure2Required", "IE"),
        ("pm_card_authenticationRequired", "DE"),
        ("pm_card_authenticationRequiredOnSetup", "FR"),
        ("pm_card_authenticationRequiredSetupForOffSession", "IT"),
        ("pm_card_authenticationRequiredChargeDeclinedInsufficientFunds", "GB"),
    ],
)
def test_a_card_that_asks_is_issued_in_europe(
    api: StripeClient, card: str, country: str
) -> None:
    """The country is what the recordings show."""
    assert api.v1.payment_methods.retrieve(card).to_dict()["card"]["country"] == country


def test_a_customer_has_an_address_with_all_its_parts(api: StripeClient) -> None:
    """What was not given is null; an update changes only what it names."""
    customer = api.v1.customers.create({"address": {"country": "IE", "city": "Cork"}})
    changed = api.v1.customers.update(customer.id, {"address": {"city": "Sligo"}})

    assert changed.to_dict()["address"] == {
        "city": "Sligo", "country": "IE", "line1": None, "line2": None,
        "postal_code": None, "state": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("params", "code", "param", "sentence"),
    [
        ({"email": "nobody"}, "email_invalid", "email",
         "Invalid email address: nobody"),
        ({"tax_exempt": "maybe"}, None, "tax_exempt",
         "Invalid tax_exempt: must be one of none, reverse, or exempt"),
        ({"address": {"moon": "1"}}, "parameter_unknown", "address[moon]",
         "Received unknown parameter: address[moon]"),
    ],
)  # fmt: skip
def test_a_customer_is_refused_in_stripes_words(
    api: StripeClient,
    params: Any,  # noqa: ANN401 - wrong on purpose
    code: str | None,
    param: str,
    sentence: str,
) -> None:
    """400, naming the parameter."""
    error = refused(lambda: api.v1.customers.create(params))

    assert (error.code, error.param, error.user_message) == (code, param, sentence)


def test_another_customer_has_no_such_card(api: StripeClient) -> None:
    """404 under the address of a customer that does not own it."""
    _, method = make_customer(api, "pm_card_visa")
    other, _ = make_customer(api)

    error = refused(
        lambda: api.v1.customers.payment_methods.retrieve(other, method), status=404
    )

    assert (error.param, error.user_message) == ("customer", "Invalid request")


def test_a_setup_declines_with_the_cards_own_code(api: StripeClient) -> None:
    """Also in two steps; afterwards another card is saved in the same intent."""
    customer, _ = make_customer(api)
    setup = api.v1.setup_intents.create({"customer": customer})
    with pytest.raises(CardError) as caught:
        api.v1.setup_intents.confirm(
            setup.id, {"payment_method": "pm_card_chargeDeclinedExpiredCard"}
        )
    failed = api.v1.setup_intents.retrieve(setup.id)
    done = api.v1.setup_intents.confirm(setup.id, {"payment_method": "pm_card_visa"})

    assert caught.value.code == "expired_card"
    assert failed.last_setup_error is not None
    assert failed.last_setup_error.code == "expired_card"
    assert (failed.status, failed.payment_method) == ("requires_payment_method", None)
    assert (done.status, done.last_setup_error) == ("succeeded", None)
    assert str(done.latest_attempt).startswith("setatt_")
    ended = refused(lambda: api.v1.setup_intents.confirm(done.id))
    assert ended.code == "setup_intent_unexpected_state"
    assert "has already succeeded" in str(ended.user_message)


def test_a_setup_may_be_changed_until_it_ends(api: StripeClient) -> None:
    """A customer and words by update; a card of somebody else is refused."""
    owner, method = make_customer(api, "pm_card_visa")
    other, _ = make_customer(api)
    setup = api.v1.setup_intents.create({})
    update = api.v1.setup_intents.update
    changed = update(setup.id, {"customer": other, "description": "save it"})
    foreign = refused(lambda: update(setup.id, {"payment_method": method}))

    assert (changed.customer, changed.description) == (other, "save it")
    assert owner not in (changed.customer, None)
    assert foreign.param == "payment_method"
    assert foreign.error is not None
    assert foreign.error.setup_intent is not None
    assert foreign.error.setup_intent.id == setup.id
    assert len(str(setup.client_secret).split("_secret_")[1]) == 31


def test_a_card_that_asks_is_set_up_in_the_browser(api: StripeClient) -> None:
    """requires_action, with a page to go to when there is a return address."""
    setup = api.v1.setup_intents.create(
        {
            "payment_method": "pm_card_authenticationRequiredOnSetup",
            "confirm": True,
            "return_url": "https://example.com/back",
        }
    )

    assert setup.status == "requires_action"
    assert setup.next_action is not None
    assert setup.next_action.type == "redirect_to_url"
    assert setup.next_action.redirect_to_url is not None
    assert setup.next_action.redirect_to_url.return_url == "https://example.com/back"


def test_a_decline_leaves_the_card_in_the_error_and_the_intent(
    api: StripeClient,
) -> None:
    """The bank has looked at the card; the intent remembers the same error."""
    with pytest.raises(CardError) as caught:
        charge(api, "pm_card_chargeDeclinedExpiredCard")
    body: Any = caught.value.json_body
    error = body["error"]
    kept = error["payment_intent"]["last_payment_error"]

    assert error["network_advice_code"] == "03"
    assert error["payment_method"]["card"]["checks"]["cvc_check"] == "pass"
    assert kept["payment_method_type"] == "card"
    for name in ("code", "decline_code", "param", "message", "charge", "doc_url"):
        assert kept[name] == error[name]
    assert make_intent(api).last_payment_error is None
