"""Two months of an account in the worst of hands: what the limits are worth.

The policy is asked again and again, at any moment, with any balance, and whatever
it wants to charge ends in any way. The past is kept as the ledger keeps it; what
must hold is then counted from the attempts alone, by other code.
"""

import itertools
from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from replenish.domain.account import Account, Card, Service
from replenish.domain.attempt import OPEN, SPENT, State
from replenish.domain.decision import CardHistory, History
from replenish.domain.money import Money
from replenish.domain.outcome import DeclineClass, Declined
from replenish.domain.policy import TopUp, decide, justified, next_try
from replenish.domain.rule import Limits, Rule
from tests.deep import examples
from tests.factories import DAY, make_account, make_card, make_rule

START = datetime(2026, 10, 20, tzinfo=UTC)  # New York's clocks go back on 1 November
CARDS = (
    make_card(id="1", fingerprint="a"),
    make_card(id="2", fingerprint="b", priority=1),
    make_card(id="3", fingerprint="a", priority=2),  # the first, entered again
)


@dataclass
class Try:
    """One attempt, as its row would be."""

    at: datetime
    card: Card
    amount: Decimal
    state: State = State.CHARGING


@dataclass
class Month:
    """An account, its card's past and a clock."""

    rule: Rule
    limits: Limits
    now: datetime = START
    balance: Decimal = Decimal(0)
    episode: datetime = START
    tries: list[Try] = field(default_factory=list)
    cards: dict[str, Card] = field(default_factory=lambda: {c.id: c for c in CARDS})
    dead: dict[str, datetime] = field(default_factory=dict)

    def account(self) -> Account:
        """Read the balance."""
        return make_account(
            available=Money(self.balance, "USD"), service=Service.ACTIVE
        )

    def history(self) -> History:
        """Read the past as the ledger's query does."""
        zone = ZoneInfo(self.rule.time_zone)
        day = self.now.astimezone(zone).date()
        next_month = (day.replace(day=1) + 32 * DAY).replace(day=1)
        spent = [one for one in self.tries if one.state in SPENT]
        today = [one for one in spent if one.at.astimezone(zone).date() == day]
        month = [
            one
            for one in spent
            if one.at.astimezone(zone).date().replace(day=1) == day.replace(day=1)
        ]
        charged = {State.CHARGED, State.SETTLED}
        return History(
            consent=True,
            day_ends=datetime.combine(day + DAY, time(), zone).astimezone(UTC),
            month_ends=datetime.combine(next_month, time(), zone).astimezone(UTC),
            open_attempt=any(one.state in OPEN for one in self.tries),
            spent_day=sum((one.amount for one in today), Decimal(0)),
            spent_month=sum((one.amount for one in month), Decimal(0)),
            count_day=len(today),
            charged_at=max(
                (one.at for one in self.tries if one.state in charged), default=None
            ),
            episode_declines=sum(
                one.state is State.DECLINED and one.at >= self.episode
                for one in self.tries
            ),
            cards=tuple(self._card(card) for card in self.cards.values()),
        )

    def _card(self, card: Card) -> CardHistory:
        own = [one.at for one in self.tries if one.card.id == card.id]
        declined = [
            one.at
            for one in self.tries
            if one.state is State.DECLINED and one.card.fingerprint == card.fingerprint
        ]
        return CardHistory(
            card,
            tried_at=max(own, default=None),
            declines_24h=sum(at > self.now - DAY for at in declined),
            declines_30d=sum(at > self.now - 30 * DAY for at in declined),
        )

    def look(self) -> None:
        """Decide, claim, ask again; what is charged stays open until `end`."""
        history = self.history()
        found = decide(self.account(), self.rule, history, self.now, limits=self.limits)
        if isinstance(found, TopUp):
            account, now = self.account(), self.now
            assert not justified(
                found, account, self.rule, history, now, limits=self.limits
            )
            self.tries.append(Try(self.now, found.card, found.amount.amount))

    def end(self, outcome: DeclineClass | State) -> None:
        """Let the open attempt end, or stay unknown."""
        for one in self.tries:
            if one.state not in OPEN:
                continue
            if isinstance(outcome, State):
                one.state = outcome
                if outcome is State.SETTLED:
                    self.balance += one.amount
                    self.episode = self.now
            else:
                self._decline(one, outcome)

    def _decline(self, one: Try, kind: DeclineClass) -> None:
        earlier = self.history().episode_declines
        one.state = State.DECLINED
        retry_at = next_try(
            Declined("pi_1", kind, "code"),
            earlier=earlier,
            now=self.now,
            limits=self.limits,
        )
        card = self.cards[one.card.id]
        dead = None if retry_at else kind.value
        self.cards[card.id] = replace(card, retry_at=retry_at, dead_reason=dead)
        if dead:
            self.dead[card.fingerprint] = self.now


