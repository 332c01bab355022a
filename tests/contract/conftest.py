"""A sandbox for the gateway's contract, one a test worker."""

from collections.abc import Iterator

import pytest

from replenish.adapters.stripe import StripeGateway
from tests.contract.gateway_site import make_gateway
from tests.sandbox_server import SandboxServer


@pytest.fixture(scope="session")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxServer]:
    """One sandbox for all; orders bring customers and keys of their own."""
    with SandboxServer(tmp_path_factory.mktemp("gateway") / "ledger.jsonl") as server:
        yield server


@pytest.fixture
def sandbox(process: SandboxServer) -> Iterator[SandboxServer]:
    """The sandbox without faults, before and after."""
    process.tool.clear_faults()
    yield process
    process.tool.clear_faults()


@pytest.fixture
def gateway(sandbox: SandboxServer) -> StripeGateway:
    """The gateway under test."""
    return make_gateway(sandbox.url)
