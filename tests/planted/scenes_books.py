"""Scenes about the billing package and about rows that are lost."""

from replenish.pipeline.credits import check_credits
from replenish.pipeline.cutoff import cutoff
from replenish.pipeline.reconcile import orphans, reconcile
from replenish.pipeline.sweep import Kind, Sweep
from tests.bundled import add_rate, call
from tests.planted.stage import Stage, failing


def cut_off(stage: Stage) -> None:
    """Exhausted with a charge under way, without one, far below; and an operator's."""
    saved = stage.enrol(balance="-1")
    stage.crash(saved, "before_confirm")
    far = stage.enrol(balance="-20")
    stage.crash(far, "before_confirm")
    dead, blocked = (stage.enrol("lost_card", balance="0") for _ in range(2))
    for ref in (dead, blocked):
        stage.charge(ref)
    stage.attempt(lambda: cutoff(None, stage.services))
    stage.block(blocked)
    stage.check(quiet=False)
    for ref in (dead, blocked):
        stage.pay(ref, "50")
    for ref in (saved, far):
        stage.charge(ref)


def overwritten(stage: Stage) -> None:
    """The package saves old balances over credits, and a worker dies mending them."""
    world = stage.world
    plain, torn, late = (stage.enrol() for _ in range(3))
    add_rate(world.engine)
    call(world.engine, late, call_id=f"call-{late}")  # recorded, and …
    world.overwrite("5", late)  # … not debited yet
    for ref in (plain, torn, late):
        stage.charge(ref)
    for ref in (plain, torn):
        world.overwrite("5", ref)
    world.overwrite("4.40", late)  # the call is debited from the old balance
    stage.age("2 minutes")
    for seam in ("after_break", "after_correction", "after_correction"):
        with failing(seam):
            stage.attempt(lambda: check_credits(stage.services))
        stage.later()
    for _ in range(3):
        stage.attempt(lambda: check_credits(stage.services))
        stage.later()


FORGET = (
    "DELETE FROM replenish.event WHERE attempt_id IS NOT NULL AND account_id = '{ref}'",
    "DELETE FROM replenish.attempt WHERE account_id = '{ref}'",
    """
    DELETE FROM replenish.batch WHERE claimed > 0 AND NOT EXISTS
      (SELECT FROM replenish.attempt t WHERE t.batch_id = batch.id)
    """,
    """
    UPDATE replenish.chain c SET (seq, hash) = (
      SELECT seq, hash FROM replenish.event e
      WHERE e.account_id = c.account_id ORDER BY seq DESC LIMIT 1)
    WHERE account_id = '{ref}'
    """,
)
"""A backup from before the account's attempts is restored."""


def orphaned(stage: Stage) -> None:
    """Charged, and the ledger comes back from an older backup; somebody looks twice."""
    ref = stage.enrol()
    stage.crash(ref, "after_confirm")
    with stage.world.engine.begin() as connection:
        connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
        for statement in FORGET:
            connection.exec_driver_sql(statement.format(ref=ref))
    for _ in range(2):
        stage.attempt(lambda: orphans(stage.services))
        stage.later()
        stage.charge(ref)


def many_low(stage: Stage) -> None:
    """Many are low at once, one of them makes no sense, and workers are quick."""
    stage.heal()
    stage.senseless("0999")
    for _ in range(24):
        stage.enrol()
    for _ in range(2):
        stage.attempt(lambda: _sweep_and_charge(stage))
        stage.later()
    stage.attempt(lambda: reconcile(stage.services))
    stage.check()


def _sweep_and_charge(stage: Stage) -> None:
    for claims in Sweep(Kind.HOT, stage.services):
        for attempt in claims.attempts:
            stage.charge(attempt.account)
