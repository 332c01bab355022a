"""Where the tests' servers keep their data: in memory where there is room for it."""

import shutil
import tempfile
from pathlib import Path

MEMORY = Path("/dev/shm")  # noqa: S108 a folder of our own in it
ROOM = 4 * 2**30  # bytes; a container's usual 64 MB would be full at once


def folder(prefix: str) -> Path:
    """Make an empty folder; a database is cloned there five times as fast as on a disk.

    Not below pytest's private folder: run by root, PostgreSQL opens the parents of
    its data to its own user.
    """
    roomy = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free >= ROOM
    return Path(tempfile.mkdtemp(prefix=prefix, dir=MEMORY if roomy else None))
