"""The hands of people on the ledger in memory; see the register on PostgreSQL."""

from dataclasses import dataclass, replace
from itertools import count

from replenish.domain.account import Card
from replenish.domain.enrolment import REVIVED_BY_ATTACHING, NewAccount
from replenish.domain.rule import Rule
from replenish.errors import BadInput, CardNotFound
from tests.memory.reading import on_file
from tests.memory.rows import AccountRow, CardRow, Store


@dataclass
class MemoryRegister:
    """Enrolments, cards, pauses and consent."""

    store: Store
    defaults: Rule

    def __post_init__(self) -> None:
        self._ids = count(1)

    def enrol(self, account: NewAccount) -> None:
        """Write an account and its card down."""
        now = self.store.now()
        rule = account.overrides.over(self.defaults, currency=account.currency)
        self.store.accounts[account.ref] = AccountRow(
            account.ref,
            rule,
            enrolled_at=now,
            episode_at=now,
            consent_at=account.consent.at if account.consent else None,
        )
        self.store.record(account.ref, "enrolled")
        if account.card:
            self._put(self.store.accounts[account.ref], account.card, None)

    def pause(self, ref: str, reason: str) -> None:
        """Hold an account."""
        account = self.store.accounts[ref]
        if account.pause_reason == reason:
            return
        account.paused_at, account.pause_reason = self.store.now(), reason
        self.store.record(ref, "paused")

    def resume(self, ref: str) -> None:
        """End a pause, or the wait after too many declines."""
        account = self.store.accounts[ref]
        account.paused_at = account.pause_reason = None
        self._again(account)
        self.store.record(ref, "resumed")

    def withdraw_consent(self, ref: str) -> None:
        """Take note that the customer does not want to be charged any more."""
        self.store.accounts[ref].consent_at = None

    def give_consent(self, ref: str) -> None:
        """Take note that the customer wants to be charged."""
        self.store.accounts[ref].consent_at = self.store.now()
        self._again(self.store.accounts[ref])

    def add_card(self, ref: str, card: Card, *, priority: int | None = None) -> Card:
        """Put a card on file.

        Raises:
            BadInput: that very card is on file and dead.
        """
        account = self.store.accounts[ref]
        row = self._put(account, card, priority)
        self._again(account)
        return row.card

    def remove_card(self, ref: str, payment_method: str) -> None:
        """Take a card off file.

        Raises:
            CardNotFound: the account has no such card on file.
        """
        for row in on_file(self.store.accounts[ref]):
            if row.card.payment_method == payment_method:
                row.removed_at = self.store.now()
                self.store.record(ref, "card_removed")
                return
        msg = f"Account {ref} has no card {payment_method}."
        raise CardNotFound(msg)

    def _again(self, account: AccountRow) -> None:
        account.not_before, account.episode_at = None, self.store.now()

    def _put(self, account: AccountRow, card: Card, priority: int | None) -> CardRow:
        for row in account.cards:
            self._refuse_dead(row.card, card)
        same = [
            r for r in account.cards if r.card.payment_method == card.payment_method
        ]
        others = [r.card.priority for r in on_file(account) if r not in same]
        place = max(others, default=-1) + 1 if priority is None else priority
        if same:
            row = same[0]
        else:
            row = CardRow(next(self._ids), card, self.store.now())
            account.cards.append(row)
            self.store.cards[row.id] = (account, row)
            numbers = self.store.numbers.setdefault(card.fingerprint, [])
            numbers.append((account, row))
        row.card = replace(
            card, id=str(row.id), priority=place, dead_reason=None, retry_at=None
        )
        if row.removed_at is not None:
            row.added_at = self.store.now()
        row.removed_at = row.dead_at = None
        self._take_off_replaced(account, row)
        self.store.record(account.id, "card_added")
        return row

    def _take_off_replaced(self, account: AccountRow, new: CardRow) -> None:
        for row in on_file(account):
            same = row is not new and row.card.imprint == new.card.imprint
            if same and row.card.dead_reason in REVIVED_BY_ATTACHING:
                row.removed_at = self.store.now()
                self.store.record(account.id, "card_removed")

    def _refuse_dead(self, old: Card, new: Card) -> None:
        dead = old.dead_reason
        if dead is None or dead in REVIVED_BY_ATTACHING:
            return
        same = old.payment_method == new.payment_method or (
            new.fingerprint != "" and old.fingerprint == new.fingerprint
        )
        if same and (old.exp_month, old.exp_year) == (new.exp_month, new.exp_year):
            msg = f"The card {new.payment_method} has been refused for good."
            raise BadInput(msg)
