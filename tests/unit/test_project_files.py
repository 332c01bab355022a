"""The files around the code: what they promise to whoever installs it."""

import re
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from replenish.settings import Settings, variable_names

ROOT = Path(__file__).parents[2]
LOCK = (ROOT / "requirements.lock").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
OWN = ("migrate", "worker", "cutoff", "beat", "guard", "flower")
SECRETS = {
    "POSTGRES_PASSWORD": "p1",
    "REDIS_PASSWORD": "p2",
    "STRIPE_API_KEY": "rk_live_1",
    "FLOWER_BASIC_AUTH": "operator:p3",
}
_VARIABLE = re.compile(r"\$\{(\w+)(?::([-?])([^}]*))?\}")


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    """The compose file, its anchors merged."""
    return dict(YAML(typ="safe").load(ROOT / "docker-compose.yml"))


def filled(text: str, given: Mapping[str, str]) -> str:
    """Put variables in as compose does: `:-` has a default, `:?` must be given."""

    def value(found: re.Match[str]) -> str:
        name, kind, rest = found.groups()
        if given.get(name):
            return given[name]
        assert kind == "-", f"{name}: {rest}"
        return str(rest)

    return _VARIABLE.sub(value, text)


def environment(service: Mapping[str, Any], given: Mapping[str, str]) -> dict[str, str]:
    """The environment that a service of ours would see."""
    return {k: filled(str(v), given) for k, v in service["environment"].items()}


def test_the_compose_file_is_valid() -> None:
    """It follows the published schema of compose files."""
    check = [sys.executable, "-m", "check_jsonschema"]
    done = subprocess.run(  # noqa: S603  # our own file, an installed tool
        [*check, "--builtin-schema", "vendor.compose-spec", "docker-compose.yml"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", OWN)
def test_compose_gives_settings_that_production_takes(
    compose: dict[str, Any], name: str
) -> None:
    """With its four secrets set, every service of ours would start."""
    variables = environment(compose["services"][name], SECRETS)

    assert set(variables) <= set(variable_names())
    settings = Settings.from_env(variables, dotenv=Path("/nonexistent"))
    assert settings.is_production


@pytest.mark.parametrize("missing", SECRETS)
def test_compose_asks_for_a_missing_secret_in_a_sentence(missing: str) -> None:
    """Compose prints what follows `:?`, so it must say what to set."""
    text = (ROOT / "docker-compose.yml").read_text()
    uses = [found.groups() for found in _VARIABLE.finditer(text)]
    asked = [(kind, said) for name, kind, said in uses if name == missing]

    assert asked
    for kind, said in asked:
        assert kind == "?"
        assert said.startswith(f"Set {missing} to ")


def test_the_trial_with_the_sandbox_is_not_production(compose: dict[str, Any]) -> None:
    """Its worker reaches the sandbox on loopback, with a test key."""
    worker = compose["services"]["sandbox-worker"]
    given = {
        **SECRETS,
        "REPLENISH_ENV": "development",
        "STRIPE_API_KEY": "sk_test_sandbox",
    }
    settings = Settings.from_env(
        environment(worker, given), dotenv=Path("/nonexistent")
    )

    assert not settings.is_production
    assert settings.stripe_api_base == "http://127.0.0.1:12111"
    assert worker["network_mode"] == "service:sandbox"
    assert worker["profiles"] == compose["services"]["sandbox"]["profiles"]


@pytest.mark.security("S2", "S11")
def test_redis_in_compose_keeps_everything_and_asks_for_a_password(
    compose: dict[str, Any],
) -> None:
    """An evicted queue is a lost one; the password is in no process's arguments."""
    configuration = filled(compose["configs"]["redis"]["content"], SECRETS)

    assert "requirepass p2" in configuration
    assert "maxmemory-policy noeviction" in configuration
    assert "appendonly yes" in configuration
    assert "PASSWORD" not in str(compose["services"]["redis"]["command"])


def test_every_service_in_compose_tells_its_health(compose: dict[str, Any]) -> None:
    """All that stay up; the one-shot migration is waited for instead."""
    staying = {
        name: service
        for name, service in compose["services"].items()
        if name not in {"migrate", "sandbox-worker"}
    }

    assert all("healthcheck" in service for service in staying.values())
    assert all("ports" not in compose["services"][name] for name in ("redis", "worker"))


@pytest.mark.security("S11", "S13")
def test_nothing_is_published_beyond_this_machine(compose: dict[str, Any]) -> None:
    """A port that compose publishes is bound to loopback."""
    ports = [p for s in compose["services"].values() for p in s.get("ports", [])]

    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_procfile_and_compose_run_the_same_processes(compose: dict[str, Any]) -> None:
    """A process type that one has, the other has too."""
    lines = (ROOT / "Procfile").read_text().splitlines()
    types = {line.partition(":")[0] for line in lines}

    assert types == {"worker", "cutoff", "beat", "guard", "flower", "sandbox"}
    assert types <= set(compose["services"])


def test_every_queue_has_a_worker() -> None:
    """Cut-offs, and the sweeps that find them, never wait behind charges."""
    lines = (ROOT / "Procfile").read_text().splitlines()
    queues = [found.split(",") for found in re.findall(r"-Q (\S+)", "\n".join(lines))]

    assert ["cutoff", "sweep"] in queues
    assert {q for listed in queues for q in listed} == {
        *("cutoff", "replenish", "sweep", "reconcile"),
    }


def test_the_image_does_not_run_as_root() -> None:
    """The last stage names an ordinary user before its command."""
    last = (ROOT / "Dockerfile").read_text().rpartition("\nFROM ")[2]

    assert re.search(r"^USER replenish$", last, re.MULTILINE)
    assert last.index("USER") < last.index("CMD")


def test_the_lock_names_no_index() -> None:
    """Everybody installs from the index that his own pip is set to."""
    for line in LOCK.splitlines():
        if not line.lstrip().startswith("#"):
            assert not re.search(r"://|^-|file:", line), line


@pytest.mark.security("S22")
def test_everything_locked_has_a_hash() -> None:
    """Pip refuses a file that is not the one that was tested."""
    entries = re.split(r"\n(?=[a-z0-9])", re.sub(r"(?m)^ *#.*\n?", "", LOCK).strip())

    assert len(entries) > 50
    for entry in entries:
        assert re.match(r"[a-z0-9._-]+==\S+ ", entry), entry
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", entry), entry


def test_the_lock_holds_every_requirement() -> None:
    """A requirement that was added without `make lock` is found here."""
    extras = PROJECT["optional-dependencies"].values()
    wanted = [*PROJECT["dependencies"], *(item for extra in extras for item in extra)]
    for requirement in wanted:
        name = re.match(r"[A-Za-z0-9_.-]+", requirement)
        assert name
        key = re.sub(r"[-_.]+", "-", name.group()).lower()
        assert re.search(rf"(?m)^{key}==", LOCK), requirement


def test_make_help_lists_every_target() -> None:
    """A target that a person may use says what it does."""
    makefile = (ROOT / "Makefile").read_text()
    phony = re.search(r"^\.PHONY: (.+)$", makefile, re.MULTILINE)
    assert phony
    described = re.findall(r"^([a-z]+):.*## ", makefile, re.MULTILINE)

    assert sorted(phony.group(1).split()) == sorted(described)
    assert {"demo", "test", "lint", "bench", "up"} <= set(described)
