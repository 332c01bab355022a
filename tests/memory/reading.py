"""What the ledger in memory tells the policy of an account."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from replenish.domain.account import DEAD_FOR_ALL
from replenish.domain.attempt import SPENT, State
from replenish.domain.decision import CardHistory, History, Obstacle, Reason
from replenish.ports import Subject
from tests.memory.rows import AccountRow, CardRow, Store

NO = frozenset({State.DECLINED, State.ACTION_REQUIRED})
TOOK = frozenset({State.CHARGED, State.SETTLED})
IN_VAIN = frozenset({State.RELEASED, State.CANCELLED})
DAY, TWO_DAYS, MONTH = timedelta(days=1), timedelta(days=2), timedelta(days=30)
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
MAY_BE_REFUSED = frozenset({State.CLAIMED, State.CHARGING, State.UNKNOWN})
NOTHING = Decimal(0)

Window = tuple[datetime, datetime, datetime, datetime]
_windows: dict[str, Window] = {}


def window(zone: str, now: datetime) -> Window:
    """Give when the local day and month began and when they end, aware UTC."""
    found = _windows.get(zone)
    if found is None or not found[0] <= now < found[2]:
        found = _windows[zone] = _window(ZoneInfo(zone), now)
    return found


def _window(zone: ZoneInfo, now: datetime) -> Window:
    local = now.astimezone(zone)
    day = datetime(local.year, local.month, local.day)  # noqa: DTZ001 local on purpose
    month = day.replace(day=1)
    following = (month + timedelta(days=32)).replace(day=1)
    begins, since, ends, next_month = (
        _utc(at, zone) for at in (day, month, day + DAY, following)
    )
    return begins, since, ends, next_month


def _utc(midnight: datetime, zone: ZoneInfo) -> datetime:
    """Give when a local day begins: a second after the last one of the day before."""
    last = (midnight - SECOND).replace(tzinfo=zone, fold=1)
    return last.astimezone(UTC) + SECOND


def subject(
    store: Store, account: AccountRow, now: datetime, without: str | None
) -> Subject:
    """Read an account with its history."""
    day_from, month_from, day_ends, month_ends = window(account.rule.time_zone, now)
    far = min(month_from, account.episode_at, now - TWO_DAYS)
    spent_day = spent_month = NOTHING
    count_day = declines = 0
    open_attempt, charged_at = False, None
    for row in reversed(account.attempts):
        if row.id == without or not (row.claimed_at >= far or row is account.open):
            continue
        state = row.state
        open_attempt = open_attempt or row is account.open
        if state in SPENT:
            if row.claimed_at >= month_from:
                spent_month += row.amount.amount
            if row.claimed_at >= day_from:
                spent_day += row.amount.amount
                count_day += 1
            if state in TOOK and (charged_at is None or row.claimed_at > charged_at):
                charged_at = row.claimed_at
        elif state in NO and row.changed_at >= account.episode_at:
            declines += 1
    history = History(
        consent=account.consent_at is not None,
        day_ends=day_ends,
        month_ends=month_ends,
        paused=account.pause_reason or "paused" if account.paused_at else None,
        stopped=store.stop,
        open_attempt=open_attempt,
        cut_off=account.id in store.standing,
        spent_day=spent_day,
        spent_month=spent_month,
        count_day=count_day,
        charged_at=charged_at,
        episode_declines=declines,
        cards=_cards(store, account, now, without),
        enrolled_at=account.enrolled_at,
        settled=min(len(account.settled), store.limits.unusual_after),
        largest=max(account.settled, default=NOTHING),
        charges_minute=_minute(store, now, without),
        breaker=breaker(store, now),
    )
    return Subject(account.id, account.rule, history, now)


def _minute(store: Store, now: datetime, without: str | None) -> int:
    """Count the others' claims of the minute, now and when its own was made."""
    count = store.claimed_within(now - MINUTE, now)
    row = store.attempts.get(without) if without else None
    if row is None:
        return count
    then = store.claimed_within(row.claimed_at - MINUTE, row.claimed_at) - 1
    return max(count - (row.claimed_at > now - MINUTE), then, 0)


def breaker(store: Store, now: datetime) -> Obstacle | None:
    """Give the breaker that nobody may pass, if one stands."""
    for each in store.breakers.values():
        stands = each.until is None or each.until > now
        if stands and (each.by_hand or each.reason is not Reason.CHARGE_RATE):
            return Obstacle(each.reason, each.until, each.detail)
    return None


def refusals(store: Store, number: str, now: datetime) -> tuple[int, int]:
    """Count the declines of a card number, in a day and in 30 days."""
    refused = [
        attempt.changed_at
        for attempt in store.declines.get(number, ())
        if attempt.changed_at > now - MONTH
    ]
    return sum(at > now - DAY for at in refused), len(refused)


def in_flight(store: Store, number: str, without: str | None) -> int:
    """Count the attempts with a card number that may still be declined."""
    return sum(
        row.card.fingerprint == number
        and row.state in MAY_BE_REFUSED
        and row.id != without
        for row in store.open.values()
    )


def _of_number(
    store: Store, account: AccountRow, card: CardRow, now: datetime
) -> tuple[datetime, int, str | None]:
    """Say since when, as the how-manieth account, and dead for what elsewhere."""
    users = store.numbers.get(card.card.fingerprint, ())
    held = [
        (user, row)
        for user, row in users
        if row.removed_at is None or row.removed_at > now - MONTH
    ]
    own = [row.added_at for user, row in held if user is account]
    since = min([*own, card.added_at])
    before = {
        user.id
        for user, row in held
        if user is not account and (row.added_at, user.id) < (since, account.id)
    }
    dead = [
        row.card.dead_reason
        for user, row in users
        if (user is not account or row.removed_at is not None)
        and row.card.imprint == card.card.imprint
        and row.card.dead_reason in DEAD_FOR_ALL
    ]
    return since, 1 + len(before), dead[0] if dead else None


def on_file(account: AccountRow) -> Sequence[CardRow]:
    """List the cards on file in the order of trying."""
    rows = [row for row in account.cards if row.removed_at is None]
    return sorted(rows, key=lambda row: (row.card.priority, row.id))


def _cards(
    store: Store, account: AccountRow, now: datetime, without: str | None
) -> tuple[CardHistory, ...]:
    found = []
    for row in on_file(account):
        day, month = refusals(store, row.card.fingerprint, now)
        since, place, dead = _of_number(store, account, row, now)
        found.append(
            CardHistory(
                row.card,
                _tried_at(account, row, without),
                day,
                month,
                in_flight(store, row.card.fingerprint, without),
                since=since,
                place=place,
                dead_elsewhere=dead,
            )
        )
    return tuple(found)


def _tried_at(
    account: AccountRow, card: CardRow, without: str | None
) -> datetime | None:
    same = {row.id for row in account.cards if row.card.imprint == card.card.imprint}
    tried = [
        row.claimed_at
        for row in account.attempts
        if row.card_id in same and row.state not in IN_VAIN and row.id != without
    ]
    return max(tried, default=None)
