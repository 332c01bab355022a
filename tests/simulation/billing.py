"""The fake billing package with an operator, customers who call, and a history.

What the history says of a balance is added up by itself: every movement is noted where
it is made, so that the sum can be compared with what the package shows.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal

from replenish.domain.account import Account, Service
from replenish.domain.money import Money
from replenish.failpoints import failpoint
from replenish.ports import Receipt
from tests.fakes import FakeBilling

ZERO = Decimal(0)


@dataclass
class SimulatedBilling(FakeBilling):
    """See the module.

    Attributes:
        expected: by account, what its balance adds up to.
        given: by reference, what was credited by us, and how often.
        corrected: by account, what we have put right.
        lost: by account, what old balances have come over so far.
        ended_by: by account, who has ended its service, `us` or `operator`.
    """

    expected: dict[str, Decimal] = field(default_factory=dict)
    given: Counter[str] = field(default_factory=Counter)
    corrected: dict[str, Decimal] = field(default_factory=dict)
    lost: dict[str, Decimal] = field(default_factory=dict)
    ended_by: dict[str, str] = field(default_factory=dict)
    on_credit: Callable[[str, Money, str], None] = lambda *_: None
    on_cut: Callable[[str, Decimal], None] = lambda *_: None
    on_restore: Callable[[str, str], None] = lambda *_: None

    def open(self, account: Account) -> None:
        """Take an account in as it is."""
        self.accounts_by_ref[account.ref] = account
        self.expected[account.ref] = account.available.amount

    # ---------------------------------------------------------- what we do to it

    def apply_credit(
        self, ref: str, amount: Money, *, reference: str, note: str, at: datetime
    ) -> Receipt:
        """Credit once per reference, in a transaction with its two seams."""
        failpoint("credit_uncommitted")
        receipt = super().apply_credit(
            ref, amount, reference=reference, note=note, at=at
        )
        if not receipt.already_applied:
            self.given[reference] += 1
            self.expected[ref] += amount.amount
            self.on_credit(ref, amount, reference)
        failpoint("credit_commit_sent")
        return receipt

    def correct_credit(
        self, ref: str, amount: Money, *, reference: str, note: str, at: datetime
    ) -> Receipt:
        """Put right once per reference."""
        receipt = super().correct_credit(
            ref, amount, reference=reference, note=note, at=at
        )
        if not receipt.already_applied:
            self.expected[ref] += amount.amount
            self.corrected[ref] = self.corrected.get(ref, ZERO) + amount.amount
        return receipt

    def suspend(self, ref: str, *, at_most: Decimal) -> bool:
        """End service, and say so."""
        changed = super().suspend(ref, at_most=at_most)
        if changed:
            self.ended_by[ref] = "us"
            self.on_cut(ref, self.available(ref))
        return changed

    def restore(self, ref: str) -> bool:
        """Give service back, and say so."""
        changed = super().restore(ref)
        if changed:
            self.on_restore(ref, self.ended_by.pop(ref, "nobody"))
        return changed

    # --------------------------------------------------------- what others do to it

    def available(self, ref: str) -> Decimal:
        """Give what is available."""
        return self.accounts_by_ref[ref].available.amount

    def call(self, ref: str, cost: Decimal) -> None:
        """Let a customer call, if there is service."""
        if self.accounts_by_ref[ref].service is Service.ACTIVE:
            self.debit(ref, cost)
            self.expected[ref] -= cost

    def refill(self, ref: str, amount: Decimal, reference: str) -> None:
        """Let somebody pay by hand."""
        money = Money(amount, self.accounts_by_ref[ref].available.currency)
        self._enter(ref, money, reference)
        self.expected[ref] += amount

    def save(self, ref: str, old: Decimal) -> None:
        """Save a whole row that was read when the balance was `old`."""
        gone = self.available(ref) - old
        self.overwrite(ref, old)
        self.expected[ref] -= gone
        if gone > 0:
            self.lost[ref] = self.lost.get(ref, ZERO) + gone

    def set_service(self, ref: str, service: Service) -> None:
        """Let the operator end, block or give back service."""
        found = self.accounts_by_ref[ref]
        if found.service is service:
            return
        self.accounts_by_ref[ref] = replace(found, service=service)
        if service is Service.ACTIVE:
            self.ended_by.pop(ref, None)
        else:
            self.ended_by[ref] = "operator"
