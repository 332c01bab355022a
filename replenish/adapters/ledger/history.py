"""Between a row of the hot path's big question and the policy's `History`."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from replenish.domain.account import Card
from replenish.domain.decision import CardHistory, History, Obstacle, Reason


def history_of(row: sa.RowMapping) -> History:
    """Read a row of `claiming.SUBJECTS`."""
    return History(
        consent=row["consent_at"] is not None,
        day_ends=row["day_ends"],
        month_ends=row["month_ends"],
        paused=row["pause_reason"] or "paused" if row["paused_at"] else None,
        quarantined=row["quarantined_at"] is not None,
        stopped=row["stopped"],
        open_attempt=row["open_attempt"],
        cut_off=row["cut_off"],
        spent_day=row["spent_day"],
        spent_month=row["spent_month"],
        count_day=row["count_today"],
        charged_at=row["last_charged"],
        episode_declines=row["episode_declines"],
        cards=tuple(_card_history(card) for card in row["cards"]),
        enrolled_at=row["enrolled_at"],
        settled=row["settled"],
        largest=row["largest"] or Decimal(0),
        released=row["released_up_to"] or Decimal(0),
        charges_minute=max(int(row["charges_minute"]), 0),
        breaker=_breaker(row["breaker"]),
    )


def _breaker(found: Mapping[str, Any] | None) -> Obstacle | None:
    if found is None:
        return None
    return Obstacle(Reason(found["name"]), _time(found["until"]), found["detail"])


def _card_history(card: Mapping[str, Any]) -> CardHistory:
    return CardHistory(
        card=Card(
            id=str(card["id"]),
            customer=card["customer"],
            payment_method=card["payment_method"],
            brand=card["brand"],
            last4=card["last4"],
            exp_month=card["exp_month"],
            exp_year=card["exp_year"],
            fingerprint=card["fingerprint"],
            country=card["country"],
            priority=card["priority"],
            dead_reason=card["dead_reason"],
            retry_at=_time(card["retry_at"]),
        ),
        tried_at=_time(card["tried_at"]),
        declines_24h=card["declines_24h"],
        declines_30d=card["declines_30d"],
        in_flight=card["in_flight"],
        since=_time(card["since"]),
        place=card["place"],
        cleared=card["cleared"],
        dead_elsewhere=card["dead_elsewhere"],
    )


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
