"""Every setting of the installation, read once and checked as a whole.

`Settings.from_env()` is the only reader of the environment. Each field is named
like its variable in small letters (`DATABASE_URL` is `settings.database_url`) and
is described, with its default, in `.env.example`. Units: a field that ends in
`_seconds`, the gateway's timeouts, the task's time limit and the sweep's pause are
`float` seconds; one that ends in `_ms` is an `int` of milliseconds; money is a
`Decimal` in whole units of `billing_currency`.

Outside production `database_url` and `redis_url` may be empty: then
`replenish.embedded.resolve(settings)` starts or joins the embedded servers and
fills them in.
"""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar, Final, Self

from environ import Env

from replenish import addresses, setting_checks
from replenish import setting_values as read
from replenish.errors import ConfigurationError

SANDBOX_URL: Final = setting_checks.SANDBOX_URL
SANDBOX_KEY: Final = setting_checks.SANDBOX_KEY
STRIPE_URL: Final = setting_checks.STRIPE_URL
HIDDEN: Final = "***"

_PASSWORD_IN_URL = re.compile(r"(?<=://)([^/@:\s]*:)\S*(?=@)|((?<=password=)[^&\s]+)")


def _setting(
    reader: Callable[[str], object], default: str, *, secret: bool = False
) -> Any:  # noqa: ANN401  # as `dataclasses.field`, whose place it takes
    """Declare one setting: how it is read, its default, whether to hide it."""
    return field(default=reader(default), metadata={"read": reader, "secret": secret})


@dataclass(frozen=True, repr=False)
class Settings:
    """The checked settings; immutable, and safe to print: `repr` hides secrets."""

    # What this installation is, and where the embedded servers keep their data.
    replenish_env: str = _setting(
        read.one_of("development", "test", "production"), "development"
    )
    replenish_home: Path = _setting(read.folder, ".replenish")
    log_format: str = _setting(read.one_of("text", "json"), "text")
    log_level: str = _setting(
        read.one_of("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"), "INFO"
    )
    failpoints: str = _setting(read.text, "")

    # Our own database and the broker. Empty: embedded, outside production only.
    database_url: str = _setting(addresses.ledger_url, "")
    db_pool_size: int = _setting(read.whole, "1")
    db_statement_timeout_ms: int = _setting(read.milliseconds, "10000")
    db_lock_timeout_ms: int = _setting(read.milliseconds, "3000")
    redis_url: str = _setting(addresses.redis_url, "")

    # The billing package: somebody else's database, so its timeouts are short.
    billing_package: str = _setting(read.name, "bundled")
    billing_database_url: str = _setting(addresses.database_url, "")
    billing_replica_url: str = _setting(addresses.database_url, "")
    billing_currency: str = _setting(read.currency, "USD")
    billing_statement_timeout_ms: int = _setting(read.milliseconds, "5000")
    billing_lock_timeout_ms: int = _setting(read.milliseconds, "2000")

    # The card gateway.
    stripe_api_key: str = _setting(read.text, "", secret=True)
    stripe_api_base: str = _setting(addresses.http_base, "")
    stripe_api_version: str = _setting(read.api_version, "2026-10-28.endive")
    stripe_timeout_connect: float = _setting(read.seconds, "2")
    stripe_timeout_read: float = _setting(read.seconds, "8")
    stripe_rate_limit: str = _setting(read.rate, "20/second")

    # Cadences and sizes.
    hot_sweep_seconds: float = _setting(read.seconds, "1")
    full_sweep_seconds: float = _setting(read.seconds, "300")
    reconcile_seconds: float = _setting(read.seconds, "5")
    wait_longest_seconds: float = _setting(read.seconds, "60")
    cutoff_seconds: float = _setting(read.seconds, "1")
    orphan_seconds: float = _setting(read.seconds, "60")
    credit_check_seconds: float = _setting(read.seconds, "15")
    sweep_page: int = _setting(read.whole, "500")
    full_sweep_pause: float = _setting(read.pause, "0.3")
    lease_seconds: float = _setting(read.seconds, "20")
    task_time_limit: float = _setting(read.seconds, "60")
    niceness: int = _setting(read.niceness, "5")

    # Defaults of an account's rule; an account may override each.
    rule_threshold: Decimal = _setting(read.amount, "10")
    rule_top_up: Decimal = _setting(read.amount, "25")
    rule_target: Decimal | None = _setting(read.amount_or_none, "")
    rule_cap_charge: Decimal = _setting(read.amount, "100")
    rule_cap_day: Decimal = _setting(read.amount, "200")
    rule_cap_month: Decimal = _setting(read.amount, "1000")
    rule_count_day: int = _setting(read.whole, "3")
    rule_cooldown_seconds: float = _setting(read.pause, "600")
    rule_floor: Decimal = _setting(read.signed_amount, "0")
    rule_grace: Decimal = _setting(read.amount, "5")
    rule_time_zone: str = _setting(read.time_zone, "UTC")

    # How often a failing card may be tried; the card schemes fine for more.
    declines_per_episode: int = _setting(read.whole, "8")
    card_declines_24h: int = _setting(read.whole, "10")
    card_declines_30d: int = _setting(read.whole, "15")
    retry_soft_seconds: tuple[float, ...] = _setting(read.waits, "3600,21600,86400")
    retry_transient_seconds: float = _setting(read.seconds, "300")

    # What is new, shared by many or unusual is charged less, or not without a person.
    new_days: int = _setting(read.count, "7")
    new_cap_percent: int = _setting(read.percent, "50")
    card_accounts: int = _setting(read.whole, "5")
    unusual_times: int = _setting(read.whole, "4")
    unusual_after: int = _setting(read.whole, "3")

    # Breakers: what stops all charging, and who starts it again.
    charges_per_minute: int = _setting(read.whole, "600")
    decline_share_percent: int = _setting(read.percent, "80")
    decline_share_count: int = _setting(read.whole, "20")
    decline_share_seconds: float = _setting(read.seconds, "900")
    gateway_failures: int = _setting(read.whole, "5")
    breaker_resume: str = _setting(read.one_of("auto", "hand"), "auto")

    # Flower, the window on the queues.
    flower_address: str = _setting(read.text, "127.0.0.1")
    flower_port: int = _setting(read.port, "5555")
    flower_basic_auth: str = _setting(read.basic_auth, "", secret=True)
    flower_read_only: bool = _setting(read.yes_or_no, "true")

    @classmethod
    def from_env(
        cls,
        environ: Mapping[str, str] = os.environ,
        *,
        dotenv: Path = Path(".env"),
    ) -> Self:
        """Read and check all settings; a variable that is set beats `dotenv`.

        An empty variable counts as not set.

        Raises:
            ConfigurationError: Names every bad or missing variable at once.
        """
        raw = _variables(environ, dotenv)
        values, unreadable = _read_each(raw)
        values = setting_checks.completed(values)
        misspelt = setting_checks.misspelt(raw, variable_names())
        problems = [*unreadable.values(), *misspelt] + [
            problem
            for problem in setting_checks.contradictions(values, dotenv=dotenv)
            if not any(variable in problem for variable in unreadable)
        ]
        if problems:
            raise ConfigurationError(
                "The settings cannot be used:\n"
                + "\n".join(f"  - {problem}" for problem in problems),
                subject="settings",
            )
        return cls(**values)

    @property
    def is_production(self) -> bool:
        """Whether real cards may be charged."""
        return self.replenish_env == "production"

    @property
    def cadences(self) -> Mapping[str, float]:
        """How often each periodic job happens, in seconds, by the ledger's names."""
        return {
            "cutoff": self.cutoff_seconds,
            "sweep.hot": self.hot_sweep_seconds,
            "reconcile": self.reconcile_seconds,
            "sweep.full": self.full_sweep_seconds,
            "orphans": self.orphan_seconds,
            "credits": self.credit_check_seconds,
        }

    @property
    def broker_url(self) -> str:
        """`redis_url` as Celery writes it."""
        return addresses.broker_url(self.redis_url)

    @property
    def limits_url(self) -> str:
        """`redis_url` as the rate limit's library writes it."""
        return addresses.limits_url(self.redis_url)

    def redacted(self) -> dict[str, str]:
        """Every variable and its value as text, secrets hidden; for a person."""
        return {
            item.name.upper(): _shown(
                getattr(self, item.name), secret=item.metadata["secret"]
            )
            for item in fields(self)
        }

    def __repr__(self) -> str:
        """Show every setting, secrets hidden, so that a traceback may too."""
        shown = ", ".join(
            f"{name.lower()}={value!r}" for name, value in self.redacted().items()
        )
        return f"Settings({shown})"


