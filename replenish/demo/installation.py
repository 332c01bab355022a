"""Where the demonstration runs: servers and processes of its own, in one folder."""

import shutil
import time
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

from replenish import bootstrap, embedded
from replenish.adapters.ledger import migrations
from replenish.bootstrap import Application
from replenish.demo.fleet import Fleet, free_port
from replenish.demo.packages import WRITES, site
from replenish.demo.packages.hands import hands
from replenish.demo.switch import BundledSwitch, PackageSwitch, Switch
from replenish.embedded import mariadb
from replenish.errors import ConfigurationError
from replenish.settings import Settings

STARTING = 60.0  # seconds at most for the workers to begin
HOT_SWEEP, FULL_SWEEP = "sweep.hot", "sweep.full"
BEAT = "beat"

FASTER = {
    # A day's rhythm in seconds, so that a minute shows what a week would.
    "RULE_THRESHOLD": "10",
    "RULE_TOP_UP": "25",
    # Room for the calls that end while a card is being charged: two at once may cost
    # a balance just above the threshold twice over, and a good card is not cut off.
    "RULE_GRACE": "30",
    "RULE_CAP_DAY": "2000",
    "RULE_CAP_MONTH": "5000",
    "RULE_COUNT_DAY": "50",
    "RULE_COOLDOWN_SECONDS": "1",
    "RETRY_SOFT_SECONDS": "6,15,60",
    "RETRY_TRANSIENT_SECONDS": "2",
    "FULL_SWEEP_SECONDS": "5",
    "NEW_DAYS": "0",
    "CHARGES_PER_MINUTE": "100000",
    "STRIPE_RATE_LIMIT": "500/second",
}


def need(package: str) -> None:
    """Make sure that a package's database server can be had, before all else.

    Raises:
        BillingUnavailable: it is not installed.
        ConfigurationError: its driver is not.
    """
    if _on_mysql(package):
        mariadb.need()


def _on_mysql(package: str) -> bool:
    writes = WRITES.get(package)
    return writes is not None and writes.dialect == "mysql"


def servers(home: Path, package: str) -> tuple[Settings, site.Site | None]:
    """Start the database servers in an empty home, and lay the package's tables."""
    if home.exists():
        embedded.stop(home)
        shutil.rmtree(home)
    given = {
        **FASTER,
        "REPLENISH_HOME": str(home),
        "STRIPE_API_BASE": f"http://127.0.0.1:{free_port()}",
        "STRIPE_API_KEY": "sk_test_sandbox",
        "FLOWER_PORT": str(free_port()),
    }
    settings = Settings.from_env(given, dotenv=Path("/dev/null"))
    settings = embedded.resolve(settings)
    if package == bootstrap.BUNDLED:
        return settings, None
    mysql = _on_mysql(package)
    server = embedded.start_mariadb(home) if mysql else settings.database_url
    made = site.make(server, WRITES[package])
    settings = replace(
        settings, billing_package=package, billing_database_url=made.ours
    )
    return settings, made


def addresses(settings: Settings) -> dict[str, str]:
    """What tells a process of ours where everything is."""
    return {
        "REPLENISH_HOME": str(settings.replenish_home),
        "DATABASE_URL": settings.database_url,
        "REDIS_URL": settings.redis_url,
        "BILLING_PACKAGE": settings.billing_package,
        "BILLING_DATABASE_URL": settings.billing_database_url,
        "STRIPE_API_BASE": settings.stripe_api_base,
        "STRIPE_API_KEY": settings.stripe_api_key,
    }


def environment(settings: Settings) -> dict[str, str]:
    """No address is left to a variable or a `.env` of the one who looks on."""
    return {
        **FASTER,
        **addresses(settings),
        "REPLENISH_ENV": settings.replenish_env,
        "BILLING_CURRENCY": settings.billing_currency,
        "FLOWER_PORT": str(settings.flower_port),
        "BILLING_REPLICA_URL": settings.billing_database_url,
        "FAILPOINTS": "",
    }


def services(settings: Settings, fleet: Fleet) -> Application:
    """Start the sandbox, and wire ourselves to an empty ledger."""
    port = urlsplit(settings.stripe_api_base).port or 0
    ledger = settings.replenish_home / "gateway.jsonl"
    command = ["replenish.sandbox", "--port", str(port)]
    fleet.start("sandbox", [*command, "--ledger", str(ledger)])
    app = bootstrap.build(settings)
    migrations.upgrade(app.ledger_engine)
    fleet.wait_for_port(port)
    return app


def switch(app: Application, theirs: site.Site | None, ends: ExitStack) -> Switch:
    """Give the package's own switch, under its own role, until the end."""
    if theirs is None:
        return BundledSwitch(app.billing_engine)
    return PackageSwitch(ends.enter_context(hands(theirs.theirs, theirs.writes)))


def start_beat(fleet: Fleet) -> None:
    """Start what has accounts looked at; without it nothing new begins."""
    fleet.start(BEAT, ["celery", "-A", "replenish", "beat"])


def start_workers(fleet: Fleet, settings: Settings) -> None:
    """Start what an operator runs; returns when Flower answers."""
    worker = ["celery", "-A", "replenish", "worker", "--without-mingle"]
    money = [*worker, "-Q", "replenish,reconcile", "-c", "4"]
    fleet.start("worker-1", [*money, "-n", "one@%h"])
    fleet.start("worker-2", [*money, "-n", "two@%h"])
    fleet.start("cutoff", [*worker, "-Q", "cutoff,sweep", "-c", "3", "-n", "cutoff@%h"])
    start_beat(fleet)
    fleet.start("flower", ["celery", "-A", "replenish", "flower"])
    fleet.wait_for_port(settings.flower_port)


def wait_for_sweeps(app: Application, fleet: Fleet) -> None:
    """Wait for the first hot sweep: calls before it are for the full one to find."""
    begun = app.clock() - timedelta(seconds=STARTING)
    end = time.monotonic() + STARTING
    while not swept(app, HOT_SWEEP, since=begun):
        fleet.check()
        if time.monotonic() > end:
            msg = f"No sweep has run after {STARTING} s; see {fleet.logs}."
            raise ConfigurationError(msg, subject=HOT_SWEEP)
        time.sleep(0.1)


def swept(app: Application, job: str, *, since: datetime) -> bool:
    """Say whether such a sweep has begun after that moment, and ended."""
    return any(
        each.name == job
        and each.begun_at is not None
        and each.ended_at is not None
        and each.ended_at > each.begun_at > since
        for each in app.reading.jobs()
    )
