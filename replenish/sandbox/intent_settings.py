"""The settings of a PaymentIntent: which are allowed, and what they change."""

from replenish.sandbox import forms, metadata
from replenish.sandbox.currencies import check_currency
from replenish.sandbox.descriptors import check_descriptors
from replenish.sandbox.errors import ApiError, Json, invalid, missing, wrong_state
from replenish.sandbox.payment_methods import check_owner, resolve
from replenish.sandbox.shapes import CARD_AND_LINK, CARD_ONLY
from replenish.sandbox.world import Call

_TEXTS = (
    "description", "receipt_email", "statement_descriptor",
    "statement_descriptor_suffix", "transfer_group",
)  # fmt: skip
_TYPES = ("allowed_payment_method_types", "payment_method_types")
#: Parameters Stripe knows and the sandbox does not act upon.
_IGNORED = frozenset(
    {
        "amount_details", "application_fee_amount", "confirmation_token",
        "customer_account", "excluded_payment_method_types", "hooks", "mandate",
        "mandate_data", "payment_details", "payment_method_configuration",
        "payment_method_data", "payment_method_options", "radar_options",
        "return_url", "shipping", "transfer_data",
    }
)  # fmt: skip
_ATTEMPT = frozenset({"off_session", "error_on_requires_action"})
_SETTINGS = frozenset(
    {*_TEXTS, "metadata", "payment_method", "setup_future_usage", "capture_method"}
)
CREATE = _SETTINGS | _IGNORED | _ATTEMPT | frozenset(
    {
        *_TYPES, "amount", "currency", "customer", "confirm", "on_behalf_of",
        "automatic_payment_methods", "confirmation_method", "use_stripe_sdk",
    }
)  # fmt: skip
UPDATE = _SETTINGS | _IGNORED | {*_TYPES, "amount", "currency", "customer"}
CONFIRM = _ATTEMPT | _IGNORED | frozenset(
    {
        *_TYPES, "amount_to_confirm", "capture_method", "payment_method",
        "receipt_email", "setup_future_usage", "use_stripe_sdk",
    }
)  # fmt: skip
_NEW_TYPES_SINCE = "2026-10-28"  # `payment_method_types` is refused from here on
_USAGES = ("off_session", "on_session")
_CAPTURES = ("automatic", "automatic_async", "manual")
_NO = frozenset({None, "false"})
_REDIRECTS = ("always", "never")
OPEN = ("requires_payment_method", "requires_confirmation", "requires_action")
_RETURN_URL = (
    "This PaymentIntent is configured to accept payment methods enabled in your "
    "Dashboard. Because some of these payment methods might redirect your customer "
    "off of your page, you must provide a `return_url`. If you don't want to accept "
    "redirect-based payment methods, set `automatic_payment_methods[enabled]` to "
    "`true` and `automatic_payment_methods[allow_redirects]` to `never` when "
    "creating Setup Intents and Payment Intents."
)
_NO_METHOD = (
    "You cannot confirm this PaymentIntent because it's missing a payment method. "
    "You can either update the PaymentIntent with a payment method and then confirm "
    "it again, or confirm it again directly with a payment method or "
    "ConfirmationToken."
)
_NO_METHOD_OF = (
    "You cannot confirm this PaymentIntent because it's missing a payment method. To "
    "confirm the PaymentIntent with {customer}, specify a payment method attached to "
    "this customer along with the customer ID."
)
_ABSENT_YET_SAVING = (
    "You cannot confirm with the `off_session` parameter when `setup_future_usage` is "
    "also set on the PaymentIntent because you cannot set up future usages when "
    "processing payments off-session."
)


def only(call: Call, allowed: frozenset[str]) -> None:
    """Refuse unknown parameters, by the API version the caller asked for."""
    newer = call.version[:10] >= _NEW_TYPES_SINCE
    gone = "payment_method_types" if newer else "allowed_payment_method_types"
    call.only(allowed - {gone})


def amount_of(call: Call) -> int:
    """Return the amount, which every new intent needs."""
    amount = call.integer("amount")
    if amount is None:
        raise missing(name="amount")
    return amount


def currency_of(call: Call) -> str:
    """Return the currency, which every new intent needs; an empty one is unknown."""
    empty = call.params.get("currency") == ""
    return check_currency("" if empty else call.required("currency"))


def refuse_attempt_flags(call: Call) -> None:
    """Refuse what only makes sense together with `confirm=true`."""
    for name in sorted(_ATTEMPT.intersection(call.params)):
        if call.text(name) not in _NO:
            message = (
                f"The parameter `{name}` can only be used when `confirm` is `true`."
            )
            raise invalid(message, name)


