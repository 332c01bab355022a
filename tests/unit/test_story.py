"""Every event has its sentence, and no detail is needed for one."""

from datetime import UTC, datetime
from typing import Any

import pytest

from replenish.domain.attempt import State
from replenish.domain.decision import Reason
from replenish.domain.story import ATTEMPT, OTHERS, Event, tell
from replenish.domain.words import WORDS, why

AT = datetime(2026, 3, 17, 12, 0, tzinfo=UTC)


def happened(kind: str, *, to: str | None = None, **detail: Any) -> Event:  # noqa: ANN401 a JSON value
    """Give an event as the journal holds it."""
    before = "charging" if to in {"charged", "unknown"} else None
    return Event(AT, kind, "worker", detail, from_state=before, to_state=to)


TOLD = [
    (
        happened("attempt", to="claimed", available=4.2, amount=25, currency="USD"),
        "With 4.20 available, a top-up of 25.00 USD from the card on file was begun.",
    ),
    (
        happened("attempt", to="charged", charge="ch_1"),
        "The card was charged (ch_1).",
    ),
    (
        happened("attempt", to="settled", available="29.20000"),
        "The account was credited: 29.20 is available.",
    ),
    (
        happened("attempt", to="declined", code="lost_card", **{"class": "hard"}),
        "The card was declined (lost_card); this card is not tried again.",
    ),
    (
        happened("attempt", to="declined", reason="insufficient_funds"),
        "The card was declined (insufficient_funds).",
    ),
    (
        happened("attempt", to="action_required", code="authentication_required"),
        (
            "The card's issuer wants its customer (authentication_required); ask them"
            " to confirm."
        ),
    ),
    (
        happened("attempt", to="unknown", reason="timeout"),
        (
            "The gateway could not say whether the card was charged (timeout); it is"
            " asked until it can."
        ),
    ),
    (
        happened("attempt", to="cancelled", cancelled="proved", reason=""),
        "The charge was cancelled for good before it took money.",
    ),
    (
        happened("attempt", to="cancelled", cancelled="proved", refunded="ch_1"),
        "The charge was given back whole at the gateway; it was not credited.",
    ),
    (
        happened("attempt", to="released", reason="paused", detail="dispute"),
        (
            "The top-up was given up before the card was touched: the account is paused"
            " (dispute)."
        ),
    ),
    (
        happened("attempt", to="charging", reason="unconfirmed"),
        "The gateway says that nothing was taken yet: the card is tried again.",
    ),
    (
        happened("credit_missing", missing="25", amount="25"),
        (
            "The billing package had written an old balance over the credit: 25.00"
            " is missing."
        ),
    ),
    (
        happened("credit_missing", missing="70"),
        ("70.00 was found missing from the balance, and only a person can say why."),
    ),
    (
        happened("credit_put_right", amount="25", how="corrected"),
        "25.00 was put right: corrected.",
    ),
    (
        happened(
            "skipped",
            reason="cooldown",
            available=3,
            until="2026-03-17T12:10:00+00:00",
        ),
        (
            "Was not topped up with 3.00 available: the last charge or try is"
            " too recent, until 2026-03-17 12:10:00 UTC."
        ),
    ),
    (
        happened("cut_off", reason="no_card", available="-0.2"),
        "Service was ended at -0.20: no card is on file.",
    ),
    (
        happened(
            "enrolled",
            currency="EUR",
            rule={"kind": "target", "top_up": "50.00"},
            consent={"at": "x"},
        ),
        "Was enrolled in EUR with its own top-up to 50.00, with consent.",
    ),
    (happened("restored", reason="settled"), "Service was given back: settled."),
    (
        happened("enrolled", currency="USD", rule={"threshold": "5.00"}, consent=None),
        "Was enrolled in USD with its own threshold 5.00, without consent.",
    ),
    (
        happened("rule_changed", top_up=[None, "50.00"], cap_day=["20.00", None]),
        "The rule was changed: top-up default → 50.00, cap per day 20.00 → default.",
    ),
    (
        happened(
            "consent_given", at="2026-03-01T00:00:00+00:00", text="v3", source="x"
        ),
        "The customer's consent of 2026-03-01T00:00:00+00:00 was recorded (v3, x).",
    ),
    (
        happened(
            "card_added",
            brand="visa",
            last4="4242",
            payment_method="pm_1",
            expiry="12/2030",
        ),
        "The card visa 4242 (pm_1, to 12/2030) was put on file.",
    ),
    (
        happened("resumed", paused_for="dispute"),
        "Was resumed (it was paused: dispute).",
    ),
]


@pytest.mark.parametrize(("event", "words"), TOLD)
def test_an_event_is_told_in_one_sentence(event: Event, words: str) -> None:
    """What a person needs stands in it: the amount, the reason, what comes next."""
    assert tell(event) == words


def test_a_charge_out_of_nowhere_is_told_as_found() -> None:
    """An orphan that was taken into the books was not charged by an attempt."""
    event = Event(AT, "attempt", "reconcile", {"amount": 25}, to_state="charged")

    assert tell(event).startswith("A charge of 25.00 was found at the gateway")


def test_a_card_is_called_what_people_call_it() -> None:
    """The journal holds our id only; the sentence says brand and last four."""
    event = happened("attempt", to="claimed", card=7, amount=25, currency="USD")

    assert tell(event, cards={"7": "visa 4242"}) == (
        "A top-up of 25.00 USD from visa 4242 was begun."
    )


def test_an_event_of_a_later_release_is_spelled_out() -> None:
    """An unknown kind is shown as it is rather than refused or hidden."""
    assert tell(happened("mandate_lost", code="x1")) == "Mandate lost (code x1)."


@pytest.mark.parametrize("state", State)
def test_every_state_has_its_sentence(state: State) -> None:
    """A new state without words fails here, not before an operator's eyes."""
    assert state in ATTEMPT


@pytest.mark.parametrize(
    "event",
    [
        *(happened("attempt", to=state) for state in ATTEMPT),
        *(happened(kind) for kind in OTHERS),
    ],
)
def test_missing_details_never_stop_the_story(event: Event) -> None:
    """An event written by an older release may lack a detail."""
    assert tell(event).endswith(".")


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_has_words(reason: Reason) -> None:
    """A new reason code without words fails here."""
    assert why(reason) == WORDS[reason]


def test_an_unknown_reason_is_shown_as_it_is() -> None:
    """Declines have the gateway's codes, of which there is no end."""
    assert why("try_again_later", "x") == "try again later (x)"
