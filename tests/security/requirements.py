"""Which requirements there are, and which tests say that they show them."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]
TESTS = ROOT / "tests"
PAGE = ROOT / "docs" / "security.md"

REQUIRED = tuple(f"S{n}" for n in (*range(1, 5), *range(8, 21), 22, 23, 24))
"""All but those of the webhooks (S5 to S7) and of the operator's console (S21)."""


def shown() -> Mapping[str, frozenset[str]]:
    """Give requirement → the tests that bear its number, as `file::name`."""
    found: dict[str, set[str]] = defaultdict(set)
    for path in TESTS.rglob("test_*.py"):
        where = path.relative_to(ROOT).as_posix()
        for name, numbers in _marked(ast.parse(path.read_text("utf-8"))):
            for number in numbers:
                found[number].add(f"{where}::{name}")
    return {number: frozenset(tests) for number, tests in found.items()}


def promised() -> Mapping[str, frozenset[str]]:
    """Give requirement → the test files that the page names for it."""
    rows = re.findall(r"^\| (S\d+) \|(.*)\|$", PAGE.read_text("utf-8"), re.MULTILINE)
    return {
        number: frozenset(re.findall(r"`(tests/[\w/]+\.py)`", row))
        for number, row in rows
    }


def _marked(module: ast.Module) -> Iterator[tuple[str, list[str]]]:
    of_all = [
        number
        for each in module.body
        if isinstance(each, ast.Assign) and _names(each) == ["pytestmark"]
        for number in _numbers(each.value)
    ]
    for each in ast.walk(module):
        if isinstance(each, ast.FunctionDef) and each.name.startswith("test_"):
            own = [n for mark in each.decorator_list for n in _numbers(mark)]
            if own or of_all:
                yield each.name, [*of_all, *own]


def _names(assignment: ast.Assign) -> list[str]:
    return [each.id for each in assignment.targets if isinstance(each, ast.Name)]


def _numbers(mark: ast.AST) -> list[str]:
    """Give what stands in `pytest.mark.security(...)`, wherever it does."""
    return [
        str(argument.value)
        for call in ast.walk(mark)
        if isinstance(call, ast.Call) and ast.unparse(call.func) == MARK
        for argument in call.args
        if isinstance(argument, ast.Constant)
    ]


MARK = "pytest.mark.security"
