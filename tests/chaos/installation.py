"""The installation under fire: its servers, its settings, its processes."""

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import RLock
from typing import Self

import psycopg2
import redis
import sqlalchemy as sa

from replenish import bootstrap, embedded
from replenish.adapters.ledger import migrations
from replenish.adapters.ledger.session import make_engine
from replenish.bootstrap import Application
from replenish.demo.fleet import free_port
from replenish.embedded.keeper import start_mark
from replenish.sandbox.control import Control
from replenish.settings import Settings
from replenish.verify import Report, run
from tests.chaos.crew import Crew

WATCHER = "chaos watcher"  # the application name of connections that are left alone

RUN = {
    "STRIPE_API_KEY": "sk_test_sandbox",
    "STRIPE_RATE_LIMIT": "5000/second",
    # A lease is twice the longest call of the gateway, so both are short here.
    "STRIPE_TIMEOUT_CONNECT": "1",
    "STRIPE_TIMEOUT_READ": "2",
    "LEASE_SECONDS": "6",
    "TASK_TIME_LIMIT": "15",
    "RECONCILE_SECONDS": "2",
    "WAIT_LONGEST_SECONDS": "8",
    "ORPHAN_SECONDS": "10",
    "FULL_SWEEP_SECONDS": "20",
    "FULL_SWEEP_PAUSE": "0",
    # The harness works hard on the same processors, and is no billing package.
    "NICENESS": "0",
    # Many small charges, so that two minutes see thousands of them; accounts with
    # caps of their own are among the customers.
    "RULE_THRESHOLD": "5",
    "RULE_TOP_UP": "10",
    "RULE_FLOOR": "0",
    "RULE_GRACE": "5",
    "RULE_CAP_CHARGE": "100",
    "RULE_CAP_DAY": "900000",
    "RULE_CAP_MONTH": "1000000",
    "RULE_COUNT_DAY": "100000",
    "RULE_COOLDOWN_SECONDS": "1",
    "RETRY_SOFT_SECONDS": "3,6,12",
    "RETRY_TRANSIENT_SECONDS": "2",
    # The breakers and the limits on what is unusual are meant for less than this.
    "UNUSUAL_TIMES": "1000",
    "CHARGES_PER_MINUTE": "1000000",
    "DECLINE_SHARE_COUNT": "1000000",
    "GATEWAY_FAILURES": "20",
    "LOG_LEVEL": "INFO",
}
WORKERS = ("worker-1", "worker-2", "worker-3")
CUTOFF = "cutoff"
BEATS = ("beat-1", "beat-2")
GUARD = "guard"

_WORKER = ("celery", "-A", "replenish", "worker", "--without-mingle")
_BEAT = ("celery", "-A", "replenish", "beat")
COMMANDS: Mapping[str, Sequence[str]] = {
    **{
        name: (*_WORKER, "-n", f"{name}@%h", "-c", "3", "-Q", "replenish,reconcile")
        for name in WORKERS
    },
    # Whoever is exhausted is found by a sweep, so sweeps do not wait for charges.
    CUTOFF: (*_WORKER, "-n", "cutoff@%h", "-c", "2", "-Q", "cutoff,sweep"),
    **dict.fromkeys(BEATS, _BEAT),
    GUARD: ("replenish", "guard"),
}


@dataclass
class Server:
    """An embedded server that can be stopped and started again."""

    home: Path
    kind: str
    settings: Settings
    lock: RLock = field(default_factory=RLock)

    def stop(self, number: int, *, patience: float = 20.0) -> None:
        """End it by a signal, and wait until it is gone."""
        (pid,) = (
            server.pid
            for server in embedded.status(self.home).servers
            if server.name == self.kind
        )
        mark = start_mark(pid)
        os.kill(pid, number)
        end = time.monotonic() + patience
        while mark and start_mark(pid) == mark:
            assert time.monotonic() < end, f"{self.kind} does not stop"
            time.sleep(0.01)

    def start(self) -> None:
        """Start it again, where it was."""
        embedded.resolve(self.settings)


