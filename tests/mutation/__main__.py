"""Change the rules a little, one change at a time, and see that a test fails.

    python -m tests.mutation [--json FILE] [--workers N]

Ends with 1 when fewer than 95 % of the changes are noticed, when one that is not is
missing from `survivors.toml`, or when one that is listed there is noticed after all.
mutmut lives in an environment of its own (`.replenish/mutation`), which is made on
first use; it is no dependency of the project.
"""

import argparse
import json
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
import tomllib
import venv
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HOME = ROOT / ".replenish" / "mutation"
TOOLS = ("mutmut==3.8.0", "pytest==9.0.2")  # mutmut 3.8 reads what pytest 9.1 renamed
LEAST = 95.0  # per cent

MODULES = (
    "replenish/domain/policy.py",
    "replenish/domain/obstacles.py",
    "replenish/domain/newcomer.py",
    "replenish/domain/breaker.py",
    "replenish/domain/sizing.py",
    "replenish/domain/rule.py",
    "replenish/domain/attempt.py",
    "replenish/domain/account.py",
    "replenish/domain/money.py",
    "replenish/domain/trail.py",
    "replenish/adapters/stripe_declines.py",
)
TESTS = (
    "tests/unit/test_account.py",
    "tests/unit/test_attempt.py",
    "tests/unit/test_justified.py",
    "tests/unit/test_money.py",
    "tests/unit/test_outcome.py",
    "tests/unit/test_policy.py",
    "tests/unit/test_policy_cards.py",
    "tests/unit/test_policy_cut_off.py",
    "tests/unit/test_policy_newcomer.py",
    "tests/unit/test_rule.py",
    "tests/unit/test_sizing.py",
    "tests/unit/test_stripe_declines.py",
    "tests/unit/test_to_the_letter.py",
    "tests/unit/test_trail.py",
    "tests/properties/test_policy.py",
)
COPIED = ("replenish", "tests/unit", "tests/properties", "tests/factories.py", "docs")

CONFTEST = """
from hypothesis import settings

settings.register_profile(
    "mutation", max_examples=30, derandomize=True, database=None, deadline=None
)
settings.load_profile("mutation")
"""
PROJECT = """
[tool.pytest]
pythonpath = ["."]
addopts = ["--import-mode=importlib"]
markers = ["integration: not here"]

[tool.mutmut]
source_paths = ["replenish"]
also_copy = ["docs", "tests"]
"""
STATUS = {0: "survived", 1: "killed", 3: "killed", 33: "untested"} | dict.fromkeys(
    (-24, 24, 36, 152, 255), "timed out"
)


def main() -> int:
    """Do what the command line says; give the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation")
    parser.add_argument("--json", type=Path, help="write the result there")
    parser.add_argument("--workers", type=int, default=2)
    chosen = parser.parse_args()
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="replenish-mutation-") as name:
        copy = Path(name)
        _prepare(copy)
        _run(copy, chosen.workers)
        found = dict(_found(copy))
        changes = {key: _diff(copy, key) for key, what in found.items() if _alive(what)}
    return _report(found, changes, round(time.monotonic() - start, 1), chosen.json)


def _prepare(copy: Path) -> None:
    for path in COPIED:
        if (ROOT / path).is_dir():
            shutil.copytree(ROOT / path, copy / path)
        else:
            shutil.copy(ROOT / path, copy / path)
    (copy / "tests" / "__init__.py").touch()
    (copy / "tests" / "conftest.py").write_text(CONFTEST)
    settings = {"only_mutate": MODULES, "pytest_add_cli_args_test_selection": TESTS}
    lines = [f"{name} = {json.dumps(values)}" for name, values in settings.items()]
    (copy / "pyproject.toml").write_text(PROJECT + "\n".join(lines) + "\n")


def _tool() -> Path:
    """Make the tool's own environment, which sees this one's packages, if need be."""
    done = HOME / "done"
    if not done.exists() or done.read_text() != str(TOOLS):
        shutil.rmtree(HOME, ignore_errors=True)
        venv.create(HOME, with_pip=True)
        python = HOME / "bin" / "python"
        _call(python, "-m", "pip", "install", "--quiet", *TOOLS)
        site = _call(python, "-c", "import site; print(site.getsitepackages()[0])")
        ours = sysconfig.get_path("purelib")
        (Path(site.strip()) / "project.pth").write_text(ours + "\n")
        done.write_text(str(TOOLS))
    return HOME / "bin" / "mutmut"


def _run(copy: Path, workers: int) -> None:
    command = [str(_tool()), "run", "--max-children", str(workers)]
    log = copy / "mutmut.log"
    with log.open("wb") as out:
        code = subprocess.run(  # noqa: S603 - our own tool
            command,
            cwd=copy,
            env={"PATH": "/usr/bin:/bin", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
            stdout=out,
            stderr=subprocess.STDOUT,
            check=False,
        ).returncode
    if code:
        sys.exit(
            f"mutmut failed with {code}:\n{log.read_text(errors='replace')[-3000:]}"
        )


def _found(copy: Path) -> Iterator[tuple[str, str]]:
    """Give each change and what became of it."""
    for module in MODULES:
        meta = copy / "mutants" / f"{module}.meta"
        codes = (
            json.loads(meta.read_text())["exit_code_by_key"] if meta.exists() else {}
        )
        for key, code in codes.items():
            yield key, STATUS.get(code, f"ended with {code}")


def _alive(what: str) -> bool:
    return what not in ("killed", "timed out")


def _diff(copy: Path, key: str) -> str:
    shown = _call(_tool(), "show", key, cwd=copy)
    lines = [line for line in shown.splitlines() if line[:1] in "+-"]
    return "\n".join(line for line in lines if not line.startswith(("---", "+++")))


def _call(program: Path, *arguments: str, cwd: Path = ROOT) -> str:
    done = subprocess.run(  # noqa: S603 - our own interpreter and tool
        [str(program), *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def _report(
    found: Mapping[str, str],
    changes: Mapping[str, str],
    seconds: float,
    path: Path | None,
) -> int:
    known = tomllib.loads((Path(__file__).parent / "survivors.toml").read_text())
    reasons: dict[str, str] = {
        one["change"]: one["reason"] for one in known["survivor"]
    }
    counts = Counter(found.values())
    noticed = len(found) - len(changes)
    share = 100 * noticed / max(len(found), 1)
    open_ = {key: text for key, text in changes.items() if text not in reasons}
    stale = set(reasons) - set(changes.values())
    for key, text in sorted(open_.items()):
        print(f"NOT NOTICED {key} ({found[key]})\n{text}\n")  # noqa: T201
    for text in sorted(stale):
        print(f"LISTED, BUT NOTICED OR GONE\n{text}\n")  # noqa: T201
    print(  # noqa: T201
        f"{noticed} of {len(found)} changes noticed ({share:.1f} %) in {seconds} s;"
        f" {len(changes) - len(open_)} survivors explained, {len(open_)} not."
    )
    if path:
        result = {
            "mutants": len(found),
            "killed": noticed,
            "percent": round(share, 2),
            "survivors_explained": len(changes) - len(open_),
            "survivors_open": sorted(open_),
            "counts": counts,
            "seconds": seconds,
        }
        path.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    return 0 if share >= LEAST and not open_ and not stale else 1


if __name__ == "__main__":
    sys.exit(main())
