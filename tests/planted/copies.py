"""A throw-away copy of the tree with one defect in it; the tree itself stays."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parents[2]
COPIED = ("replenish", "tests")


@dataclass(frozen=True)
class Edit:
    """One changed place: `old` stands in the file exactly once."""

    path: str
    old: str
    new: str


class MisfitError(Exception):
    """The code has moved on: a defect no longer fits where it was to be planted."""


@contextmanager
def planted(edits: Sequence[Edit]) -> Iterator[Path]:
    """Lend a copy with these edits; it is removed afterwards.

    Raises:
        MisfitError: a place is not there, or is there more than once.
    """
    with TemporaryDirectory(prefix="replenish-planted-") as name:
        copy = Path(name)
        for folder in COPIED:
            shutil.copytree(ROOT / folder, copy / folder)
        for edit in edits:
            path = copy / edit.path
            path.write_text(changed(path.read_text("utf-8"), edit), "utf-8")
        yield copy


def changed(text: str, edit: Edit) -> str:
    """Give a file's text with the edit.

    Raises:
        MisfitError: see `planted`.
    """
    times = text.count(edit.old)
    if times != 1:
        message = (
            f"{edit.path} has {times} places like {edit.old.strip()[:60]!r}, not one:"
            " say in tests/planted/bugs.py where the defect goes now."
        )
        raise MisfitError(message)
    return text.replace(edit.old, edit.new)
