"""`expand[]` puts objects in the place of their ids, and refuses what has none."""

from typing import Any

import pytest
import stripe
from stripe import StripeClient

from tests.integration.sandbox.makers import charge, make_customer

pytestmark = pytest.mark.integration


def test_nested_ids_are_expanded(api: StripeClient) -> None:
    """Through several objects, and the refunds of a charge as a list."""
    customer, method = make_customer(api, "pm_card_visa")
    intent = charge(api, method, customer=customer)
    refund = api.v1.refunds.create({"payment_intent": intent.id, "amount": 500})

    found = api.v1.payment_intents.retrieve(
        intent.id,
        {
            "expand": [
                "latest_charge.balance_transaction",
                "latest_charge.refunds.data.balance_transaction",
                "customer.invoice_settings.default_payment_method",
            ]
        },
    ).to_dict()

    taken = found["latest_charge"]
    assert taken["balance_transaction"]["amount"] == 2500
    assert taken["refunds"]["total_count"] == 1
    assert taken["refunds"]["url"] == f"/v1/charges/{taken['id']}/refunds"
    row = taken["refunds"]["data"][0]
    assert (row["id"], row["balance_transaction"]["amount"]) == (refund.id, -500)
    assert found["customer"]["id"] == customer
    plain = api.v1.charges.retrieve(taken["id"]).to_dict()
    assert "refunds" not in plain


def test_rows_of_a_list_are_expanded(api: StripeClient) -> None:
    """With `data.` before the name; the same works after a creation."""
    customer, method = make_customer(api, "pm_card_visa")
    charge(api, method, customer=customer, expand=["payment_method"])

    rows = api.v1.payment_intents.list(
        {"customer": customer, "expand": ["data.latest_charge.payment_intent"]}
    )

    taken: Any = rows.data[0].to_dict()["latest_charge"]
    assert taken["payment_intent"]["id"] == rows.data[0].id
    listed = api.v1.charges.list({"customer": customer, "expand": ["data.customer"]})
    assert listed.data[0].to_dict()["customer"]["id"] == customer


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("nonsense", "This property cannot be expanded (nonsense)."),
        ("customer.nope", "This property cannot be expanded (customer.nope)."),
        ("amount", "This property cannot be expanded (amount)."),
    ],
)
def test_what_is_no_object_cannot_be_expanded(
    api: StripeClient, path: str, sentence: str
) -> None:
    """Refused before anything runs: nobody is charged."""
    customer, method = make_customer(api, "pm_card_visa")

    with pytest.raises(stripe.InvalidRequestError) as caught:
        charge(api, method, customer=customer, expand=[path])

    assert caught.value.user_message == sentence
    assert (caught.value.code, caught.value.param) == (None, None)
    assert not api.v1.payment_intents.list({"customer": customer}).data


def test_a_list_says_how_to_expand_its_rows(api: StripeClient) -> None:
    """Whoever forgets `data.` is told."""
    with pytest.raises(stripe.InvalidRequestError) as caught:
        api.v1.charges.list({"expand": ["customer"]})

    assert caught.value.user_message == (
        "This property cannot be expanded (customer). You may want to try expanding "
        "'data.customer' instead."
    )
