"""WHEN: which task runs how often. Data only.

Cadences are settings (see `.env.example`), so each line names its setting. A run
that could not start within `expires` seconds is dropped: the next one does its work.
Beat may run twice: every job takes its turn in the database, and claims are guarded
by an index, so a second beat only asks in vain.
"""

from typing import NamedTuple


class Every(NamedTuple):
    """One line of the schedule.

    Attributes:
        task: the task's name.
        setting: the field of `Settings` that holds the cadence in seconds.
        args: the task's arguments.
        expires: seconds after which a waiting run is dropped.
    """

    task: str
    setting: str
    args: tuple[str, ...] = ()
    expires: float = 10.0


SCHEDULE: dict[str, Every] = {
    "hot-sweep": Every("replenish.sweep", "hot_sweep_seconds", ("hot",)),
    "full-sweep": Every("replenish.sweep", "full_sweep_seconds", ("full",), 60.0),
    "cutoff": Every("replenish.cutoff", "cutoff_seconds"),
    "reconcile": Every("replenish.reconcile", "reconcile_seconds"),
    "orphans": Every("replenish.orphans", "orphan_seconds", (), 60.0),
    "credits": Every("replenish.credits", "credit_check_seconds"),
}
