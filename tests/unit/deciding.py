"""Asks the policy about one account, all else being as in `tests.factories`."""

from datetime import datetime

from replenish.domain.account import Service
from replenish.domain.policy import (
    Decision,
    History,
    decide,
)
from replenish.domain.rule import Rule
from tests.factories import (
    NOW,
    make_account,
    make_history,
    make_limits,
    make_rule,
    usd,
)


def decided(
    available: str = "5.00",
    *,
    rule: Rule | None = None,
    history: History | None = None,
    service: Service = Service.ACTIVE,
    now: datetime = NOW,
) -> Decision:
    """Decide about the account with so much available."""
    return decide(
        make_account(available=usd(available), service=service),
        rule or make_rule(),
        history or make_history(),
        now,
        limits=make_limits(),
    )
