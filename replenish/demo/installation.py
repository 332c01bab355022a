"""Where the demonstration runs: servers and processes of its own, in one folder."""

import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from shlex import quote
from urllib.parse import urlsplit

from replenish import bootstrap, embedded
from replenish.adapters.ledger import migrations
from replenish.bootstrap import Application
from replenish.demo.fleet import Fleet, free_port
from replenish.demo.packages import WRITES, site
from replenish.demo.packages.hands import hands
from replenish.demo.switch import BundledSwitch, PackageSwitch, Switch
from replenish.embedded import mariadb
from replenish.errors import BadInput, ConfigurationError
from replenish.settings import Settings

STARTING = 60.0  # seconds at most for the workers to begin
HOT_SWEEP, FULL_SWEEP = "sweep.hot", "sweep.full"
BEAT = "beat"
GATEWAY_LEDGER = "gateway.jsonl"  # in its home: what the sandbox has charged

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
    # So many of its cards are bad ones that this breaker would stop it for ever.
    "DECLINE_SHARE_COUNT": "1000000",
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


@contextmanager
def alone(home: Path) -> Iterator[None]:
    """Keep a second demonstration out of this folder; it would end our servers.

    The lock goes with the process, however that ends.

    Raises:
        BadInput: one is running there; says which process.
    """
    home.parent.mkdir(parents=True, exist_ok=True)
    with home.with_suffix(".lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.seek(0)
            msg = (
                f"A demonstration is running in {home} (process {lock.read().strip()}):"
                " end it with Ctrl-C there, or start this one in another folder."
            )
            raise BadInput(msg, subject=str(home)) from error
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


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


def environment(settings: Settings) -> dict[str, str]:
    """All that a process of ours is told.

    No address is left to a variable or a `.env` of the one who looks on.
    """
    return {
        **FASTER,
        "REPLENISH_HOME": str(settings.replenish_home),
        "DATABASE_URL": settings.database_url,
        "REDIS_URL": settings.redis_url,
        "BILLING_PACKAGE": settings.billing_package,
        "BILLING_DATABASE_URL": settings.billing_database_url,
        "STRIPE_API_BASE": settings.stripe_api_base,
        "STRIPE_API_KEY": settings.stripe_api_key,
        "REPLENISH_ENV": settings.replenish_env,
        "BILLING_CURRENCY": settings.billing_currency,
        "FLOWER_PORT": str(settings.flower_port),
        "BILLING_REPLICA_URL": settings.billing_database_url,
        "FAILPOINTS": "",
    }


def write_down(settings: Settings) -> Path:
    """Write all that its processes are told to a file for a shell to read.

    Whoever looks in from another terminal must judge by the same rules.
    """
    path = settings.replenish_home / "settings.sh"
    told = environment(settings).items()
    path.touch(mode=0o600)
    path.write_text("".join(f"export {name}={quote(value)}\n" for name, value in told))
    return path


def services(settings: Settings, fleet: Fleet) -> Application:
    """Start the sandbox, and wire ourselves to an empty ledger."""
    port = urlsplit(settings.stripe_api_base).port or 0
    ledger = settings.replenish_home / GATEWAY_LEDGER
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


def start_guard(fleet: Fleet) -> None:
    """Start what stands in for beat and the workers, as an operator has it."""
    fleet.start("guard", ["replenish", "guard"])


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
