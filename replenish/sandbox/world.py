"""The state of one running sandbox, and the view one call has of it."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from replenish.sandbox import expansion, forms
from replenish.sandbox.auth import Access
from replenish.sandbox.clock import Clock
from replenish.sandbox.errors import Json, empty, invalid, missing, no_such, unknown
from replenish.sandbox.faults import Faults
from replenish.sandbox.idempotency import Keys
from replenish.sandbox.ids import Ids
from replenish.sandbox.limits import RateLimiter
from replenish.sandbox.postman import Postman
from replenish.sandbox.store import CardState, Event, Store

#: The name Stripe uses for each kind in "No such …: '…'".
CALLED = {"payment_method": "PaymentMethod", "setup_intent": "setupintent"}
#: What an empty value cannot unset.
_NEVER_EMPTY = frozenset(
    {
        "amount", "amount_to_capture", "charge", "customer", "limit", "payment_intent",
        "payment_method",
    }
)  # fmt: skip
_ADDRESS = frozenset({"city", "country", "line1", "line2", "postal_code", "state"})
#: What may stand inside a nested parameter, where the sandbox reads it.
NESTED = {
    "address": _ADDRESS,
    "automatic_payment_methods": frozenset({"allow_redirects", "enabled"}),
    "billing_details": frozenset({"address", "email", "name", "phone", "tax_id"}),
    "card": frozenset({"cvc", "exp_month", "exp_year", "networks", "number", "token"}),
    "created": frozenset({"gt", "gte", "lt", "lte"}),
    "invoice_settings": frozenset(
        {"custom_fields", "default_payment_method", "footer", "rendering_options"}
    ),
    "shipping": frozenset({"address", "carrier", "name", "phone", "tracking_number"}),
}


@dataclass(slots=True)
class Tally:
    """What happened under one idempotency key."""

    attempts: int = 0
    executions: int = 0
    captures: int = 0


class World:
    """Everything one sandbox process knows."""

    def __init__(
        self, ledger: Path | None, *, seed: int = 0, rate_limit: float | None = None
    ) -> None:
        self.clock = Clock()
        self.store = Store(ledger)
        self.ids = Ids(seed=seed, start=self.store.seq)
        self.keys = Keys(self.store)
        self.faults = Faults(seed=seed)
        self.access = Access()
        self.limiter = RateLimiter(rate_limit)
        self.postman = Postman(self.store, self.clock, seed=seed)
        self.search_lag = 0.0  # seconds until a new object can be searched for
        self.due = _due(self.store)  # when pending intents settle
        self.by_key: defaultdict[str, Tally] = defaultdict(Tally)
        self.by_endpoint: Counter[str] = Counter()
        self.totals: Counter[str] = Counter()

    def reset(self) -> None:
        """Forget objects, keys, faults, counters and access rules."""
        self.store.reset(self.clock.now())
        self.keys.clear()
        self.faults.clear()
        self.access = Access()
        self.limiter.clear()
        self.postman.clear()
        self.search_lag = 0.0
        self.due.clear()
        self.by_key.clear()
        self.by_endpoint.clear()
        self.totals.clear()


def _due(store: Store) -> list[tuple[float, str]]:
    """Return when each restored intent that waits for its debit is to settle."""
    return [
        (intent["processing"]["card"]["customer_notification"]["completes_at"], id_)
        for id_ in store.order["payment_intent"]
        if (intent := store.objects[id_])["processing"]
    ]


@dataclass(slots=True)
class Call:
    """One API request on its way through a handler."""

    world: World
    method: str
    path: str
    args: tuple[str, ...]  # the ids in the path
    params: forms.Params
    key: str | None
    version: str
    request_id: str | None  # None when no request caused it
    at: float
    about: str | None = None  # the id whose snapshot is the answer
    captures: int = 0
    expand: list[str] = field(default_factory=list)

    @property
    def now(self) -> int:
        """Whole Unix seconds by the sandbox's clock."""
        return int(self.at)

    @property
    def store(self) -> Store:
        """The sandbox's objects."""
        return self.world.store

    # -- parameters ---------------------------------------------------------------

    def only(self, allowed: frozenset[str]) -> None:
        """Refuse every parameter not in `allowed` (and read `expand`)."""
        params = self.params
        if extra := [n for n in params if n not in allowed and n != "expand"]:
            raise unknown(extra)
        for name, value in params.items():
            if value == "" and name in _NEVER_EMPTY:
                raise empty(name)
            if not isinstance(value, str) and (extra := _not_in(name, value)):
                raise unknown(extra)
        if "expand" in params:
            self.expand = forms.strings(params, "expand")
            expansion.check(self.expand, method=self.method, address=self.path)

    def text(self, name: str) -> str | None:
        """Return a text parameter, `None` when absent or unset."""
        return forms.text(self.params, name)

    def required(self, name: str) -> str:
        """Return a text parameter or refuse the call."""
        value = forms.text(self.params, name)
        if value is None:
            raise missing(name)
        return value

    def integer(self, name: str) -> int | None:
        """Return an integer parameter; refuse anything else."""
        value = forms.text(self.params, name)
        return None if value is None else whole(value, name)

    def flag(self, name: str) -> bool | None:
        """Return a boolean parameter; refuse anything but true and false."""
        value = forms.text(self.params, name)
        if value is None:
            return None
        if value not in {"true", "false"}:
            message = f"Invalid boolean: {value}"
            raise invalid(message, name)
        return value == "true"

    def choice(self, name: str, allowed: tuple[str, ...]) -> str | None:
        """Return one of a fixed set of words, which a refusal names in order."""
        value = forms.text(self.params, name)
        if value is not None and value not in allowed:
            comma = "," if len(allowed) > 2 else ""  # noqa: PLR2004 - a pair has none
            words = f"{', '.join(allowed[:-1])}{comma} or {allowed[-1]}"
            message = f"Invalid {name}: must be one of {words}"
            raise invalid(message, name)
        return value

    # -- objects ------------------------------------------------------------------

    def here(self, kind: str, *, param: str = "id") -> Json:
        """Return the object the path names, or 404."""
        return self.find(kind, self.args[0], param=param, status=404)

    def alive(self, kind: str, *, param: str = "id") -> Json:
        """Return the object the path names, or 404 if it is gone or was deleted."""
        obj = self.here(kind, param=param)
        if obj.get("deleted"):
            raise no_such(CALLED.get(kind, kind), self.args[0], param=param, status=404)
        return obj

    def find(self, kind: str, id_: str, *, param: str, status: int = 400) -> Json:
        """Return an object by id, or refuse with `resource_missing`."""
        obj = self.store.get(kind, id_)
        if obj is None or (obj.get("deleted") and status == 400):  # noqa: PLR2004
            raise no_such(CALLED.get(kind, kind), id_, param=param, status=status)
        return obj

    def save(self, obj: Json) -> Json:
        """Keep a new version of the object."""
        self.store.save(obj)
        return obj

    def answer(self, obj: Json) -> bytes:
        """Return the object's JSON, with what `expand[]` asks for."""
        if not self.expand:
            self.about = obj["id"]
            return self.store.raws[obj["id"]]
        return expansion.page(obj, self.expand, self.store)

    def emit(self, kind: str, obj: Json, *, previous: Json | None = None) -> None:
        """Record an event about the object's latest version and send it out."""
        world = self.world
        id_ = obj["id"]
        event = Event(
            world.ids.long("evt_3" if id_[:2] in {"pi", "ch"} else "evt_1"),
            kind,
            self.now,
            self.request_id,
            self.key,
            self.store.raws[id_],
            previous,
        )
        self.store.keep_event(event, id_)
        world.postman.send(event)

    def card_of(self, payment_method: str) -> CardState:
        """Return how the bank of a PaymentMethod behaves."""
        return self.store.cards[payment_method]

    def ledger(self, kind: str, fields: Json) -> None:
        """Write down what happened to money."""
        fields["at"] = self.at
        fields["idempotency_key"] = self.key
        fields["request"] = self.request_id
        self.store.note(kind, fields)
        self.world.totals[kind] += 1


def _not_in(name: str, group: forms.Params) -> list[str]:
    """Return what is in a nested parameter that it does not have."""
    if name not in NESTED:
        return []
    return [f"{name}[{each}]" for each in group if each not in NESTED[name]]


def whole(value: object, name: str) -> int:
    """Return an integer parameter's value; refuse what is none."""
    try:
        return int(str(value))
    except ValueError:
        message = f"Invalid integer: {value}"
        raise invalid(message, name, code="parameter_invalid_integer") from None
