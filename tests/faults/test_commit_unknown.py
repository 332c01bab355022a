"""The line is cut at a COMMIT: nobody knows what became of it, and nothing is lost."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
import sqlalchemy as sa

from replenish.adapters.ledger.session import make_engine
from replenish.adapters.sql_billing import session
from replenish.adapters.sql_billing.package import SqlBilling
from replenish.errors import Transient
from replenish.pipeline.replenish import replenish
from tests.contract.package_sites import package_site
from tests.deep import DEEP
from tests.faults import results
from tests.faults.commit_proxy import CommitProxy, Cut, proxied
from tests.faults.matrix import Matrix
from tests.mariadb import MakeMariaDB
from tests.postgres import MakeDatabase
from tests.world import World, prepare

pytestmark = [pytest.mark.integration, pytest.mark.faults]

TIMES = 40 if DEEP else 4
STEPS = {
    "claim": "INSERT INTO replenish.attempt",
    "save the intent": "SET state = 'charging'",
    "record the charge": "SET state = 'charged'",
    "credit": "UPDATE company SET customer_balance",
    "settle": "SET state = 'settled'",
}
LOW = Decimal(5)  # what every account has at first
DONE = {
    "claim": "claimed",
    "save the intent": "charging",
    "record the charge": "charged",
    "settle": "settled",
}
"""The state that proves that the transaction was committed."""


@pytest.fixture
def cut_off(
    make_database: MakeDatabase, make_mariadb: MakeMariaDB
) -> Iterator[tuple[Matrix, CommitProxy]]:
    """Give an installation both of whose databases are behind a proxy."""
    ledger = sa.make_url(make_database(prepare))
    server = Path(str(ledger.query["host"])) / ".s.PGSQL.5432"
    with (
        proxied(server) as proxy,
        package_site("pyfreebilling")(make_database, make_mariadb) as site,
    ):

        def through(url: sa.URL) -> str:
            found = url.set(host="127.0.0.1", port=proxy.port, query={})
            return found.render_as_string(hide_password=False)

        engines = (
            make_engine(
                through(ledger), statement_timeout_ms=9_000, lock_timeout_ms=3_000
            ),
            session.make_engine(
                through(site.engine.url),
                statement_timeout_ms=9_000,
                lock_timeout_ms=3_000,
            ),
        )
        site.package = SqlBilling(engines[1], site.profile, currency="USD")
        matrix = Matrix(World(engines[0]), site)
        yield matrix, proxy
        matrix.close()
        for engine in engines:
            engine.dispose()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("side", Cut)
def test_a_commit_whose_answer_is_lost_is_made_once(
    cut_off: tuple[Matrix, CommitProxy], step: str, side: Cut, tmp_path: Path
) -> None:
    """Whoever comes later finds it or does it again; one charge, one credit."""
    matrix, proxy = cut_off
    committed = 0
    for ref in matrix.enrol_many(TIMES):
        gateway = matrix.gateway()
        services = matrix.services(gateway)
        proxy.arm(STEPS[step], side)
        with pytest.raises(Transient):
            replenish(ref, services)
        assert proxy.over.wait(30)  # the client knows of the cut sooner
        committed += was_committed(matrix, step, ref)
        matrix.later(ref)
        matrix.recover(ref, services)
        matrix.holds(ref, gateway, (step, side))
        assert sum(gateway.captures.values()) == 1

    assert proxy.cuts[side] == TIMES
    assert committed == (TIMES if side is Cut.AFTER else 0)
    matrix.check(tmp_path / "gateway.jsonl")
    results.write(
        f"commits-{step.replace(' ', '-')}-{side.value}",
        part="commits",
        cuts=TIMES,
        committed=committed,
    )


def was_committed(matrix: Matrix, step: str, ref: str) -> bool:
    """Say whether what the client was told had failed stands all the same."""
    if step == "credit":
        return matrix.site.package.balances([ref])[ref].available.amount > LOW
    found = matrix.world.ask(
        "SELECT state FROM replenish.attempt WHERE account_id = :ref", ref=ref
    )
    return [str(state) for (state,) in found] == [DONE[step]]
