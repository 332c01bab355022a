"""Many accounts, shared cards and workers that do not see each other.

The policy is asked for several accounts on one and the same past, as by workers that
read at the same moment; each claim then stands beside the others, and is asked again
with all of them in sight. No other guard is there: what holds here holds by the
policy and the second look alone. What must hold is counted from the attempts, by
other code.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replenish.domain.account import Account, Card
from replenish.domain.attempt import OPEN, SPENT, State
from replenish.domain.decision import CardHistory, History
from replenish.domain.money import Money
from replenish.domain.outcome import DeclineClass, Declined
from replenish.domain.policy import TopUp, decide, justified, next_try
from replenish.domain.rule import Limits, Rule
from tests.deep import examples
from tests.factories import DAY, HOUR, MINUTE, make_account, make_card, make_rule

START = datetime(2026, 10, 20, tzinfo=UTC)
SHORT = timedelta(seconds=5)
IN_FLIGHT = OPEN - {State.CHARGED}


@dataclass
class Try:
    """One attempt, as its row would be."""

    at: datetime
    ref: str
    card: Card
    amount: Decimal
    place: int
    new: bool
    usual: Decimal | None
    state: State = State.CLAIMED
    changed: datetime = START


@dataclass
class Fleet:
    """Accounts of one installation, their cards, and a clock."""

    rule: Rule
    limits: Limits
    refs: Sequence[str]
    now: datetime = START
    balances: dict[str, Decimal] = field(default_factory=dict)
    enrolled: dict[str, datetime] = field(default_factory=dict)
    cards: dict[str, list[tuple[Card, datetime]]] = field(default_factory=dict)
    episodes: dict[str, datetime] = field(default_factory=dict)
    dead: dict[str, datetime] = field(default_factory=dict)
    tries: list[Try] = field(default_factory=list)

    def enrol(self, ref: str, ago: timedelta, prints: Iterable[str]) -> None:
        """Enrol an account with cards of these numbers."""
        self.balances[ref] = Decimal(0)
        self.enrolled[ref] = self.episodes[ref] = self.now - ago
        self.cards[ref] = []
        for number in prints:
            self.add_card(ref, number, since=self.now - ago)

    def add_card(self, ref: str, number: str, *, since: datetime | None = None) -> None:
        """Put a card on file; a dead one stays dead, and the episode begins anew."""
        held = self.cards[ref]
        card = make_card(
            id=f"{ref}-{len(held)}", fingerprint=number, priority=len(held)
        )
        held.append((card, since or self.now))
        self.episodes[ref] = self.now

    def account(self, ref: str) -> Account:
        """Read a balance."""
        return make_account(ref=ref, available=Money(self.balances[ref], "USD"))

    def history(self, ref: str, *, without: Try | None = None) -> History:
        """Read the past of an account as the ledger's query does."""
        day = datetime.combine(self.now.date(), time(), UTC)
        month = day.replace(day=1)
        seen = [one for one in self.tries if one is not without]
        own = [one for one in seen if one.ref == ref]
        spent = [one for one in own if one.state in SPENT]
        settled = [one.amount for one in own if one.state is State.SETTLED]
        return History(
            consent=True,
            day_ends=day + DAY,
            month_ends=(month + 32 * DAY).replace(day=1),
            open_attempt=any(one.state in OPEN for one in own),
            spent_day=_sum(one for one in spent if one.at >= day),
            spent_month=_sum(one for one in spent if one.at >= month),
            count_day=sum(one.at >= day for one in spent),
            charged_at=max(
                (o.at for o in own if o.state in {State.CHARGED, State.SETTLED}),
                default=None,
            ),
            episode_declines=sum(
                one.state is State.DECLINED and one.changed >= self.episodes[ref]
                for one in own
            ),
            cards=tuple(self._card(ref, card, seen) for card, _ in self.cards[ref]),
            enrolled_at=self.enrolled[ref],
            settled=len(settled),
            largest=max(settled, default=Decimal(0)),
            charges_minute=max(
                _between(seen, self.now - MINUTE, self.now),
                _between(seen, without.at - MINUTE, without.at) if without else 0,
            ),
        )

    def _card(self, ref: str, card: Card, seen: Sequence[Try]) -> CardHistory:
        same = [one for one in seen if one.card.fingerprint == card.fingerprint]
        declined = [one.changed for one in same if one.state is State.DECLINED]
        own = [
            one.at
            for one in same
            if one.card.id == card.id and one.state is not State.RELEASED
        ]
        dead = "lost_card" if card.fingerprint in self.dead else None
        return CardHistory(
            card,
            tried_at=max(own, default=None),
            declines_24h=sum(at > self.now - DAY for at in declined),
            declines_30d=sum(at > self.now - 30 * DAY for at in declined),
            in_flight=sum(one.state in IN_FLIGHT for one in same),
            since=self.since(ref, card),
            place=self.place(ref, card),
            dead_elsewhere=dead,
        )

    def since(self, ref: str, card: Card) -> datetime:
        """Say when an account first had a card's number."""
        return min(at for c, at in self.cards[ref] if c.fingerprint == card.fingerprint)

    def place(self, ref: str, card: Card) -> int:
        """Say the how-manieth account with this number this one is."""
        mine = (self.since(ref, card), ref)
        users = [
            other
            for other in self.refs
            if any(c.fingerprint == card.fingerprint for c, _ in self.cards[other])
        ]
        return 1 + sum((self.since(other, card), other) < mine for other in users)

    def look(self, refs: Iterable[str]) -> None:
        """Decide for all of these on one past, let all claims stand, look again."""
        claims: list[Try] = []
        for ref in refs:
            found = decide(
                self.account(ref),
                self.rule,
                self.history(ref),
                self.now,
                limits=self.limits,
            )
            if isinstance(found, TopUp):
                claims.append(self._claim(ref, found))
        self.tries += claims
        for one in claims:
            why = justified(
                TopUp(Money(one.amount, "USD"), one.card),
                self.account(one.ref),
                self.rule,
                self.history(one.ref, without=one),
                self.now,
                limits=self.limits,
            )
            one.state = State.RELEASED if why else State.CHARGING

    def _claim(self, ref: str, top_up: TopUp) -> Try:
        settled = [
            one.amount
            for one in self.tries
            if one.ref == ref and one.state is State.SETTLED
        ]
        known = len(settled) >= self.limits.unusual_after
        newest = max(self.enrolled[ref], self.since(ref, top_up.card))
        return Try(
            self.now,
            ref,
            top_up.card,
            top_up.amount.amount,
            place=self.place(ref, top_up.card),
            new=self.now < newest + self.limits.new_for,
            usual=max(settled) * self.limits.unusual_times if known else None,
        )

    def end(self, outcomes: Sequence[DeclineClass | State]) -> None:
        """Let open attempts end, each in its way; the rest stay open."""
        under_way = [one for one in self.tries if one.state in OPEN]
        for one, outcome in zip(under_way, outcomes, strict=False):
            one.changed = self.now
            if isinstance(outcome, State):
                one.state = outcome
                if outcome is State.SETTLED:
                    self.balances[one.ref] += one.amount
                    self.episodes[one.ref] = self.now
            else:
                self._decline(one, outcome)

    def _decline(self, one: Try, kind: DeclineClass) -> None:
        earlier = self.history(one.ref, without=one).episode_declines
        one.state = State.DECLINED
        retry_at = next_try(
            Declined("pi_1", kind, "code"),
            earlier=earlier,
            now=self.now,
            limits=self.limits,
        )
        if retry_at is None:
            self.dead.setdefault(one.card.fingerprint, self.now)
        self.cards[one.ref] = [
            (replace(card, retry_at=retry_at), at)
            if card.id == one.card.id
            else (card, at)
            for card, at in self.cards[one.ref]
        ]


