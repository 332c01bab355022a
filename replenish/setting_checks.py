"""What settings must be together, and what production refuses.

Each check returns sentences that name the variable and what to do; none of them
repeats a secret.
"""

import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from difflib import get_close_matches
from ipaddress import ip_address
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from replenish import addresses

SANDBOX_URL: Final = "http://127.0.0.1:12111"
SANDBOX_KEY: Final = "sk_test_sandbox"
STRIPE_URL: Final = "https://api.stripe.com"
LONGEST_GATEWAY_TIMEOUT: Final = 15.0  # seconds; a longer wait holds up a worker

OUR_OWN: Final = (
    *("RULE_", "CARD_DECLINES_", "DECLINES_PER_", "DECLINE_SHARE_", "RETRY_SOFT_"),
    *("CHARGES_PER_", "UNUSUAL_", "NEW_CAP_"),
)
"""How the names begin that bound charges, and that no other program reads."""

_TEST_KEYS = ("sk_test_", "rk_test_")
_LIVE_KEYS = ("sk_live_", "rk_live_")

Values = Mapping[str, Any]


def completed(values: Values) -> dict[str, Any]:
    """Fill in the values whose default depends on another value."""
    filled = dict(values)
    production = values["replenish_env"] == "production"
    if not production and not values["stripe_api_key"]:
        base = values["stripe_api_base"] or SANDBOX_URL
        filled["stripe_api_base"] = base
        if base != STRIPE_URL:
            filled["stripe_api_key"] = SANDBOX_KEY
    filled["stripe_api_base"] = filled["stripe_api_base"] or STRIPE_URL
    if values["billing_package"] == "bundled" and not values["billing_database_url"]:
        filled["billing_database_url"] = values["database_url"]
    return filled


def contradictions(values: Values, *, dotenv: Path) -> list[str]:
    """Everything that is wrong with the values together, as sentences."""
    checks = [_rule(values), _times(values), _flower(values), _billing(values)]
    if values["replenish_env"] == "production":
        checks += [_production(values), _readable_by_others(dotenv)]
    else:
        checks += [_trial(values)]
    return [problem for check in checks for problem in check]


def misspelt(given: Iterable[str], known: Sequence[str]) -> Iterator[str]:
    """Names that are no setting and must have been meant as one, as sentences.

    Those that begin as only ours do, since a cap with a slip in its name is no cap;
    what other programs read from the same environment is none of our business.
    """
    for name in sorted(set(given) - set(known)):
        if name.startswith(OUR_OWN):
            close = get_close_matches(name, known, n=1, cutoff=0.0)[0]
            yield f"{name} is no setting: did you mean {close}?"


