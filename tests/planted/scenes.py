"""What happens to an installation in bad times; every defect meets all of it.

Each scene leaves something undone on purpose; the player then lets the installation
heal and asks the checker. The order matters to one scene only: the last one moves the
gateway's clock.
"""

from collections.abc import Callable

from tests.faults.matrix import SEAMS
from tests.planted import scenes_books, scenes_time
from tests.planted.stage import Fault, Stage, at_once

Scene = Callable[[Stage], None]

CREATE, CONFIRM, READ = "payment_intents$", "/confirm$", "payment_intents/[^/]+$"


def every_answer(stage: Stage) -> None:
    """A card says yes, no, later, ask me; and amounts that floats cannot hold."""
    for outcome in (
        "succeed",
        "lost_card",
        "expired_card",
        "insufficient_funds",
        "processing_error",
        "fraudulent",
        "authenticate",
    ):
        stage.charge(stage.enrol(outcome))
    stage.charge(stage.enrol(top_up=scenes_time.ODD))


def lost_answers(stage: Stage) -> None:
    """The gateway did it, or did not, and nobody heard."""
    cases: list[Fault] = [
        (kind, path, {})
        for kind in ("reset_before", "reset_after", "500_before", "500_after")
        for path in (CREATE, CONFIRM)
    ]
    cases += [
        ("stall", CONFIRM, {"after": True, "seconds": 3}),
        ("truncated_after", CONFIRM, {}),
        ("409", CONFIRM, {}),
        ("429_rate", CREATE, {}),
        ("garbage", CREATE, {}),
    ]
    refs = [stage.enrol(faults=[case]) for case in cases]
    refs.append(
        stage.enrol("insufficient_funds", faults=[("reset_after", CONFIRM, {})])
    )
    for ref in refs:
        stage.charge(ref)
    stage.check(quiet=False)
    for _ in range(2):
        stage.later()
        for ref in refs:
            stage.charge(ref)


def long_unknown(stage: Stage) -> None:
    """Charged, and for many looks the gateway cannot say so."""
    lost: Fault = ("reset_after", CONFIRM, {})
    blind: Fault = ("500_before", READ, {"times": 6, "stored": False})
    ref = stage.enrol(faults=[lost, blind])
    for _ in range(6):
        stage.charge(ref)
        stage.later()
    stage.check(quiet=False)


def crashes(stage: Stage) -> None:
    """A worker dies at each seam; while the answer is a no, at those behind it."""
    refs = []
    for seam in SEAMS:
        refs.append(stage.enrol())
        stage.crash(refs[-1], seam)
    for seam in ("before_confirm", "after_confirm", "record_uncommitted"):
        refs.append(stage.enrol("insufficient_funds"))
        stage.crash(refs[-1], seam)
    stage.check(quiet=False)
    for ref in refs:
        stage.charge(ref)


def races(stage: Stage) -> None:
    """Four workers are handed the same account at the same moment."""
    for _ in range(12):  # a race is not met every time
        ref = stage.enrol()
        at_once(4, lambda ref=ref: stage.charge(ref))  # type: ignore[misc]


SCENES: dict[str, Scene] = {
    "every answer": every_answer,
    "crashes": crashes,
    "lost answers": lost_answers,
    "long unknown": long_unknown,
    "races": races,
    "two claims": scenes_time.two_claims,
    "paid meanwhile": scenes_time.paid_meanwhile,
    "failing cards": scenes_time.failing_cards,
    "caps": scenes_time.caps,
    "local midnight": scenes_time.local_midnight,
    "slow clock": scenes_time.slow_clock,
    "cut off": scenes_books.cut_off,
    "overwritten": scenes_books.overwritten,
    "orphans": scenes_books.orphaned,
    "many low": scenes_books.many_low,
    "held": scenes_time.held,
}
