"""Fixtures that every test may ask for."""

import os
import signal
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests import scratch
from tests.deep import examples

scratch.use_memory()

# Workers of one test stand back behind no other test: there are more of them than
# processors.
os.environ.setdefault("NICENESS", "0")

pytest_plugins = ["tests.postgres", "tests.mariadb"]

# Started in the background by a shell, we would ignore Ctrl-C, and so would every
# process that a test starts and interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)

# A busy machine makes examples slowly; that is no fault of theirs.
settings.register_profile(
    "calm",
    deadline=None,
    max_examples=examples(100),
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("calm")

UNMEASURED = (
    *("faults", "incidents", "properties", "simulation"),
    *("contract/test_gateway_faults.py", "integration/packages/test_credit.py"),
    *("integration/packages/test_coexistence.py", "acceptance/test_crashes.py"),
    *("acceptance/test_many.py", "acceptance/test_messages.py"),
    *("acceptance/test_once.py", "acceptance/test_story.py"),
    *("integration/cli/test_processes.py", "integration/cli/test_workers.py"),
)
"""What repeats the same lines hundreds of times, or a whole installation's: counting
them takes a third of the time, and the tests of each step reach them by themselves."""


def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    """Do not count the lines that the unmeasured reach."""
    here = Path(__file__).parent
    folders = [here / name for name in UNMEASURED]
    for item in items:
        if any(item.path.is_relative_to(folder) for folder in folders):
            item.add_marker("no_cover")


@pytest.fixture(autouse=True)
def _uncounted(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor those of the processes that they start."""
    if request.node.get_closest_marker("no_cover"):
        monkeypatch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)
