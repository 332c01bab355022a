"""A known no: what it means for the card, the account and its customer."""

from contextlib import suppress
from typing import assert_never

from replenish.domain.attempt import Attempt, State
from replenish.domain.outcome import ActionRequired, DeclineClass, Declined
from replenish.domain.policy import next_try
from replenish.errors import Transient
from replenish.pipeline import breakers
from replenish.pipeline.services import Services
from replenish.ports import Verdict


def record(
    attempt: Attempt, answer: Declined | ActionRequired, services: Services
) -> Attempt:
    """Close the attempt, mark its card, and tell people at the first decline.

    The card's next try is a date on its row that a later sweep honours; the
    attempt itself is never repeated.
    """
    state, verdict = _verdict(attempt, answer, services)
    closed = services.ledger.advance(
        attempt,
        state,
        reason=answer.code,
        evidence=_evidence(answer),
        verdict=verdict,
    )
    services.notify(
        f"card.{state}",
        account=attempt.account,
        text=f"The card was not charged {attempt.amount}: {answer.code}.",
    )
    with suppress(Transient):  # reconcile looks as well, every few seconds
        breakers.look(services)
    return closed


def _verdict(
    attempt: Attempt, answer: Declined | ActionRequired, services: Services
) -> tuple[State, Verdict]:
    if isinstance(answer, ActionRequired):
        return State.ACTION_REQUIRED, Verdict(dead=answer.code)
    match answer.kind:
        case DeclineClass.AUTHENTICATION:
            return State.ACTION_REQUIRED, Verdict(dead=answer.code)
        case DeclineClass.HARD:
            return State.DECLINED, Verdict(dead=answer.code)
        case DeclineClass.FRAUD:
            pause = f"held for review: {answer.code}"
            return State.DECLINED, Verdict(dead=answer.code, pause=pause)
        case DeclineClass.SOFT | DeclineClass.TRANSIENT:
            return State.DECLINED, _spaced(attempt, answer, services)
        case _:
            assert_never(answer.kind)


def _spaced(attempt: Attempt, answer: Declined, services: Services) -> Verdict:
    subjects = services.ledger.subjects([attempt.account], without=attempt.id)
    if not subjects:
        return Verdict()
    subject = subjects[0]
    retry_at = next_try(
        answer,
        earlier=subject.history.episode_declines,
        now=subject.now,
        limits=services.limits,
    )
    return Verdict(retry_at=retry_at)


def _evidence(answer: Declined | ActionRequired) -> dict[str, str | int]:
    if isinstance(answer, ActionRequired):
        return {"code": answer.code}
    found = {"code": answer.code, "class": answer.kind.value, "charge": answer.charge}
    return {name: value for name, value in found.items() if value}
