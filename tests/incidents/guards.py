"""Taking guards out of the running code, for the half of a test in which harm is done.

Every method asserts that what it takes out was there, so that a guard that has moved is
noticed.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from types import ModuleType
from typing import Any

import pytest
import sqlalchemy as sa

from replenish.adapters.ledger import attempts, history
from replenish.adapters.ledger.statements import claiming, leasing, predicates
from replenish.domain.rule import Limits
from replenish.pipeline import declines
from replenish.pipeline import replenish as steps
from tests.world import World

MANY = 10**6


@dataclass
class Guards:
    """What stands between this installation and harm."""

    world: World
    patch: pytest.MonkeyPatch

    def reword(self, module: ModuleType, name: str, old: str, new: str) -> None:
        """Change a statement in one place."""
        text = getattr(module, name).text
        assert text.count(old) == 1, (name, text.count(old), old)
        self.patch.setattr(module, name, sa.text(text.replace(old, new)))

    def no_claims(self) -> None:
        """Check, then act: nothing keeps two workers from charging one shortfall.

        That takes out three guards, since each of them would be enough: the index of
        open attempts, the look at other attempts, and the second look.
        """
        self.world.run("DROP INDEX replenish.uq_attempt_open")
        still_open = f"WHERE state IN {predicates.OPEN}"
        conflict = f"ON CONFLICT (account_id) {still_open} DO NOTHING"
        self.reword(claiming, "CLAIM", conflict, "")
        self.reword(claiming, "CLAIM", "AND NOT h.cooling", "")
        known = history.history_of

        def blind(row: Any) -> Any:  # noqa: ANN401
            return replace(known(row), open_attempt=False, charged_at=None)

        self.patch.setattr(attempts, "history_of", blind)
        self.no_second_look()

    def no_second_look(self) -> None:
        """Believe what was read before the claim, however long ago."""
        self.patch.setattr(steps, "_recheck", lambda *_: None)
        self.patch.setattr(attempts.PostgresLedger, "holds", lambda *_: True)

    def no_resuming(self) -> None:
        """Let nobody go on with an attempt that another worker has held."""
        self.reword(
            leasing,
            "TAKE",
            "AND t.next_at <= now()\n  AND (:alone",
            "AND t.next_at <= now() AND takes = 0\n  AND (:alone",
        )

    def no_spacing(self) -> None:
        """Let a declined card be tried again at once, as often as one likes."""

        def at_once(*_: object, now: datetime, **__: object) -> datetime:
            return now

        self.patch.setattr(declines, "next_try", at_once)
        self.no_limits()

    def no_limits(self) -> None:
        """Count no declines."""
        limits = Limits(
            declines_per_episode=MANY,
            card_declines_24h=MANY,
            card_declines_30d=MANY,
            charges_per_minute=MANY,
        )
        world = World(self.world.engine, limits=limits)
        self.world.services = replace(
            self.world.services, limits=limits, ledger=world.services.ledger
        )
