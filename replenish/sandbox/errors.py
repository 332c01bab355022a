"""Stripe's refusals: type, code, sentence and HTTP status, in Stripe's words.

Codes: docs.stripe.com/error-codes. Idempotency: docs.stripe.com/error-low-level.
`stored` says whether the refusal is kept under the idempotency key: what is
refused before the endpoint ran (validation, keys, limits) is not.
"""

from typing import Any

Json = dict[str, Any]

DOCS = "https://stripe.com/docs/error-codes/"
HELP = "or we can help at https://support.stripe.com/."


class ApiError(Exception):
    """A refusal with its HTTP status and the fields of Stripe's error object."""

    def __init__(
        self, status: int, message: str, *, stored: bool = False, **fields: object
    ) -> None:
        super().__init__(message)
        self.status = status
        self.stored = stored
        self.logged = True  # whether the Dashboard has a log of the request
        self.headers: dict[str, str] = {}
        self.fields: Json = {"message": message, "type": "invalid_request_error"}
        self.fields.update({k: v for k, v in fields.items() if v is not None})

    def render(self, *, request_id: str, now: int) -> Json:
        """Return the answer's body: fields in alphabetical order, as Stripe has."""
        body = dict(self.fields)
        if code := body.get("code"):
            body["doc_url"] = DOCS + str(code).replace("_", "-")
        if self.logged and self.status != 401:  # noqa: PLR2004 - no account, no log
            log = f"https://dashboard.stripe.com/test/logs/{request_id}?t={now}"
            body["request_log_url"] = log
        return {"error": dict(sorted(body.items()))}


def unknown(names: list[str]) -> ApiError:
    """Refuse parameters the endpoint does not have."""
    plural = "s" if len(names) > 1 else ""
    message = f"Received unknown parameter{plural}: {', '.join(names)}"
    return ApiError(400, message, code="parameter_unknown", param=names[0])


def missing(name: str) -> ApiError:
    """Refuse a call without a required parameter."""
    message = f"Missing required param: {name}."
    return ApiError(400, message, code="parameter_missing", param=name)


def empty(name: str) -> ApiError:
    """Refuse an empty value, which means "unset", where nothing can be unset."""
    message = (
        f"You passed an empty string for '{name}'. We assume empty values are an "
        f"attempt to unset a parameter; however '{name}' cannot be unset. You should "
        f"remove '{name}' from your request or supply a non-empty value."
    )
    return ApiError(400, message, code="parameter_invalid_empty", param=name)


def invalid(message: str, param: str | None, *, code: str | None = None) -> ApiError:
    """Refuse a parameter's value before anything ran."""
    return ApiError(400, message, param=param, code=code)


def no_such(what: str, id_: str, *, param: str, status: int = 400) -> ApiError:
    """Refuse an unknown id: 404 in the path, 400 in the body."""
    message = f"No such {what}: '{id_}'"
    stored = status == 400  # noqa: PLR2004 - a body id is looked up while executing
    return ApiError(
        status, message, code="resource_missing", param=param, stored=stored
    )


def wrong_state(
    message: str, intent: Json | None, param: str | None = None
) -> ApiError:
    """Refuse an action the PaymentIntent's status does not allow.

    An intent that was refused at its creation is not shown: there is none.
    """
    return ApiError(
        400,
        message,
        code="payment_intent_unexpected_state",
        param=param,
        payment_intent=dict(intent) if intent else None,
        stored=True,
    )


def unknown_version(version: str) -> ApiError:
    """Refuse a `Stripe-Version` that is none."""
    error = ApiError(400, f"Invalid Stripe API version: {version}")
    error.logged = False
    return error


def no_route(method: str, path: str) -> ApiError:
    """Refuse an address Stripe does not have."""
    message = (
        f"Unrecognized request URL ({method}: {path}). "
        f"Please see https://stripe.com/docs {HELP}"
    )
    return ApiError(404, message)


def other_parameters(key: str) -> ApiError:
    """Refuse a known idempotency key with other parameters."""
    message = (
        "Keys for idempotent requests can only be used with the same parameters "
        "they were first used with. Try using a key other than "
        f"'{key}' if you meant to execute a different request."
    )
    return ApiError(400, message, type="idempotency_error")


def other_address(key: str, now: str, first: str) -> ApiError:
    """Refuse a known idempotency key at another address."""
    message = (
        "Keys for idempotent requests can only be used for the same endpoint they were "
        f"first used for ('{now}' vs '{first}'). Try using a key other than '{key}' if "
        "you meant to execute a different request."
    )
    return ApiError(400, message, type="idempotency_error")


def key_in_use(key: str) -> ApiError:
    """Refuse a key whose first request is still running."""
    message = (
        "There is currently another in-progress request using this Idempotent "
        "Key (that probably means you submitted twice, and the other request is "
        f"still going through): {key}. Please try again later."
    )
    error = ApiError(
        409, message, code="idempotency_key_in_use", type="idempotency_error"
    )
    error.headers["Stripe-Should-Retry"] = "true"
    return error


def too_many(reason: str) -> ApiError:
    """Refuse by the rate limiter, which stands before the idempotency layer."""
    message = (
        "Request rate limit exceeded. Learn more about rate limits here "
        "https://stripe.com/docs/rate-limits."
    )
    error = ApiError(429, message, code="rate_limit")
    error.headers["Stripe-Rate-Limited-Reason"] = reason
    return error


def lock_timeout() -> ApiError:
    """Refuse because another request holds the object."""
    message = (
        "This object cannot be accessed right now because another API request or "
        "Stripe process is currently accessing it. If you see this error "
        "intermittently, retry the request. If you see this error frequently and "
        "are making multiple concurrent requests to a single object, make your "
        "requests serially or at a lower rate."
    )
    error = ApiError(429, message, code="lock_timeout")
    error.headers["Stripe-Should-Retry"] = "true"
    return error


def broken(status: int) -> ApiError:
    """Answer 500 or 503 as Stripe's API does: `api_error`, no code."""
    message = (
        "Sorry! There was an error while talking to one of our backends. Support has "
        "been notified."
        if status == 500  # noqa: PLR2004
        else "The API is temporarily unavailable. Please try again."
    )
    return ApiError(status, message, type="api_error")
