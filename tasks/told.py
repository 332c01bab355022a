"""How tasks fail, and what they take: sentences for people, ids and nothing else.

An error of ours is an expected end: it is told in a sentence instead of a traceback,
and stands in Flower as the failure's reason. The next beat, or reconcile, repeats
whatever was not done. What a message may hold is checked here, since whoever can
write into the broker can send anything.
"""

import logging
import uuid
from typing import Any

from billiard.einfo import ExceptionInfo
from celery import Task

from replenish import card_number
from replenish.domain.enrolment import check_ref
from replenish.errors import BadInput, ReplenishError
from replenish.pipeline.sweep import Kind

logger = logging.getLogger(__name__)


class Told(Task):  # type: ignore[type-arg] # Celery subclasses it without arguments
    """A task whose expected errors are told without a traceback."""

    abstract = True
    throws = (ReplenishError,)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 as Celery's
        """Run the task; who wrote the message may not know what it takes.

        `celery call` sends whatever it is given. The tracer has set up the request.

        Raises:
            BadInput: too many arguments, too few, or one of an unknown name.
        """
        try:
            self.__header__(*args, **kwargs)  # type: ignore[attr-defined] # no stub
        except TypeError as error:
            msg = f"{self.name} does not take these arguments: {error}."
            raise BadInput(msg, subject=self.name) from error
        return self.run(*args, **kwargs)

    def on_failure(
        self,
        exc: Exception,
        task_id: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        einfo: ExceptionInfo,
    ) -> None:
        """Log an expected error as its sentence; Celery logs the others."""
        super().on_failure(exc, task_id, args, kwargs, einfo)
        if isinstance(exc, ReplenishError):
            logger.warning(
                "%s: %s", self.name, exc, extra={"event": f"{self.name}.failed"}
            )


def kind_of(value: object) -> Kind:
    """Read which sweep is meant.

    Raises:
        BadInput: neither `hot` nor `full`.
    """
    try:
        return Kind(str(value))
    except ValueError as error:
        msg = f"There is no sweep {_shown(value)}; ask for hot or full."
        raise BadInput(msg) from error


def batch_of(value: object) -> str:
    """Read a batch's id.

    Raises:
        BadInput: it is no UUID.
    """
    try:
        return str(uuid.UUID(str(value)))
    except ValueError as error:
        msg = f"A batch is named by a UUID, not by {_shown(value)}."
        raise BadInput(msg) from error


def account_of(value: object) -> str:
    """Read an account's ref.

    Raises:
        BadInput: it is no text that could name an account.
    """
    if not isinstance(value, str | int):
        msg = f"An account is named by its ref, not by {_shown(value)}."
        raise BadInput(msg)
    check_ref(str(value))
    return str(value)


def _shown(value: object) -> str:
    """Show the beginning of what was given, without a card number if it holds one."""
    return card_number.blotted(repr(value))[:40]
