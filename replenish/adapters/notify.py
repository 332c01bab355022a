"""Telling people: for now, one log line an event."""

import logging

logger = logging.getLogger("replenish.notice")


class LogNotifier:
    """Writes each notice to the log; never raises, never waits."""

    def __call__(self, event: str, *, account: str, text: str) -> None:
        """Log an event of an account, with the sentence a person should read."""
        logger.info(text, extra={"event": event, "account_id": account})
