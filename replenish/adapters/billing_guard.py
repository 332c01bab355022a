"""A billing package that is in trouble is left alone for a while.

A database that is away or slow holds everyone who asks it until a timeout, and a
hundred workers that keep asking are the last thing it needs. After a few failures in a
row nobody asks for some seconds; who would have asked is told so at once, and waits in
his row. A row that somebody holds locked is one account's trouble and counts for
nothing here; nor does a replica that stands still, since credits do not need it.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import TypeVar

from circuitbreaker import CircuitBreaker

from replenish.domain.account import Account
from replenish.domain.money import Money
from replenish.domain.trail import Trail
from replenish.errors import AccountLocked, BillingUnavailable, ReplicaBehind
from replenish.ports import BillingPackage, Calls, Page, Receipt

FAILURES = 5  # in a row, in one process
PAUSE = 5  # seconds

T = TypeVar("T")


def _trouble(kind: type[BaseException], _error: BaseException) -> bool:
    other = (AccountLocked, ReplicaBehind)
    return issubclass(kind, BillingUnavailable) and not issubclass(kind, other)


class GuardedBilling:
    """`replenish.ports.BillingPackage` behind a circuit breaker of the process's own.

    Args:
        package: who is asked.
        failures, pause: after how many failures in a row nobody asks, for how many
            seconds.
    """

    def __init__(
        self, package: BillingPackage, *, failures: int = FAILURES, pause: int = PAUSE
    ) -> None:
        self._package = package
        self._breaker = CircuitBreaker(failures, pause, _trouble, "billing package")
        self._pause = pause
        self.knows_low = package.knows_low

    def check(self) -> Sequence[str]:
        """List what is wrong; asked whatever happened before."""
        return self._package.check()

    def remarks(self) -> Sequence[str]:
        """Tell what is worth knowing; asked whatever happened before."""
        return self._package.remarks()

    def accounts(
        self, *, after: str | None = None, limit: int = 500, low: bool = False
    ) -> Page:
        """Read a page by primary key."""
        return self._ask(
            lambda: self._package.accounts(after=after, limit=limit, low=low)
        )

    def balances(self, refs: Sequence[str]) -> Mapping[str, Account]:
        """Read these accounts now."""
        return self._ask(lambda: self._package.balances(refs))

    def calls_since(self, cursor: str | None, *, limit: int = 5000) -> Calls:
        """List the accounts debited after the cursor."""
        return self._ask(lambda: self._package.calls_since(cursor, limit=limit))

    def watch(self, thresholds: Mapping[str, Decimal | None]) -> None:
        """Tell the package below what an account is low."""
        self._ask(lambda: self._package.watch(thresholds))

    def apply_credit(
        self, ref: str, amount: Money, *, reference: str, note: str, at: datetime
    ) -> Receipt:
        """Credit exactly once per reference."""
        return self._ask(
            lambda: self._package.apply_credit(
                ref, amount, reference=reference, note=note, at=at
            )
        )

    def find_credit(self, ref: str, *, reference: str) -> Receipt | None:
        """Look a credit up by its reference."""
        return self._ask(lambda: self._package.find_credit(ref, reference=reference))

    def verify_credit(self, ref: str, *, reference: str) -> Trail | None:
        """Read what became of a credit."""
        return self._ask(lambda: self._package.verify_credit(ref, reference=reference))

    def correct_credit(
        self, ref: str, amount: Money, *, reference: str, note: str, at: datetime
    ) -> Receipt:
        """Raise a balance that the package has overwritten."""
        return self._ask(
            lambda: self._package.correct_credit(
                ref, amount, reference=reference, note=note, at=at
            )
        )

    def reverse_credit(
        self, ref: str, amount: Money, *, reference: str, note: str, at: datetime
    ) -> Receipt:
        """Take a refund off the balance."""
        return self._ask(
            lambda: self._package.reverse_credit(
                ref, amount, reference=reference, note=note, at=at
            )
        )

    def suspend(self, ref: str, *, at_most: Decimal) -> bool:
        """End service if it is active and at most so much is available."""
        return self._ask(lambda: self._package.suspend(ref, at_most=at_most))

    def restore(self, ref: str) -> bool:
        """Give service back."""
        return self._ask(lambda: self._package.restore(ref))

    def _ask(self, question: Callable[[], T]) -> T:
        if self._breaker.opened:
            msg = (
                f"The billing package is left alone for {self._pause} s after several"
                f" failures in a row; the last: {self._breaker.last_failure}"
            )
            raise BillingUnavailable(msg, subject="BILLING_DATABASE_URL")
        with self._breaker:
            return question()
