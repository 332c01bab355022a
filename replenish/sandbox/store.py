"""Every object the sandbox holds, its snapshots, and their way into the ledger.

An object is a plain dictionary, serialised once per change: the same bytes go
into the answer, the events, the idempotency layer and the ledger.
"""

import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from replenish.sandbox.errors import Json
from replenish.sandbox.ledger import Journal, read_raw

dumps = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode

#: Which fields of which kind can be listed by.
INDEXED: dict[str, tuple[str, ...]] = {
    "payment_intent": ("customer",),
    "setup_intent": ("customer",),
    "payment_method": ("customer",),
    "charge": ("customer", "payment_intent"),
    "refund": ("charge", "payment_intent"),
    "dispute": ("charge", "payment_intent"),
}
API_VERSION = "2026-10-28.endive"
EVENTS_KEPT = 200_000


@dataclass(slots=True)
class CardState:
    """What only the bank knows of a PaymentMethod: how it will answer."""

    number: str
    fingerprint: str
    outcomes: tuple[str, ...]
    position: int = 0
    set_up: bool = False
    attachable: bool = True
    used: bool = False  # charged once without a customer: may not be used again

    def answer(self) -> str:
        """Return this attempt's outcome and move on; the last one stays."""
        outcome = self.outcomes[self.position]
        if self.position < len(self.outcomes) - 1:
            self.position += 1
        return outcome


@dataclass(frozen=True, slots=True)
class Event:
    """One event; its JSON is put together only when somebody reads it."""

    id: str
    type: str
    created: int
    request: str | None
    key: str | None
    snapshot: bytes
    previous: Json | None

    def body(self, *, api_version: str, pending: int = 0) -> bytes:
        """Return the event object as Stripe sends it."""
        data = b'{"object":' + self.snapshot
        if self.previous is not None:
            data += b',"previous_attributes":' + dumps(self.previous).encode()
        head = {
            "id": self.id,
            "object": "event",
            "api_version": api_version,
            "created": self.created,
            "livemode": False,
            "pending_webhooks": pending,
            "request": {"id": self.request, "idempotency_key": self.key},
            "type": self.type,
        }
        return dumps(head)[:-1].encode() + b',"data":' + data + b"}}"


