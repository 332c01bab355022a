"""Print what is installed from the lock: a CycloneDX list, or the licences.

    python .ci/sbom.py            # CycloneDX 1.6, JSON
    python .ci/sbom.py --licences # a line each

Everything is read from the lock file and the installed packages' own metadata.
"""

import json
import re
import sys
from collections.abc import Iterator, Mapping
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

LOCK = Path(__file__).parents[1] / "requirements.lock"
LONGEST = 60  # characters; some put the whole licence where its name belongs


def locked() -> Iterator[tuple[str, str, list[str]]]:
    """Give name, version and hashes of each locked package."""
    text = re.sub(r"(?m)^ *#.*\n?", "", LOCK.read_text("utf-8"))
    for entry in re.split(r"\n(?=[a-z0-9])", text.strip()):
        name, version = re.match(r"([a-z0-9._-]+)==(\S+)", entry).groups()
        yield name, version, re.findall(r"sha256:([0-9a-f]{64})", entry)


def licence_of(found: Distribution) -> str:
    """Give the licence as its package names it, best as SPDX writes it."""
    about = found.metadata
    classified = [
        line.rpartition(" :: ")[2]
        for line in about.get_all("Classifier") or ()
        if line.startswith("License ::")
    ]
    said = (about.get("License") or "").strip().partition("\n")[0]
    short = said if len(said) <= LONGEST else ""
    return about.get("License-Expression") or ", ".join(classified) or short or "?"


def component(name: str, version: str, hashes: list[str]) -> Mapping[str, object]:
    """Describe one package; one that another platform needs is marked as such."""
    described = {
        "type": "library",
        "name": name,
        "version": version,
        "purl": f"pkg:pypi/{name}@{version}",
        "properties": [{"name": "sha256", "value": value} for value in hashes],
    }
    try:
        found = distribution(name)
    except PackageNotFoundError:
        return {**described, "scope": "excluded"}
    if found.version != version:
        sys.exit(f"{name} is {found.version}, the lock says {version}: make install.")
    return {**described, "licenses": [{"license": {"name": licence_of(found)}}]}


def main() -> None:
    """Print one or the other."""
    components = [component(*entry) for entry in locked()]
    if "--licences" in sys.argv:
        for each in components:
            licences = each.get("licenses") or [{"license": {"name": "not installed"}}]
            print(f"{each['name']} {each['version']}: {licences[0]['license']['name']}")
        return
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": {"type": "application", "name": "replenish"}},
        "components": components,
    }
    print(json.dumps(document, indent=2))


if __name__ == "__main__":
    main()
