"""What the `celery` command shows people: sentences, and Flower behind its door.

`celery -A replenish flower` loads our app before Flower reads its options, so this
is where its defaults come from our settings, and where a door left open is refused.
"""

import os
import socket
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar

from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from replenish.errors import ConfigurationError
from replenish.setting_checks import is_loopback
from replenish.settings import Settings

if TYPE_CHECKING:
    from tornado.options import OptionParser


Wanted = TypeVar("Wanted")


def sentence_or(read: Callable[[], Wanted]) -> Wanted:
    """Read the settings; under `celery`, end with a sentence if they are wrong.

    Elsewhere the error is raised, and the caller tells it in its own way.
    """
    try:
        return read()
    except ConfigurationError as error:
        if _under_celery():
            sys.exit(str(error))
        raise


def _under_celery() -> bool:
    return Path(sys.argv[0]).name == "celery"


def say_sentences() -> None:
    """Have the `celery` command say in a sentence that Redis is away."""
    if _under_celery():
        sys.excepthook = _tell


def _tell(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    cause: BaseException | None = error  # Celery's result store wraps it
    while cause and not isinstance(cause, OperationalError | RedisError):
        cause = cause.__cause__ or cause.__context__
    if cause is None:
        sys.__excepthook__(kind, error, trace)
        return
    sys.stderr.write(
        f"Redis did not answer ({cause}); check that it is up and REDIS_URL right.\n"
    )


def guard(argv: list[str] | None = None) -> None:
    """Prepare Flower's options, if Flower is what is being started."""
    if "flower" not in (sys.argv if argv is None else argv):
        return
    settings = sentence_or(Settings.from_env)
    refuse_open_api()
    defaults = {
        "FLOWER_ADDRESS": settings.flower_address,
        "FLOWER_PORT": str(settings.flower_port),
        "FLOWER_READ_ONLY": str(settings.flower_read_only).lower(),
        "FLOWER_BASIC_AUTH": settings.flower_basic_auth,
    }
    for name, value in defaults.items():
        if value:
            os.environ[name] = value
        else:  # empty is as unset; Flower would take it for a password nobody has
            os.environ.pop(name, None)
    from flower import options  # noqa: PLC0415 heavy, and only Flower needs it

    for check in (refuse_open_door, refuse_debugging, refuse_taken_port):
        options.options.add_parse_callback(partial(check, options.options))


def refuse_open_api() -> None:
    """End the process, with a sentence, if Flower's API were open to everybody.

    With it even a page in the browser of somebody on this machine could send tasks.
    """
    if os.environ.get("FLOWER_UNAUTHENTICATED_API"):
        sys.exit(
            "FLOWER_UNAUTHENTICATED_API would open Flower's API to everybody: remove"
            " it; with FLOWER_BASIC_AUTH=user:password the API answers who has that."
        )


def refuse_debugging(options: "OptionParser") -> None:
    """End the process, with a sentence, rather than show tracebacks on a page."""
    if options.debug:
        sys.exit("Flower's --debug shows tracebacks to whoever looks: remove it.")


def refuse_open_door(options: "OptionParser") -> None:
    """End the process, with a sentence, rather than listen to everybody.

    Flower's pages show account ids and its API can stop workers, so beyond this
    machine it takes a password (`FLOWER_BASIC_AUTH=user:password`).
    """
    if options.unix_socket or is_loopback(options.address) or options.basic_auth:
        return
    where = options.address or "every address"
    sys.exit(
        f"Flower would listen on {where} without a password: set"
        " FLOWER_BASIC_AUTH=user:password, or FLOWER_ADDRESS=127.0.0.1."
    )


def refuse_taken_port(options: "OptionParser") -> None:
    """End the process, with a sentence, when somebody listens there already."""
    if options.unix_socket:
        return
    try:
        found = socket.getaddrinfo(
            options.address or None,
            options.port,
            type=socket.SOCK_STREAM,
            flags=socket.AI_PASSIVE,
        )
        family, kind, protocol, _, address = found[0]
        with socket.socket(family, kind, protocol) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
    except OSError as error:
        sys.exit(
            f"Flower cannot listen on {options.address}:{options.port}"
            f" ({error.strerror}); set FLOWER_PORT to a free port."
        )
