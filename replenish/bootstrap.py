"""From settings to a wired pipeline; the only place that picks implementations.

`application()` is what every entry point asks for: the worker's tasks, the command
line, the demo. It is built once a process and never shared across a fork, because a
database connection or an HTTP session used by two processes answers both at random.
"""

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache

import sqlalchemy as sa

from replenish import embedded
from replenish.adapters.billing import (
    a2billing,
    astpp,
    magnusbilling,
    pyfreebilling,
)
from replenish.adapters.billing.bundled import BundledBilling
from replenish.adapters.billing_guard import GuardedBilling
from replenish.adapters.ledger.attempts import PostgresLedger
from replenish.adapters.ledger.books import PostgresBooks, installation
from replenish.adapters.ledger.breakers import PostgresBreakers
from replenish.adapters.ledger.credits import PostgresCredits
from replenish.adapters.ledger.cut_offs import PostgresCutOffs, PostgresStops
from replenish.adapters.ledger.reading import Reading
from replenish.adapters.ledger.register import Register
from replenish.adapters.ledger.releases import Releases
from replenish.adapters.ledger.session import make_engine
from replenish.adapters.ledger.turns import PostgresTurns
from replenish.adapters.notify import LogNotifier
from replenish.adapters.rate_limit import RateLimit
from replenish.adapters.sql_billing import session as sql_billing
from replenish.adapters.sql_billing.package import SqlBilling
from replenish.adapters.sql_billing.profile import Profile
from replenish.adapters.stripe import StripeGateway
from replenish.domain.breaker import Tolerance
from replenish.domain.rule import Limits, Rule, TopUpKind
from replenish.errors import ConfigurationError
from replenish.pipeline.services import Services
from replenish.ports import BillingPackage, CardGateway, Clock
from replenish.settings import Settings

BUNDLED = "bundled"
PROFILES: Mapping[str, Profile] = {
    each.PROFILE.name: each.PROFILE
    for each in (a2billing, astpp, magnusbilling, pyfreebilling)
}
"""`BILLING_PACKAGE` → how that package is read and written; a new one is one line."""


@dataclass(frozen=True, slots=True)
class Application:
    """Everything an entry point may need, wired.

    `services` is what the pipeline is given; the rest is for people: enrolling,
    reading, checking. Engines connect on first use.
    """

    settings: Settings
    services: Services
    register: Register
    reading: Reading
    releases: Releases
    defaults: Rule
    ledger_engine: sa.Engine
    billing_engine: sa.Engine

    @property
    def billing(self) -> BillingPackage:
        """The billing package."""
        return self.services.billing

    @property
    def gateway(self) -> CardGateway:
        """The card gateway."""
        return self.services.gateway

    @property
    def clock(self) -> Clock:
        """The clock, aware UTC."""
        return self.services.clock


_applications: dict[int, Application] = {}


def application() -> Application:
    """Give this process's application, built on the first call.

    Raises:
        ConfigurationError: a setting is missing or wrong; names them all.
    """
    pid = os.getpid()
    if pid not in _applications:
        _applications.clear()  # a parent's, inherited through a fork: never used here
        _applications[pid] = build(embedded.resolve(Settings.from_env()))
    return _applications[pid]


def build(settings: Settings) -> Application:
    """Wire an application from settings whose addresses are all filled in."""
    ledger_engine = make_engine(
        settings.database_url,
        statement_timeout_ms=settings.db_statement_timeout_ms,
        lock_timeout_ms=settings.db_lock_timeout_ms,
        pool_size=settings.db_pool_size,
    )
    billing_engine = _billing_engine(settings, settings.billing_database_url)
    defaults = default_rule(settings)
    return Application(
        settings=settings,
        services=_services(settings, ledger_engine, billing_engine, defaults=defaults),
        register=Register(ledger_engine, defaults),
        reading=Reading(ledger_engine),
        releases=Releases(ledger_engine),
        defaults=defaults,
        ledger_engine=ledger_engine,
        billing_engine=billing_engine,
    )


def default_rule(settings: Settings) -> Rule:
    """Give the rule of an account that has no values of its own."""
    target = settings.rule_target
    return Rule(
        currency=settings.billing_currency,
        threshold=settings.rule_threshold,
        top_up=settings.rule_top_up if target is None else target,
        kind=TopUpKind.FIXED if target is None else TopUpKind.TARGET,
        cap_charge=settings.rule_cap_charge,
        cap_day=settings.rule_cap_day,
        cap_month=settings.rule_cap_month,
        count_day=settings.rule_count_day,
        cooldown=timedelta(seconds=settings.rule_cooldown_seconds),
        floor=settings.rule_floor,
        grace=settings.rule_grace,
        time_zone=settings.rule_time_zone,
    )


