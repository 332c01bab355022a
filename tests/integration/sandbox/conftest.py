"""One sandbox per test worker; every test brings customers and keys of its own."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
import stripe

from replenish.sandbox.control import Control
from tests.sandbox_server import SandboxServer

stripe.enable_telemetry = False  # it would write into the home directory


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxServer]:
    """A running sandbox that tests share; nobody resets it or sets loose faults."""
    folder = tmp_path_factory.mktemp("sandbox")
    with SandboxServer(folder / "ledger.jsonl") as server:
        yield server


@pytest.fixture
def own(tmp_path: Path) -> Iterator[SandboxServer]:
    """A sandbox of the test's own, for faults, clocks, resets and restarts."""
    with SandboxServer(tmp_path / "ledger.jsonl") as server:
        yield server


@pytest.fixture(scope="session")
def shared_api(shared: SandboxServer) -> stripe.StripeClient:
    """The stock client, pointed at the shared sandbox."""
    return shared.client()


@pytest.fixture
def api(shared: SandboxServer) -> stripe.StripeClient:
    """A stock client of the test's own, pointed at the shared sandbox."""
    return shared.client()


@pytest.fixture
def control(own: SandboxServer) -> Control:
    """The control port of the test's own sandbox."""
    return own.tool


@pytest.fixture
def key() -> str:
    """A fresh idempotency key."""
    return f"test-{uuid4()}"
