"""Lists: pages in both directions, filters, and Stripe's refusals."""

from typing import Any

import pytest
import stripe
from stripe import StripeClient

from tests.integration.sandbox.makers import charge, make_customer, make_intent, refused
from tests.sandbox_server import SandboxServer

pytestmark = pytest.mark.integration


BOTH_CURSORS = (
    "Received both starting_after and ending_before parameters. "
    "Please pass in only one."
)


def ids(rows: Any) -> list[str]:  # noqa: ANN401 - any list object
    """Return the ids of one page."""
    return [row.id for row in rows.data]


def test_pages_go_both_ways(api: StripeClient) -> None:
    """Newest first; a cursor names the row beside the page, in either direction."""
    customer, method = make_customer(api, "pm_card_visa")
    made = [charge(api, method, customer=customer).id for _ in range(5)][::-1]
    mine: Any = {"customer": customer, "limit": 2}
    intents = api.v1.payment_intents

    first = intents.list(mine)
    after = intents.list(mine | {"starting_after": made[1]})
    before = intents.list(mine | {"ending_before": made[3]})
    last = intents.list(mine | {"starting_after": made[3]})

    assert first.url == "/v1/payment_intents"
    assert (ids(first), first.has_more) == (made[:2], True)
    assert (ids(after), after.has_more) == (made[2:4], True)
    assert (ids(before), before.has_more) == (made[1:3], True)
    assert (ids(last), last.has_more) == (made[4:], False)


@pytest.mark.parametrize(("limit", "rows"), [(0, 1), (-3, 1), (2, 2), (1000, 3)])
def test_a_limit_out_of_range_is_moved_into_it(
    api: StripeClient, limit: int, rows: int
) -> None:
    """Recorded: below 1 gives one row, above 100 a hundred; neither is refused."""
    customer, _ = make_customer(api)
    for _ in range(3):
        make_intent(api, None, customer=customer)

    found = api.v1.payment_intents.list({"customer": customer, "limit": limit})

    assert len(found.data) == rows


def test_the_bounds_of_a_time_span_are_met(own: SandboxServer) -> None:
    """`gt` and `lt` leave the second itself out, `gte` and `lte` do not."""
    api = own.client()
    made = []
    for _ in range(3):
        made.append(make_intent(api, None))
        own.tool.advance(100)
    middle = made[1].created

    def within(**span: int) -> int:
        bounds: Any = {"created": span}
        return len(api.v1.payment_intents.list(bounds).data)

    assert (within(gt=middle), within(gte=middle)) == (1, 2)
    assert (within(lt=middle), within(lte=middle)) == (1, 2)
    assert within(gte=middle, lt=middle + 1) == 1
    exact: Any = {"created": middle}
    assert ids(api.v1.payment_intents.list(exact)) == [made[1].id]


@pytest.mark.parametrize(
    ("params", "code", "param", "sentence"),
    [
        ({"starting_after": "pi_none"}, "resource_missing", "starting_after",
         "No such payment_intent: 'pi_none'"),
        ({"ending_before": "pi_none"}, "resource_missing", "ending_before",
         "No such payment_intent: 'pi_none'"),
        ({"starting_after": "pi_a", "ending_before": "pi_b"}, None, None,
         BOTH_CURSORS),
        ({"customer": "cus_none"}, "resource_missing", "customer",
         "No such customer: 'cus_none'"),
        ({"created": {"after": 1}}, "parameter_unknown", "created[after]",
         "Received unknown parameter: created[after]"),
        ({"limit": "many"}, "parameter_invalid_integer", "limit",
         "Invalid integer: many"),
    ],
)  # fmt: skip
def test_a_bad_list_is_refused(
    api: StripeClient,
    params: Any,  # noqa: ANN401 - wrong on purpose
    code: str | None,
    param: str | None,
    sentence: str,
) -> None:
    """400, in Stripe's words."""
    with pytest.raises(stripe.InvalidRequestError) as caught:
        api.v1.payment_intents.list(params)

    error = caught.value
    assert (error.http_status, error.code, error.param) == (400, code, param)
    assert error.user_message == sentence


def test_a_deleted_row_keeps_its_place_as_a_cursor(api: StripeClient) -> None:
    """A walk through customers goes on when the last one seen was deleted."""
    made = [make_customer(api)[0] for _ in range(3)][::-1]
    api.v1.customers.delete(made[1])

    page = api.v1.customers.list({"starting_after": made[1], "limit": 1})

    assert ids(page) == [made[2]]
    assert made[1] not in ids(api.v1.customers.list({"limit": 3}))


def test_customers_are_found_by_email(api: StripeClient, key: str) -> None:
    """The whole address, exactly."""
    email = f"{key}@example.com"
    customer = api.v1.customers.create({"email": email})

    assert ids(api.v1.customers.list({"email": email})) == [customer.id]
    assert ids(api.v1.customers.list({"email": email[1:]})) == []


def test_payment_methods_are_listed_by_customer_only(api: StripeClient) -> None:
    """Without a customer there are none; of a deleted one there is no list."""
    customer, method = make_customer(api, "pm_card_visa")
    methods = api.v1.payment_methods

    assert ids(methods.list({"customer": customer, "type": "card"})) == [method]
    assert ids(methods.list({"type": "card"})) == []
    api.v1.customers.delete(customer)
    with pytest.raises(stripe.InvalidRequestError) as caught:
        methods.list({"customer": customer})
    assert (caught.value.http_status, caught.value.param) == (400, "customer")


def test_events_are_listed_by_type(api: StripeClient) -> None:
    """One type, or several by `types`; a snapshot is of its own moment."""
    intent = make_intent(api)
    api.v1.payment_intents.cancel(intent.id)

    events = api.v1.events.list({"types": ["payment_intent.canceled"]}).data
    mine = next(e for e in events if e.data.object.to_dict()["id"] == intent.id)

    assert api.v1.events.retrieve(mine.id).type == "payment_intent.canceled"
    assert mine.object == "event"
    assert mine.data.object.to_dict()["status"] == "canceled"


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("{mine} AND status:'requires_confirmation'", 2),
        ("{mine} amount>3000", 1),
        ("{mine} -amount>3000", 1),
        ("{mine} AND amount<=2500", 1),
        ("{mine} AND -currency:'usd'", 0),
        ("metadata['run']:'none' OR {mine}", 2),
        ("metadata['run']~'{part}'", 2),
    ],
)
def test_a_search_understands_stripes_query_words(
    api: StripeClient, key: str, query: str, found: int
) -> None:
    """Side by side, AND, OR, comparison, a part of a word, and a leading minus."""
    for amount in (2500, 3500):
        make_intent(api, amount=amount, metadata={"run": key})
    words = query.format(mine=f"metadata['run']:'{key}'", part=key[5:20])

    page = api.v1.payment_intents.search({"query": words, "limit": 1})

    assert len(list(page.auto_paging_iter())) == found


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("what", "We were unable to parse your search query."),
        ("amount>1 AND amount<9 OR amount>3", "We were unable to parse"),
        ("amount>1, amount<9", "We were unable to parse"),
        (" ".join(["amount>1"] * 11), "We were unable to parse"),
        ("foo:'bar'", "Field `foo` is an unsupported search field for resource "),
    ],
)
def test_a_search_that_makes_no_sense_is_refused(
    api: StripeClient, query: str, sentence: str
) -> None:
    """It does not quietly find nothing."""
    error = refused(lambda: api.v1.payment_intents.search({"query": query}))

    assert sentence in str(error.user_message)
