"""Faults on demand: which calls they hit, how often, and what they do.

A fault is set over the control port as
`{"kind": …, "match": {…}, "times": N, "probability": p, …}`. All parts but the
kind are optional: without `times` it stays until cleared.

Kinds, and whether the money has moved when the client sees them:

| kind | what the client sees | has it run? |
| --- | --- | --- |
| `latency` | a late answer: `ms`, or lognormal `median_ms` + `sigma` | yes (`effect: "last"`: only after the wait) |
| `429_rate` / `429_lock` | 429; `reason` names Stripe's rate-limit reason | no |
| `409` | 409 `idempotency_key_in_use` | no |
| `503` / `html_502` | an outage at the edge | no (`after: true`: yes) |
| `500_before` / `500_after` | 500, replayed under the key | no / yes |
| `reset_before` / `reset_after` | connection reset | no / yes |
| `close_without_answer` | connection closed | no (`after: true`: yes) |
| `truncated_after` | half an answer, then closed | yes |
| `stall` | nothing for `seconds` (60), then closed | no (`after: true`: yes) |
| `wrong_amount` | success with another `amount`, `currency` or `customer` | yes |
| `wrong_status` | success turned into `status` (`processing`) | yes |
| `garbage` | 200 that is not JSON | yes |

`match` may name `method`, `path` (a regular expression), `customer`, `amount`,
`currency`, `payment_method`, `key` and `metadata` (all given must be equal; for
calls on an existing intent the intent's own values count).
"""  # noqa: E501 - a table

import math
import random
import re
from collections.abc import Callable
from dataclasses import dataclass, field

from replenish.sandbox.errors import Json

LATENCY = "latency"
EDGE = frozenset({"429_rate", "429_lock", "409", "503", "html_502"})
DROP = frozenset({"reset_before", "close_without_answer", "stall"})
RUN = frozenset(
    {
        "500_before", "500_after", "reset_after", "truncated_after",
        "wrong_amount", "wrong_status", "garbage",
    }
)  # fmt: skip
KINDS = EDGE | DROP | RUN | {LATENCY}
SELECTORS = frozenset(
    {
        "method", "path", "customer", "amount", "currency", "payment_method",
        "key", "metadata",
    }
)  # fmt: skip


@dataclass(slots=True)
class Fault:
    """One fault as it was set, and how often it has hit."""

    id: str
    kind: str
    match: Json
    times: int | None
    probability: float
    options: Json
    hits: int = 0

    @property
    def after(self) -> bool:
        """Whether the call runs before the fault shows."""
        return self.kind in RUN - {"500_before"} or bool(self.options.get("after"))

    def describe(self) -> Json:
        """Return the fault as the control port shows it."""
        return {
            "id": self.id,
            "kind": self.kind,
            "match": self.match,
            "times": self.times,
            "probability": self.probability,
            "hits": self.hits,
            **self.options,
        }


@dataclass(slots=True)
class Plan:
    """What will be done to one call: waiting, and at most one other fault."""

    wait: float = 0.0  # seconds
    effect_last: bool = False
    fault: Fault | None = None


NOTHING = Plan()


@dataclass(slots=True)
class Faults:
    """The faults that are set, and the seeded dice they throw."""

    seed: int
    active: list[Fault] = field(default_factory=list)
    added: int = 0
    dice: random.Random = field(init=False)

    def __post_init__(self) -> None:
        """Seed the dice."""
        self.dice = random.Random(f"faults/{self.seed}")  # noqa: S311 - repeatable on purpose

    def add(self, spec: Json) -> Fault:
        """Set a fault and return it.

        Raises:
            ValueError: If the kind, a selector or a number makes no sense.
        """
        options = dict(spec)
        kind = str(options.pop("kind", ""))
        match = options.pop("match", None) or {}
        times = options.pop("times", None)
        probability = float(options.pop("probability", 1.0))
        _check(kind, match, times, probability)
        self.added += 1
        fault = Fault(f"fault_{self.added}", kind, match, times, probability, options)
        self.active.append(fault)
        return fault

    def clear(self, id_: str | None = None) -> int:
        """Remove one fault, or all; return how many went."""
        before = len(self.active)
        self.active = [f for f in self.active if id_ is not None and f.id != id_]
        return before - len(self.active)

    def plan(self, facts: Callable[[], Json]) -> Plan:
        """Decide what happens to one call; `facts` describes it when needed."""
        if not self.active:
            return NOTHING
        known = facts()
        plan = Plan()
        for fault in list(self.active):
            is_wait = fault.kind == LATENCY
            if plan.fault is not None and not is_wait:
                continue
            if not _matches(fault.match, known) or not self._falls(fault):
                continue
            if is_wait:
                plan.wait += self._seconds(fault.options)
                plan.effect_last |= fault.options.get("effect") == "last"
            else:
                plan.fault = fault
        return plan

    def _falls(self, fault: Fault) -> bool:
        """Throw the dice and count the hit; a fault used up is removed."""
        if fault.probability < 1 and self.dice.random() >= fault.probability:
            return False
        fault.hits += 1
        if fault.times is not None and fault.hits >= fault.times:
            self.active.remove(fault)
        return True

    def _seconds(self, options: Json) -> float:
        if "median_ms" in options:
            mu = math.log(float(options["median_ms"]))
            sigma = float(options.get("sigma", 0.5))
            return self.dice.lognormvariate(mu, sigma) / 1000
        return float(options.get("ms", 0)) / 1000


def _check(kind: str, match: Json, times: int | None, probability: float) -> None:
    if kind not in KINDS:
        message = (
            f"There is no fault '{kind}'; choose one of {', '.join(sorted(KINDS))}."
        )
        raise ValueError(message)
    if extra := set(match) - SELECTORS:
        message = f"A fault cannot match on {', '.join(sorted(extra))}."
        raise ValueError(message)
    if times is not None and times < 1:
        message = f"times = {times}: a fault must hit at least once."
        raise ValueError(message)
    if not 0 < probability <= 1:
        message = f"probability = {probability}: give more than 0 and at most 1."
        raise ValueError(message)


def _matches(match: Json, facts: Json) -> bool:
    for name, wanted in match.items():
        value = facts.get(name)
        if name == "path":
            if not re.search(str(wanted), str(value)):
                return False
        elif name == "metadata":
            given = value or {}
            if any(given.get(key) != str(text) for key, text in wanted.items()):
                return False
        elif str(value) != str(wanted):
            return False
    return True
