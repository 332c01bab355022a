"""The card gateway over Stripe's API: the one module that imports stripe.

Here are the connection and the requests; `stripe_flows` says which follows which,
`stripe_reading` what an answer proves, `stripe_declines` what a decline means,
`stripe_amounts` what can be charged. No exception of the SDK leaves this module:

    connection refused, no such host              nothing was sent: GatewayUnavailable
    429 (rate, lock)                              nothing ran: GatewayUnavailable
    401, 403, an id of the other mode             GatewayKeyRefused
    timeout, reset, 5xx, 409, an answer cut       `Refusal` with `lost`: nobody knows
    short or not JSON                             whether it ran
    400, 402, 404                                 `Refusal`: it is known not to have
"""

import os
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

import requests
import stripe
import urllib3
from requests.adapters import HTTPAdapter

from replenish.adapters import stripe_reading
from replenish.adapters.stripe_amounts import to_minor
from replenish.adapters.stripe_flows import PAGE, Charging
from replenish.adapters.stripe_refusal import (
    CONNECTION_LOST,
    GARBLED,
    IN_USE,
    SERVER_ERROR,
    TIMEOUT,
    Answer,
    Refusal,
    inner,
    key_refused,
)
from replenish.errors import ConfigurationError, GatewayUnavailable
from replenish.ports import Order

if TYPE_CHECKING:
    from stripe.params import PaymentIntentCreateParams, PaymentIntentListParams

stripe.enable_telemetry = False  # it measures for Stripe, and writes below $HOME

LONGEST_TIMEOUT = 15.0  # seconds, to connect and to answer together; below a lease
CONNECTIONS = 64  # kept alive a process; one is used by a thread at a time
SUFFIX = re.compile(r"(?=.*[A-Za-z])[^<>\\'\"*]{1,22}", re.ASCII)


class Limiter(Protocol):
    """Grants requests their place."""

    def acquire(self, endpoint: str) -> None:
        """Wait for a place, or raise `GatewayUnavailable`."""


class StripeGateway(Charging):
    """`replenish.ports.CardGateway` over one Stripe account; safe for threads."""

    def __init__(  # noqa: PLR0913 - one setting each
        self,
        api_key: str,
        *,
        api_base: str,
        api_version: str,
        timeout: tuple[float, float],
        limiter: Limiter,
        environment: str,
        installation: Callable[[], str] = str,
        statement_suffix: str = "",
    ) -> None:
        """Connect to nothing yet.

        Args:
            api_key: secret or restricted.
            api_base: scheme, host and port.
            api_version: pinned; the account's own default is never used.
            timeout: seconds to connect and to wait for an answer.
            limiter: the rate limit of all workers.
            environment: tells our intents from those of other environments.
            installation: gives what tells them from those of another installation
                on the same Stripe account; asked for with the first intent.
            statement_suffix: what the cardholder's statement adds to the name.

        Raises:
            ConfigurationError: more than 15 s, or a suffix that Stripe refuses.
        """
        if sum(timeout) > LONGEST_TIMEOUT:
            msg = (
                f"STRIPE_TIMEOUT_CONNECT and STRIPE_TIMEOUT_READ are {sum(timeout):g} s"
                f" together; at most {LONGEST_TIMEOUT:g} s fit into a lease."
            )
            raise ConfigurationError(msg, subject="STRIPE_TIMEOUT_READ")
        if statement_suffix and not SUFFIX.fullmatch(statement_suffix):
            msg = (
                f"The statement suffix {statement_suffix!r} is refused by Stripe; give"
                " at most 22 characters with a letter and none of < > \\ ' \" *."
            )
            raise ConfigurationError(msg, subject="statement_suffix")
        link = _Link(api_key, base=api_base, version=api_version, timeout=timeout)
        super().__init__(
            _Requests(
                link,
                limiter,
                marks=lambda: stripe_reading.marks(environment, installation()),
                suffix=statement_suffix,
            )
        )


class _Link:
    """The SDK's client, one a process.

    It is made on first use and made again after a fork: two processes on one
    connection would read each other's answers. Threads share its pool; its
    connections stay open from task to task.
    """

    def __init__(
        self, key: str, *, base: str, version: str, timeout: tuple[float, float]
    ) -> None:
        self.base = base
        self._key, self._version, self._timeout = key, version, timeout
        self._clients: dict[int, stripe.StripeClient] = {}

    @property
    def client(self) -> stripe.StripeClient:
        """This process's client."""
        pid = os.getpid()
        if pid not in self._clients:
            self._clients = {pid: self._connect()}
        return self._clients[pid]

    def _connect(self) -> stripe.StripeClient:
        session = requests.Session()
        session.trust_env = False  # no proxy, no .netrc: money goes one way only
        session.max_redirects = 0  # Stripe never redirects; whoever does is not Stripe
        pool = HTTPAdapter(pool_connections=1, pool_maxsize=CONNECTIONS, max_retries=0)
        session.mount("https://", pool)
        session.mount("http://", pool)
        return stripe.StripeClient(
            self._key,
            stripe_version=self._version,
            base_addresses={"api": self.base},
            max_network_retries=0,  # repeats are decided by the attempt's row
            http_client=stripe.RequestsClient(timeout=self._timeout, session=session),
        )


