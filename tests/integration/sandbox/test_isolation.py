"""The sandbox stands alone: it must not share a mistake with what it tests."""

import ast
import sys
from pathlib import Path

import pytest

import replenish.sandbox
from replenish.sandbox.server import serve


def test_the_sandbox_imports_only_itself_and_the_standard_library() -> None:
    """Neither the product nor a package may reach into the stand-in."""
    found = set()
    for path in Path(str(replenish.sandbox.__file__)).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                found.add(str(node.module))

    foreign = {
        name
        for name in found
        if not name.startswith("replenish.sandbox")
        and name.partition(".")[0] not in sys.stdlib_module_names
    }
    assert foreign == set()


@pytest.mark.security("S23")
def test_the_sandbox_listens_on_loopback_only() -> None:
    """It has no real keys to protect it, so it refuses the world."""
    assert serve("0.0.0.0", 0, None) == 2  # noqa: S104 - refused, that is the point


def test_half_a_webhook_setting_is_misuse() -> None:
    """An address without a secret would deliver what nobody can verify."""
    assert serve("127.0.0.1", 0, None, webhook_url="http://127.0.0.1:1/") == 2
