"""A process that is ready to take accounts on, and forks for each: made to be killed.

`python -m tests.faults.zygote LEDGER BILLING GATEWAY` reads lines of JSON:
`{"seam": S, "account": A}` lets a child of its own take the account on and be killed by
SIGKILL at the seam; `{"account": ""}` lets one sweep, reconcile and take on whatever it
finds. It answers with the signal that ended the child, 0 if it lived. The imports are
done before the first fork, so that a death costs milliseconds.
"""

import json
import os
import sys
from contextlib import suppress
from dataclasses import replace

from replenish import failpoints
from replenish.adapters.ledger.session import make_engine
from replenish.adapters.sql_billing import session
from replenish.adapters.sql_billing.package import SqlBilling
from replenish.bootstrap import PROFILES
from replenish.errors import Transient
from replenish.pipeline.cutoff import cutoff
from replenish.pipeline.reconcile import reconcile
from replenish.pipeline.replenish import replenish
from replenish.pipeline.services import Services
from replenish.pipeline.sweep import Kind, Sweep
from tests.contract.gateway_site import make_gateway
from tests.world import World


def main(ledger: str, billing: str, gateway: str) -> None:
    """Answer line by line until there are no more."""
    services = _services(ledger, billing, gateway)
    for line in sys.stdin:
        asked = json.loads(line)
        sys.stdout.write(f"{_forked(asked, services)}\n")
        sys.stdout.flush()


def _forked(asked: dict[str, str], services: Services) -> int:
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    try:
        if asked["account"]:
            failpoints._actions.update(  # noqa: SLF001
                failpoints.parse(f"{asked['seam']}=kill")
            )
            replenish(asked["account"], services)
        else:
            _recover(services)
    except Transient:
        pass
    except BaseException:  # noqa: BLE001 told by the exit code, below
        sys.excepthook(*sys.exc_info())
        os._exit(1)
    os._exit(0)


def _recover(services: Services) -> None:
    """Do what beat and the workers do, once."""
    found = [
        a.account for claims in Sweep(Kind.FULL, services) for a in claims.attempts
    ]
    for account in [*found, *reconcile(services).accounts]:
        with suppress(Transient):
            replenish(account, services)
    cutoff(None, services)


def _services(ledger: str, billing: str, gateway: str) -> Services:
    """Wire them; nothing is connected before the fork."""
    profile = PROFILES["pyfreebilling"]
    engine = session.make_engine(
        billing,
        statement_timeout_ms=9_000,
        lock_timeout_ms=3_000,
        on_connect=profile.on_connect,
    )
    world = World(
        make_engine(ledger, statement_timeout_ms=9_000, lock_timeout_ms=3_000)
    )
    return replace(
        world.services,
        billing=SqlBilling(engine, profile, currency="USD"),
        gateway=make_gateway(gateway, timeout=(1.0, 2.0)),
        page=500,
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
