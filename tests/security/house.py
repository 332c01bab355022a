"""A whole installation under the least rights, with a canary in every secret.

Its processes have a ledger role that changes rows and no tables, a billing role with
the package's least, a Redis user of the documented access list, and a gateway key of
the least scopes. Every password is a word that must be seen nowhere.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from replenish import bootstrap, embedded
from replenish.adapters.ledger import grants, migrations
from replenish.billing import schema
from replenish.demo.fleet import Fleet, free_port
from replenish.sandbox.control import Control
from replenish.settings import Settings
from tests.acceptance.site import QUICK, Site
from tests.security import redis_server
from tests.security.requirements import ROOT

CANARIES = {
    "ledger": "canary1ledger",
    "billing": "canary2billing",
    "redis": "canary3redis",
    "gateway": "canary4gateway",
    "flower": "canary5flower",
}
KEY = f"rk_test_{CANARIES['gateway']}"
SCOPES = ["payment_intents:write", "customers:read", "payment_methods:read"]
ROLE, BILLING_ROLE = "replenish_app", "replenish_billing"
NOWHERE = Path("/dev/null")


@dataclass
class House:
    """The installation, and where Flower listens."""

    site: Site
    flower: int
    door: tuple[str, str]

    def seen(self) -> Iterator[tuple[str, bytes]]:
        """Give all that somebody could read: logs, Redis, and both databases."""
        for path in sorted((self.site.home / "logs").iterdir()):
            yield f"the log of {path.stem}", path.read_bytes()
        client = self.site.redis()
        for key in client.scan_iter("*"):
            yield f"Redis's key {key!r}", key + (client.dump(key) or b"")
        for engine in (self.site.app.ledger_engine, self.site.app.billing_engine):
            yield f"the database {engine.url.database}", rows(engine).encode()


@contextmanager
def standing(home: Path) -> Iterator[House]:
    """Start it: servers, schemas, roles and sandbox; no processes of ours yet."""
    home.mkdir()
    with redis_server.guarded(home, CANARIES["redis"]) as redis_url:
        sandbox, flower = free_port(), free_port()
        given = {
            **QUICK,
            "REPLENISH_HOME": str(home),
            "REDIS_URL": redis_url,
            "STRIPE_API_BASE": f"http://127.0.0.1:{sandbox}",
            "STRIPE_API_KEY": KEY,
            "FLOWER_PORT": str(flower),
            "FLOWER_BASIC_AUTH": f"operator:{CANARIES['flower']}",
        }
        ours = embedded.resolve(Settings.from_env(given, dotenv=NOWHERE))
        _prepare(ours.database_url)
        given |= {
            "DATABASE_URL": _as(ours.database_url, ROLE, "ledger"),
            "BILLING_DATABASE_URL": _as(ours.database_url, BILLING_ROLE, "billing"),
        }
        fleet = Fleet(given, home / "logs")
        with fleet:
            ledger = ("--ledger", str(home / "gateway.jsonl"), "--port", str(sandbox))
            fleet.start("sandbox", ["replenish.sandbox", *ledger])
            fleet.wait_for_port(sandbox)
            control = Control(f"http://127.0.0.1:{sandbox}")
            control("POST", "keys", {"scopes": {KEY: SCOPES}})
            app = bootstrap.build(ours)
            site = Site(home, app, fleet, control, given)
            yield House(site, flower, ("operator", CANARIES["flower"]))
        app.ledger_engine.dispose()
        app.billing_engine.dispose()
        embedded.release(home)


def rows(engine: sa.Engine) -> str:
    """Give every row of every table that is not the server's own."""
    with engine.connect() as connection:
        tables = connection.execute(sa.text(TABLES)).scalars().all()
        return "\n".join(
            row
            for table in tables
            for row in connection.execute(
                sa.text(f"SELECT t::text FROM {table} t")  # noqa: S608 its catalogue's
            ).scalars()
        )


TABLES = """
SELECT format('%I.%I', schemaname, tablename) FROM pg_tables
WHERE schemaname IN ('replenish', 'billing')
"""


def _prepare(url: str) -> None:
    """Make the schemas as their owner, and two roles with the printed grants."""
    engine = sa.create_engine(url)
    migrations.upgrade(engine)
    schema.create(engine)
    with engine.begin() as connection:
        for role in (ROLE, BILLING_ROLE):
            connection.execute(sa.text(f"CREATE ROLE {role} LOGIN"))
        for statement in (*grants.statements(ROLE), *_of_the_bundled_package()):
            connection.execute(sa.text(statement))
    engine.dispose()


def _of_the_bundled_package() -> list[str]:
    page = (ROOT / "docs" / "packages" / "bundled.md").read_text("utf-8")
    found = re.findall(r"^(GRANT .*) TO replenish;$", page, re.MULTILINE)
    return [f"{grant} TO {BILLING_ROLE}" for grant in found]


def _as(url: str, role: str, secret: str) -> str:
    """Give the address for a role; whoever asks is let in, so the password is free."""
    made = sa.make_url(url).set(username=role, password=CANARIES[secret])
    return made.render_as_string(hide_password=False)
