"""S14: the workers' role in the ledger changes rows, neither tables nor the past."""

from collections.abc import Iterator
from decimal import Decimal

import pytest
import sqlalchemy as sa

from replenish.adapters.ledger import grants, migrations
from replenish.adapters.ledger.models import SCHEMA, Base
from replenish.adapters.ledger.session import make_engine
from tests.postgres import Databases, MakeDatabase
from tests.world import World, prepare

pytestmark = [pytest.mark.integration, pytest.mark.security("S14")]

WORKER = "ledger_worker"
OF_BILLING = (
    f"GRANT USAGE ON SCHEMA billing TO {WORKER}",
    f"GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA billing TO {WORKER}",
)
FORBIDDEN = (
    "DROP TABLE replenish.attempt",
    "TRUNCATE replenish.event",
    "ALTER TABLE replenish.attempt DISABLE TRIGGER ALL",
    "ALTER TABLE replenish.attempt ADD COLUMN x int",
    "DROP INDEX replenish.uq_attempt_open",
    "ALTER TABLE replenish.attempt DROP CONSTRAINT ck_attempt_amount_positive",
    "DROP SCHEMA replenish CASCADE",
    "CREATE TABLE replenish.mine (x int)",
    "CREATE TABLE public.mine (x int)",
    "CREATE SCHEMA mine",
    "CREATE ROLE mine",
    f"ALTER TABLE replenish.event OWNER TO {WORKER}",
    "DROP FUNCTION replenish.digest CASCADE",
    "DELETE FROM replenish.event",
    "UPDATE replenish.event SET actor = 'nobody'",
    "DELETE FROM replenish.attempt",
    "DELETE FROM replenish.account",
    "DELETE FROM replenish.chain",
    "INSERT INTO replenish.transition VALUES ('declined', 'charged')",
    "UPDATE replenish.installation SET mark = gen_random_uuid()",
    "UPDATE replenish.schema_version SET version_num = 'x'",
    "COPY (SELECT 1) TO PROGRAM 'true'",
    "SET session_replication_role = replica",
)


@pytest.fixture
def worker(databases: Databases, make_database: MakeDatabase) -> Iterator[sa.Engine]:
    """A ledger that its owner has made, spoken to as the workers do."""
    url = make_database(prepare)
    owner = sa.create_engine(url)
    databases.run(f"DROP ROLE IF EXISTS {WORKER}", f"CREATE ROLE {WORKER} LOGIN")
    with owner.begin() as connection:
        for statement in (*grants.statements(WORKER), *OF_BILLING):
            connection.execute(sa.text(statement))
    engine = make_engine(
        sa.make_url(url).set(username=WORKER).render_as_string(hide_password=False),
        statement_timeout_ms=9_000,
        lock_timeout_ms=3_000,
    )
    yield engine
    engine.dispose()
    with owner.begin() as connection:
        connection.execute(sa.text(f"DROP OWNED BY {WORKER}"))
    owner.dispose()
    databases.run(f"DROP ROLE {WORKER}")


def test_it_may_not(worker: sa.Engine) -> None:
    """More than twenty statements, all refused for want of a right."""
    free = worker.execution_options(isolation_level="AUTOCOMMIT")
    done = []
    for statement in FORBIDDEN:
        with free.connect() as connection:
            try:
                connection.exec_driver_sql(statement)
            except sa.exc.DBAPIError as error:
                refused = getattr(error.orig, "pgcode", "") == "42501"
                done += [] if refused else [(statement, str(error.orig))]
            else:
                done.append((statement, "done"))

    assert len(FORBIDDEN) >= 20
    assert done == []


def test_it_may_do_all_that_the_steps_need(worker: sa.Engine) -> None:
    """Enrol, charge, credit, decline, pause, stop, cut off, restore, and report."""
    world = World(worker)
    world.enrol("1001", "3")
    world.enrol("1002", "-1", card=False)
    world.settle_all()
    assert world.state("1001") == "settled"
    assert world.service("1002") == "suspended"
    world.set_balance("50", "1002")
    world.settle_all()
    assert world.service("1002") == "active"
    assert world.register.pause("1001", "dispute", actor="test")
    assert world.register.resume("1001", actor="test")
    world.services.stops.stop("wrong rates")
    world.services.stops.resume()

    assert migrations.status(worker).problem is None


def test_it_may_ask_for_an_upgrade_where_there_is_none(worker: sa.Engine) -> None:
    """Processes that look after the schema as they start need no right to change it."""
    assert migrations.upgrade(worker).problem is None


def test_every_table_has_its_grant() -> None:
    """A table that a release adds is not forgotten."""
    told = " ".join(grants.statements(WORKER))

    for table in Base.metadata.sorted_tables:
        assert f" {SCHEMA}.{table.name} TO {WORKER}" in told


@pytest.mark.security("S15")
def test_a_name_put_in_front_of_ours_is_not_found(make_database: MakeDatabase) -> None:
    """Tables, functions and casts are looked up where they belong, nowhere else."""
    url = make_database(prepare)
    owner = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    with owner.connect() as connection:
        for statement in SHADOWS:
            connection.execute(sa.text(statement.format(owner.url.database)))
    engine = make_engine(url, statement_timeout_ms=9_000, lock_timeout_ms=3_000)
    world = World(engine)
    world.enrol("1001", "3")
    world.settle_all()
    found = world.ask("SHOW search_path")[0][0]
    state, balance = world.state("1001"), world.balance("1001")
    engine.dispose()
    owner.dispose()

    assert found == "pg_catalog"
    assert (state, balance) == ("settled", Decimal(28))


SHADOWS = (
    "CREATE SCHEMA shadow",
    "CREATE TABLE shadow.account (id text, balance numeric)",
    (
        "CREATE FUNCTION shadow.now() RETURNS timestamptz LANGUAGE sql AS"
        " $$SELECT timestamptz '2099-01-01'$$"
    ),
    ("CREATE FUNCTION shadow.sha256(bytea) RETURNS bytea LANGUAGE sql AS 'SELECT $1'"),
    "ALTER DATABASE {} SET search_path = shadow, pg_catalog",
)
