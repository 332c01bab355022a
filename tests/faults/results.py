"""What each part of the fault suite has shown, as small files for the scoreboard.

They are written where `FAULTS_RESULTS` says, which `make faults` sets; an ordinary
run of the tests writes none.
"""

import json
import os
from pathlib import Path


def write(name: str, *, part: str, **figures: float) -> None:
    """Keep the figures of a part, or of one piece of it, if anybody asked for them."""
    folder = os.environ.get("FAULTS_RESULTS")
    if not folder:
        return
    Path(folder).mkdir(parents=True, exist_ok=True)
    text = json.dumps({"part": part, **figures}, indent=1)
    (Path(folder) / f"{name}.json").write_text(text + "\n", encoding="utf-8")
