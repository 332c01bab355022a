"""Scenes in which time passes, or stands still for one worker."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import Decimal
from typing import Any
from unittest import mock

from replenish.adapters.ledger import attempts
from tests.planted.stage import Stage, with_billing

ODD = Decimal("19.99")  # in binary it is a little less
NONE = timedelta(0)
FENCE = 300  # seconds; whatever was under way at the gateway has ended by then


@dataclass
class StaleEyes:
    """The package as one worker sees it, who is frozen after his first look."""

    of: Any
    meanwhile: Any
    looks: int = 0

    def balances(self, refs: Any) -> Any:  # noqa: ANN401
        """Read, and let the world go on before the answer is looked at."""
        seen = self.of.balances(refs)
        self.looks += 1
        if self.looks == 1:
            self.meanwhile()
        return seen

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        return getattr(self.of, name)


def paid_meanwhile(stage: Stage) -> None:
    """A worker reads a balance, is frozen for an hour, and then goes on to claim."""
    for _ in range(2):
        ref = stage.enrol()

        def an_hour(ref: str = ref) -> None:
            stage.pay(ref, "50")
            stage.world.run(
                "UPDATE billing.refill SET recorded_at = now() - interval '1 hour'"
                " WHERE account_id = (SELECT id FROM billing.account"
                " WHERE number = :ref)",
                ref=ref,
            )

        eyes = StaleEyes(stage.services.billing, an_hour)
        stage.charge(ref, with_billing(stage.services, eyes))


def two_claims(stage: Stage) -> None:
    """While a worker looks at what it has read, another claims, and dies."""
    ref = stage.enrol()
    eyes = StaleEyes(stage.services.billing, lambda: stage.crash(ref, "after_claim"))
    stage.charge(ref, with_billing(stage.services, eyes))


def failing_cards(stage: Stage) -> None:
    """Cards that say no, and the next sweeps, minutes and hours later."""
    for outcome in (
        "processing_error",
        "insufficient_funds",
        "lost_card",
        "expired_card",
        "authenticate",
    ):
        stage.charge(stage.enrol(outcome))
    for span in ("6 minutes", "6 minutes", "2 hours", "7 hours"):
        stage.age(span)
        stage.later()
        stage.round()


def caps(stage: Stage) -> None:
    """Accounts that spend everything at once, again and again in one day."""
    refs = [
        stage.enrol(cooldown=NONE, count_day=9, cap_day=Decimal(50)),
        stage.enrol(cooldown=NONE, count_day=9, cap_month=Decimal(75)),
        stage.enrol(cooldown=NONE, count_day=3),
        stage.enrol(),  # with a cooldown
    ]
    for _ in range(5):
        for ref in refs:
            stage.charge(ref)
            if stage.world.balance(ref) > DRAINED:
                stage.world.set_balance(str(DRAINED), ref)


DRAINED = Decimal(5)


def local_midnight(stage: Stage) -> None:
    """Charged late yesterday by UTC, which was today by the account's own clock."""
    now = datetime.now(UTC)
    tomorrow = datetime(now.year, now.month, now.day, tzinfo=UTC) + timedelta(days=1)
    ahead = min(timedelta(hours=1), (tomorrow - now) / 2)
    seconds = int(ahead.total_seconds())
    hours, minutes, rest = seconds // 3600, seconds // 60 % 60, seconds % 60
    zone = f"<ahead>-{hours:02}:{minutes:02}:{rest:02}"
    ref = stage.enrol(cap_day=Decimal(25), cooldown=NONE)
    stage.world.run(  # whatever the hour is: a name on no list, so it is not enrolled
        "UPDATE replenish.account SET time_zone = :zone WHERE id = :ref",
        zone=zone,
        ref=ref,
    )
    stage.charge(ref)
    since_midnight = now - (tomorrow - timedelta(days=1))
    stage.age(f"{(since_midnight + ahead / 2).total_seconds()} seconds")
    stage.world.set_balance("5", ref)
    stage.charge(ref)


@contextmanager
def behind(by: timedelta) -> Iterator[None]:
    """Let the clock of this process be so much behind that of the database.

    The ledger asks no clock here but the database's, unless it is made to.
    """

    class Behind(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> "Behind":
            late = datetime.now(tz) - by
            return cls.fromisoformat(late.isoformat())

    with mock.patch.object(attempts, "datetime", Behind, create=True):
        yield


def slow_clock(stage: Stage) -> None:
    """A worker whose clock is an hour slow takes over from one that died."""
    with behind(timedelta(hours=1)):
        ref = stage.enrol()
        stage.crash(ref, "after_claim")
        stage.heal()
        stage.check()


def held(stage: Stage) -> None:
    """A charge is begun; then an account is held, or everything is stopped."""
    charged, claimed, stopped = (stage.enrol() for _ in range(3))
    stage.crash(charged, "after_record")
    stage.crash(claimed, "before_confirm")
    stage.crash(stopped, "before_confirm")
    for ref in (charged, claimed):
        stage.world.register.pause(ref, "looked at by hand", actor="test")
    stage.sandbox.tool.advance(FENCE)
    for ref in (charged, claimed):
        stage.charge(ref)
    stage.services.stops.stop("tried out")
    stage.sandbox.tool.advance(FENCE)
    stage.charge(stopped)
    stage.heal()
    stage.check()
    stage.services.stops.resume()
