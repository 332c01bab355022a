"""Errors as sentences and exit codes, in this one place."""

from enum import IntEnum
from typing import IO, Any

import click

from replenish import card_number
from replenish.errors import BadInput, ConfigurationError, ReplenishError, Transient


class ExitCode(IntEnum):
    """What a shell script may rely on."""

    FINE = 0
    BAD_ANSWER = 1  # it ran, and the answer is bad: not enrolled, violations, …
    MISUSE = 2  # the command line, a setting or a value given is wrong
    UNREACHABLE = 3  # a service is away; the same command may work later


REDIS = "Redis did not answer ({}); check that it is up and REDIS_URL right."
DATABASE = "A database did not answer ({}); check that it is up and its address right."
AWAY = {
    "celery.exceptions.OperationalError": REDIS,
    "kombu.exceptions.OperationalError": REDIS,
    "redis.exceptions.ConnectionError": REDIS,
    "redis.exceptions.TimeoutError": REDIS,
    "sqlalchemy.exc.OperationalError": DATABASE,
}
"""Drivers' errors, by name so that no driver is imported to say `--help`."""
MISSING = frozenset({"42P01", "42703", "3F000"})  # table, column, schema


class Failure(click.ClickException):
    """One sentence to standard error, and an exit code."""

    exit_code: int  # type: ignore[misc] # click reads the instance's

    def __init__(self, message: str, *, code: ExitCode) -> None:
        super().__init__(message)
        self.exit_code = code

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the sentence; never a traceback, nor a card number that was given."""
        told = card_number.blotted(self.message)
        click.echo(f"replenish: {told}", file=file, err=file is None)


def as_failure(error: Exception) -> Failure:
    """Give the sentence and the exit code of anything that was raised."""
    if isinstance(error, ReplenishError):
        return Failure(str(error), code=_code(error))
    first_line = str(getattr(error, "orig", error)).strip().partition("\n")[0]
    for kind in type(error).__mro__:
        sentence = AWAY.get(f"{kind.__module__}.{kind.__name__}")
        if sentence:
            told = sentence.format(first_line)
            return Failure(told, code=ExitCode.UNREACHABLE)
    if getattr(getattr(error, "orig", None), "pgcode", None) in MISSING:
        msg = f"A schema is missing or old ({first_line}); run `replenish db upgrade`."
        return Failure(msg, code=ExitCode.MISUSE)
    if isinstance(error, OSError):
        return Failure(f"{first_line}.", code=ExitCode.MISUSE)
    msg = (
        f"This is a bug: {type(error).__name__}: {first_line}. Nothing was half done;"
        " run it again as `replenish --debug …` and report what it prints."
    )
    return Failure(msg, code=ExitCode.BAD_ANSWER)


def _code(error: ReplenishError) -> ExitCode:
    match error:
        case Transient():
            return ExitCode.UNREACHABLE
        case ConfigurationError() | BadInput():
            return ExitCode.MISUSE
        case _:
            return ExitCode.BAD_ANSWER
