"""Every test card and decline reaches the SDK as Stripe would send it."""

import pytest
from stripe import CardError, StripeClient

from replenish.sandbox.declines import DECLINES
from tests.integration.sandbox.makers import charge, confirm, make_customer, make_intent

pytestmark = pytest.mark.integration

#: Stripe's decline cards (docs.stripe.com/testing): id, last four, code, decline code.
DECLINE_CARDS = [
    ("pm_card_visa_chargeDeclined", "0002", "card_declined", "generic_decline"),
    (
        "pm_card_visa_chargeDeclinedInsufficientFunds",
        "9995", "card_declined", "insufficient_funds",
    ),
    ("pm_card_visa_chargeDeclinedLostCard", "9987", "card_declined", "lost_card"),
    ("pm_card_visa_chargeDeclinedStolenCard", "9979", "card_declined", "stolen_card"),
    (
        "pm_card_visa_chargeDeclinedVelocityLimitExceeded",
        "6975", "card_declined", "card_velocity_exceeded",
    ),
    ("pm_card_chargeDeclinedExpiredCard", "0069", "expired_card", "expired_card"),
    ("pm_card_chargeDeclinedIncorrectCvc", "0127", "incorrect_cvc", "incorrect_cvc"),
    (
        "pm_card_chargeDeclinedProcessingError",
        "0119", "processing_error", "processing_error",
    ),
    ("pm_card_radarBlock", "0019", "card_declined", "fraudulent"),
]  # fmt: skip
#: The part of the card that Stripe blames, by error code.
BLAMED = {"expired_card": "exp_month", "incorrect_cvc": "cvc"}
SUCCESS_CARDS = [
    ("pm_card_visa", "visa", "4242", "US"),
    ("pm_card_mastercard", "mastercard", "4444", "US"),
    ("pm_card_amex", "amex", "0005", "US"),
    ("pm_card_in", "visa", "0008", "IN"),
]


@pytest.mark.parametrize(("card", "last4", "code", "decline_code"), DECLINE_CARDS)
def test_a_decline_card_answers_402_with_intent_and_charge(
    api: StripeClient, card: str, last4: str, code: str, decline_code: str | None
) -> None:
    """A declined charge is a CardError; the intent and the failed charge survive."""
    with pytest.raises(CardError) as caught:
        charge(api, card)

    error = caught.value
    assert error.http_status == 402
    assert error.request_id
    assert error.request_id.startswith("req_")
    assert error.error is not None
    assert (error.code, error.error.type) == (code, "card_error")
    assert error.error.decline_code == decline_code
    assert error.param == BLAMED.get(code)
    intent = error.error.payment_intent
    assert intent is not None
    assert intent.status == "requires_payment_method"
    assert intent.payment_method is None
    assert error.error.payment_method is not None
    assert error.error.payment_method.card is not None
    assert error.error.payment_method.card.last4 == last4
    failed = api.v1.charges.retrieve(str(error.error.charge))
    assert intent.latest_charge == failed.id
    assert (failed.status, failed.paid, failed.failure_code) == ("failed", False, code)


def test_a_generic_decline_carries_the_recorded_advice(api: StripeClient) -> None:
    """Recordings of 0002 show `try_again_later`, network code 01, and the outcome."""
    with pytest.raises(CardError) as caught:
        charge(api, "pm_card_visa_chargeDeclined")

    error = caught.value.error
    assert error is not None
    assert error.message == "Your card was declined."
    assert error.doc_url == "https://stripe.com/docs/error-codes/card-declined"
    assert (error.advice_code, error.network_decline_code) == ("try_again_later", "01")
    assert error.network_advice_code is None
    body = caught.value.json_body
    assert isinstance(body, dict)
    assert "network_advice_code" not in body["error"]  # nulls are left out
    outcome = api.v1.charges.retrieve(str(error.charge)).outcome
    assert outcome is not None
    assert outcome.type == "issuer_declined"
    assert outcome.network_status == "declined_by_network"
    assert outcome.reason == "generic_decline"
    assert outcome.advice_code == "try_again_later"


def test_a_radar_block_is_seen_only_in_the_outcome(api: StripeClient) -> None:
    """Stripe's own block looks like a decline; `outcome.type` says `blocked`."""
    with pytest.raises(CardError) as caught:
        charge(api, "pm_card_radarBlock")

    assert caught.value.error is not None
    outcome = api.v1.charges.retrieve(str(caught.value.error.charge)).outcome
    assert outcome is not None
    assert (outcome.type, outcome.network_status) == ("blocked", "not_sent_to_network")
    assert outcome.risk_level == "highest"


