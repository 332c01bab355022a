"""An account that kills whoever takes it on is kept from the others."""

import pytest

from tests import checker
from tests.acceptance.site import Site, until

pytestmark = [pytest.mark.faults, pytest.mark.deep, pytest.mark.timeout(240)]

OTHERS = 12
QUICK = {  # a shorter lease, which must be twice the gateway's timeouts
    "STRIPE_TIMEOUT_CONNECT": "1",
    "STRIPE_TIMEOUT_READ": "2",
    "LEASE_SECONDS": "6",
}
LOST = "SELECT detail ->> 'lost' AS n FROM replenish.event WHERE kind = 'quarantined'"


def quarantined(site: Site) -> list[str]:
    """Name the accounts in quarantine."""
    return [found.ref for found in site.app.register.page(quarantined=True)]


def test_a_poison_account_is_quarantined_and_harms_nobody(site: Site) -> None:
    """Three workers lost between charge and credit, then no more.

    The charge is not dropped: it is credited, once, when the account is resumed.
    """
    refs = site.enrol(OTHERS + 1)
    poison = refs[5]
    site.worker("one", "-c", "3", FAILPOINTS=f"before_credit/{poison}=kill", **QUICK)
    site.beat()
    site.watch(refs)

    until(
        lambda: site.states().get("settled", 0) == OTHERS,
        seconds=60,
        what="the others settled",
    )
    until(lambda: quarantined(site) == [poison], seconds=120, what="quarantined")

    assert site.ledger(LOST) == [{"n": "3"}]
    (attempt,) = site.ledger(
        "SELECT state, takes FROM replenish.attempt WHERE account_id = :poison",
        poison=poison,
    )
    assert attempt == {"state": "charged", "takes": 3}
    site.end("one")
    site.worker("mended", "-c", "2")
    site.app.register.resume(poison, actor="test")
    until(
        lambda: site.states() == {"settled": OTHERS + 1}, seconds=60, what="settled too"
    )
    until(lambda: not site.unclosed(), seconds=30, what="every batch closed")
    checker.holds(site.verify(), charges=OTHERS + 1)


def test_an_account_that_kills_before_any_claim_is_quarantined(site: Site) -> None:
    """By hand, again and again: the fourth worker does not even begin."""
    (poison,) = site.enrol(1)
    call = ["celery", "-A", "replenish", "call", "replenish.account"]
    site.worker("one", "-c", "1", FAILPOINTS=f"before_claim/{poison}=kill")
    site.beat()
    site.fleet.start("call", [*call, "--args", f'["{poison}"]'])

    until(lambda: quarantined(site) == [poison], seconds=120, what="quarantined")

    assert site.ledger(LOST) == [{"n": "3"}]
    assert site.states() == {}


def test_a_guard_credits_what_a_quarantined_account_is_owed(site: Site) -> None:
    """In a process of its own, and without the person: it stays held."""
    (poison,) = site.enrol(1)
    site.worker("one", "-c", "1", FAILPOINTS=f"before_credit/{poison}=kill", **QUICK)
    site.beat()
    site.watch([poison])
    until(lambda: quarantined(site) == [poison], seconds=120, what="quarantined")

    site.guard()

    until(lambda: site.states() == {"settled": 1}, seconds=60, what="credited alone")
    assert quarantined(site) == [poison]
    until(lambda: not site.unclosed(), seconds=30, what="every batch closed")
    checker.holds(site.verify(), charges=1)