def is_loopback(host: str) -> bool:
    """Whether `host` is this machine; a name other than localhost is not."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _rule(values: Values) -> Iterator[str]:
    threshold: Decimal = values["rule_threshold"]
    target: Decimal | None = values["rule_target"]
    if values["rule_top_up"] <= 0:
        yield "RULE_TOP_UP is 0: give the amount to charge, like 25.00."
    if target is not None and threshold >= target:
        yield (
            f"RULE_THRESHOLD {threshold} is not below RULE_TARGET {target}: "
            "a top-up would end at or below where the next one starts."
        )
    if values["rule_floor"] > threshold:
        yield (
            "RULE_FLOOR is above RULE_THRESHOLD: accounts would be cut off before "
            "they are topped up."
        )
    yield from _caps(values)


def _caps(values: Values) -> Iterator[str]:
    rising = ("rule_top_up", "rule_cap_charge", "rule_cap_day", "rule_cap_month")
    for smaller, larger in pairwise(rising):
        if values[larger] < values[smaller]:
            yield (
                f"{larger.upper()} {values[larger]} is below "
                f"{smaller.upper()} {values[smaller]}: raise it, or lower the other."
            )


def _times(values: Values) -> Iterator[str]:
    wait = values["stripe_timeout_connect"] + values["stripe_timeout_read"]
    if wait > LONGEST_GATEWAY_TIMEOUT:
        yield (
            "STRIPE_TIMEOUT_CONNECT and STRIPE_TIMEOUT_READ together exceed "
            f"{LONGEST_GATEWAY_TIMEOUT:g} seconds: lower one of them."
        )
    if values["lease_seconds"] < 2 * wait:
        yield (
            "LEASE_SECONDS is less than twice the two gateway timeouts together: "
            "a slow charge would look abandoned. Raise it, or lower the timeouts."
        )
    if values["task_time_limit"] <= 2 * wait:
        yield (
            "TASK_TIME_LIMIT is not above twice the two gateway timeouts together: "
            "a task could be killed while it charges. Raise it."
        )


def _flower(values: Values) -> Iterator[str]:
    if not is_loopback(values["flower_address"]) and not values["flower_basic_auth"]:
        yield (
            "FLOWER_ADDRESS is not loopback and FLOWER_BASIC_AUTH is not set: "
            "set FLOWER_BASIC_AUTH=user:password, or listen on 127.0.0.1."
        )


def _billing(values: Values) -> Iterator[str]:
    url: str = values["billing_database_url"]
    if values["billing_package"] != "bundled" and not url:
        yield (
            "BILLING_DATABASE_URL is not set: give the address of the database of "
            f"{values['billing_package']}."
        )
    if values["billing_package"] == "bundled" and url.startswith("mysql"):
        yield "BILLING_DATABASE_URL is MySQL, but the bundled package needs PostgreSQL."


def _production(values: Values) -> Iterator[str]:
    for variable in ("database_url", "redis_url"):
        if not values[variable]:
            yield (
                f"{variable.upper()} is not set: production does not run on the "
                "embedded servers; give the address of your own."
            )
    key: str = values["stripe_api_key"]
    if not key.startswith(_LIVE_KEYS):
        state = "a test key" if key.startswith(_TEST_KEYS) else "not a live key"
        yield (
            f"STRIPE_API_KEY is {state if key else 'not set'}: production needs a "
            "live key, best a restricted one (rk_live_...)."
        )
    if values["stripe_api_base"] != STRIPE_URL:
        yield f"STRIPE_API_BASE must be {STRIPE_URL} in production: remove it."
    if values["failpoints"]:
        yield "FAILPOINTS is set: faults are not injected in production; remove it."
    if values["redis_url"] and _open_redis(values["redis_url"]):
        yield (
            "REDIS_URL has no password and its host is not this machine: protect "
            "that Redis with a password and give it as redis://:password@host:6379/0."
        )


def _open_redis(url: str) -> bool:
    host = addresses.host_of(url)
    return bool(host) and not is_loopback(host) and not addresses.password_of(url)


def _readable_by_others(dotenv: Path) -> Iterator[str]:
    if dotenv.is_file() and dotenv.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        yield f"The file {dotenv} is open to other users: chmod 600 {dotenv}."


def _trial(values: Values) -> Iterator[str]:
    key: str = values["stripe_api_key"]
    base: str = values["stripe_api_base"]
    if key.startswith(_LIVE_KEYS):
        yield (
            "STRIPE_API_KEY is a live key but REPLENISH_ENV is "
            f"{values['replenish_env']}: real cards are charged in production only."
        )
    elif not key:
        yield (
            "STRIPE_API_KEY is not set but STRIPE_API_BASE is Stripe's own: give a "
            "test key (sk_test_...), or remove STRIPE_API_BASE to use the sandbox."
        )
    elif not key.startswith(_TEST_KEYS):
        yield "STRIPE_API_KEY is not a Stripe key: give one like sk_test_..."
    if base != STRIPE_URL and not is_loopback(addresses.host_of(base)):
        yield (
            "STRIPE_API_BASE points to another machine: it may only be "
            f"{STRIPE_URL} or a sandbox on loopback, like {SANDBOX_URL}."
        )
