"""A page of a sweep as the values of its rows: attempts, skips and their batch."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from replenish.domain.attempt import Attempt, State
from replenish.domain.newcomer import caps
from replenish.domain.policy import CutOff, Leave, Wait
from replenish.domain.rule import Limits, Rule
from replenish.ports import Proposal, Standing

RECHECK = 60.0  # seconds until a sweep looks again at an account it left alone
WORDS = {CutOff: "cut_off", Wait: "wait", Leave: "leave"}  # in the table `skip`


def batch_row(
    batch: str, kind: str, *, proposed: int, standings: Sequence[Standing]
) -> dict[str, Any]:
    """Give the row of the batch: what was selected, and what left alone and why."""
    skipped = Counter(str(standing.decision.reason) for standing in standings)
    return {
        "id": batch,
        "kind": kind,
        "selected": proposed + len(standings),
        "skipped": json.dumps(skipped),
    }


def skips(batch: str, standings: Sequence[Standing]) -> dict[str, Any]:
    """Give a column each of the skips."""
    return {
        "batch": batch,
        "recheck": RECHECK,
        "accounts": [standing.account for standing in standings],
        "decisions": [WORDS[type(standing.decision)] for standing in standings],
        "reasons": [standing.decision.reason for standing in standings],
        "details": [standing.decision.detail for standing in standings],
        "untils": [_until(standing.decision) for standing in standings],
        "availables": [standing.available for standing in standings],
    }


def _until(decision: CutOff | Wait | Leave) -> datetime | None:
    return None if isinstance(decision, Leave) else decision.until


def proposed(by_id: Mapping[str, Proposal], limits: Limits) -> dict[str, Any]:
    """Give a column each of the attempts to open.

    The caps are those of a newcomer where it is one.
    """
    proposals = by_id.values()
    rules = [_caps(proposal, limits) for proposal in proposals]
    return {
        "ids": list(by_id),
        "accounts": [proposal.subject.account for proposal in proposals],
        "cards": [int(proposal.top_up.card.id) for proposal in proposals],
        "amounts": [proposal.top_up.amount.amount for proposal in proposals],
        "currencies": [proposal.top_up.amount.currency for proposal in proposals],
        "availables": [proposal.available for proposal in proposals],
        "cap_days": [rule.cap_day for rule in rules],
        "cap_months": [rule.cap_month for rule in rules],
        "count_days": [rule.count_day for rule in rules],
        "cooldowns": [rule.cooldown.total_seconds() for rule in rules],
        "zones": [rule.time_zone for rule in rules],
    }


def opened(proposal: Proposal, row: sa.Row[Any], batch: str | None) -> Attempt:
    """Give the attempt that a proposal has become."""
    return Attempt(
        id=str(row.id),
        account=proposal.subject.account,
        card=proposal.top_up.card,
        amount=proposal.top_up.amount,
        state=State.CLAIMED,
        claimed_at=row.claimed_at,
        batch=batch,
    )


def _caps(proposal: Proposal, limits: Limits) -> Rule:
    subject, card = proposal.subject, proposal.top_up.card
    return caps(subject.rule, subject.history, card, subject.now, limits=limits)