def apply(call: Call, intent: Json) -> None:
    """Put the plain settings of the call onto the intent."""
    params = call.params
    for name in _TEXTS:
        if name in params:
            intent[name] = call.text(name)
    check_descriptors(call)
    if "metadata" in params:
        intent["metadata"] = metadata.merged(call, intent["metadata"])
    if "setup_future_usage" in params:
        intent["setup_future_usage"] = call.choice("setup_future_usage", _USAGES)
    if "capture_method" in params:
        intent["capture_method"] = call.choice("capture_method", _CAPTURES)
    if customer := call.text("customer"):
        intent["customer"] = call.find("customer", customer, param="customer")["id"]


def apply_types(call: Call, intent: Json) -> None:
    """Note which payment methods may be used; only cards can pay here.

    An intent that names no types goes by the account's Dashboard: cards and Link, and
    methods that redirect unless `allow_redirects` is `never`.
    """
    automatic = forms.group(call.params, "automatic_payment_methods")
    if automatic.get("enabled") == "true":
        redirects = automatic.get("allow_redirects", "always")
        if redirects not in _REDIRECTS:
            message = (
                "Invalid automatic_payment_methods[allow_redirects]: must be one of "
            )
            raise invalid(
                message + " or ".join(_REDIRECTS),
                "automatic_payment_methods[allow_redirects]",
            )
        intent["automatic_payment_methods"] = {
            "allow_redirects": redirects, "enabled": True,
        }  # fmt: skip
    elif automatic:
        _fix_types(intent, ["card"])
    for name in _TYPES:
        if name not in call.params:
            continue
        types = forms.strings(call.params, name)
        if "card" not in types:
            message = (
                f"The payment method types {', '.join(types)} are not activated on "
                "this account: the sandbox knows cards only."
            )
            raise invalid(message, name)
        _fix_types(intent, types)
        if name == "allowed_payment_method_types":
            intent[name] = types


def _fix_types(intent: Json, types: list[str]) -> None:
    intent |= {
        "automatic_payment_methods": None,
        "payment_method_configuration_details": None,
        "payment_method_options": CARD_AND_LINK if "link" in types else CARD_ONLY,
        "payment_method_types": types,
    }


def take_method(call: Call, intent: Json, known: Json | None = None) -> Json | None:
    """Return the method of the call or the intent, and move the status along.

    A refusal of the method shows the intent as it is `known`, if it was saved before.
    """
    given = call.text("payment_method")
    if given is None:
        id_ = intent["payment_method"]
        return call.store.objects[id_] if id_ else None
    method = resolve(call, given)
    _check_owner(call, method, intent, known)
    intent["payment_method"] = method["id"]
    if intent["status"] == "requires_payment_method":
        intent["status"] = "requires_confirmation"
    return method


def _check_owner(call: Call, method: Json, intent: Json, known: Json | None) -> None:
    try:
        check_owner(call, method, intent["customer"], on="PaymentIntent")
    except ApiError as error:
        if known is not None:
            error.fields["payment_intent"] = dict(known)
        raise


def _may_redirect(intent: Json) -> bool:
    """Tell whether the intent takes methods that may send the customer elsewhere."""
    automatic = intent["automatic_payment_methods"]
    return automatic is not None and automatic["allow_redirects"] != "never"


def check_confirmable(
    call: Call, intent: Json, method: Json | None, known: Json | None = None
) -> Json:
    """Return the method to charge, or refuse a confirmation that lacks something."""
    if method is None:
        customer = intent["customer"]
        text = _NO_METHOD_OF.format(customer=customer) if customer else _NO_METHOD
        raise wrong_state(text, known)
    _check_owner(call, method, intent, known)
    if intent["setup_future_usage"] and call.text("off_session") not in _NO:
        raise ApiError(400, _ABSENT_YET_SAVING, stored=True)
    if not call.text("return_url") and _may_redirect(intent):
        raise ApiError(400, _RETURN_URL, stored=True)
    return method


def refuse_ended(call: Call, intent: Json) -> None:
    """Refuse to confirm what is over, or out of our hands."""
    status = intent["status"]
    if status in OPEN:
        return
    if call.text("payment_method") and status != "succeeded":
        raise not_now(intent, "payment_method")
    message = (
        "You cannot confirm this PaymentIntent because it has already succeeded "
        "after being previously confirmed."
        if status == "succeeded"
        else f"You cannot confirm this PaymentIntent because it has a status of "
        f"{status}. Only a PaymentIntent with one of the following statuses may be "
        "confirmed: requires_confirmation, requires_action."
    )
    raise wrong_state(message, intent)


def not_now(intent: Json, name: str) -> ApiError:
    """Refuse to change what the intent's status holds fast."""
    message = (
        f"This PaymentIntent's {name} could not be updated because it has a status of "
        f"{intent['status']}. You may only update the {name} of a PaymentIntent with "
        f"one of the following statuses: {', '.join(OPEN)}."
    )
    return wrong_state(message, intent, name)


def is_absent(call: Call) -> bool:
    """Tell whether nobody is there to authenticate this attempt."""
    off_session = call.text("off_session") not in _NO
    return off_session or bool(call.flag("error_on_requires_action"))
