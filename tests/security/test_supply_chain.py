"""S22: only what was tested is installed, and it is known what that is."""

import base64
import hashlib
import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.security.requirements import ROOT

pytestmark = pytest.mark.security("S22")

SBOM, AUDIT = ROOT / ".ci" / "sbom.py", ROOT / ".ci" / "audit.py"
UNFREE = re.compile(r"AGPL|Affero|SSPL|BUSL|Commercial|Proprietary", re.IGNORECASE)


def run(*words: str | Path, **env: str) -> subprocess.CompletedProcess[str]:
    """Run Python on something."""
    return subprocess.run(  # noqa: S603 our own programs, and pip
        [sys.executable, *words],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def wheel(folder: Path, body: str) -> str:
    """Make a tiny wheel in a folder; give its hash."""
    name = "tiny-1.0.dist-info"
    files = {
        "tiny.py": body,
        f"{name}/METADATA": "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n",
        f"{name}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any",
    }
    record = "".join(
        f"{path},sha256={digest(text)},{len(text)}\n" for path, text in files.items()
    )
    files[f"{name}/RECORD"] = f"{record}{name}/RECORD,,\n"
    path = folder / "tiny-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for inside, text in files.items():
            archive.writestr(inside, text)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def digest(text: str) -> str:
    """Give a hash as wheels write it."""
    raw = hashlib.sha256(text.encode()).digest()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def test_a_file_that_was_changed_is_not_installed(tmp_path: Path) -> None:
    """As `make install` does it: the very bytes that were locked, or nothing."""
    makefile = (ROOT / "Makefile").read_text("utf-8")
    flags = re.search(r"install (.*--require-hashes) --requirement", makefile)
    assert flags
    lock, target = tmp_path / "lock", tmp_path / "installed"
    lock.write_text(f"tiny==1.0 --hash=sha256:{wheel(tmp_path, 'GOOD = True')}\n")
    install = (
        *("-m", "pip", "install", "--no-index", "--find-links", tmp_path),
        *("--disable-pip-version-check", *flags[1].split(), "--requirement", lock),
    )

    good = run(*install, "--target", target, PIP_CONFIG_FILE=os.devnull)
    wheel(tmp_path, "import os; EVIL = True")
    evil = run(*install, "--target", tmp_path / "evil", PIP_CONFIG_FILE=os.devnull)
    lock.write_text("tiny==1.0\n")
    bare = run(*install, "--target", tmp_path / "bare", PIP_CONFIG_FILE=os.devnull)

    assert good.returncode == 0, good.stderr
    assert (target / "tiny.py").read_text() == "GOOD = True"
    assert evil.returncode != 0
    assert "DO NOT MATCH THE HASHES" in evil.stderr
    assert bare.returncode != 0
    assert not (tmp_path / "evil").exists()
    assert not (tmp_path / "bare").exists()


def test_everything_is_installed_from_the_lock() -> None:
    """By the Makefile, by CI through it, and in the image."""
    ci = (ROOT / ".ci" / "run").read_text("utf-8")
    assert "make install" in ci
    assert "pip install" not in ci
    for name in ("Makefile", "Dockerfile"):
        text = (ROOT / name).read_text("utf-8").replace("\\\n", " ")
        for said in re.findall(r"(?:pip|\$\(PIP\)) (?:install|wheel) [^&\n]*", text):
            assert any(each in said for each in FINE), said


FINE = (
    "--require-hashes",
    "--no-index --find-links /wheels",  # which were fetched with --require-hashes
    "--no-deps --editable .",  # ourselves
    "--no-deps .",
    "pip-tools==",  # makes the lock; no part of what runs
)


def test_the_bill_of_materials_names_everything_installed() -> None:
    """Each locked package with version, hashes and licence; CycloneDX."""
    made = run(SBOM)
    assert made.returncode == 0, made.stderr
    document = json.loads(made.stdout)
    locked = re.findall(
        r"(?m)^([a-z0-9._-]+)==(\S+)", (ROOT / "requirements.lock").read_text()
    )
    found = {each["name"]: each for each in document["components"]}

    assert document["bomFormat"] == "CycloneDX"
    assert [(name, found[name]["version"]) for name, _ in locked] == locked
    assert {"celery", "stripe", "sqlalchemy", "redis", "flower"} <= set(found)
    assert all(each["properties"] for each in found.values())


def test_every_licence_is_known_and_lets_us_be() -> None:
    """None is missing, none forbids use in a service."""
    made = run(SBOM, "--licences")
    lines = made.stdout.splitlines()

    assert len(lines) > 50
    assert [line for line in lines if line.endswith(": ?") or UNFREE.search(line)] == []


def test_without_the_means_nothing_counts_as_audited(tmp_path: Path) -> None:
    """It is said, so that silence is not taken for a clean bill."""
    without = run(AUDIT, PATH=str(tmp_path))
    tool = tmp_path / "pip-audit"
    tool.write_text("#!/bin/sh\nexit 1\n")
    tool.chmod(0o755)
    away = run(AUDIT, PATH=str(tmp_path), HTTPS_PROXY="http://127.0.0.1:1")

    for said in (without, away):
        assert said.returncode == 0
        assert said.stdout.startswith("not audited: ")
