"""What is away is waited for; what can go on without it goes on."""

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from decimal import Decimal
from pathlib import Path

import pytest
import redis
import sqlalchemy as sa

from replenish.embedded import places, postgres
from replenish.embedded import redis as embedded_redis
from replenish.pipeline.replenish import STUCK
from tests import checker
from tests.acceptance.site import Site, until

pytestmark = [pytest.mark.faults, pytest.mark.deep, pytest.mark.timeout(240)]

EXHAUSTED = 2001
OTHERS = 8  # accounts beside the one that has the trouble


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """Give an installation whose servers nobody starts again but the test."""
    opened = Site.apart(tmp_path / "home")
    try:
        yield opened
    finally:
        opened.close()


def exhausted(site: Site, ref: int = EXHAUSTED) -> str:
    """Enrol an account at its floor whose card is dead; no sweep has seen it yet."""
    (name,) = site.enrol(1, balance=Decimal(0), first=ref)
    with site.app.ledger_engine.begin() as connection:
        connection.execute(
            sa.text(
                "UPDATE replenish.card SET dead_reason = 'lost_card', dead_at = now()"
                " WHERE account_id = :ref"
            ),
            {"ref": name},
        )
    return name


def seen_low(site: Site, ref: str) -> None:
    """Let the ledger say that it was last seen low."""
    with site.app.ledger_engine.begin() as connection:
        connection.execute(
            sa.text("UPDATE replenish.account SET low_since = now() WHERE id = :ref"),
            {"ref": ref},
        )


def explained(site: Site, ref: str) -> bool:
    """Say whether a sweep has written down why it is left alone."""
    return bool(
        site.ledger("SELECT 1 FROM replenish.skip WHERE account_id = :r", r=ref)
    )


def job(site: Site, name: str) -> str:
    """Give what a job said when it last ended."""
    rows = site.ledger("SELECT detail FROM replenish.job WHERE name = :n", n=name)
    return str(rows[0]["detail"]) if rows else ""


def working(site: Site) -> bool:
    """Say whether sweeps and cut-offs have happened."""
    return bool(job(site, "sweep.hot") and job(site, "cutoff"))


# ------------------------------------------------------------------------- Redis


def killed(site: Site) -> Callable[[], None]:
    """Kill Redis, with all that it held."""
    client = site.redis()
    os.kill(int(client.info("server")["process_id"]), signal.SIGKILL)
    until(lambda: not answers(client), seconds=10, what="gone")

    def back() -> None:
        embedded_redis.start(site.home)

    return back


def hanging(site: Site) -> Callable[[], None]:
    """Stop Redis, so that it takes connections and answers none."""
    pid = int(site.redis().info("server")["process_id"])
    os.kill(pid, signal.SIGSTOP)
    return lambda: os.kill(pid, signal.SIGCONT)


def full(site: Site) -> Callable[[], None]:
    """Let Redis refuse every write, as with a full memory and noeviction."""
    site.redis().config_set("maxmemory", "1")

    def back() -> None:
        site.redis().config_set("maxmemory", "0")

    return back


def answers(client: "redis.Redis") -> bool:
    """Say whether Redis is there."""
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False


@pytest.fixture
def clean(site: Site) -> Iterator[Site]:
    """A site whose Redis, if it was started anew, ends with it."""
    yield site
    with suppress(redis.RedisError):
        site.redis().shutdown(nosave=True)


