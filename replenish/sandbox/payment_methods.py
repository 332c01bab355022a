"""PaymentMethods: made from test ids, tokens or numbers; attached and detached.

A test id such as `pm_card_visa` or `pm_sandbox_chain_…` is a template: using or
attaching it mints a new `pm_1…` that remembers how its bank answers.
"""

import time

from replenish.sandbox import cards, forms, lists, metadata
from replenish.sandbox.cards import Plastic, luhn_digit
from replenish.sandbox.declines import DECLINES, NUMBER
from replenish.sandbox.errors import ApiError, Json, invalid, missing, no_such
from replenish.sandbox.shapes import card_error, checked, payment_method
from replenish.sandbox.store import CardState
from replenish.sandbox.world import Call

_CREATE = frozenset(
    {"type", "card", "billing_details", "metadata", "allow_redisplay", "customer"}
)
_UPDATE = frozenset({"card", "billing_details", "metadata", "allow_redisplay"})
_USED = (
    "The provided PaymentMethod was previously used with a PaymentIntent without "
    "Customer attachment, shared with a connected account without Customer "
    "attachment, or was detached from a Customer. It may not be used again. To use "
    "a PaymentMethod multiple times, you must attach it to a Customer first."
)
_SPENT = (
    "This PaymentMethod was previously used without being attached to a Customer or "
    "was detached from a Customer, and may not be used again."
)
_NOT_AT_ONCE = (
    "You cannot attach a PaymentMethod to a Customer during PaymentMethod creation. "
    "Please instead create the PaymentMethod and then attach it using the attachment "
    "method of the PaymentMethods API."
)
_REDISPLAY = ("always", "limited", "unspecified")
_LIVE_CARD = (
    "Your card was declined. Your request was in test mode, but used a non test "
    "card. For a list of valid test cards, visit: https://stripe.com/docs/testing."
)


def create(call: Call) -> bytes:
    """`POST /v1/payment_methods` with `card[number]` or `card[token]`."""
    call.only(_CREATE)
    kind = call.required("type")
    if call.text("customer"):
        raise invalid(_NOT_AT_ONCE, None)
    if kind != "card":
        message = f"The sandbox knows cards only; type '{kind}' is not one."
        raise invalid(message, "type")
    given = forms.group(call.params, "card")
    if not given:
        raise missing(name="card")
    by_token = forms.text(given, "token") is not None
    expiry = None if by_token else _expiry(given, call.now)
    method = mint(call, _plastic(given), expiry=expiry)
    _apply(call, method)
    return call.answer(call.save(method))


def retrieve(call: Call) -> bytes:
    """`GET /v1/payment_methods/{id}`; a test id mints a new one."""
    call.only(frozenset())
    return call.answer(resolve(call, call.args[0], status=404))


def update(call: Call) -> bytes:
    """`POST /v1/payment_methods/{id}`: billing details, metadata, expiry."""
    call.only(_UPDATE)
    method = dict(call.here("payment_method", param="payment_method"))
    if method["customer"] is None:
        message = (
            "You must save this PaymentMethod to a customer before you can update it."
        )
        raise invalid(message, None)
    _apply(call, method)
    given = forms.group(call.params, "card")
    if given:
        month, year = _expiry(given, call.now)
        method["card"] = {**method["card"], "exp_month": month, "exp_year": year}
    call.save(method)
    call.emit("payment_method.updated", method, previous={})
    return call.answer(method)


def listed(call: Call) -> bytes:
    """`GET /v1/payment_methods?customer=…`; without a customer there are none."""
    by = ("customer", "type", "allow_redisplay")
    id_ = call.text("customer")
    if id_ is None:
        call.only(lists.PAGING | set(by))
        return lists.page(call, iter(()), "payment_method")
    call.find("customer", id_, param="customer")
    return lists.listing(call, "payment_method", by=by)


def attach(call: Call) -> bytes:
    """`POST /v1/payment_methods/{id}/attach`; decline cards refuse, 0341 does not."""
    call.only(frozenset({"customer"}))
    id_ = call.text("customer")
    if id_ is None:
        message = "Must provide customer or customer_account."
        raise invalid(message, None, code="parameter_missing")
    method = resolve(call, call.args[0], status=404)
    customer = call.find("customer", id_, param="customer")
    if method["customer"] == customer["id"]:
        return call.answer(method)
    return call.answer(attach_to(call, method, customer["id"]))


def detach(call: Call) -> bytes:
    """`POST /v1/payment_methods/{id}/detach`: it may not be used again."""
    call.only(frozenset())
    method = call.here("payment_method", param="payment_method")
    if method["customer"] is None:
        message = (
            "The payment method you provided is not attached to a customer so "
            "detachment is impossible."
        )
        raise ApiError(400, message, stored=True)
    return call.answer(leave(call, method))


def resolve(call: Call, id_: str, *, status: int = 400) -> Json:
    """Return a stored PaymentMethod, or mint one from a test id.

    Raises:
        ApiError: `resource_missing` for an id that is neither.
    """
    method = call.store.get("payment_method", id_)
    if method is not None:
        return method
    plastic = cards.find(id_)
    if plastic is None:
        raise no_such(
            what="PaymentMethod", id_=id_, param="payment_method", status=status
        )
    return call.save(mint(call, plastic))


