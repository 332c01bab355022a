"""The card gateway's promises, over HTTP to the sandbox: what each card answers."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from replenish.adapters.stripe import StripeGateway
from replenish.domain.outcome import (
    ActionRequired,
    Cancelled,
    Charged,
    DeclineClass,
    Declined,
    Unconfirmed,
    Unknown,
)
from tests.contract.gateway_site import (
    FRAUD,
    HARD,
    SOFT,
    TRANSIENT,
    captures,
    created,
    intents,
    make_order,
    unavailable,
)
from tests.sandbox_server import SandboxServer


def test_a_good_card_is_charged_once(
    sandbox: SandboxServer, gateway: StripeGateway
) -> None:
    """Create, confirm, look up: the money is taken, and our marks are on it."""
    order = make_order(sandbox)
    intent = created(gateway, order)
    assert Unconfirmed(intent) == gateway.look_up(order, intent)

    outcome = gateway.confirm(order, intent, number=1)

    assert isinstance(outcome, Charged)
    assert outcome == gateway.look_up(order, intent)
    seen = sandbox.client().v1.payment_intents.retrieve(intent)
    assert (2500, "usd", order.customer) == (seen.amount, seen.currency, seen.customer)
    assert seen.latest_charge == outcome.charge
    assert seen.description == "Automatic top-up of account 1001"
    assert dict(seen.metadata.to_dict()) == {
        "attempt": order.attempt,
        "account": "1001",
        "environment": "test",
    }
    assert captures(sandbox, order) == 1


def test_creating_again_finds_the_same_intent(
    sandbox: SandboxServer, gateway: StripeGateway
) -> None:
    """However often an attempt is created, there is one intent."""
    order = make_order(sandbox)
    found = {created(gateway, order) for _ in range(3)}

    assert [*found] == intents(sandbox, order)


def test_confirming_again_charges_nothing_more(
    sandbox: SandboxServer, gateway: StripeGateway
) -> None:
    """The same number is replayed, another number is answered from the state."""
    order = make_order(sandbox)
    intent = created(gateway, order)
    outcomes = {gateway.confirm(order, intent, number=n) for n in (1, 1, 2, 3)}

    assert len(outcomes) == 1
    assert isinstance(outcomes.pop(), Charged)
    assert captures(sandbox, order) == 1


def test_a_day_later_the_same_confirmation_charges_nothing_more(
    sandbox: SandboxServer, gateway: StripeGateway
) -> None:
    """Stripe forgets keys after a day; the intent's state does not forget."""
    order = make_order(sandbox)
    intent = created(gateway, order)
    first = gateway.confirm(order, intent, number=1)
    sandbox.tool.advance(25 * 3600)

    assert first == gateway.confirm(order, intent, number=1)
    assert captures(sandbox, order) == 1


def test_two_workers_confirming_at_once_charge_once(
    sandbox: SandboxServer, gateway: StripeGateway
) -> None:
    """A key in use is an unknown outcome, which the look-up settles."""
    order = make_order(sandbox)
    intent = created(gateway, order)
    match = {"customer": order.customer, "method": "POST"}
    sandbox.tool.fault("latency", ms=200, match=match, effect="last")
    with ThreadPoolExecutor(2) as pool:
        found = list(
            pool.map(lambda _: gateway.confirm(order, intent, number=1), range(2))
        )

    assert {"Charged", "Unknown"} == {type(one).__name__ for one in found}
    assert [one.reason for one in found if isinstance(one, Unknown)] == ["in_use"]
    assert isinstance(gateway.look_up(order, intent), Charged)
    assert captures(sandbox, order) == 1


DECLINES = [
    ("pm_card_visa_chargeDeclined", SOFT, "generic_decline"),
    ("pm_card_chargeCustomerFail", SOFT, "generic_decline"),
    ("pm_card_visa_chargeDeclinedInsufficientFunds", SOFT, "insufficient_funds"),
    (
        "pm_card_visa_chargeDeclinedVelocityLimitExceeded",
        SOFT,
        "card_velocity_exceeded",
    ),
    ("pm_card_visa_chargeDeclinedLostCard", FRAUD, "lost_card"),
    ("pm_card_visa_chargeDeclinedStolenCard", FRAUD, "stolen_card"),
    ("pm_card_chargeDeclinedExpiredCard", HARD, "expired_card"),
    ("pm_card_chargeDeclinedIncorrectCvc", HARD, "incorrect_cvc"),
    ("pm_card_chargeDeclinedProcessingError", TRANSIENT, "processing_error"),
    ("pm_sandbox_decline_do_not_honor", SOFT, "do_not_honor"),
    ("pm_sandbox_decline_invalid_account", HARD, "invalid_account"),
]


