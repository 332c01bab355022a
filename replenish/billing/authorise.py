"""Authorisation: whether a call may start, and for how long."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa

from replenish.billing.database import statements
from replenish.billing.lookup import Payer, payer
from replenish.billing.rating import affordable_seconds, digits


class Refusal(StrEnum):
    """Why a call may not start."""

    UNKNOWN_ACCOUNT = "unknown_account"
    SUSPENDED = "suspended"
    BLOCKED = "blocked"
    CLOSED = "closed"
    NO_RATE = "no_rate"  # the deck has no price for that number at that time
    NO_FUNDS = "no_funds"  # not even the first increment can be paid


BY_STATE = {
    "suspended": Refusal.SUSPENDED,
    "blocked": Refusal.BLOCKED,
    "closed": Refusal.CLOSED,
}


@dataclass(frozen=True, slots=True)
class Authorisation:
    """The switch's permission: seconds to allow, or why not.

    Attributes:
        seconds: how long the call may last; 0 when refused.
        refused: None when granted.
    """

    seconds: int
    refused: Refusal | None = None


def authorise(
    engine: sa.Engine, account: str, *, called: str, now: datetime
) -> Authorisation:
    """Answer a switch that asks before a call; one round trip, changes nothing.

    Calls that run at the same time are each granted the whole balance, as is usual
    among billing packages; their debits may together end below zero.

    Raises:
        BadInput: the called number is none, which is the switch's fault.
        BillingUnavailable: the database is away; a switch then lets nobody call.
    """
    number = digits(called)
    with statements(engine) as connection:
        found = payer(connection, account, called=number, at=now)
    return _decide(found)


def _decide(found: Payer | None) -> Authorisation:
    if found is None:
        return Authorisation(0, Refusal.UNKNOWN_ACCOUNT)
    if found.state in BY_STATE:
        return Authorisation(0, BY_STATE[found.state])
    if found.rate is None:
        return Authorisation(0, Refusal.NO_RATE)
    if found.available.is_nan():
        return Authorisation(0, Refusal.NO_FUNDS)
    seconds = affordable_seconds(found.rate, found.available)
    return Authorisation(seconds, None if seconds else Refusal.NO_FUNDS)
