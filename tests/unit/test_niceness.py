"""Who shares a machine with the billing package goes last."""

import os

import psutil
import pytest

from replenish.errors import ConfigurationError
from replenish.niceness import stand_back
from replenish.settings import Settings


def test_who_stands_back_further_already_stays_there() -> None:
    """An operator may have said more with `nice`; nobody pushes forward."""
    child = os.fork()
    if not child:
        stand_back(9)
        stand_back(4)
        os._exit(os.getpriority(os.PRIO_PROCESS, 0))

    _, status = os.waitpid(child, 0)

    assert os.waitstatus_to_exitcode(status) == max(9, psutil.Process().nice())


def test_who_is_not_told_to_stand_back_stays_where_it_is() -> None:
    """Nobody but the operator moves it, not even towards everybody else."""
    before = os.getpriority(os.PRIO_PROCESS, 0)

    stand_back(0)

    assert os.getpriority(os.PRIO_PROCESS, 0) == before


@pytest.mark.parametrize("value", ["-1", "20", "much"])
def test_what_nice_does_not_take_is_refused(value: str) -> None:
    """A negative one would push ahead of the package."""
    with pytest.raises(ConfigurationError, match=r"NICENESS.*from 0 to 19"):
        Settings.from_env({"NICENESS": value})
