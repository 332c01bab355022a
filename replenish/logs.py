"""Log lines: one an event, for a person or a machine, never with a secret in them.

    logger.info("Attempt settled", extra={"event": "attempt.settled", "amount": "25"})

becomes

    2026-11-23T09:00:00.123Z INFO    replenish.pipeline  Attempt settled
        event=attempt.settled amount=25 account_id=1001        (all in one line)

Whatever is given as `extra` and whatever `bind` has set stands in the line; of two
values of one name, what the line itself was given. Keys,
passwords, tokens of payment methods and card numbers are blotted out on the way, and
line feeds are escaped, so that nobody forges a line with an account's name.
"""

import json
import logging
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Final, TextIO

from replenish import card_number
from replenish.settings import Settings

HIDDEN: Final = "***"

# What every record has; all else in it was given as `extra`. `data` is Celery's copy
# of the task's message and says nothing that the line does not.
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {
    *("message", "asctime", "taskName", "data"),
}

_bound: ContextVar[Mapping[str, str]] = ContextVar("replenish_log_ids", default={})  # noqa: B039
# the default is never changed: `bind` sets a new mapping

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_SECRETS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\b((?:sk|rk)_(?:test|live)_|whsec_|pm_)\w+"), rf"\1{HIDDEN}"),
    (re.compile(r"(://[^/@:\s]*):[^\s\"']*@"), rf"\1:{HIDDEN}@"),
    (re.compile(r"(?i)(\bpassword[\"']?\s*[=:]\s*[\"']?)[^\s&\"',}]+"), rf"\1{HIDDEN}"),
    (
        re.compile(
            r"(?i)(\bauthorization[\"']?\s*[=:]\s*[\"']?)"
            r"(?:(?:basic|bearer)\s+)?[^\s\"',}]+"
        ),
        rf"\1{HIDDEN}",
    ),
    (re.compile(r"(?i)\b(bearer|basic)\s+[\w+/.~-]{8,}=*"), rf"\1 {HIDDEN}"),
)


def configure(settings: Settings, *, stream: TextIO | None = None) -> None:
    """Send all log lines to `stream` (standard error) as the settings want them.

    May be repeated; the last call wins.
    """
    handler = _Handler(stream or sys.stderr)
    handler.setFormatter(
        JsonFormatter() if settings.log_format == "json" else TextFormatter()
    )
    root = logging.getLogger()
    for old in [found for found in root.handlers if isinstance(found, _Handler)]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(settings.log_level)
    # The SDK tells every request at INFO; our own line about its outcome says more.
    logging.getLogger("stripe").setLevel(max(root.level, logging.WARNING))
    logging.captureWarnings(capture=True)


def bind(**ids: str) -> None:
    """Put these ids on every line of this task or thread, until `unbind`."""
    _bound.set({**_bound.get(), **ids})


def unbind() -> None:
    """Forget what was bound."""
    _bound.set({})


@contextmanager
def bound(**ids: str) -> Iterator[None]:
    """Bind for a block, and then put back what was bound before."""
    token = _bound.set({**_bound.get(), **ids})
    try:
        yield
    finally:
        _bound.reset(token)


def redact(text: str) -> str:
    """Blot out keys, passwords, payment methods and card numbers in `text`."""
    for pattern, instead in _SECRETS:
        text = pattern.sub(instead, text)
    return card_number.blotted(text)


def one_line(text: str) -> str:
    r"""Write control characters out, a line feed as `\n`: one line stays one."""
    return _CONTROL.sub(lambda found: repr(found.group())[1:-1], text)


class _Handler(logging.StreamHandler):  # type: ignore[type-arg]  # generic in stubs only
    """Our own handler, to be told from those of a test runner."""


class TextFormatter(logging.Formatter):
    """Lines for a person: time in UTC, level, logger, message, key=value."""

    def format(self, record: logging.LogRecord) -> str:
        """Make the line; a traceback follows it, indented."""
        pairs = "".join(f" {key}={_word(text)}" for key, text in _fields(record))
        head = (
            f"{_time(record)} {record.levelname:<8}{record.name}  "
            f"{_message(record)}{pairs}"
        )
        return head + "".join(
            f"\n    {one_line(line)}"
            for line in self._traceback(record).split("\n")
            if line
        )

    def _traceback(self, record: logging.LogRecord) -> str:
        return _traceback(record, self.formatException)


class JsonFormatter(logging.Formatter):
    """One JSON object a line, for a log collector."""

    def format(self, record: logging.LogRecord) -> str:
        """Make the line; a traceback is its field `exception`."""
        document = {
            "time": _time(record),
            "level": record.levelname,
            "logger": record.name,
            "message": _message(record),
            **dict(_fields(record)),
        }
        trace = _traceback(record, self.formatException)
        if trace:
            document["exception"] = trace
        return json.dumps(document, ensure_ascii=False)


def _time(record: logging.LogRecord) -> str:
    when = datetime.fromtimestamp(record.created, UTC)
    return f"{when:%Y-%m-%dT%H:%M:%S}.{when.microsecond // 1000:03d}Z"


def _message(record: logging.LogRecord) -> str:
    return one_line(redact(record.getMessage()))


def _fields(record: logging.LogRecord) -> Iterator[tuple[str, str]]:
    given = {k: v for k, v in vars(record).items() if k not in _STANDARD}
    bound = {k: v for k, v in _bound.get().items() if k not in given}
    for key, value in {**given, **bound}.items():
        yield one_line(key), one_line(redact(str(value)))


def _traceback(record: logging.LogRecord, render: Callable[..., str]) -> str:
    trace = render(record.exc_info) if record.exc_info else record.exc_text or ""
    return redact("\n".join(part for part in (trace, record.stack_info or "") if part))


def _word(text: str) -> str:
    """Quote what would not read as one word."""
    plain = text and not any(sign in text for sign in ' "=')
    return text if plain else json.dumps(text, ensure_ascii=False)
