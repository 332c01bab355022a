"""Defects of the kinds that others have shipped, to be planted one at a time.

    with planted("no recheck after the claim"):
        play(0, steps=200)

Each names the invariants that may catch it; see `test_planted.py`.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from unittest.mock import patch

from replenish.domain import policy, sizing
from replenish.domain.account import Account
from replenish.domain.attempt import Attempt, State
from replenish.domain.decision import Decision, History
from replenish.domain.outcome import Declined, Unknown
from replenish.domain.rule import Limits, Rule
from replenish.pipeline import cutoff, declines
from replenish.pipeline import replenish as steps
from replenish.pipeline.services import Services
from replenish.ports import Order, Verdict
from tests.memory import claiming, reading
from tests.memory.books import MemoryBooks
from tests.memory.ledger import MemoryLedger
from tests.memory.reading import NO


@dataclass(frozen=True, slots=True)
class Defect:
    """One defect.

    Attributes:
        caught_by: the invariants that may see it first.
        patches: what is replaced: owner, name, replacement.
    """

    caught_by: frozenset[str]
    patches: Sequence[tuple[Any, str, Any]]


def _no_recheck(*_: object) -> None:
    return None


_order_of, _record = steps.order_of, steps._record  # noqa: SLF001
_confirm, _verdict = steps._confirm, declines._verdict  # noqa: SLF001
_advance, _window = MemoryLedger.advance, reading.window


def _another_key(attempt: Attempt) -> Order:
    order = _order_of(attempt)
    return replace(order, attempt=f"{order.attempt}-{attempt.takes}")


def _expired(attempt: Attempt, _: Unknown, services: Services) -> Attempt:
    return services.ledger.advance(
        attempt, State.CANCELLED, evidence={"cancelled": "too old"}
    )


def _unknown_is_no(attempt: Attempt, evidence: Any, services: Services) -> Any:  # noqa: ANN401
    if isinstance(evidence, Unknown):
        return services.ledger.advance(
            attempt, State.DECLINED, evidence={"code": evidence.reason}
        )
    return _record(attempt, evidence, services)


def _credit_first(attempt: Attempt, services: Services) -> Any:  # noqa: ANN401
    services.billing.apply_credit(
        attempt.account,
        attempt.amount,
        reference=attempt.id,
        note="",
        at=services.clock(),
    )
    return _confirm(attempt, services)


def _hard_is_soft(
    attempt: Attempt, answer: Declined, services: Services
) -> tuple[State, Verdict]:
    state, verdict = _verdict(attempt, answer, services)
    return state, Verdict() if verdict.dead else verdict


def _whose_lease(
    self: MemoryLedger,
    attempt: Attempt,
    to: State,
    **how: Any,  # noqa: ANN401 passed on
) -> Attempt:
    row = self.store.attempts[attempt.id]
    row.lease = row.lease or "anybody"
    return _advance(self, replace(attempt, lease=row.lease, state=row.state), to, **how)


def _in_flight_is_no_help(
    account: Account,
    rule: Rule,
    history: History,
    now: datetime,
    *,
    limits: Limits,
) -> Decision:
    seen = replace(history, open_attempt=False)
    decision = policy.decide(account, rule, seen, now, limits=limits)
    if isinstance(decision, policy.TopUp):
        return policy.CutOff(policy.Reason.COOLDOWN)
    return decision


def _lift_all(_: object, services: Services) -> None:
    seen = {each.ref: each for each in services.billing.accounts().accounts}
    for subject in services.ledger.subjects(list(seen)):
        if not policy.exhausted(seen[subject.account], subject.rule):
            services.billing.restore(subject.account)


def _always(*_: object) -> bool:
    return True


DEFECTS: dict[str, Defect] = {
    "no recheck after the claim": Defect(
        frozenset({"I3", "I6"}), [(steps, "_recheck", _no_recheck)]
    ),
    "a new key per retry": Defect(
        frozenset({"I10"}), [(steps, "order_of", _another_key)]
    ),
    "unknown expires to cancelled": Defect(
        frozenset({"I12", "I1b"}), [(steps, "_still_unknown", _expired)]
    ),
    "a time-out is a no": Defect(
        frozenset({"I12", "I1b"}), [(steps, "_record", _unknown_is_no)]
    ),
    "credit before the charge": Defect(
        frozenset({"I1a"}), [(steps, "_confirm", _credit_first)]
    ),
    "a hard decline is tried again": Defect(
        frozenset({"I5"}), [(declines, "_verdict", _hard_is_soft)]
    ),
    "failure releases the cooldown": Defect(
        frozenset({"I5"}),
        [
            (claiming, "IN_VAIN", reading.IN_VAIN | NO),
            (reading, "IN_VAIN", reading.IN_VAIN | NO),
            (declines, "_spaced", lambda *_: Verdict()),
        ],
    ),
    "anybody may write under any lease": Defect(
        frozenset({"I11", "I12", "I1b", "I6"}),
        [(MemoryLedger, "advance", _whose_lease)],
    ),
    "the day of the caps is UTC's": Defect(
        frozenset({"I4"}),
        [
            (reading, "window", lambda _, now: _window("UTC", now)),
            (claiming, "window", lambda _, now: _window("UTC", now)),
        ],
    ),
    "no caps": Defect(
        frozenset({"I4"}),
        [
            (claiming, "_within_caps", _always),
            (sizing, "room", lambda rule, _: rule.cap_charge),
            (policy, "room", lambda rule, _: rule.cap_charge),
            (reading, "SPENT", frozenset({State.CHARGED})),
        ],
    ),
    "cut off while a charge is under way": Defect(
        frozenset({"I7"}),
        [
            (cutoff, "decide", _in_flight_is_no_help),
            (cutoff, "saved", lambda *_, **__: False),
        ],
    ),
    "restoring lifts anybody's suspension": Defect(
        frozenset({"I8"}), [(cutoff, "_look_after", _lift_all)]
    ),
    "batches are closed by their chord only": Defect(
        frozenset({"I16"}), [(MemoryBooks, "unclosed", lambda *_, **__: [])]
    ),
    "nobody takes up what was left lying": Defect(
        frozenset({"I15", "I1b", "I16"}),
        [(MemoryLedger, "stranded", lambda *_, **__: [])],
    ),
}


@contextmanager
def planted(name: str) -> Iterator[None]:
    """Let a defect be in the pipeline meanwhile."""
    with ExitStack() as stack:
        for owner, attribute, replacement in DEFECTS[name].patches:
            stack.enter_context(patch.object(owner, attribute, replacement))
        yield