def _sum(tries: Iterable[Try]) -> Decimal:
    return sum((one.amount for one in tries), Decimal(0))


def _between(tries: Iterable[Try], after: datetime, until: datetime) -> int:
    return sum(after < one.at <= until for one in tries)


@dataclass(frozen=True)
class Turn:
    """What happens next; time passes, money is spent, attempts end, cards change."""

    wait: timedelta
    outcomes: list[DeclineClass | State]
    spend: Decimal
    card: tuple[int, str] | None
    looks: list[list[int]]


REFS = tuple("abcd")
TURNS = st.builds(
    Turn,
    wait=st.one_of(
        st.timedeltas(timedelta(0), 2 * MINUTE),
        st.timedeltas(timedelta(0), 8 * HOUR),
        st.timedeltas(timedelta(0), 3 * DAY),
    ),
    outcomes=st.lists(
        st.sampled_from(
            [
                State.SETTLED,
                State.SETTLED,
                State.UNKNOWN,
                State.CANCELLED,
                DeclineClass.SOFT,
                DeclineClass.SOFT,
                DeclineClass.TRANSIENT,
                DeclineClass.HARD,
            ]
        ),
        max_size=4,
    ),
    spend=st.sampled_from([Decimal(0), Decimal("7.31"), Decimal(40), Decimal(2000)]),
    card=st.none() | st.tuples(st.integers(0, 3), st.sampled_from("xyz")),
    looks=st.lists(
        st.lists(st.integers(0, 3), min_size=1, max_size=4, unique=True),
        min_size=1,
        max_size=2,
    ),
)
RULES = st.builds(
    make_rule,
    cap_charge=st.sampled_from([Decimal(25), Decimal("60.5"), Decimal(100)]),
    cap_day=st.sampled_from([Decimal(100), Decimal(140)]),
    cap_month=st.sampled_from([Decimal(140), Decimal(700)]),
    count_day=st.integers(1, 4),
    cooldown=st.sampled_from([timedelta(0), 10 * MINUTE, 3 * HOUR]),
    time_zone=st.just("UTC"),
)
LIMITS = st.builds(
    Limits,
    declines_per_episode=st.sampled_from([2, 99]),
    card_declines_24h=st.integers(1, 4),
    card_declines_30d=st.integers(1, 6),
    soft_waits=st.sampled_from([(timedelta(0),), (HOUR, 6 * HOUR)]),
    transient_wait=st.just(timedelta(0)),
    charges_per_minute=st.sampled_from([1, 2, 3, 600]),
    card_accounts=st.integers(1, 4),
    new_for=st.sampled_from([timedelta(0), 2 * DAY, 7 * DAY]),
    new_percent=st.sampled_from([1, 30, 50, 100]),
    unusual_times=st.integers(1, 4),
    unusual_after=st.integers(1, 3),
)
NUMBERS = st.lists(st.sampled_from("xyz"), min_size=1, max_size=2)


