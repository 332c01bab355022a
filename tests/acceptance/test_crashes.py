"""What is killed or wiped is finished from the rows."""

import pytest

from tests import checker
from tests.acceptance.site import Site, until

pytestmark = [pytest.mark.faults, pytest.mark.timeout(180)]


def test_a_worker_killed_between_charge_and_credit_is_made_good(site: Site) -> None:
    """The account is credited once, within 30 s, and not by redelivery."""
    (account,) = site.enrol(1)
    site.worker("doomed", "-P", "solo", FAILPOINTS="after_record=kill")
    site.beat()
    site.watch([account])
    until(lambda: site.states() == {"charged": 1}, seconds=30, what="charged, killed")
    site.redis().flushall()  # nothing of the broker's is left to be redelivered
    site.fleet.forget("doomed")
    site.worker("heir", "-c", "2")

    took = until(lambda: site.states() == {"settled": 1}, seconds=30, what="credited")

    until(lambda: not site.unclosed(), seconds=30, what="its batch closed")
    checker.holds(site.verify(), charges=1)
    assert took < 30


def test_redis_wiped_in_the_middle_of_a_batch_loses_nothing(site: Site) -> None:
    """Every account is finished, and the batch summarised, after FLUSHALL."""
    refs = site.enrol(40)
    site.control.fault("latency", ms=150)
    site.worker("one", "-c", "2")
    site.beat()
    site.watch(refs)
    until(lambda: site.states().get("settled", 0) > 5, seconds=30, what="some settled")

    site.redis().flushall()

    until(lambda: site.states() == {"settled": 40}, seconds=100, what="all settled")
    until(lambda: not site.unclosed(), seconds=30, what="every batch closed")
    checker.holds(site.verify(), charges=40)
