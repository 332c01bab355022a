"""Implementations of the ports in memory; each passes its port's contract suite."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from threading import RLock

from replenish.domain.account import Account, Kind, Service
from replenish.domain.money import Money
from replenish.domain.trail import Trail
from replenish.errors import AccountNotFound, BadInput, BillingUnavailable
from replenish.ports import Calls, Page, Receipt

PLACES = 5


@dataclass
class FakeBilling:
    """A billing package in memory.

    Tests add accounts with `add`, debit them with `debit`, take the package away by
    `away = True`, and read `credits` and `accounts_by_ref`.

    Attributes:
        away: every method raises `BillingUnavailable`.
        broken: refs whose rows make no sense.
        credits: the package's own report, by reference: account and receipt.
    """

    knows_low: bool = True
    away: bool = False
    broken: set[str] = field(default_factory=set)
    accounts_by_ref: dict[str, Account] = field(default_factory=dict)
    credits: dict[str, tuple[str, Receipt]] = field(default_factory=dict)
    marks: dict[str, Decimal] = field(default_factory=dict)
    debited: list[str] = field(default_factory=list)
    moves: list[tuple[str, Decimal | str]] = field(default_factory=list)
    _lock: RLock = field(default_factory=RLock)

    def add(
        self,
        ref: str,
        available: Decimal | str,
        *,
        currency: str = "USD",
        kind: Kind = Kind.PREPAID,
        service: Service = Service.ACTIVE,
    ) -> Account:
        """Open an account with so much available."""
        money = Money(Decimal(available), currency)
        account = Account(ref, money, kind, service, name=f"Customer {ref}")
        self.accounts_by_ref[ref] = account
        return account

    def debit(self, ref: str, amount: Decimal | str) -> None:
        """Let a call cost so much."""
        with self._lock:
            self._move(ref, -Decimal(amount))
            self.moves.append((ref, -Decimal(amount)))
            self.debited.append(ref)

    def check(self) -> Sequence[str]:
        """Say whether it is away."""
        return ["The billing package is away."] if self.away else []

    def remarks(self) -> Sequence[str]:
        """Tell nothing."""
        return ()

    def accounts(
        self, *, after: str | None = None, limit: int = 500, low: bool = False
    ) -> Page:
        """Page the accounts in the order they were added."""
        self._answer()
        refs = list(self.accounts_by_ref)
        start = 0 if after is None else refs.index(after) + 1
        wanted = [ref for ref in refs[start:] if not low or self._is_low(ref)]
        page = wanted[:limit]
        return Page(
            [self.accounts_by_ref[ref] for ref in page if ref not in self.broken],
            after=page[-1] if len(page) == limit else None,
            unreadable={ref: "no sense" for ref in page if ref in self.broken},
        )

    def balances(self, refs: Sequence[str]) -> Mapping[str, Account]:
        """Read those that exist and make sense."""
        self._answer()
        known = self.accounts_by_ref.keys() - self.broken
        return {ref: self.accounts_by_ref[ref] for ref in refs if ref in known}

    def calls_since(self, cursor: str | None, *, limit: int = 5000) -> Calls:
        """List the accounts debited since."""
        self._answer()
        if cursor is None:
            return Calls([], str(len(self.debited)))
        if not cursor.isdigit():
            msg = f"The call cursor {cursor!r} is not one of ours; start without one."
            raise BadInput(msg, subject=cursor)
        seen = self.debited[int(cursor) : int(cursor) + limit]
        return Calls(list(dict.fromkeys(seen)), str(int(cursor) + len(seen)))

    def watch(self, thresholds: Mapping[str, Decimal | None]) -> None:
        """Set and take away the marks."""
        self._answer()
        for ref, mark in thresholds.items():
            if mark is None:
                self.marks.pop(ref, None)
            else:
                self._exact(ref, mark)
                self.marks[ref] = mark

    def apply_credit(
        self, ref: str, amount: Money, *, reference: str, note: str, at: datetime
    ) -> Receipt:
        """Credit once per reference."""
        del note, at
        return self._enter(ref, amount, reference)

    def correct_credit(
        self, ref: str, amount: Money, *, reference: str, note: str, at: datetime
    ) -> Receipt:
        """Put right once per reference; no movement of the account's own."""
        del note, at
        receipt = self._enter(ref, amount, reference)
        if not receipt.already_applied:
            self.moves.remove((ref, reference))
        return receipt

    def reverse_credit(
        self, ref: str, amount: Money, *, reference: str, note: str, at: datetime
    ) -> Receipt:
        """Take back once per reference."""
        del note, at
        return self._enter(ref, amount, reference, sign=-1)

    def verify_credit(self, ref: str, *, reference: str) -> Trail | None:
        """Add up what was recorded since."""
        found = self.find_credit(ref, reference=reference)
        if found is None:
            return None
        with self._lock:
            mine = [what for of, what in self.moves if of == ref]
            later = mine[mine.index(reference) + 1 :]
            calls = [what for what in mine if isinstance(what, Decimal)]
            return Trail(
                credited=found.amount.amount,
                after=found.available_after,
                moved=sum((self._moved_by(what) for what in later), Decimal()),
                around=-sum(calls, Decimal()),
                available=self.accounts_by_ref[ref].available.amount,
            )

    def overwrite(self, ref: str, available: Decimal | str) -> None:
        """Save an old balance over whatever is there."""
        found = self.accounts_by_ref[ref]
        money = Money(Decimal(available), found.available.currency)
        self.accounts_by_ref[ref] = replace(found, available=money)

    def _moved_by(self, what: Decimal | str) -> Decimal:
        if isinstance(what, Decimal):
            return what
        return self.credits[what][1].amount.amount

    def _enter(
        self, ref: str, amount: Money, reference: str, *, sign: int = 1
    ) -> Receipt:
        self._answer()
        with self._lock:
            if ref not in self.accounts_by_ref:
                msg = f"The billing package has no account {ref!r}."
                raise AccountNotFound(msg, subject=ref)
            self._exact(ref, amount.amount)
            entered = Money(sign * amount.amount, amount.currency)
            if reference in self.credits:
                return self._repeat(ref, entered, reference)
            if self.accounts_by_ref[ref].available.currency != amount.currency:
                msg = f"Account {ref} cannot be credited {amount}."
                raise BadInput(msg, subject=ref)
            if amount.amount <= 0:
                msg = f"{amount} is no credit."
                raise BadInput(msg, subject=ref)
            after = self._move(ref, entered.amount)
            receipt = Receipt(reference, entered, after, already_applied=False)
            self.credits[reference] = (ref, receipt)
            self.moves.append((ref, reference))
            return receipt

    def find_credit(self, ref: str, *, reference: str) -> Receipt | None:
        """Find a credit of this account."""
        self._answer()
        account, receipt = self.credits.get(reference, ("", None))
        if receipt is None or account != ref:
            return None
        return replace(receipt, already_applied=True)

    def suspend(self, ref: str, *, at_most: Decimal) -> bool:
        """Suspend if active and at most so much is available."""
        self._answer()
        if not at_most.is_finite():
            msg = f"Account {ref} is not suspended at {at_most}."
            raise BadInput(msg, subject=ref)
        with self._lock:
            found = self.accounts_by_ref.get(ref)
            if found is None or found.available.amount > at_most:
                return False
            return self._turn(ref, Service.ACTIVE, Service.SUSPENDED)

    def restore(self, ref: str) -> bool:
        """Give service back if suspended."""
        self._answer()
        with self._lock:
            return self._turn(ref, Service.SUSPENDED, Service.ACTIVE)

    def _answer(self) -> None:
        if self.away:
            msg = "The billing package is away."
            raise BillingUnavailable(msg)

    def _is_low(self, ref: str) -> bool:
        mark = self.marks.get(ref)
        available = self.accounts_by_ref[ref].available.amount
        return mark is not None and available <= mark

    def _exact(self, ref: str, amount: Decimal) -> None:
        if not amount.is_finite() or amount != round(amount, PLACES):
            msg = f"The amount {amount} of account {ref} has too many places."
            raise BadInput(msg, subject=ref)

    def _move(self, ref: str, amount: Decimal) -> Decimal:
        found = self.accounts_by_ref[ref]
        available = found.available + Money(amount, found.available.currency)
        self.accounts_by_ref[ref] = replace(found, available=available)
        return available.amount

    def _repeat(self, ref: str, amount: Money, reference: str) -> Receipt:
        account, receipt = self.credits[reference]
        if (account, receipt.amount) != (ref, amount):
            msg = f"The reference {reference} stands for another credit."
            raise BadInput(msg, subject=reference)
        return replace(receipt, already_applied=True)

    def _turn(self, ref: str, old: Service, new: Service) -> bool:
        found = self.accounts_by_ref.get(ref)
        if found is None or found.service != old:
            return False
        self.accounts_by_ref[ref] = replace(found, service=new)
        return True
