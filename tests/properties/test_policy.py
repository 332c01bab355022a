"""What holds for every decision, whatever the account, the rule and the past."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal, Inexact, localcontext
from typing import NamedTuple, get_args

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from replenish.domain.account import Account, Service
from replenish.domain.decision import CardHistory, History
from replenish.domain.money import Money, step
from replenish.domain.outcome import GONE
from replenish.domain.policy import (
    CutOff,
    Decision,
    Leave,
    Obstacle,
    Reason,
    TopUp,
    Wait,
    decide,
    exhausted,
    justified,
    past_hard_floor,
)
from replenish.domain.rule import Limits, Rule, TopUpKind
from tests.factories import NOW
from tests.properties.strategies import (
    LIMITS,
    PASSING,
    accounts,
    amounts,
    histories,
    odd_rules,
    rules,
    troubled,
)


class Case(NamedTuple):
    """All that a decision is made from."""

    account: Account
    rule: Rule
    history: History
    limits: Limits

    def decide(self) -> Decision:
        """Decide, with any silent rounding made an error."""
        with localcontext() as context:
            context.traps[Inexact] = True
            found = decide(
                self.account, self.rule, self.history, NOW, limits=self.limits
            )
        event(type(found).__name__)
        return found

    def justified(self, top_up: TopUp) -> Obstacle | None:
        """Ask again whether this top-up is right."""
        return justified(
            top_up, self.account, self.rule, self.history, NOW, limits=self.limits
        )


@st.composite
def chargeable(draw: st.DrawFn, *, wild: bool = False) -> Case:
    """Give cases in which nothing stands against a charge."""
    rule = draw(odd_rules() if wild else rules())
    return Case(draw(accounts(rule)), rule, draw(histories(rule)), draw(LIMITS))


@st.composite
def charges(draw: st.DrawFn) -> tuple[Case, TopUp]:
    """Give cases that end in a charge, and the charge."""
    case = draw(chargeable())
    found = case.decide()
    assert isinstance(found, TopUp)
    return case, found


@st.composite
def cases(draw: st.DrawFn, *, wild: bool = False) -> Case:
    """Give cases of all kinds, under a rule that passed its check or under any."""
    case = draw(chargeable(wild=wild))
    service = draw(st.sampled_from([Service.ACTIVE, Service.ACTIVE, *Service]))
    available = case.account.available
    if draw(st.integers(0, 9)) == 0:
        available = Money(draw(amounts(-3000, 3000)), available.currency)
    account = replace(case.account, service=service, available=available)
    return case._replace(account=account, history=draw(troubled(case.history)))


@st.composite
def waiting(draw: st.DrawFn) -> Case:
    """Give cases in which time alone may bring a charge; cut off, as most such are."""
    case = draw(chargeable())
    history = replace(case.history, cut_off=True)
    return case._replace(history=draw(troubled(history, among=PASSING)))


@st.composite
def at_the_floor(draw: st.DrawFn) -> Case:
    """Give accounts in service at their floor or below."""
    case = draw(chargeable())
    available = case.rule.floor - draw(amounts(0, 600))
    account = replace(case.account, available=Money(available, case.rule.currency))
    history = replace(draw(troubled(case.history)), cut_off=False)
    return case._replace(account=account, history=history)


@given(cases(wild=True))
def test_every_input_has_a_decision(case: Case) -> None:
    """NaN, huge amounts and rules that no check has seen included; nothing raises."""
    assert isinstance(case.decide(), get_args(Decision))


@given(cases(wild=True))
@pytest.mark.security("S17")
def test_no_rule_however_odd_charges_nothing_or_past_a_cap(case: Case) -> None:
    """The caps hold even where a rule went round its check."""
    found = case.decide()

    if isinstance(found, TopUp):
        rule, history, amount = case.rule, case.history, found.amount.amount
        assert amount > 0
        assert amount <= rule.cap_charge
        assert history.spent_day + amount <= rule.cap_day
        assert history.spent_month + amount <= rule.cap_month


@given(charges())
def test_a_charge_is_whole_steps_of_the_accounts_currency(
    found: tuple[Case, TopUp],
) -> None:
    """A card cannot be charged a fraction of a cent, or of a yen."""
    case, top_up = found

    assert top_up.amount.currency == case.account.available.currency
    assert top_up.amount.amount % step(case.rule.currency) == 0


@given(charges())
def test_a_charge_closes_the_gap_unless_a_cap_stops_it(
    found: tuple[Case, TopUp],
) -> None:
    """Above the threshold, or at the target, or all that the caps leave."""
    case, top_up = found
    rule, history = case.rule, case.history
    after = case.account.available.amount + top_up.amount.amount
    unit = step(rule.currency)
    left = min(
        rule.cap_charge,
        rule.cap_day - history.spent_day,
        rule.cap_month - history.spent_month,
    )
    clipped = top_up.amount.amount + unit > left
    if rule.kind is TopUpKind.TARGET:
        assert rule.top_up <= after < rule.top_up + unit or clipped
        assert after < rule.top_up + unit
    else:
        assert rule.threshold < after <= rule.threshold + rule.top_up or clipped
        assert after <= rule.threshold + rule.top_up
        assert top_up.amount.amount % rule.top_up == 0 or clipped


@given(cases())
@pytest.mark.security("S17", "S19")
def test_nobody_is_charged_who_must_not_be(case: Case) -> None:
    """Consent, pause, stop, open attempt, counts, cooldown and card all hold."""
    found = case.decide()

    if isinstance(found, TopUp):
        history = case.history
        seen = next(one for one in history.cards if one.card == found.card)
        assert case.account.available.amount <= case.rule.threshold
        assert history.consent
        assert history.paused is None
        assert history.stopped is None
        assert not history.open_attempt
        assert history.count_day < case.rule.count_day
        assert history.episode_declines < case.limits.declines_per_episode
        assert _cool(history.charged_at, case.rule)
        assert history.breaker is None
        assert history.charges_minute < case.limits.charges_per_minute
        assert history.settled < case.limits.unusual_after or not found.amount.amount
        _chargeable(seen, case)
        _within_a_newcomers_caps(found.amount.amount, seen, case)
        assert case.account.service is Service.ACTIVE or (
            case.account.service is Service.SUSPENDED and history.cut_off
        )


def _chargeable(seen: CardHistory, case: Case) -> None:
    card = seen.card
    assert card.dead_reason is None
    assert (card.exp_year, card.exp_month) >= (NOW.year, NOW.month)
    assert card.retry_at is None or card.retry_at <= NOW
    assert _cool(seen.tried_at, case.rule)
    assert seen.declines_24h + seen.in_flight <= case.limits.card_declines_24h
    assert seen.declines_30d + seen.in_flight <= case.limits.card_declines_30d
    assert seen.declines_24h < case.limits.card_declines_24h
    assert seen.declines_30d < case.limits.card_declines_30d
    assert seen.place <= case.limits.card_accounts or seen.cleared
    assert seen.dead_elsewhere is None
    assert card.country != "IN"
    for other in case.history.cards:
        if other.card.imprint == card.imprint:
            assert other.card.dead_reason is None or other.card.dead_reason in GONE


def _within_a_newcomers_caps(amount: Decimal, seen: CardHistory, case: Case) -> None:
    rule, history = case.rule, case.history
    begun = [at for at in (history.enrolled_at, seen.since) if at is not None]
    if not begun or max(begun) + case.limits.new_for <= NOW:
        return
    part = Decimal(case.limits.new_percent) / 100
    for spent, cap in (
        (history.spent_day, rule.cap_day),
        (history.spent_month, rule.cap_month),
    ):
        assert spent + amount <= max(cap * part, rule.least_charge)


def _cool(since: object, rule: Rule) -> bool:
    return since is None or since + rule.cooldown <= NOW  # type: ignore[operator]


@given(cases())
def test_service_ends_at_the_floor_and_not_above_it(case: Case) -> None:
    """And only for an account in service that we have not cut off already."""
    found = case.decide()

    if isinstance(found, CutOff):
        assert exhausted(case.account, case.rule)
        assert case.account.service is Service.ACTIVE
        assert not case.history.cut_off
        if case.history.open_attempt:
            assert past_hard_floor(case.account, case.rule)
            assert found.reason is Reason.PAST_HARD_FLOOR


NOT_THEIR_DOING = {
    *(Reason.CHARGER_STOPPED, Reason.CHARGE_RATE, Reason.CARD_IN_FLIGHT),
    *(Reason.DECLINE_SHARE, Reason.GATEWAY_DOWN),
}


@given(at_the_floor())
def test_nobody_is_served_at_the_floor_who_cannot_pay(case: Case) -> None:
    """Charged, being charged within the grace, stopped with all others, or cut off."""
    found = case.decide()

    assert exhausted(case.account, case.rule)
    if past_hard_floor(case.account, case.rule):
        assert isinstance(found, TopUp | CutOff)
    elif case.history.open_attempt:
        assert found == Leave(Reason.OPEN_ATTEMPT)
    elif not isinstance(found, TopUp | CutOff):
        assert found.reason in NOT_THEIR_DOING
        spared = replace(
            case.history,
            stopped=None,
            breaker=None,
            charges_minute=0,
            cards=tuple(replace(seen, in_flight=0) for seen in case.history.cards),
        )
        assert isinstance(case._replace(history=spared).decide(), TopUp)


@given(waiting(), st.floats(0, 1, exclude_max=True))
def test_nothing_is_charged_before_a_wait_is_over(case: Case, part: float) -> None:
    """The time that people are told is not too late, if nothing else changes."""
    found = case.decide()

    if isinstance(found, Wait):
        assert found.until > NOW
        earlier = NOW + (found.until - NOW) * part
        again = decide(
            case.account, case.rule, case.history, earlier, limits=case.limits
        )
        assert not isinstance(again, TopUp)


@given(charges())
def test_what_was_just_decided_is_justified(found: tuple[Case, TopUp]) -> None:
    """A claim made on facts that still hold goes on to the card."""
    case, top_up = found

    assert case.justified(top_up) is None


@given(charges(), st.decimals(1, 1000, places=6))
def test_a_funded_account_is_not_charged(
    found: tuple[Case, TopUp], more: Decimal
) -> None:
    """Whatever brought the balance above the threshold, the claim falls."""
    case, top_up = found
    funded = Money(case.rule.threshold + more, case.rule.currency)
    case = case._replace(account=replace(case.account, available=funded))

    assert case.justified(top_up) == Obstacle(Reason.HEALTHY)


@given(charges(), st.data())
def test_a_claim_falls_with_any_of_its_grounds(
    found: tuple[Case, TopUp], data: st.DataObject
) -> None:
    """Consent gone, paused, stopped, caps filled, card dead or removed, and so on."""
    case, top_up = found
    rule, history = case.rule, case.history
    dead = tuple(
        replace(seen, card=replace(seen.card, dead_reason="lost_card"))
        for seen in history.cards
    )
    changes: dict[str, object] = data.draw(
        st.sampled_from(
            [
                {"consent": False},
                {"paused": "by hand"},
                {"stopped": "alarm"},
                {"open_attempt": True},
                {"spent_day": rule.cap_day},
                {"spent_month": rule.cap_month},
                {"count_day": rule.count_day},
                {"charged_at": NOW + timedelta(seconds=1)},
                {"episode_declines": case.limits.declines_per_episode},
                {"cards": dead},
                {"cards": ()},
                {"breaker": Obstacle(Reason.GATEWAY_DOWN)},
                {"charges_minute": case.limits.charges_per_minute},
                {"settled": 9},  # of nothing: any charge is unusual
                {"enrolled_at": NOW, "spent_day": rule.cap_day},
            ]
        )
    )
    changed = replace(history, **changes)  # type: ignore[arg-type]

    assert case._replace(history=changed).justified(top_up) is not None
