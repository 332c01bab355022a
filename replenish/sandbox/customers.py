"""Customers: create, read, change, delete, list, and their payment methods."""

import re

from replenish.sandbox import forms, lists, metadata
from replenish.sandbox.errors import ApiError, Json, invalid
from replenish.sandbox.payment_methods import attach_to, leave, resolve
from replenish.sandbox.shapes import CUSTOMER, NO_ADDRESS
from replenish.sandbox.world import Call

_TEXTS = ("name", "email", "phone", "description")
_TAX_EXEMPT = ("none", "reverse", "exempt")
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")
_CHANGE = frozenset(
    {
        *_TEXTS, "address", "balance", "invoice_settings", "metadata",
        "preferred_locales", "shipping", "tax_exempt",
    }
)  # fmt: skip
_CREATE = _CHANGE | {"payment_method"}


def create(call: Call) -> bytes:
    """`POST /v1/customers`."""
    call.only(_CREATE)
    id_ = call.world.ids.short("cus_")
    customer: Json = {
        **CUSTOMER,
        "id": id_,
        "created": call.now,
        "invoice_prefix": id_[-8:].upper(),
    }
    _apply(call, customer, default=False)
    given = call.text("payment_method")
    method = resolve(call, given) if given else None
    call.save(customer)
    call.emit("customer.created", customer)
    if method is not None:
        attach_to(call, method, id_)
    if forms.group(call.params, "invoice_settings"):
        call.save(_set_default(call, customer))
    return call.answer(customer)


def retrieve(call: Call) -> bytes:
    """`GET /v1/customers/{id}`; a deleted one says so."""
    call.only(frozenset())
    return call.answer(call.here("customer"))


def update(call: Call) -> bytes:
    """`POST /v1/customers/{id}`."""
    call.only(_CHANGE)
    old = call.alive("customer")
    customer = dict(old)
    _apply(call, customer, default=True)
    call.save(customer)
    changed = {k: old[k] for k in old if old[k] != customer[k]}
    call.emit("customer.updated", customer, previous=changed)
    return call.answer(customer)


def delete(call: Call) -> bytes:
    """`DELETE /v1/customers/{id}`: its payment methods are detached."""
    call.only(frozenset())
    customer = call.alive("customer")
    for method in list(
        call.store.newest_first("payment_method", customer=customer["id"])
    ):
        leave(call, method)
    call.emit("customer.deleted", customer)
    gone = {"id": customer["id"], "object": "customer", "deleted": True}
    return call.answer(call.save(gone))


def listed(call: Call) -> bytes:
    """`GET /v1/customers`."""
    return lists.listing(call, "customer", by=("email",))


def methods(call: Call) -> bytes:
    """`GET /v1/customers/{id}/payment_methods`."""
    customer = call.alive("customer")
    by = ("type", "allow_redisplay")
    return lists.listing(call, "payment_method", by=by, customer=customer["id"])


def method_of(call: Call) -> bytes:
    """`GET /v1/customers/{id}/payment_methods/{id}`."""
    call.only(frozenset())
    id_ = call.args[1]
    method = call.find("payment_method", id_, param="payment_method", status=404)
    if method["customer"] != call.args[0]:
        message = "Invalid request"
        raise ApiError(404, message, param="customer")
    return call.answer(method)


def _apply(call: Call, customer: Json, *, default: bool) -> None:
    params = call.params
    for name in _TEXTS:
        if name in params:
            customer[name] = call.text(name)
    _check_email(customer["email"])
    if "tax_exempt" in params:
        customer["tax_exempt"] = call.choice("tax_exempt", _TAX_EXEMPT) or "none"
    for name, change in _CHANGES.items():
        if name in params:
            customer[name] = change(params, customer[name])
    if (balance := call.integer("balance")) is not None:
        customer |= {"balance": balance, "currency": "usd"}
    customer["metadata"] = metadata.merged(call, customer["metadata"])
    if default:
        _set_default(call, customer)


def _check_email(email: str | None) -> None:
    if email and not _EMAIL.fullmatch(email):
        message = f"Invalid email address: {email}"
        raise invalid(message, "email", code="email_invalid")


def _set_default(call: Call, customer: Json) -> Json:
    settings = forms.group(call.params, "invoice_settings")
    if "default_payment_method" in settings:
        id_ = str(settings["default_payment_method"]) or None
        param = "invoice_settings[default_payment_method]"
        if id_ is not None:
            method = call.find("payment_method", id_, param=param)
            if method["customer"] != customer["id"]:
                message = (
                    "The customer does not have a payment method with the ID "
                    f"{id_}. The payment method must be attached to the customer."
                )
                raise invalid(message, param)
        customer["invoice_settings"] = {
            **customer["invoice_settings"],
            "default_payment_method": id_,
        }
    return customer


def _address(given: forms.Params, old: Json | None) -> Json | None:
    """Return an address with every part there, changed where something was given."""
    parts = forms.group(given, "address")
    if not parts and given.get("address") == "":
        return None
    return {**NO_ADDRESS, **(old or {}), **parts}


def _shipping(given: forms.Params, old: Json | None) -> Json | None:
    parts = forms.group(given, "shipping")
    if not parts:
        return None if given["shipping"] == "" else old
    base = {"address": None, "name": None, "phone": None}
    address = _address(parts, (old or {}).get("address") or NO_ADDRESS)
    return {**base, **(old or {}), **parts, "address": address}


def _locales(given: forms.Params, old: Json | None) -> list[str]:  # noqa: ARG001 - one shape for all
    return forms.strings(given, "preferred_locales")


_CHANGES = {"address": _address, "shipping": _shipping, "preferred_locales": _locales}
