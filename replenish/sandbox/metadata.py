"""Metadata as Stripe keeps it: merged on update, unset by an empty value."""

from replenish.sandbox.errors import invalid
from replenish.sandbox.world import Call

MOST_KEYS, LONGEST_KEY, LONGEST_VALUE = 50, 40, 500


def merged(call: Call, old: dict[str, str]) -> dict[str, str]:
    """Return the metadata after this call.

    Raises:
        ApiError: Too many keys, or one too long (docs.stripe.com/api/metadata).
    """
    given = call.params.get("metadata")
    if given is None:
        return old
    if not isinstance(given, dict):
        if given:
            message = "Invalid hash"
            raise invalid(message, "metadata")
        return {}
    result = dict(old)
    for key, value in given.items():
        if value == "":
            result.pop(key, None)
        else:
            result[key] = _checked(key, value)
    if len(result) > MOST_KEYS:
        message = (
            f"Metadata can have up to {MOST_KEYS} keys, but you've set {len(result)}. "
            "Email us at support+metadata@stripe.com for more information."
        )
        raise invalid(message, "metadata")
    return result


def _checked(key: str, value: object) -> str:
    if not isinstance(value, str):
        message = "Metadata values must be strings"
        raise invalid(message, f"metadata[{key}]")
    if len(key) > LONGEST_KEY:
        message = (
            f"Metadata keys can have up to {LONGEST_KEY} characters, but you "
            f"passed in a key that is {len(key)} characters. Invalid key: {key}"
        )
        raise invalid(message, "metadata")
    if len(value) > LONGEST_VALUE:
        message = (
            f"Metadata values can have up to {LONGEST_VALUE} characters, but you "
            f"passed in a value that is {len(value)} characters. Invalid value: {value}"
        )
        raise invalid(message, f"metadata[{key}]")
    return value
