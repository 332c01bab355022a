"""A terminal on a ledger and a billing package of the test's own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from replenish import bootstrap
from tests import bundled, ledgers
from tests.integration.cli.commands import NOWHERE, Terminal
from tests.postgres import MakeDatabase
from tests.sandbox_server import SandboxServer


def prepare(url: str) -> None:
    """Create both schemas, as `replenish db upgrade` does."""
    ledgers.prepare(url)
    bundled.prepare(url)


@pytest.fixture
def empty_terminal(
    make_database: MakeDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Terminal]:
    """A terminal on an empty database; Redis and the gateway are away."""
    yield from _terminal(make_database(), tmp_path, monkeypatch)


@pytest.fixture
def terminal(
    make_database: MakeDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Terminal]:
    """A terminal with both schemas, accounts 1001 and 1002, and one rate."""
    url = make_database(prepare)
    with bundled.engine_of(url) as engine:
        bundled.add_account(engine, "1001", "10")
        bundled.add_account(engine, "1002", "10")
        bundled.add_rate(engine)
    yield from _terminal(url, tmp_path, monkeypatch)


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxServer]:
    """One sandbox for the module; every test makes its own customers."""
    folder: Path = tmp_path_factory.mktemp("sandbox")
    with SandboxServer(folder / "ledger.jsonl") as server:
        yield server


@pytest.fixture
def shop(terminal: Terminal, sandbox: SandboxServer) -> Terminal:
    """A terminal whose gateway is the sandbox."""
    return terminal.with_(STRIPE_API_BASE=sandbox.url, STRIPE_API_KEY="sk_test_cli")


def _terminal(
    url: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Terminal]:
    monkeypatch.chdir(folder)
    wired: dict[int, bootstrap.Application] = {}
    monkeypatch.setattr(bootstrap, "_applications", wired)  # one a test
    variables = {
        "DATABASE_URL": url,
        "BILLING_DATABASE_URL": url,
        "REDIS_URL": NOWHERE,
        "STRIPE_API_BASE": "http://127.0.0.1:1",
        "REPLENISH_HOME": str(folder / "home"),
    }
    yield Terminal(folder, variables)
    for application in wired.values():
        application.ledger_engine.dispose()
        application.billing_engine.dispose()