class Store:
    """Objects by id, in order of creation, indexed by customer and payment."""

    def __init__(self, path: Path | None) -> None:
        self._journal = Journal(path)
        self._lines: list[bytes] = []
        self.seq = 0
        self.keys: dict[str, Json] = {}  # restored idempotency records
        self._forget()
        if path is not None:
            self._restore(path)

    def _forget(self) -> None:
        self.objects: dict[str, Json] = {}
        self.raws: dict[str, bytes] = {}
        self.order: defaultdict[str, list[str]] = defaultdict(list)
        self._index: defaultdict[tuple[str, str, str], dict[str, None]] = defaultdict(
            dict
        )
        self._seq_of: dict[str, int] = {}
        self.cards: dict[str, CardState] = {}
        self.secrets: dict[str, str] = {}
        self.born: dict[str, int] = {}  # id -> place in the order of creation
        self.events: dict[str, Event] = {}
        self.keys.clear()

    # -- objects -----------------------------------------------------------------

    def save(self, obj: Json) -> bytes:
        """Keep the object's new version, write it down, return its JSON."""
        raw = dumps(obj).encode()
        self.seq += 1
        self._keep(obj, raw, self.seq)
        self._lines.append(b'{"seq":%d,"kind":"state","object":%b}\n' % (self.seq, raw))
        return raw

    def _keep(self, obj: Json, raw: bytes, seq: int) -> None:
        id_, kind = obj["id"], obj["object"]
        if id_ not in self.born:
            self.born[id_] = seq
            self.order[kind].append(id_)
        self.objects[id_] = obj
        self.raws[id_] = raw
        self._seq_of[id_] = seq
        for field in INDEXED.get(kind, ()):
            if value := obj.get(field):
                self._index[kind, field, value][id_] = None

    def get(self, kind: str, id_: str) -> Json | None:
        """Return the object of that kind and id, or `None`."""
        obj = self.objects.get(id_)
        return obj if obj is not None and obj["object"] == kind else None

    def kind_of(self, id_: str) -> str:
        """Return what an id names, or nothing."""
        if id_ in self.events:
            return "event"
        return str(self.objects.get(id_, {}).get("object", ""))

    def newest_first(self, kind: str, **where: str) -> Iterator[Json]:
        """Yield objects of a kind whose fields equal `where`, newest first."""
        ids: list[str] = self.order[kind]
        for field, value in where.items():
            if field in INDEXED.get(kind, ()):
                ids = list(self._index.get((kind, field, value), ()))
                break
        for id_ in reversed(ids):
            obj = self.objects[id_]
            if obj.get("deleted"):
                continue
            if all(obj.get(field) == value for field, value in where.items()):
                yield obj

    # -- what else is written down ------------------------------------------------

    def note(self, kind: str, fields: Json) -> int:
        """Append a record of any family (at least one field); return its number."""
        self.seq += 1
        rest = dumps(fields)[1:]
        self._lines.append(f'{{"seq":{self.seq},"kind":"{kind}",{rest}\n'.encode())
        return self.seq

    def note_raw(self, kind: str, fields: Json, name: str, raw: bytes) -> None:
        """Append a record that carries ready JSON under `name`."""
        self.seq += 1
        head = dumps({"seq": self.seq, "kind": kind, **fields})[:-1].encode()
        self._lines.append(head + b',"' + name.encode() + b'":' + raw + b"}\n")

    def keep_card(self, id_: str, card: CardState) -> None:
        """Write down how a PaymentMethod's bank behaves from now on."""
        self.cards[id_] = card
        fields = {name: getattr(card, name) for name in card.__slots__}
        self.note("card", {"id": id_, "card": fields})

    def keep_secret(self, id_: str, secret: str) -> None:
        """Write down a webhook endpoint's signing secret."""
        self.secrets[id_] = secret
        self.note("secret", {"id": id_, "secret": secret})

    def keep_event(self, event: Event, about: str) -> None:
        """Write down an event; its snapshot is the object's latest version."""
        self.seq += 1
        self._remember(event)
        key, previous = dumps(event.key), dumps(event.previous)
        request = f'"{event.request}"' if event.request else "null"
        self._lines.append(
            f'{{"seq":{self.seq},"kind":"event","id":"{event.id}",'
            f'"type":"{event.type}","created":{event.created},"request":{request},'
            f'"key":{key},"previous":{previous},"of":{self._seq_of[about]}}}\n'.encode()
        )

    def _remember(self, event: Event) -> None:
        self.events[event.id] = event
        self.born[event.id] = self.seq
        if len(self.events) > EVENTS_KEPT:
            oldest = next(iter(self.events))
            del self.events[oldest], self.born[oldest]

    def seq_of(self, raw: bytes, id_: str) -> int | None:
        """Return the number of the state record that holds exactly `raw`."""
        return self._seq_of[id_] if self.raws.get(id_) is raw else None

    def flush(self) -> None:
        """Append all pending records to the file; called before every answer."""
        if self._lines:
            self._journal.write(self._lines)
            self._lines.clear()

    def reset(self, at: float) -> None:
        """Forget everything in memory; the file keeps it, before a `reset` line."""
        self._forget()
        self.note("reset", {"at": at})
        self.flush()

    def close(self) -> None:
        """Write what is pending and give the ledger file back."""
        self.flush()
        self._journal.close()

    # -- restart ------------------------------------------------------------------

    def _restore(self, path: Path) -> None:
        raws: dict[int, bytes] = {}
        for row in read_raw(path):
            self.seq = row["seq"]
            match row["kind"]:
                case "state":
                    obj = row["object"]
                    raws[self.seq] = dumps(obj).encode()
                    self._keep(obj, raws[self.seq], self.seq)
                case "reset":
                    self._forget()
                case "event":
                    self._restore_event(row, raws[row["of"]])
                case "key":
                    self._restore_key(row, raws)
                case _:
                    self._restore_rest(row)

    def _restore_event(self, row: Json, snapshot: bytes) -> None:
        names = ("id", "type", "created", "request", "key")
        fields: dict[str, Any] = {name: row[name] for name in names}
        previous = row["previous"]
        self._remember(Event(**fields, snapshot=snapshot, previous=previous))

    def _restore_key(self, row: Json, raws: dict[int, bytes]) -> None:
        if "same_as" in row:
            row["raw"] = raws[row["same_as"]]
        else:
            row["raw"] = dumps(row.pop("body")).encode()
        self.keys[row["key"]] = row

    def _restore_rest(self, row: Json) -> None:
        if row["kind"] == "card":
            card = row["card"]
            card["outcomes"] = tuple(card["outcomes"])
            self.cards[row["id"]] = CardState(**card)
        elif row["kind"] == "secret":
            self.secrets[row["id"]] = row["secret"]