@pytest.mark.parametrize("name", sorted(DECLINES))
def test_every_decline_code_has_a_card_that_can_be_saved(
    api: StripeClient, name: str
) -> None:
    """`pm_sandbox_decline_<name>` attaches, then declines exactly so."""
    intent = make_intent(api, f"pm_sandbox_decline_{name}")

    with pytest.raises(CardError) as caught:
        confirm(api, intent.id)

    decline, error = DECLINES[name], caught.value.error
    assert error is not None
    assert (caught.value.code, error.decline_code) == (
        decline.code,
        decline.decline_code,
    )
    assert (error.message, error.advice_code) == (decline.message, decline.advice)
    now = api.v1.payment_intents.retrieve(intent.id)
    assert now.status == "requires_payment_method"
    assert now.last_payment_error is not None
    assert now.last_payment_error.code == decline.code


@pytest.mark.parametrize(("card", "brand", "last4", "country"), SUCCESS_CARDS)
def test_a_good_card_is_charged(
    api: StripeClient, card: str, brand: str, last4: str, country: str
) -> None:
    """A confirmed intent succeeds and names its charge by id."""
    intent = confirm(api, make_intent(api, card).id)

    assert intent.status == "succeeded"
    assert intent.amount_received == 2500
    assert isinstance(intent.latest_charge, str)
    done = api.v1.charges.retrieve(intent.latest_charge)
    assert (done.status, done.paid, done.captured) == ("succeeded", True, True)
    assert done.payment_method_details is not None
    details = done.payment_method_details.card
    assert details is not None
    assert (details.brand, details.last4, details.country) == (brand, last4, country)
    assert done.outcome is not None
    assert (done.outcome.type, done.outcome.seller_message) == (
        "authorized", "Payment complete.",
    )  # fmt: skip


@pytest.mark.parametrize("card", [card for card, *_ in DECLINE_CARDS])
def test_a_decline_card_cannot_be_saved(api: StripeClient, card: str) -> None:
    """Attaching any decline card but 0341 is itself a generic decline."""
    customer, _ = make_customer(api)

    with pytest.raises(CardError) as caught:
        api.v1.payment_methods.attach(card, {"customer": customer})

    assert caught.value.code == "card_declined"
    assert caught.value.error is not None
    assert caught.value.error.decline_code == "generic_decline"


def test_0341_can_be_saved_and_then_declines(api: StripeClient) -> None:
    """4000000000000341 attaches; charging it is a generic decline."""
    intent = make_intent(api, "pm_card_chargeCustomerFail")

    with pytest.raises(CardError) as caught:
        confirm(api, intent.id)

    assert caught.value.error is not None
    assert caught.value.error.decline_code == "generic_decline"


def test_one_number_has_one_fingerprint(api: StripeClient) -> None:
    """Two PaymentMethods of one number share it; other plastic does not."""
    names = [
        "pm_card_visa",
        "pm_card_visa",
        "pm_sandbox_visa_no1",
        "pm_sandbox_visa_no2",
    ]
    methods = [api.v1.payment_methods.retrieve(name) for name in names]

    prints = [method.card.fingerprint for method in methods if method.card]

    assert len({method.id for method in methods}) == 4
    assert prints[0] == prints[1]
    assert len(set(prints)) == 3


def test_cards_can_be_made_from_numbers_and_tokens(api: StripeClient) -> None:
    """`card[number]` and `card[token]` work for test cards; others are refused."""
    by_number = api.v1.payment_methods.create(
        {
            "type": "card",
            "card": {"number": "4242424242424242", "exp_month": 8, "exp_year": 2034},
        }
    )
    by_token = api.v1.payment_methods.create(
        {"type": "card", "card": {"token": "tok_visa"}}
    )
    refused = {}
    for number in ("4242424242424241", "4539578763621486"):
        with pytest.raises(CardError) as caught:
            api.v1.payment_methods.create(
                {
                    "type": "card",
                    "card": {"number": number, "exp_month": 8, "exp_year": 2034},
                }
            )
        refused[number] = caught.value.code

    assert by_number.card is not None
    assert by_token.card is not None
    assert by_number.card.fingerprint == by_token.card.fingerprint
    assert by_number.card.exp_year == 2034
    assert refused == {
        "4242424242424241": "incorrect_number",
        "4539578763621486": "card_declined",
    }
