"""Who may call: secret keys, revoked keys, and restricted keys with scopes.

Any `sk_test_…` or `rk_test_…` key is accepted unless the control port names the
accepted ones. A restricted key with a scope list gets 403 for the rest
(docs.stripe.com/keys#limit-access).
"""

import base64
import binascii

from replenish.sandbox.errors import HELP, ApiError

ACCOUNT = "acct_1SandboxReplenish"
_PUBLISHABLE = (
    "This API call cannot be made with a publishable API key. Please use a secret API "
    "key. You can find a list of your API keys at "
    "https://dashboard.stripe.com/account/apikeys."
)
_PREFIXES = ("sk_test_", "rk_test_")


class Access:
    """Which keys are accepted, revoked, or limited to scopes."""

    def __init__(self) -> None:
        self.accepted: set[str] = set()  # empty: any test-mode key
        self.revoked: set[str] = set()
        self.scopes: dict[str, frozenset[str]] = {}

    def check(self, header: str | None, *, resource: str, write: bool) -> None:
        """Let a key pass for reading or writing one resource.

        Raises:
            ApiError: 401 for no, a wrong or a revoked key; 403 for a publishable one
                and outside its scopes.
        """
        key = _key(header)
        if not key:
            raise _no_key()
        if key in self.revoked:
            message = f"Expired API Key provided: {_masked(key)}"
            raise ApiError(401, message, code="api_key_expired")
        if key.startswith("pk_test_"):
            raise ApiError(403, _PUBLISHABLE, code="secret_key_required")
        if not self._known(key):
            message = f"Invalid API Key provided: {_masked(key)}"
            raise ApiError(401, message)
        scopes = self.scopes.get(key)
        if scopes is not None and not _allowed(scopes, resource, write=write):
            raise _forbidden(key, resource, write=write)

    def _known(self, key: str) -> bool:
        return key in self.accepted if self.accepted else key.startswith(_PREFIXES)


def _key(header: str | None) -> str:
    """Read `Bearer KEY` or `Basic base64(KEY:)`."""
    if not header:
        return ""
    scheme, _, value = header.partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(value, validate=True).decode().partition(":")[0]
        except (binascii.Error, UnicodeDecodeError):
            return ""
    return ""


def _allowed(scopes: frozenset[str], resource: str, *, write: bool) -> bool:
    return f"{resource}:write" in scopes or (not write and f"{resource}:read" in scopes)


def _masked(key: str) -> str:
    """Show a key as Stripe does: its beginning, stars, its last four."""
    head = key[:8] if key.startswith(("sk_", "rk_")) else key[:4]
    return f"{head}{'*' * max(4, len(key) - len(head) - 4)}{key[-4:]}"


def _no_key() -> ApiError:
    message = (
        "You did not provide an API key. You need to provide your API key in the "
        "Authorization header, using Bearer auth (e.g. 'Authorization: Bearer "
        "YOUR_SECRET_KEY'). See https://stripe.com/docs/api#authentication for "
        f"details, {HELP}"
    )
    return ApiError(401, message)


def _forbidden(key: str, resource: str, *, write: bool) -> ApiError:
    singular = resource.removesuffix("s")
    permission = f"rak_{singular}_{'write' if write else 'read'}"
    message = (
        f"The provided key '{_masked(key)}' does not have the required permissions "
        f"for this endpoint on account '{ACCOUNT}'. Having the '{permission}' "
        "permission would allow this request to continue."
    )
    return ApiError(403, message, code="more_permissions_required")