@settings(max_examples=examples(150), deadline=None)
@given(
    RULES,
    LIMITS,
    st.lists(
        st.tuples(st.sampled_from([timedelta(0), DAY, 365 * DAY]), NUMBERS),
        min_size=4,
        max_size=4,
    ),
    st.lists(TURNS, min_size=10, max_size=40),
)
@pytest.mark.security("S17")
def test_no_storm_goes_past_a_limit(
    rule: Rule,
    limits: Limits,
    accounts: list[tuple[timedelta, list[str]]],
    turns: list[Turn],
) -> None:
    """Sweeps at one moment, declines, new cards and usage: every limit holds."""
    fleet = Fleet(rule, limits, REFS)
    for ref, (ago, numbers) in zip(REFS, accounts, strict=True):
        fleet.enrol(ref, ago, numbers)
    for turn in turns:
        fleet.now += turn.wait
        fleet.end(turn.outcomes)
        if turn.card:
            fleet.add_card(REFS[turn.card[0]], turn.card[1])
        for ref in REFS:
            fleet.balances[ref] -= turn.spend
        for refs in turn.looks:
            fleet.look(REFS[number] for number in refs)
    _check(fleet)


def _check(fleet: Fleet) -> None:
    _one_open_attempt_each(fleet)
    _caps_hold(fleet)
    _numbers_hold(fleet)
    _minutes_hold(fleet)
    _people_are_asked(fleet)


def _one_open_attempt_each(fleet: Fleet) -> None:
    under_way = [one.ref for one in fleet.tries if one.state in OPEN]
    assert len(under_way) == len(set(under_way))