@pytest.mark.parametrize("away", [killed, hanging, full])
@pytest.mark.security("S20")
def test_without_redis_cut_offs_and_charges_go_on(
    clean: Site, away: Callable[[Site], Callable[[], None]]
) -> None:
    """The guard takes over within seconds, and stands back when Redis is back."""
    site = clean
    site.worker("one", "-c", "2")
    site.beat()
    site.guard()
    until(lambda: working(site), seconds=60, what="at work")
    until(lambda: job(site, "guard") == "stands by", seconds=30, what="stands by")

    back = away(site)
    doomed = exhausted(site)
    seen_low(site, doomed)
    low = site.enrol(3)
    site.watch([*low, doomed])

    until(lambda: site.service(doomed) == "suspended", seconds=30, what="cut off")
    until(lambda: site.settled(*low), seconds=60, what="charged and credited")
    until(lambda: "stands in" in job(site, "guard"), seconds=30, what="says so")
    back()
    supervise(site, "one", "beat")
    until(lambda: job(site, "guard") == "stands by", seconds=90, what="stands back")
    late = site.enrol(1, first=3001)
    site.watch(late)
    until(lambda: site.settled(*late), seconds=60, what="the workers go on")
    until(lambda: explained(site, doomed), seconds=30, what="explained")
    until(lambda: not site.unclosed(), seconds=30, what="every batch closed")
    checker.holds(site.verify(), charges=4)


def supervise(site: Site, *names: str) -> None:
    """Start again who has ended: a full Redis ends a worker."""
    for name in names:
        process = site.fleet._running[name]  # noqa: SLF001 as a supervisor would
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=1)
            site.fleet.forget(name)
            site.beat() if name == "beat" else site.worker(f"{name}-again", "-c", "2")


# ---------------------------------------------------------------- billing package


@pytest.mark.security("S20")
def test_without_the_billing_package_nobody_is_charged_or_cut_off(site: Site) -> None:
    """What was charged waits, and is credited when it is back; then all goes on."""
    (charged,) = site.enrol(1)
    low = site.enrol(3, first=1101)
    doomed = exhausted(site)
    site.worker("one", "-c", "2", FAILPOINTS="after_record=sleep:6@1")
    site.watch([charged])
    site.beat()
    until(lambda: site.states() == {"charged": 1}, seconds=60, what="charged")

    with_connections(site, allowed=False)
    seen_low(site, doomed)
    until(
        lambda: (
            "stopped" in job(site, "sweep.hot") and "stopped" in job(site, "cutoff")
        ),
        seconds=60,
        what="sweeps and cut-offs meet it",
    )
    until(
        lambda: bool(
            site.ledger(
                "SELECT 1 FROM replenish.attempt WHERE state = 'charged'"
                " AND lease IS NULL AND reason = 'BillingUnavailable'"
            )
        ),
        seconds=60,
        what="the charge waits",
    )

    assert site.states() == {"charged": 1}
    assert site.control.counters()["totals"]["charge.succeeded"] == 1
    assert site.ledger("SELECT 1 FROM replenish.cut_off") == []
    with_connections(site, allowed=True)
    site.watch([*low, doomed])
    until(lambda: site.settled(charged, *low), seconds=90, what="all credited")
    until(lambda: site.service(doomed) == "suspended", seconds=30, what="cut off")
    until(lambda: explained(site, doomed), seconds=30, what="explained")
    until(lambda: not site.unclosed(), seconds=30, what="every batch closed")
    checker.holds(site.verify(), charges=4)


@pytest.mark.parametrize("held", [1, STUCK - 1])
def test_a_row_that_somebody_holds_makes_only_its_own_account_wait(
    site: Site, held: int
) -> None:
    """Ours never queue behind the package's own transaction; what was paid is kept."""
    refs = site.enrol(OTHERS + held)
    locked, others = refs[:held], refs[held:]
    site.watch(refs)
    with site.app.billing_engine.connect() as theirs:
        lock = sa.text(
            "SELECT FROM billing.account WHERE number = ANY(:refs) FOR UPDATE"
        )
        theirs.execute(lock, {"refs": list(locked)})
        site.worker("one", "-c", "2")
        site.beat()
        until(lambda: site.settled(*others), seconds=60, what="the others credited")
        until(lambda: waits(site) == set(locked), seconds=30, what="said why it waits")
        assert not site.settled(*locked)

    until(lambda: site.settled(*locked), seconds=20, what="credited once let go")
    until(lambda: not site.unclosed(), seconds=30, what="every batch closed")
    checker.holds(site.verify(), charges=len(refs))