def limits(settings: Settings) -> Limits:
    """Give what bounds charges and the tries of a card."""
    return Limits(
        declines_per_episode=settings.declines_per_episode,
        card_declines_24h=settings.card_declines_24h,
        card_declines_30d=settings.card_declines_30d,
        soft_waits=tuple(timedelta(seconds=s) for s in settings.retry_soft_seconds),
        transient_wait=timedelta(seconds=settings.retry_transient_seconds),
        charges_per_minute=settings.charges_per_minute,
        card_accounts=settings.card_accounts,
        new_for=timedelta(days=settings.new_days),
        new_percent=settings.new_cap_percent,
        unusual_times=settings.unusual_times,
        unusual_after=settings.unusual_after,
    )


def tolerance(settings: Settings) -> Tolerance:
    """Give what trips the breakers, and who lifts them."""
    return Tolerance(
        decline_percent=settings.decline_share_percent,
        decline_count=settings.decline_share_count,
        decline_window=timedelta(seconds=settings.decline_share_seconds),
        gateway_failures=settings.gateway_failures,
        by_hand=settings.breaker_resume == "hand",
    )


def now() -> datetime:
    """Tell the time, aware UTC; the one clock of the product."""
    return datetime.now(UTC)


def worker_name() -> str:
    """Name this process as the journal shows it."""
    return f"{socket.gethostname()}:{os.getpid()}"


def _services(
    settings: Settings, ledger: sa.Engine, billing: sa.Engine, *, defaults: Rule
) -> Services:
    worker, bounds = worker_name(), limits(settings)
    return Services(
        billing=GuardedBilling(_billing(settings, billing)),
        gateway=_gateway(settings, ledger),
        ledger=PostgresLedger(
            ledger,
            defaults=defaults,
            lease=settings.lease_seconds,
            actor=worker,
            limits=bounds,
        ),
        books=PostgresBooks(ledger, threshold=defaults.threshold),
        cut_offs=PostgresCutOffs(ledger, actor=worker),
        credits=PostgresCredits(ledger, actor=worker),
        stops=PostgresStops(ledger),
        breakers=PostgresBreakers(ledger, limits=bounds, tolerance=tolerance(settings)),
        turns=PostgresTurns(ledger, actor=worker),
        notify=LogNotifier(),
        clock=now,
        limits=bounds,
        worker=worker,
        page=settings.sweep_page,
        pause=settings.full_sweep_pause,
        longest_wait=settings.wait_longest_seconds,
    )


def profile_of(settings: Settings) -> Profile | None:
    """Give the profile of the package, or None for the bundled one.

    Raises:
        ConfigurationError: no such package, or another kind of database.
    """
    name = settings.billing_package
    urls = (settings.billing_database_url, settings.billing_replica_url)
    if name == BUNDLED:
        return None
    profile = PROFILES.get(name)
    if profile is None:
        known = ", ".join(sorted([BUNDLED, *PROFILES]))
        msg = (
            f"BILLING_PACKAGE is {name!r}, which this release does not know; use one"
            f" of {known}."
        )
        raise ConfigurationError(msg, subject="BILLING_PACKAGE")
    if not all(url.startswith(profile.dialect) for url in urls if url):
        msg = (
            f"BILLING_DATABASE_URL is no {profile.dialect} address, and {name} keeps"
            f" its tables there; give {profile.dialect}://user:password@host/database."
        )
        raise ConfigurationError(msg, subject="BILLING_DATABASE_URL")
    return profile


def _billing_engine(settings: Settings, url: str) -> sa.Engine:
    profile, pool = profile_of(settings), settings.db_pool_size
    statement, lock = (
        settings.billing_statement_timeout_ms,
        settings.billing_lock_timeout_ms,
    )
    if profile is None:
        return make_engine(
            url,
            statement_timeout_ms=statement,
            lock_timeout_ms=lock,
            pool_size=pool,
            application_name="replenish billing",
        )
    return sql_billing.make_engine(
        url,
        statement_timeout_ms=statement,
        lock_timeout_ms=lock,
        pool_size=pool,
        on_connect=profile.on_connect,
    )


def _billing(settings: Settings, engine: sa.Engine) -> BillingPackage:
    profile = profile_of(settings)
    if profile is None:
        return BundledBilling(engine)
    replica = settings.billing_replica_url
    return SqlBilling(
        engine,
        profile,
        currency=settings.billing_currency,
        reader=_billing_engine(settings, replica) if replica else None,
    )


def _gateway(settings: Settings, ledger: sa.Engine) -> CardGateway:
    return StripeGateway(
        settings.stripe_api_key,
        api_base=settings.stripe_api_base,
        api_version=settings.stripe_api_version,
        timeout=(settings.stripe_timeout_connect, settings.stripe_timeout_read),
        limiter=RateLimit(settings.stripe_rate_limit, settings.limits_url),
        environment=settings.replenish_env,
        installation=cache(lambda: installation(ledger)),
    )
