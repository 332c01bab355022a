"""What may stand in a charge's way: of the account, of each card, and which binds."""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from replenish.domain.account import NO_CHARGES_OFF_SESSION, Card
from replenish.domain.decision import CardHistory, History, Obstacle, Reason
from replenish.domain.outcome import GONE
from replenish.domain.rule import Limits, Rule

SOON = timedelta(minutes=1)  # until what others are doing is looked at again


def binding(obstacles: Iterable[Obstacle]) -> Obstacle | None:
    """Give the one that keeps the others waiting: what never ends, or ends last."""
    latest = None
    for obstacle in obstacles:
        if obstacle.until is None:
            return obstacle
        if latest is None or latest[0] < obstacle.until:
            latest = obstacle.until, obstacle
    return latest[1] if latest else None


def account_obstacles(
    rule: Rule, history: History, now: datetime, *, limits: Limits
) -> Iterator[Obstacle]:
    """Give what keeps every card of the account from being charged."""
    if history.open_attempt:
        yield Obstacle(Reason.OPEN_ATTEMPT)
    if history.paused is not None:
        held = Reason.QUARANTINED if history.quarantined else Reason.PAUSED
        yield Obstacle(held, detail=history.paused)
    if not history.consent:
        yield Obstacle(Reason.NO_CONSENT)
    yield from _of_all_accounts(history, now, limits=limits)
    if history.episode_declines >= limits.declines_per_episode:
        yield Obstacle(Reason.DECLINES_EPISODE)
    if history.count_day >= rule.count_day:
        yield Obstacle(Reason.COUNT_DAY, history.day_ends)
    cool = _cooled(history.charged_at, rule, now)
    if cool > now:
        yield Obstacle(Reason.COOLDOWN, cool)


def _of_all_accounts(
    history: History, now: datetime, *, limits: Limits
) -> Iterator[Obstacle]:
    if history.stopped is not None:
        yield Obstacle(Reason.CHARGER_STOPPED, detail=history.stopped)
    if history.breaker is not None:
        yield history.breaker
    if history.charges_minute >= limits.charges_per_minute:
        allowed = f"{limits.charges_per_minute} a minute"
        yield Obstacle(Reason.CHARGE_RATE, now + SOON, allowed)


def choose_card(
    rule: Rule, history: History, now: datetime, *, limits: Limits
) -> Card | Obstacle:
    """Choose the card to charge, or the obstacle that ends first.

    A card entered twice is one card: what is known of either holds for both, except
    that the gateway has lost one of its ids.
    """
    obstacles = []
    for seen in sorted(history.cards, key=lambda seen: seen.card.priority):
        obstacle = binding(
            obstacle
            for same in history.cards
            if same.card.imprint == seen.card.imprint
            for obstacle in card_obstacles(same, rule, now, limits=limits)
            if same is seen or not _is_gone(same.card, obstacle)
        )
        if obstacle is None:
            return seen.card
        obstacles.append(obstacle)
    if not obstacles:
        return Obstacle(Reason.NO_CARD)
    ends = [obstacle for obstacle in obstacles if obstacle.until]
    return min(ends, key=lambda o: o.until or now) if ends else obstacles[0]


def _is_gone(card: Card, obstacle: Obstacle) -> bool:
    return obstacle.reason is Reason.CARD_DEAD and card.dead_reason in GONE


def card_obstacles(
    seen: CardHistory, rule: Rule, now: datetime, *, limits: Limits
) -> Iterator[Obstacle]:
    """Give what keeps this card from being charged.

    The limits per fingerprint are sliding windows over many accounts, whose end
    nobody has to know: their `until` is only when to look again. A charge under way
    counts as a decline until it has been answered, so that several at once cannot
    go past a limit that each alone would keep.
    """
    card = seen.card
    if card.dead_reason is not None:
        yield Obstacle(Reason.CARD_DEAD, detail=card.dead_reason)
    elif seen.dead_elsewhere is not None:
        detail = f"{seen.dead_elsewhere}, on another account"
        yield Obstacle(Reason.CARD_DEAD, detail=detail)
    if card.expired(now):
        yield Obstacle(Reason.CARD_EXPIRED)
    if card.country in NO_CHARGES_OFF_SESSION:
        yield Obstacle(Reason.CARD_COUNTRY, detail=card.country)
    if card.retry_at is not None and card.retry_at > now:
        yield Obstacle(Reason.WAITING_RETRY, card.retry_at)
    cool = _cooled(seen.tried_at, rule, now)
    if cool > now:
        yield Obstacle(Reason.COOLDOWN, cool)
    yield from _of_its_number(seen, now, limits=limits)


def _of_its_number(
    seen: CardHistory, now: datetime, *, limits: Limits
) -> Iterator[Obstacle]:
    if seen.place > limits.card_accounts and not seen.cleared:
        detail = f"account {seen.place} with it, {limits.card_accounts} may use it"
        yield Obstacle(Reason.CARD_SHARED, detail=detail)
    if seen.declines_24h >= limits.card_declines_24h:
        yield Obstacle(Reason.CARD_DECLINES_24H, now + timedelta(hours=1))
    if seen.declines_30d >= limits.card_declines_30d:
        yield Obstacle(Reason.CARD_DECLINES_30D, now + timedelta(hours=24))
    if seen.in_flight and (
        seen.declines_24h + seen.in_flight >= limits.card_declines_24h
        or seen.declines_30d + seen.in_flight >= limits.card_declines_30d
    ):
        yield Obstacle(Reason.CARD_IN_FLIGHT, now + SOON)


def _cooled(since: datetime | None, rule: Rule, now: datetime) -> datetime:
    return now if since is None else since + rule.cooldown
