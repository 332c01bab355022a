"""S2 and S4: no secret in the history of the project, nor with an engine's errors."""

import re
import subprocess
import traceback
from collections.abc import Callable
from pathlib import Path
from shutil import which

import pytest
import sqlalchemy as sa

from replenish import bootstrap
from replenish.settings import Settings
from tests.postgres import MakeDatabase
from tests.security.requirements import ROOT

KEYS = re.compile(
    r"(?:sk|rk)_(?:live|test)_[0-9A-Za-z]{20,}|whsec_[0-9A-Za-z+/]{24,}"
    r"|-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----|\bAKIA[0-9A-Z]{16}\b"
    r"|\bgh[pousr]_[0-9A-Za-z]{36}|\bxox[abp]-[0-9A-Za-z-]{20,}"
)


@pytest.mark.security("S2")
def test_no_commit_ever_held_a_key() -> None:
    """Whatever looks like one, in any version of any file."""
    git = which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("This is no checkout.")
    log = ("log", "--all", "--patch", "--unified=0", "--format=", "--no-color")
    history = subprocess.run(  # noqa: S603 a program of the machine's
        [git, *log], cwd=ROOT, capture_output=True, check=True
    ).stdout.decode("utf-8", "replace")

    assert history
    assert set(KEYS.findall(history)) == set()


@pytest.mark.security("S2")
def test_the_search_would_find_one() -> None:
    """Stripe's keys of every kind, and private keys."""
    for key in ("sk_" + "live_" + "a1" * 12, "whsec_" + "b2" * 16):
        assert KEYS.search(f"STRIPE_API_KEY={key}")
    assert KEYS.search("-----BEGIN EC" + " PRIVATE KEY-----")


def settings(url: str) -> Settings:
    """Settings whose secrets are canaries."""
    given = {
        "DATABASE_URL": url,
        "REDIS_URL": "redis://:canary@127.0.0.1:1/0",
        "STRIPE_API_KEY": "sk_test_canary",
        "FLOWER_BASIC_AUTH": "me:canary",
    }
    return Settings.from_env(given, dotenv=Path("/nonexistent"))


VALUE = "canary-value"
ENGINES: dict[str, Callable[[bootstrap.Application], sa.Engine]] = {
    "ledger": lambda app: app.ledger_engine,
    "billing": lambda app: app.billing_engine,
}


@pytest.mark.integration
@pytest.mark.security("S4")
@pytest.mark.parametrize("name", ENGINES)
def test_an_error_of_a_database_does_not_show_what_was_sent(
    make_database: MakeDatabase, name: str
) -> None:
    """Parameters stay out; only PostgreSQL itself may quote one (docs/security.md)."""
    app = bootstrap.build(settings(make_database()))
    engine = ENGINES[name](app)
    with pytest.raises(sa.exc.DBAPIError) as caught, engine.connect() as connection:
        connection.execute(sa.text("SELECT 1/0 WHERE :it <> ''"), {"it": VALUE})
    engine.dispose()

    assert "division by zero" in str(caught.value)
    assert VALUE not in "".join(traceback.format_exception(caught.value))


@pytest.mark.security("S2")
def test_no_traceback_shows_the_settings() -> None:
    """An error while they stand in a frame, and their own `repr`."""
    given = settings("postgresql://me:canary@127.0.0.1:1/x")
    app = bootstrap.build(given)
    with pytest.raises(sa.exc.OperationalError) as caught:
        app.ledger_engine.connect()

    shown = "".join(traceback.format_exception(caught.value)) + repr(app)
    assert "canary" not in shown
