"""S11: who may do what in Redis."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from redis.exceptions import NoPermissionError

from replenish.cli import broker
from tests.security import redis_server

pytestmark = [pytest.mark.integration, pytest.mark.security("S11")]

FORBIDDEN = (
    *("FLUSHALL", "FLUSHDB", "KEYS *", "SHUTDOWN NOSAVE", "MONITOR", "DEBUG SLEEP 0"),
    *("CONFIG GET requirepass", "CONFIG SET dir /tmp", "SAVE", "BGREWRITEAOF"),
    *("REPLICAOF 192.0.2.7 6379", "MODULE LIST", "ACL LIST", "ACL SETUSER x on"),
    *("EVAL return(1) 0", "SCRIPT FLUSH", "SCRIPT KILL", "CLIENT KILL TYPE normal"),
    *("MIGRATE 192.0.2.7 6379 k 0 1", "RESTORE k 0 x", "SWAPDB 0 1", "CLUSTER INFO"),
)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Redis as docs/security.md wants it."""
    with redis_server.guarded(tmp_path_factory.mktemp("redis"), "secret") as found:
        yield found


@pytest.mark.parametrize("command", FORBIDDEN)
def test_our_user_may_not(url: str, command: str) -> None:
    """Wipe, reconfigure, copy elsewhere, load code, or look over shoulders."""
    with redis.Redis.from_url(url) as client, pytest.raises(NoPermissionError):
        client.execute_command(*command.split())


@pytest.mark.parametrize("who", ["", "default:secret@", "replenish:wrong@"])
def test_nobody_else_gets_in(url: str, who: str) -> None:
    """Neither without a name, nor as the default user, nor by a wrong password."""
    other = re.sub(r"//.*@", f"//{who}", url)
    with (
        redis.Redis.from_url(other) as client,
        pytest.raises(redis.AuthenticationError),
    ):
        client.ping()


def test_check_looks_at_it_as_that_user(url: str) -> None:
    """What the access list hides is not taken for a fault."""
    assert broker.look(url).problem is None


def test_check_tells_of_a_redis_that_lets_anybody_in(tmp_path: Path) -> None:
    """A password in the address helps little when none is asked for."""
    lists = tmp_path / "users.acl"
    lists.write_text(
        "user default on nopass ~* &* +@all\nuser replenish on >pw ~* &* +@all\n"
    )
    with redis_server.running(tmp_path, f"aclfile {lists}\n") as port:
        # 127.1 is this machine, too, but not by a name that is known to be.
        remote = broker.look(f"redis://replenish:pw@127.1:{port}/0")
        near = broker.look(f"redis://replenish:pw@127.0.0.1:{port}/0")

    assert remote.problem is not None
    assert "without a password" in remote.problem
    assert near.problem is None


def test_check_is_content_with_a_redis_that_asks(url: str) -> None:
    """Also where others can reach it."""
    assert broker.look(url.replace("127.0.0.1", "127.1")).problem is None