def mint(
    call: Call, plastic: Plastic, *, expiry: tuple[int, int] | None = None
) -> Json:
    """Make a PaymentMethod (not saved yet) and the memory of its bank."""
    id_ = call.world.ids.long("pm_1")
    today = time.gmtime(call.now)
    expiry = expiry or (today.tm_mon, today.tm_year + 1)
    method = payment_method(id_, plastic, expiry=expiry)
    method["created"] = call.now
    card = CardState(
        number=plastic.number,
        fingerprint=plastic.fingerprint,
        outcomes=plastic.outcomes,
        set_up=plastic.set_up,
        attachable=plastic.attachable,
    )
    call.store.keep_card(id_, card)
    return method


def attach_to(call: Call, method: Json, customer: str) -> Json:
    """Attach, or refuse as the card's bank or its history demands."""
    card = call.card_of(method["id"])
    if method["customer"] is not None:
        message = (
            "The payment method you provided has already been attached to a customer."
        )
        raise ApiError(400, message, param="payment_method", stored=True)
    if card.used:
        raise ApiError(400, _SPENT, stored=True)
    if not card.attachable:
        fields = card_error(DECLINES["generic_decline"], method) | {"param": ""}
        del fields["payment_method"]
        raise refused_by_bank(fields)
    attached = {**checked(method), "customer": customer}
    call.save(attached)
    call.emit("payment_method.attached", attached)
    return attached


def leave(call: Call, method: Json) -> Json:
    """Detach a PaymentMethod for good."""
    card = call.card_of(method["id"])
    card.used = True
    call.store.keep_card(method["id"], card)
    detached = {**method, "customer": None}
    call.save(detached)
    previous = {"customer": method["customer"]}
    call.emit("payment_method.detached", detached, previous=previous)
    return detached


def check_owner(call: Call, method: Json, customer: str | None, *, on: str) -> None:
    """Refuse a method of another customer, or one that may not be used again.

    `on` names what it is for: `PaymentIntent` or `SetupIntent`.

    Raises:
        ApiError: 400, naming the method.
    """
    owner, id_ = method["customer"], method["id"]
    if owner is None:
        if call.card_of(id_).used:
            raise ApiError(400, _USED, stored=True)
        return
    if owner == customer:
        return
    if customer is not None:
        message = (
            f"The PaymentMethod {id_} does not belong to the Customer you supplied "
            f"{customer}. Please use this PaymentMethod with the Customer that it "
            "belongs to instead."
        )
        raise ApiError(400, message, param="payment_method", stored=True)
    please = f"Please include the Customer in the `customer` parameter on the {on}."
    if on == "SetupIntent":
        message = (
            f"The payment method supplied ({id_}) belongs to the Customer {owner}. "
        )
        raise ApiError(400, message + please, param="payment_method", stored=True)
    message = (
        f"The `payment_method` parameter supplied {id_} belongs to the Customer "
        f"{owner}. "
    )
    code = "parameter_missing"
    raise ApiError(400, message + please, code=code, param="source", stored=True)


def refused_by_bank(error: Json, **more: object) -> ApiError:
    """Make the 402 of an error object as `card_error` builds it."""
    fields = {k: v for k, v in error.items() if k not in {"message", "doc_url"}}
    return ApiError(402, error["message"], stored=True, **fields, **more)


def _apply(call: Call, method: Json) -> None:
    method["metadata"] = metadata.merged(call, method["metadata"])
    if shown := call.choice("allow_redisplay", _REDISPLAY):
        method["allow_redisplay"] = shown
    if billing := forms.group(call.params, "billing_details"):
        known = method["billing_details"]
        address = {**known["address"], **forms.group(billing, "address")}
        method["billing_details"] = {**known, **billing, "address": address}


def _plastic(given: forms.Params) -> Plastic:
    token, number = forms.text(given, "token"), forms.text(given, "number")
    if token is not None:
        if not token.startswith("tok_"):
            message = f"Invalid token id: {token}"
            raise invalid(message, "token")
        plastic = cards.find(token)
        if plastic is None:
            raise no_such(what="token", id_=token, param="card[token]")
        return plastic
    if number is None:
        raise missing(name="card[number]")
    number = number.replace(" ", "")
    if plastic := cards.NUMBERS.get(number):
        return plastic
    if not number.isdecimal() or luhn_digit(number[:-1]) != number[-1:]:
        raise _card_error(code="incorrect_number", message=NUMBER, param="number")
    raise _card_error(
        code="card_declined",
        message=_LIVE_CARD,
        param=None,
        decline_code="test_mode_live_card",
    )


def _expiry(given: forms.Params, now: int) -> tuple[int, int]:
    try:
        month = int(str(given.get("exp_month", "")))
        year = int(str(given.get("exp_year", "")))
    except ValueError:
        absent = "exp_month" if "exp_month" not in given else "exp_year"
        raise missing(name=f"card[{absent}]") from None
    year += 2000 if year < 100 else 0  # noqa: PLR2004 - two-digit years
    if not 1 <= month <= 12:  # noqa: PLR2004 - months
        text = "Your card's expiration month is invalid."
        raise _card_error(code="invalid_expiry_month", message=text, param="exp_month")
    today = time.gmtime(now)
    if (year, month) < (today.tm_year, today.tm_mon):
        text = "Your card's expiration year is invalid."
        raise _card_error(code="invalid_expiry_year", message=text, param="exp_year")
    return month, year


def _card_error(code: str, message: str, param: str | None, **more: object) -> ApiError:
    error = ApiError(402, message, type="card_error", code=code, param=param)
    error.fields |= more
    return error
