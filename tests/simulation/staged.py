"""The ports and the clock as a turn on the stage sees them."""

from collections.abc import Callable
from typing import Any

from tests.simulation.stage import Stage


class Port:
    """Another's methods, each made a call of the stage's turn.

    `list_since` is read to its end in the one call, since a turn's log holds values.
    """

    def __init__(self, stage: Stage, service: str, real: object, *names: str) -> None:
        for name in names:
            setattr(self, name, _call(stage, service, name, getattr(real, name)))
        self.knows_low = getattr(real, "knows_low", False)


def _call(
    stage: Stage, service: str, name: str, function: Callable[..., Any]
) -> Callable[..., Any]:
    if name == "list_since":
        listed = function

        def function(*args: Any) -> Any:  # noqa: ANN401
            return tuple(listed(*args))

    def call(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        return stage.call(service, name, function, args, kwargs)

    return call


class StandInTime:
    """Stands in for the module `time` where the pipeline asks for it."""

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds

    def monotonic(self) -> float:
        """Give the simulated seconds."""
        return self._seconds()

    def sleep(self, seconds: float) -> None:
        """Take no time."""
        del seconds
