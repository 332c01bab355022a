"""Look the locked packages up among known vulnerabilities, where that is possible.

`pip-audit` is no part of the lock, and asks PyPI: without either, this says that
nothing was audited and is content. A vulnerability that is known is a failure.
"""

import shutil
import subprocess
import sys
from pathlib import Path
from urllib.request import urlopen

LOCK = Path(__file__).parents[1] / "requirements.lock"
ADVISORIES = "https://pypi.org/pypi/pip/json"
PATIENCE = 5.0  # seconds


def main() -> int:
    """Audit, or say why not; gives the exit code."""
    tool = shutil.which("pip-audit")
    if tool is None:
        print("not audited: pip-audit is not installed (pipx install pip-audit)")
        return 0
    try:
        urlopen(ADVISORIES, timeout=PATIENCE).close()
    except OSError as error:
        print(f"not audited: PyPI's advisories cannot be reached ({error})")
        return 0
    asked = ("--require-hashes", "--disable-pip", "--requirement", str(LOCK))
    return subprocess.run([tool, *asked], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
