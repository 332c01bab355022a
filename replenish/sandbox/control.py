"""A small client of the sandbox's control port, for tests and the demo."""

import http.client
import json
from typing import Any
from urllib.parse import urlsplit

Json = dict[str, Any]


class ControlError(Exception):
    """The sandbox refused a control call; the text says why."""


class Control:
    """Talks to one sandbox; every method is one call on a fresh connection."""

    def __init__(self, url: str, *, timeout: float = 10.0) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "127.0.0.1", parts.port or 80
        self._timeout = timeout

    def __call__(self, method: str, path: str, body: Json | None = None) -> Json:
        """Call `/_sandbox/{path}` and return its JSON.

        Raises:
            ControlError: If the sandbox refuses.
            OSError: If it cannot be reached.
        """
        link = http.client.HTTPConnection(self._host, self._port, timeout=self._timeout)
        try:
            text = None if body is None else json.dumps(body)
            link.request(method, f"/_sandbox/{path.lstrip('/')}", text)
            answer = link.getresponse()
            result: Json = json.loads(answer.read())
        finally:
            link.close()
        if answer.status != http.client.OK:
            raise ControlError(str(result.get("error", result)))
        return result

    def fault(self, kind: str, **options: object) -> str:
        """Set a fault (`times`, `probability`, `match`, …) and return its id."""
        return str(self("POST", "faults", {"kind": kind, **options})["id"])

    def clear_faults(self) -> None:
        """Remove every fault."""
        self("DELETE", "faults")

    def set_card(self, payment_method: str, *outcomes: str) -> None:
        """Decide how a card answers from now on, in order; the last one stays."""
        self("POST", f"cards/{payment_method}", {"outcomes": list(outcomes)})

    def set_customer_cards(self, customer: str, *outcomes: str) -> int:
        """Decide it for all cards of a customer; return how many there are."""
        body = {"outcomes": list(outcomes)}
        return len(self("POST", f"customers/{customer}/cards", body)["cards"])

    def authenticate(self, intent: str, outcome: str = "succeed") -> Json:
        """Answer for the cardholder whom an intent asks to authenticate."""
        return self("POST", f"intents/{intent}/authenticate", {"outcome": outcome})

    def settle(self, intent: str, outcome: str = "succeed") -> Json:
        """End a payment that is `processing`."""
        return self("POST", f"intents/{intent}/settle", {"outcome": outcome})

    def advance(self, seconds: float) -> float:
        """Move the sandbox's clock; return its new time in Unix seconds."""
        return float(self("POST", "clock", {"advance": seconds})["now"])

    def counters(self) -> Json:
        """Return attempts, executions and captures per key, and totals."""
        return self("GET", "counters")

    def reset(self) -> None:
        """Forget everything; the ledger file keeps it."""
        self("POST", "reset")
