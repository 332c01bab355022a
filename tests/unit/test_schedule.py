"""The beat schedule, the queues and the routes fit each other."""

import dataclasses
from pathlib import Path

import pytest

import beat_schedule
from replenish.settings import Settings
from tasks import app, everything


def test_every_line_of_the_schedule_names_a_task_and_a_cadence() -> None:
    """A typing mistake in either would only show in an operator's log."""
    assert everything
    fields = {field.name for field in dataclasses.fields(Settings)}
    for name, every in beat_schedule.SCHEDULE.items():
        assert every.task in app.ROUTES, name
        assert every.setting in fields, name
        assert every.expires > 0, name


def test_every_task_of_ours_has_a_queue_of_its_kind() -> None:
    """A task without a route would land behind the charges."""
    ours = {
        line.split('"')[1]
        for module in Path("tasks").glob("*.py")
        for line in module.read_text().splitlines()
        if 'name="replenish.' in line
    }

    assert ours == set(app.ROUTES)
    assert len(set(app.ROUTES.values())) == 4


def test_cut_offs_never_wait_behind_charges() -> None:
    """Another queue, and the first that a worker asks."""
    delivery = app._delivery(Settings.from_env({}))  # noqa: SLF001 the settings' shape
    queues = [queue.name for queue in delivery["task_queues"]]

    assert queues[0] == app.CUTOFF
    assert queues[-1] == app.ROUTES["replenish.account"] == app.REPLENISH


def test_the_schedule_is_made_of_the_settings() -> None:
    """Each cadence is what the operator has set."""
    settings = Settings.from_env({"HOT_SWEEP_SECONDS": "7", "CUTOFF_SECONDS": "3"})

    lines = app._schedule(settings)["beat_schedule"]  # noqa: SLF001 as above

    assert (lines["hot-sweep"]["schedule"], lines["cutoff"]["schedule"]) == (7, 3)
    assert lines["full-sweep"]["args"] == ("full",)


@pytest.mark.parametrize("limit", [30, 90])
def test_redis_redelivers_no_task_that_may_still_run(limit: int) -> None:
    """The visibility timeout is longer than the longest task."""
    settings = Settings.from_env({"TASK_TIME_LIMIT": str(limit)})

    timeout = app._connection(settings)["broker_transport_options"]  # noqa: SLF001

    assert timeout["visibility_timeout"] > 2 * limit
