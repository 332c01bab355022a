"""A worker frozen at any seam while others go on, and then woken: it changes nothing.

Frozen is a thread that waits at the seam, as a stopped process or a machine that is
being moved does. A transaction that it holds open is ended by the server, which does so
by itself after ten seconds (`idle_in_transaction_session_timeout`).
"""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, get_ident

import pytest

from replenish import failpoints
from replenish.errors import Transient
from replenish.pipeline.cutoff import cutoff
from replenish.pipeline.reconcile import reconcile
from replenish.pipeline.replenish import replenish
from replenish.pipeline.services import Services
from replenish.pipeline.sweep import Kind, Sweep
from tests.faults import results
from tests.faults.matrix import SEAMS, Matrix

pytestmark = [pytest.mark.integration, pytest.mark.faults]

END_IDLE = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE state = 'idle in transaction' AND pid <> pg_backend_pid()
"""


class Frozen:
    """A worker's turn that stops at a seam until it is woken."""

    def __init__(self, seam: str) -> None:
        self.seam = seam
        self.reached, self.woken = Event(), Event()
        self.thread = 0

    def stand(self, _action: object, name: str) -> None:
        """Wait at the seam; only the one thread, and only once."""
        if (
            name == self.seam
            and get_ident() == self.thread
            and not self.reached.is_set()
        ):
            self.reached.set()
            assert self.woken.wait(60)

    def run(self, ref: str, services: Services) -> None:
        """Take the account on; whatever ends it is none of the others' business."""
        self.thread = get_ident()
        with suppress(Transient):
            replenish(ref, services)


@contextmanager
def frozen(
    seam: str, ref: str, services: Services, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """Hold a worker at the seam meanwhile; wake it at the end, and let it finish."""
    worker = Frozen(seam)
    monkeypatch.setattr(failpoints, "_actions", failpoints.parse(f"{seam}=stop"))
    monkeypatch.setattr(failpoints, "_act", worker.stand)
    with ThreadPoolExecutor(1) as pool:
        turn: Future[None] = pool.submit(worker.run, ref, services)
        assert worker.reached.wait(30), f"{seam} is not on the way"
        try:
            yield
        finally:
            worker.woken.set()
        turn.result(60)


def recovered(matrix: Matrix, ref: str, services: Services) -> None:
    """Somebody else takes the account on."""
    matrix.recover(ref, services)


def swept(matrix: Matrix, ref: str, services: Services) -> None:
    """A sweep and a reconcile find it, and hand it out."""
    for claims in Sweep(Kind.FULL, services):
        assert len(claims.attempts) <= 1
    matrix.world.run("UPDATE replenish.attempt SET nudge_at = now() - interval '1 s'")
    for account in reconcile(services).accounts:
        with suppress(Transient):
            replenish(account, services)
    matrix.recover(ref, services)


def cancelled(matrix: Matrix, ref: str, services: Services) -> None:
    """The account is held meanwhile, so that whoever comes gives the charge up."""
    matrix.world.register.pause(ref, "looked at by hand", actor="test")
    with suppress(Transient):
        replenish(ref, services)
    for _ in range(8):
        matrix.later(ref)
        with suppress(Transient):
            replenish(ref, services)


def cut_off(matrix: Matrix, ref: str, services: Services) -> None:
    """The guard of the exhausted passes by; then somebody takes the account on."""
    cutoff(None, services)
    assert matrix.site.package.balances([ref])[ref].service == "active"
    matrix.recover(ref, services)


OTHERS: dict[str, Callable[[Matrix, str, Services], None]] = {
    "recover": recovered,
    "sweep": swept,
    "cancel": cancelled,
    "cut off": cut_off,
}


@pytest.mark.parametrize("seam", SEAMS)
def test_a_worker_woken_after_others_have_finished_changes_nothing(
    matrix: Matrix, seam: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its steps are refused by lease and state, its confirmation by the gateway."""
    for name, other in OTHERS.items():
        ref, gateway = matrix.enrol(), matrix.gateway()
        services = matrix.services(gateway)
        with frozen(seam, ref, services, monkeypatch):
            for engine in (matrix.world.engine, matrix.site.engine):
                with engine.connect() as connection:
                    connection.exec_driver_sql(END_IDLE)
            matrix.later(ref)
            other(matrix, ref, services)
        if name == "cancel":
            matrix.world.register.resume(ref, actor="test")
        matrix.later(ref)
        with suppress(Transient):
            replenish(ref, services)
        matrix.recover(ref, services)
        matrix.holds(ref, gateway, (seam, name))
    matrix.check(tmp_path / "gateway.jsonl")
    results.write(f"pauses-{seam}", part="pauses", cases=len(OTHERS))