def _caps_hold(fleet: Fleet) -> None:
    rule, part = fleet.rule, Decimal(fleet.limits.new_percent) / 100
    days: dict[tuple[str, str], list[Try]] = defaultdict(list)
    months: dict[tuple[str, str], list[Try]] = defaultdict(list)
    for one in fleet.tries:
        if one.state in SPENT:
            days[one.ref, f"{one.at:%Y-%m-%d}"].append(one)
            months[one.ref, f"{one.at:%Y-%m}"].append(one)
    for spent, cap in (
        *((spent, rule.cap_day) for spent in days.values()),
        *((spent, rule.cap_month) for spent in months.values()),
    ):
        assert _sum(spent) <= cap
        for place, one in enumerate(spent):
            if one.new:
                assert _sum(spent[: place + 1]) <= max(cap * part, rule.top_up)
    for spent in days.values():
        assert len(spent) <= rule.count_day
        assert all(0 < one.amount <= rule.cap_charge for one in spent)


def _numbers_hold(fleet: Fleet) -> None:
    declines: dict[str, list[datetime]] = defaultdict(list)
    for one in fleet.tries:
        if one.state is State.RELEASED:
            continue
        died = fleet.dead.get(one.card.fingerprint)
        assert died is None or one.at <= died
        if one.state is State.DECLINED:
            declines[one.card.fingerprint].append(one.changed)
    for times in declines.values():
        for last in times:
            past = [at for at in times if at <= last]
            day = sum(at > last - DAY for at in past)
            assert day <= fleet.limits.card_declines_24h
            month = sum(at > last - 30 * DAY for at in past)
            assert month <= fleet.limits.card_declines_30d


def _minutes_hold(fleet: Fleet) -> None:
    charged = [one for one in fleet.tries if one.state is not State.RELEASED]
    for one in charged:
        within = _between(charged, one.at - MINUTE, one.at)
        assert within <= fleet.limits.charges_per_minute


def _people_are_asked(fleet: Fleet) -> None:
    for one in fleet.tries:
        if one.state is not State.RELEASED:
            assert one.place <= fleet.limits.card_accounts
            assert one.usual is None or one.amount <= one.usual


# ------------------------------------------------------- the storms of others


@settings(max_examples=examples(20), deadline=None)
@given(
    RULES,
    st.integers(1, 90).map(lambda seconds: timedelta(seconds=seconds)),
    st.sampled_from([Decimal("0.5"), Decimal(10), Decimal(500)]),
    st.sampled_from([timedelta(0), 365 * DAY]),
)
@pytest.mark.security("S17")
def test_toll_fraud_costs_no_more_than_the_caps(
    rule: Rule, every: timedelta, spend: Decimal, ago: timedelta
) -> None:
    """A stolen login talks day and night, every charge is paid at once: two days."""
    fleet = Fleet(rule, Limits(), REFS[:1])
    fleet.enrol("a", ago, ["x"])
    while fleet.now < START + 2 * DAY:
        fleet.now += every * 20
        fleet.balances["a"] -= spend * 20
        fleet.look("a")
        fleet.end([State.SETTLED])
    _check(fleet)
    spent = _sum(one for one in fleet.tries if one.state is State.SETTLED)
    assert spent <= 3 * rule.cap_day
    if not ago:
        assert spent <= 3 * max(rule.cap_day / 2, rule.top_up)


@settings(max_examples=examples(20), deadline=None)
@given(
    st.integers(1, 8),
    st.sampled_from([DeclineClass.SOFT, DeclineClass.TRANSIENT, DeclineClass.HARD]),
    st.lists(st.integers(0, 23), max_size=3),
)
@pytest.mark.security("S17")
def test_one_declining_card_is_tried_a_few_times_a_day(
    minutes: int, kind: DeclineClass, added_again: list[int]
) -> None:
    """Somewhere it was 486 times in four and a half hours.

    Sweeps come every few minutes, and the customer enters the card again and again,
    on this account and on another: at most 10 declines a day, 15 in 30 days.
    """
    fleet = Fleet(make_rule(), Limits(), REFS[:2])
    for ref in "ab":
        fleet.enrol(ref, 365 * DAY, ["x"])
    hour = 0
    while fleet.now < START + DAY:
        fleet.now += minutes * MINUTE
        if int((fleet.now - START) / HOUR) > hour:
            hour += 1
            if hour in added_again and kind is not DeclineClass.HARD:
                fleet.add_card("b", "x")
        fleet.look("ab")
        fleet.end([kind, kind])
    tried = [one for one in fleet.tries if one.state is State.DECLINED]
    _check(fleet)
    assert len(tried) <= (2 if kind is DeclineClass.HARD else 10)
    if not added_again:
        assert len(tried) <= 2 * 4