def variable_names() -> tuple[str, ...]:
    """The names of all variables, in the order of the fields."""
    return tuple(item.name.upper() for item in fields(Settings))


def _variables(environ: Mapping[str, str], dotenv: Path) -> dict[str, str]:
    """Merge `environ` over the file; `os.environ` itself is left alone."""

    class Reader(Env):  # type: ignore[misc]  # django-environ has no types
        ENVIRON: ClassVar = {key: value for key, value in environ.items() if value}

    if dotenv.is_file():
        Reader.read_env(dotenv)
    return {key: value.strip() for key, value in Reader.ENVIRON.items()}


def _read_each(raw: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, str]]:
    """Read every variable; the second answer is variable → what is wrong with it."""
    values: dict[str, Any] = {item.name: item.default for item in fields(Settings)}
    problems: dict[str, str] = {}
    for item in fields(Settings):
        variable = item.name.upper()
        given = raw.get(variable, "")
        if not given:
            continue
        try:
            values[item.name] = item.metadata["read"](given)
        except ValueError as error:
            address = variable.endswith("_URL") or "://" in given
            hide = item.metadata["secret"] or address  # it may hold a password
            shown = "" if hide else f" is {given[:80]!r}"
            problems[variable] = f"{variable}{shown}: {error}."
    return values, problems


def _shown(value: object, *, secret: bool) -> str:
    if secret:
        return HIDDEN if value else ""
    if isinstance(value, tuple):
        return ",".join(str(part) for part in value)
    shown = "" if value is None else str(value)
    return _PASSWORD_IN_URL.sub(rf"\1{HIDDEN}", shown)