@dataclass
class Installation:
    """Everything that runs; ends with `close`."""

    home: Path
    app: Application
    crew: Crew
    control: Control
    ours: Server
    billing: Server
    redis_server: Server
    watching_ledger: sa.Engine
    watching_billing: sa.Engine

    @classmethod
    def open(cls, home: Path) -> Self:
        """Start the servers and the sandbox; workers come with `work`."""
        port = free_port()
        base = {**RUN, "STRIPE_API_BASE": f"http://127.0.0.1:{port}"}
        nothing = Path("/dev/null")
        ours = Settings.from_env(
            {**base, "REPLENISH_HOME": str(home / "ours")}, dotenv=nothing
        )
        found = embedded.resolve(ours)
        theirs = replace(
            ours, replenish_home=home / "billing", redis_url=found.redis_url
        )
        billing = embedded.resolve(theirs).database_url
        env = {
            **base,
            "REPLENISH_HOME": str(home / "ours"),
            "DATABASE_URL": found.database_url,
            "REDIS_URL": found.redis_url,
            "BILLING_DATABASE_URL": billing,
        }
        crew = Crew(env, home / "logs")
        crew.__enter__()
        try:
            command = ["replenish.sandbox", "--port", str(port)]
            crew.start("sandbox", [*command, "--ledger", str(home / "gateway.jsonl")])
            app = bootstrap.build(replace(found, billing_database_url=billing))
            migrations.upgrade(app.ledger_engine)
            crew.wait_for_port(port)
        except BaseException:
            crew.stop()
            raise
        return cls(
            home,
            app,
            crew,
            Control(f"http://127.0.0.1:{port}"),
            ours=Server(home / "ours", "postgres", ours),
            billing=Server(home / "billing", "postgres", theirs),
            redis_server=Server(home / "ours", "redis", ours),
            watching_ledger=_watching(found.database_url),
            watching_billing=_watching(billing),
        )

    @property
    def gateway_ledger(self) -> Path:
        """The gateway's own book."""
        return self.home / "gateway.jsonl"

    def work(self) -> None:
        """Start workers and beats, under supervision."""
        self.crew.hire(COMMANDS)

    def redis(self) -> "redis.Redis":
        """Connect to Redis."""
        return redis.Redis.from_url(self.app.settings.redis_url)

    def verify(self, *, quiet: bool) -> Report:
        """Compare the three books.

        Raises:
            DBAPIError: a database is away.
        """
        try:
            return self._verify(quiet=quiet)
        except (
            psycopg2.Error
        ) as error:  # met as a connection goes back; see `statements`
            self.watching_ledger.dispose()
            self.watching_billing.dispose()
            raise sa.exc.DBAPIError(None, None, error) from error

    def _verify(self, *, quiet: bool) -> Report:
        return run(
            self.watching_ledger,
            self.watching_billing,
            gateway_ledger=self.gateway_ledger,
            defaults=self.app.defaults,
            limits=bootstrap.limits(self.app.settings),
            quiet=quiet,
        )

    def processor_seconds(self) -> float:
        """Add up the processor time of all that runs here, the harness included."""
        servers = [
            server.pid
            for home in (self.ours.home, self.billing.home)
            for server in embedded.status(home).servers
        ]
        return time.process_time() + self.crew.processor_seconds(servers)

    def close(self) -> None:
        """End everything."""
        self.crew.stop()
        for engine in (
            self.app.ledger_engine,
            self.app.billing_engine,
            self.watching_ledger,
            self.watching_billing,
        ):
            engine.dispose()
        for home in (self.ours.home, self.billing.home):
            embedded.stop(home)
            embedded.release(home)


def _watching(url: str) -> sa.Engine:
    return make_engine(
        url,
        statement_timeout_ms=60_000,
        lock_timeout_ms=5_000,
        pool_size=2,
        application_name=WATCHER,
    )
