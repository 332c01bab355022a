"""Telling people: for now, one log line an event."""

import logging

logger = logging.getLogger("replenish.notice")


class LogNotifier:
    """Writes each notice to the log; never raises, never waits."""

    def __call__(self, event: str, *, account: str, text: str) -> None:
        """Log an event of an account, with the sentence a person should read.

        As a warning, so that no `LOG_LEVEL` which is used keeps it from them.
        """
        logger.warning(text, extra={"event": event, "account_id": account})
