"""Which request follows which answer, where the sandbox cannot be made to say it."""

import pytest

from replenish.adapters.rate_limit import RateLimit
from replenish.domain.outcome import Charged, Declined, Unknown
from replenish.errors import GatewayKeyRefused, GatewayMisuse, GatewayUnavailable
from tests.scripted_http import answer, scripted
from tests.unit.stripe_site import CALLS, ORDER, error, intent, make_gateway

each_call = pytest.mark.parametrize("name", CALLS)


@pytest.mark.parametrize(
    ("second", "kind"),
    [
        (answer(503, "away"), Declined),
        (error(429), Declined),
        (answer(200, intent()), Charged),
        (answer(200, intent(status="canceled")), Unknown),
    ],
)
def test_a_vague_decline_is_looked_up(second: bytes, kind: type[object]) -> None:
    """A decline without advice is asked about; it stands if nothing is learned."""
    vague = error(402, code="card_declined", decline_code="generic_decline")
    with scripted(vague, second) as server:
        said = make_gateway(server.url).confirm(ORDER, "pi_1", number=1)

        assert isinstance(said, kind)
        assert len(server.requests) == 2


def test_a_clear_decline_is_not_looked_up() -> None:
    """One request is enough when the answer says all."""
    with scripted(error(402, code="expired_card")) as server:
        said = make_gateway(server.url).confirm(ORDER, "pi_1", number=1)

        assert isinstance(said, Declined)
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    "steps",
    [
        [answer(200, intent(id=None))],
        [answer(200, intent(amount=1)), answer(503, "away")],
        [answer(500, "broken"), answer(200, {"data": None})],
        [answer(500, "broken"), answer(503, "away")],
    ],
)
def test_a_creation_that_cannot_be_told_is_unavailable(steps: list[bytes]) -> None:
    """No id is given that was not seen to be right."""
    with scripted(*steps) as server, pytest.raises(GatewayUnavailable):
        make_gateway(server.url).create(ORDER)


def test_a_cancellation_that_did_not_cancel_is_unavailable() -> None:
    """An intent that is still open is no proof."""
    step = answer(200, intent(status="requires_confirmation"))
    with (
        scripted(step) as server,
        pytest.raises(GatewayUnavailable, match="not cancelled"),
    ):
        make_gateway(server.url).cancel(ORDER, "pi_1")


def test_a_look_up_refused_as_wrong_is_for_a_person() -> None:
    """A 400 to a look-up is a defect, told with Stripe's words and request id."""
    step = error(400, "Request-Id: req_7", message="Bad expand.", code="odd")
    with (
        scripted(step) as server,
        pytest.raises(GatewayMisuse, match=r"Bad expand \[HTTP 400, odd, req_7\]"),
    ):
        make_gateway(server.url).look_up(ORDER, "pi_1")


@each_call
def test_ids_of_the_other_mode_stop_the_charger(name: str) -> None:
    """A live key with test cards would otherwise kill every card on file."""
    text = "No such object; a similar object exists in test mode, but a live mode key"
    step = error(404, message=text, code="resource_missing", param="payment_method")
    with scripted(step) as server, pytest.raises(GatewayKeyRefused, match="other of"):
        CALLS[name](make_gateway(server.url))


@pytest.mark.parametrize("step", [answer(200, "<html>"), answer(200, {"data": "x"})])
def test_an_address_that_is_not_stripe_is_named(step: bytes) -> None:
    """The check names the setting, and not what the page said."""
    with scripted(step) as server:
        problems = make_gateway(server.url).check()

    assert len(problems) == 1
    assert "STRIPE_API_BASE" in problems[0]
    assert "html" not in problems[0]


def test_a_full_rate_limit_keeps_requests_back() -> None:
    """What finds no place is not sent."""
    limiter = RateLimit("1/hour", None, longest_wait=0)
    with scripted(answer(200, intent())) as server:
        gateway = make_gateway(server.url, limiter=limiter)
        gateway.look_up(ORDER, "pi_1")
        with pytest.raises(GatewayUnavailable, match="STRIPE_RATE_LIMIT"):
            gateway.look_up(ORDER, "pi_1")

        assert len(server.requests) == 1