def waits(site: Site) -> set[str]:
    """Name the charged accounts whose credit has met the package, and waits."""
    rows = site.ledger(
        "SELECT account_id FROM replenish.attempt"
        " WHERE state = 'charged' AND lease IS NULL AND reason <> ''"
    )
    return {row["account_id"] for row in rows}


def with_connections(site: Site, *, allowed: bool) -> None:
    """Let the billing package's database take connections, or end them all."""
    url = site.app.settings.database_url
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(
            sa.text(f"ALTER DATABASE billing ALLOW_CONNECTIONS {allowed}")
        )
        if not allowed:
            connection.execute(
                sa.text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = 'billing'"
                )
            )
    engine.dispose()
    if allowed:
        site.app.billing_engine.dispose()


# ------------------------------------------------------------------------ gateway


@pytest.mark.security("S20")
def test_without_the_gateway_top_ups_wait_and_the_floor_holds(site: Site) -> None:
    """Nobody is cut off for it but who has spent the grace; people are told."""
    low = site.enrol(2)
    (spender,) = site.enrol(1, first=1501)
    site.worker("one", "-c", "3", STRIPE_RATE_LIMIT="5000/second")
    site.beat()
    os.kill(site.pid("sandbox"), signal.SIGSTOP)
    site.watch([*low, spender])
    until(lambda: site.states() == {"claimed": 3}, seconds=60, what="claimed")

    site.run(
        "UPDATE billing.account SET balance = -5, opening_balance = -5"
        " WHERE number = :ref",
        ref=spender,
    )

    until(lambda: site.service(spender) == "suspended", seconds=30, what="hard floor")
    assert [site.service(ref) for ref in low] == ["active", "active"]
    os.kill(site.pid("sandbox"), signal.SIGCONT)
    until(lambda: site.settled(*low, spender), seconds=120, what="all settled")
    until(lambda: site.service(spender) == "active", seconds=30, what="restored")
    until(lambda: not site.unclosed(), seconds=30, what="every batch closed")
    checker.holds(site.verify(), charges=3)


# ------------------------------------------------------------------- our database


def test_without_our_database_nothing_starts_and_everybody_lives(site: Site) -> None:
    """Workers, beat and guard go on by themselves when it is back."""
    low = site.enrol(3)
    site.worker("one", "-c", "2")
    site.beat()
    site.guard()
    until(lambda: working(site), seconds=60, what="at work")
    site.watch(low)

    pid = crash(site)
    until(lambda: meets_it(site, "one", "guard"), seconds=60, what="all have met it")
    early = site.control.counters()["totals"]
    until(lambda: meets_it(site, "one", "guard"), seconds=60, what="and meet it on")
    late = site.control.counters()["totals"]
    server = postgres.start(site.home)

    try:
        assert server.process.pid != pid
        assert early == late
        site.app.ledger_engine.dispose()
        site.app.billing_engine.dispose()
        until(lambda: site.settled(*low), seconds=120, what="all settled")
        site.fleet.check()  # alive throughout
        until(lambda: not site.unclosed(), seconds=30, what="every batch closed")
        checker.holds(site.verify(), charges=3)
    finally:
        site.fleet.stop()
        os.kill(server.process.pid, signal.SIGQUIT)


def crash(site: Site) -> int:
    """End our PostgreSQL as a crash does."""
    note = places.postgres_folder(site.home) / "data" / "postmaster.pid"
    pid = int(note.read_text().splitlines()[0])
    os.kill(pid, signal.SIGQUIT)
    until(lambda: not Path(f"/proc/{pid}").exists(), seconds=30, what="gone")
    return pid


def meets_it(site: Site, *names: str) -> bool:
    """Say whether each has said anew that the database does not answer."""
    seen = site.told_before
    found = {name: (site.home / "logs" / f"{name}.log").read_text() for name in names}
    met = all("did not answer" in text[seen.get(n, 0) :] for n, text in found.items())
    if met:
        seen.update({name: len(text) for name, text in found.items()})
    return met
