"""Where the tests and their servers keep their data: in memory where there is room."""

import os
import shutil
import tempfile
from pathlib import Path

MEMORY = Path("/dev/shm")  # noqa: S108 a folder of our own in it
ROOM = 4 * 2**30  # bytes; a container's usual 64 MB would be full at once


def use_memory() -> None:
    """Let what is temporary be in memory, here and in every process started from here.

    A server's data are made and cloned there several times as fast as on a disk.
    """
    if "TMPDIR" in os.environ or not MEMORY.is_dir():
        return
    if shutil.disk_usage(MEMORY).free >= ROOM:
        os.environ["TMPDIR"] = tempfile.tempdir = str(MEMORY)


def folder(prefix: str) -> Path:
    """Make an empty folder.

    Not below pytest's private folder: run by root, PostgreSQL opens the parents of
    its data to its own user.
    """
    return Path(tempfile.mkdtemp(prefix=prefix))