@pytest.mark.parametrize(("card", "kind", "code"), DECLINES)
def test_a_decline_is_known_from_the_answer_and_from_the_state(
    sandbox: SandboxServer,
    gateway: StripeGateway,
    card: str,
    kind: DeclineClass,
    code: str,
) -> None:
    """Confirming, looking up and cancelling tell the same decline."""
    order = make_order(sandbox, card)
    intent = created(gateway, order)
    said = gateway.confirm(order, intent, number=1)

    assert isinstance(said, Declined)
    assert (kind, code) == (said.kind, said.code)
    assert said.charge.startswith("ch_")
    assert said == gateway.look_up(order, intent)
    assert said == gateway.confirm(order, intent, number=2)
    assert said == gateway.cancel(order, intent)
    assert said == gateway.look_up(order, intent)
    assert captures(sandbox, order) == 0


@pytest.mark.parametrize(
    ("card", "kind", "reason"),
    [
        ("pm_card_riskLevelHighest", FRAUD, "highest_risk_level"),
        (
            "pm_sandbox_decline_previously_declined_do_not_retry",
            HARD,
            "previously_declined_do_not_retry",
        ),
    ],
)
def test_stripes_own_block_is_seen_through(
    sandbox: SandboxServer,
    gateway: StripeGateway,
    card: str,
    kind: DeclineClass,
    reason: str,
) -> None:
    """A block that looks generic is told by the charge, and never softer."""
    order = make_order(sandbox, card)
    intent = created(gateway, order)
    said = gateway.confirm(order, intent, number=1)
    seen = gateway.look_up(order, intent)

    assert isinstance(said, Declined)
    assert isinstance(seen, Declined)
    assert (kind, kind, reason) == (said.kind, seen.kind, seen.code)


def test_a_bank_that_wants_its_customer_is_no_decline(
    sandbox: SandboxServer, gateway: StripeGateway
) -> None:
    """Authentication is asked for by its own outcome."""
    order = make_order(sandbox, "pm_card_authenticationRequired")
    intent = created(gateway, order)
    wanted = ActionRequired(intent, "authentication_required")

    assert wanted == gateway.confirm(order, intent, number=1)
    assert wanted == gateway.look_up(order, intent)
    assert wanted == gateway.cancel(order, intent)


def test_a_processing_payment_stays_unknown_until_it_ends(
    sandbox: SandboxServer, gateway: StripeGateway
) -> None:
    """Nothing is concluded while Stripe is at it, and it cannot be cancelled."""
    order = make_order(sandbox, "pm_sandbox_processing")
    intent = created(gateway, order)
    for answer in (
        gateway.confirm(order, intent, number=1),
        gateway.look_up(order, intent),
        gateway.confirm(order, intent, number=2),
    ):
        assert isinstance(answer, Unknown)
        assert answer.reason == "processing"
    assert "processing" in unavailable(lambda: gateway.cancel(order, intent))
    sandbox.tool.settle(intent)

    assert isinstance(gateway.look_up(order, intent), Charged)


def test_a_duplicate_at_the_bank_is_unknown_until_looked_up(
    sandbox: SandboxServer, gateway: StripeGateway
) -> None:
    """The bank may have seen our own success; the intent's state says it did not."""
    order = make_order(sandbox, "pm_sandbox_decline_duplicate_transaction")
    intent = created(gateway, order)
    said = gateway.confirm(order, intent, number=1)
    seen = gateway.look_up(order, intent)

    assert isinstance(said, Unknown)
    assert said.reason == "duplicate_transaction"
    assert isinstance(seen, Declined)
    assert (seen.kind, seen.code) == (SOFT, "duplicate_transaction")


def test_a_cancelled_intent_never_charges(
    sandbox: SandboxServer, gateway: StripeGateway
) -> None:
    """Cancelling proves it, twice over, and disarms a late confirmation."""
    order = make_order(sandbox)
    intent = created(gateway, order)
    assert Cancelled(intent) == gateway.cancel(order, intent)
    assert Cancelled(intent) == gateway.cancel(order, intent)
    late = gateway.confirm(order, intent, number=1)

    assert isinstance(late, Unknown)
    assert late.reason == "cancelled"
    assert Cancelled(intent) == gateway.look_up(order, intent)
    assert captures(sandbox, order) == 0


def test_cancelling_a_charge_finds_the_charge(
    sandbox: SandboxServer, gateway: StripeGateway
) -> None:
    """What has succeeded meanwhile is told, not denied."""
    order = make_order(sandbox)
    intent = created(gateway, order)
    charged = gateway.confirm(order, intent, number=1)

    assert charged == gateway.cancel(order, intent)


def test_a_charge_given_back_is_not_credited(
    sandbox: SandboxServer, gateway: StripeGateway
) -> None:
    """In part it leaves the attempt for a person; in full it is proof of no money."""
    order = make_order(sandbox)
    intent = created(gateway, order)
    gateway.confirm(order, intent, number=1)
    sandbox.client().v1.refunds.create({"payment_intent": intent, "amount": 100})
    seen = gateway.look_up(order, intent)

    assert isinstance(seen, Unknown)
    assert seen.reason == "refunded"
    sandbox.client().v1.refunds.create({"payment_intent": intent})
    whole = gateway.look_up(order, intent)
    assert isinstance(whole, Cancelled)
    assert whole.refunded.startswith("ch_")