@dataclass(frozen=True)
class Turn:
    """What happens next: time passes, money is spent, an attempt ends."""

    wait: timedelta
    spend: Decimal
    outcome: DeclineClass | State


TURNS = st.builds(
    Turn,
    wait=st.timedeltas(timedelta(0), timedelta(minutes=20))
    | st.timedeltas(timedelta(0), 2 * DAY),
    spend=st.sampled_from([Decimal(0), Decimal("7.31"), Decimal(40), Decimal(2000)]),
    outcome=st.sampled_from(
        [
            State.SETTLED,
            State.SETTLED,
            State.UNKNOWN,
            State.CANCELLED,
            DeclineClass.SOFT,
            DeclineClass.TRANSIENT,
            DeclineClass.HARD,
        ]
    ),
)
RULES = st.builds(
    make_rule,
    cap_charge=st.sampled_from([Decimal(25), Decimal("60.5"), Decimal(100)]),
    cap_day=st.sampled_from([Decimal(100), Decimal(140)]),
    cap_month=st.sampled_from([Decimal(140), Decimal(700)]),
    count_day=st.integers(1, 4),
    cooldown=st.sampled_from([timedelta(0), timedelta(minutes=10), timedelta(hours=3)]),
    time_zone=st.sampled_from(["UTC", "America/New_York", "Asia/Kathmandu"]),
)
LIMITS = st.sampled_from(
    [
        Limits(declines_per_episode=4, card_declines_24h=3, card_declines_30d=5),
        Limits(99, 3, 5, soft_waits=(timedelta(0),), transient_wait=timedelta(0)),
        Limits(99, 99, 4, soft_waits=(timedelta(minutes=1),)),
    ]
)


@settings(max_examples=examples(150), deadline=None)
@given(RULES, LIMITS, st.lists(TURNS, min_size=20, max_size=60))
def test_no_history_however_bad_goes_past_a_limit(
    rule: Rule, limits: Limits, turns: list[Turn]
) -> None:
    """Caps, counts, cooldowns and declines hold over two months of anything."""
    month = Month(rule, limits)
    for turn in turns:
        month.now += turn.wait
        month.end(turn.outcome)
        month.balance -= turn.spend
        month.look()
        month.look()
        _check(month)


def _check(month: Month) -> None:
    _caps_hold(month)
    _cooldowns_hold(month)
    _declines_are_limited(month)
    assert sum(one.state in OPEN for one in month.tries) <= 1


def _caps_hold(month: Month) -> None:
    zone = ZoneInfo(month.rule.time_zone)
    days: Counter[str] = Counter()
    sums: dict[str, Decimal] = defaultdict(Decimal)
    for one in month.tries:
        assert 0 < one.amount <= month.rule.cap_charge
        if one.state in SPENT:
            day = f"{one.at.astimezone(zone):%Y-%m-%d}"
            days[day] += 1
            sums[day] += one.amount
            sums[day[:7]] += one.amount
    assert all(count <= month.rule.count_day for count in days.values())
    for period, total in sums.items():
        month_long = len(period) == len("2026-10")
        assert total <= (month.rule.cap_month if month_long else month.rule.cap_day)


def _cooldowns_hold(month: Month) -> None:
    """Between two charges, and between two tries of one number."""
    series: dict[str, list[datetime]] = defaultdict(list)
    for one in month.tries:
        series[one.card.fingerprint].append(one.at)
        if one.state is State.SETTLED:
            series["charged"].append(one.at)
    for times in series.values():
        for earlier, later in itertools.pairwise(times):
            assert later - earlier >= month.rule.cooldown


def _declines_are_limited(month: Month) -> None:
    declines: dict[str, list[datetime]] = defaultdict(list)
    episode = 0
    for one in month.tries:
        died = month.dead.get(one.card.fingerprint)
        assert died is None or one.at <= died
        if one.state is State.DECLINED:
            declines[one.card.fingerprint].append(one.at)
            episode += 1
        elif one.state is State.SETTLED:
            episode = 0
        assert episode <= month.limits.declines_per_episode
    for times in declines.values():
        for at in times:
            within = [other for other in times if at <= other]
            assert sum(t < at + DAY for t in within) <= month.limits.card_declines_24h
            assert (
                sum(t < at + 30 * DAY for t in within) <= month.limits.card_declines_30d
            )
