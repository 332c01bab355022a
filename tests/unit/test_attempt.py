"""The states of an attempt and the steps between them."""

import pytest

from replenish.domain.attempt import OPEN, SPENT, TRANSITIONS, State
from tests.factories import make_attempt

ENDS = frozenset(State) - OPEN


def _reached(start: State) -> set[State]:
    found: set[State] = set()
    ahead = [start]
    while ahead:
        state = ahead.pop()
        found.add(state)
        ahead.extend(TRANSITIONS[state] - found)
    return found


def test_every_state_has_its_steps_written_down() -> None:
    """A new state cannot be forgotten in the table that the ledger enforces."""
    assert set(TRANSITIONS) == set(State)


@pytest.mark.parametrize("state", sorted(ENDS))
def test_an_end_is_never_left(state: State) -> None:
    """Settled, declined, cancelled and the rest stay what they are."""
    assert not TRANSITIONS[state]


@pytest.mark.parametrize("state", sorted(OPEN))
def test_every_open_attempt_can_still_end(state: State) -> None:
    """No attempt can hold its account for ever for want of a step."""
    assert _reached(state) & ENDS


def test_money_taken_can_only_be_settled() -> None:
    """A charge is never dropped: the one way on from it is the credit."""
    assert TRANSITIONS[State.CHARGED] == {State.SETTLED}
    assert [s for s in State if State.SETTLED in TRANSITIONS[s]] == [State.CHARGED]


def test_an_attempt_is_given_up_only_before_it_could_charge() -> None:
    """Once an intent is known, only the gateway's proof ends an attempt."""
    assert [s for s in State if State.RELEASED in TRANSITIONS[s]] == [State.CLAIMED]
    assert State.CHARGED not in TRANSITIONS[State.CLAIMED]
    assert State.CANCELLED not in TRANSITIONS[State.CLAIMED]


def test_an_unknown_attempt_can_turn_out_any_way() -> None:
    """The gateway's evidence may show each outcome, or that nothing was confirmed."""
    assert TRANSITIONS[State.UNKNOWN] == {
        State.CHARGING,
        State.CHARGED,
        State.DECLINED,
        State.ACTION_REQUIRED,
        State.CANCELLED,
    }


def test_money_in_flight_counts_as_spent() -> None:
    """What may still be charged fills the caps, what never was does not."""
    assert OPEN | {State.SETTLED} == SPENT
    assert not SPENT & {State.DECLINED, State.CANCELLED, State.RELEASED}


@pytest.mark.parametrize("state", sorted(State))
def test_an_attempt_knows_whether_it_is_open(state: State) -> None:
    """Open is what keeps another attempt of the account from starting."""
    assert make_attempt(state=state).open is (state in OPEN)


def test_state_names_are_short_enough_for_their_column() -> None:
    """States are stored by value; the ledger keeps 32 characters."""
    assert all(len(state.value) <= 32 for state in State)
