"""Trip and end the breakers, and tell people; see `replenish.domain.breaker`."""

from replenish.domain.breaker import GATEWAY_QUIET, Breaker
from replenish.domain.decision import Reason
from replenish.domain.words import WORDS, goes_on
from replenish.errors import GatewayKeyRefused, Transient
from replenish.pipeline.services import Services


def look(services: Services) -> None:
    """Let the rows trip and end breakers; safe to repeat and to race."""
    for breaker in services.breakers.look():
        told = _ended if breaker.ended_by else _tripped
        told(breaker, services)


def probe(services: Services) -> None:
    """Lift the gateway's breaker when the gateway answers again.

    Not in its first seconds, so that a gateway which only looks well does not have
    charges started and given up without end.
    """
    standing = services.breakers.standing(at_least=GATEWAY_QUIET)
    for breaker in (b for b in standing if b.reason is Reason.GATEWAY_DOWN):
        if breaker.by_hand or not _answers(services):
            continue
        if services.breakers.lift(breaker.reason, by="the gateway answers"):
            _ended(breaker, services)


def _answers(services: Services) -> bool:
    try:
        return not services.gateway.check()
    except (GatewayKeyRefused, Transient):
        return False


def _tripped(breaker: Breaker, services: Services) -> None:
    text = f"New charges are stopped: {breaker.detail}; {goes_on(breaker)}."
    services.notify("breaker.tripped", account="", text=text)


def _ended(breaker: Breaker, services: Services) -> None:
    text = f"Charges go on; they were stopped since {WORDS[breaker.reason]}."
    services.notify("breaker.ended", account="", text=text)