class _Requests:
    """The requests, each one call of the SDK; see `stripe_flows.Wire`."""

    def __init__(
        self,
        link: _Link,
        limiter: Limiter,
        *,
        marks: Callable[[], Mapping[str, str]],
        suffix: str,
    ) -> None:
        self.marks = marks
        self._link, self._limiter, self._suffix = link, limiter, suffix

    def create(self, order: Order, *, key: str) -> Answer:
        params: PaymentIntentCreateParams = {
            "amount": to_minor(order.amount),
            "currency": order.amount.currency.lower(),
            "customer": order.customer,
            "payment_method": order.payment_method,
            "allowed_payment_method_types": ["card"],
            "description": f"Automatic top-up of account {order.account}",
            "metadata": {
                stripe_reading.ATTEMPT: order.attempt,
                stripe_reading.ACCOUNT: order.account,
                **self.marks(),
            },
        }
        if self._suffix:
            params["statement_descriptor_suffix"] = self._suffix
        return self._ask(
            "create",
            lambda api: api.v1.payment_intents.create(params, {"idempotency_key": key}),
        )

    def confirm(self, intent: str, *, key: str) -> Answer:
        return self._ask(
            "confirm",
            lambda api: api.v1.payment_intents.confirm(
                intent,
                {"off_session": True, "error_on_requires_action": True},
                {"idempotency_key": key},
            ),
        )

    def retrieve(self, intent: str) -> Answer:
        return self._ask(
            "retrieve",
            lambda api: api.v1.payment_intents.retrieve(
                intent, {"expand": ["latest_charge"]}
            ),
        )

    def cancel(self, intent: str) -> Answer:
        return self._ask(
            "cancel",
            lambda api: api.v1.payment_intents.cancel(
                intent, {"expand": ["latest_charge"]}
            ),
        )

    def list_intents(
        self, *, customer: str = "", since: int = 0, after: str = "", limit: int = PAGE
    ) -> Answer:
        params: PaymentIntentListParams = {
            "limit": limit,
            "expand": ["data.latest_charge"],
        }
        if customer:
            params["customer"] = customer
        if since:
            params["created"] = {"gte": since}
        if after:
            params["starting_after"] = after
        return self._ask("list", lambda api: api.v1.payment_intents.list(params))

    def payment_method(self, method: str) -> Answer:
        return self._ask("card", lambda api: api.v1.payment_methods.retrieve(method))

    def customer(self, customer: str) -> Answer:
        return self._ask("customer", lambda api: api.v1.customers.retrieve(customer))

    def list_customers(self, *, limit: int) -> Answer:
        return self._ask("list", lambda api: api.v1.customers.list({"limit": limit}))

    def _ask(
        self, endpoint: str, call: Callable[[stripe.StripeClient], object]
    ) -> Answer:
        """Wait for a place, send one request, and take its answer apart."""
        self._limiter.acquire(endpoint)
        try:
            response: Any = getattr(call(self._link.client), "last_response", None)
            data = response.data
        except stripe.APIConnectionError as error:
            return Refusal(lost=_lost(endpoint, error, self._link.base))
        except stripe.StripeError as error:
            return _refusal(endpoint, error)
        except (AttributeError, KeyError, TypeError, ValueError):
            # The SDK stumbles over JSON of another shape; the request may have run.
            return Refusal(lost=GARBLED)
        return data if isinstance(data, dict) else Refusal(lost=GARBLED)


def _refusal(endpoint: str, error: stripe.StripeError) -> Refusal:
    """Take an error of the SDK apart.

    Raises:
        GatewayUnavailable: Stripe's limiter or a lock kept it from running.
        GatewayKeyRefused: the key, or the mode that it belongs to.
    """
    body = error.json_body if isinstance(error.json_body, dict) else {}
    refusal = Refusal(
        lost=_lost_by_status(error),
        status=error.http_status or 0,
        error=inner(body, "error"),
        request=error.request_id or "",
        replayed=(error.headers or {}).get("Idempotent-Replayed") == "true",
    )
    if isinstance(error, stripe.RateLimitError):
        msg = (
            f"Stripe is busy and ran nothing ({endpoint}: {refusal}); it is tried"
            " again. If this stays, lower STRIPE_RATE_LIMIT."
        )
        raise GatewayUnavailable(msg, subject=endpoint) from error
    refused = isinstance(error, stripe.AuthenticationError | stripe.PermissionError)
    if refused or refusal.blames_mode:
        raise key_refused(refusal) from error
    return refusal


def _lost_by_status(error: stripe.StripeError) -> str:
    """Say why an answer proves nothing; nothing, if it does prove something."""
    status = error.http_status or 0
    if status == requests.codes.conflict:
        return IN_USE
    if status >= requests.codes.server_error:
        return SERVER_ERROR
    return GARBLED if type(error) is stripe.APIError else ""


def _lost(endpoint: str, error: stripe.APIConnectionError, base: str) -> str:
    """Say how the answer was lost.

    Raises:
        GatewayUnavailable: it certainly was never asked for.
    """
    cause = error.__cause__
    below = cause.args[0] if cause is not None and cause.args else None
    reason = getattr(below, "reason", None)
    if isinstance(cause, requests.ConnectTimeout) or isinstance(
        reason, urllib3.exceptions.NewConnectionError
    ):
        kind = type(reason or cause).__name__
        msg = (
            f"{base} cannot be reached ({endpoint}: {kind}), so nothing was sent; it is"
            " tried again. Check the network and STRIPE_API_BASE."
        )
        raise GatewayUnavailable(msg, subject="STRIPE_API_BASE") from error
    if isinstance(cause, requests.Timeout):
        return TIMEOUT
    if isinstance(below, urllib3.exceptions.ReadTimeoutError):
        return TIMEOUT  # while the body was coming
    if isinstance(cause, requests.exceptions.ChunkedEncodingError):
        return GARBLED
    return CONNECTION_LOST
