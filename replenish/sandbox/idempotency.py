"""Stripe's idempotency layer: one key, one execution, one answer.

docs.stripe.com/error-low-level#idempotency: once an endpoint began to execute,
its status and body are kept whatever they are, declines and 500 included, and a
repeat gets them back. Keys live 24 hours; after that the same key runs anew.
"""

import hashlib
from dataclasses import dataclass

from replenish.sandbox.errors import (
    Json,
    invalid,
    key_in_use,
    other_address,
    other_parameters,
)
from replenish.sandbox.store import Store

LIFETIME = 24 * 3600  # seconds, docs.stripe.com/api/idempotent_requests
LONGEST_KEY = 255


@dataclass(frozen=True, slots=True)
class Stored:
    """The first request's fingerprint and answer under a key."""

    digest: str
    status: int
    body: bytes
    request_id: str
    at: float
    path: str


def digest(method: str, path: str, pairs: list[str]) -> str:
    """Return what must be equal for a request to be "the same"."""
    text = "\n".join((method, path, *sorted(pairs)))
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()


class Keys:
    """Keys with stored answers, and keys whose first request still runs."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._stored: dict[str, Stored] = {
            key: Stored(
                row["digest"],
                row["status"],
                row["raw"],
                row["request"],
                row["at"],
                row.get("path", ""),
            )
            for key, row in store.keys.items()
        }
        self.running: set[str] = set()

    def check(self, key: str) -> None:
        """Refuse a key too long, or one whose first request still runs.

        Raises:
            ApiError: 400 or 409.
        """
        if len(key) > LONGEST_KEY:
            message = (
                f"Idempotency keys can be at most {LONGEST_KEY} characters; "
                f"yours has {len(key)}."
            )
            raise invalid(message, None)
        if key in self.running:
            raise key_in_use(key)

    def find(
        self, key: str, fingerprint: str, now: float, *, path: str
    ) -> Stored | None:
        """Return the stored answer of the same request, or `None` for a new key.

        Raises:
            ApiError: 400 `idempotency_error` if the address or the parameters differ.
        """
        stored = self._stored.get(key)
        if stored is None:
            return None
        if now - stored.at >= LIFETIME:
            del self._stored[key]
            return None
        if stored.path != path:
            raise other_address(key, path, stored.path)
        if stored.digest != fingerprint:
            raise other_parameters(key)
        return stored

    def keep(self, key: str, stored: Stored, *, about: str | None) -> None:
        """Remember the answer; `about` names the object whose snapshot it is."""
        self._stored[key] = stored
        fields: Json = {
            "at": stored.at,
            "key": key,
            "digest": stored.digest,
            "status": stored.status,
            "request": stored.request_id,
            "path": stored.path,
        }
        seq = self._store.seq_of(stored.body, about) if about else None
        if seq is not None:
            fields["same_as"] = seq
            self._store.note("key", fields)
        else:
            self._store.note_raw("key", fields, "body", stored.body)

    def clear(self) -> None:
        """Forget every key."""
        self._stored.clear()
        self.running.clear()
