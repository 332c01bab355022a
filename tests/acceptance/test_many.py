"""Many low accounts at once, through a gateway as slow as a real one."""

import pytest

from tests import checker
from tests.acceptance.site import Site, until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

MANY = 400


def test_many_low_accounts_at_once_are_all_finished(site: Site) -> None:
    """All are charged and credited once, and the summaries add up.

    `python -m benchmarks.replenishments` does the same with thousands.
    """
    refs = site.enrol(MANY)
    site.control.fault("latency", ms=150)
    site.worker("one", "-P", "threads", "-c", "16", DB_POOL_SIZE="8")
    site.beat()
    site.watch(refs)

    until(lambda: site.states() == {"settled": MANY}, seconds=120, what="all settled")
    until(lambda: not site.unclosed(), seconds=30, what="every batch closed")
    (sums,) = site.ledger(
        "SELECT sum(claimed) AS claimed, sum((counts ->> 'settled')::int) AS settled,"
        " sum(selected) - sum(claimed) - sum((SELECT coalesce(sum(n::int), 0)"
        "   FROM jsonb_each_text(skipped) AS s(reason, n))) AS unexplained"
        " FROM replenish.batch"
    )
    assert sums == {"claimed": MANY, "settled": MANY, "unexplained": 0}
    checker.holds(site.verify(), charges=MANY)
