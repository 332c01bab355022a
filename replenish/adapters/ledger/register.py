"""Who is enrolled and on what terms: the accounts of the ledger, changed by people.

Every change writes an event in its own transaction, so that an account's history
is whole. Whatever may make an account chargeable again (a card, a resume, another
rule) clears `not_before` and begins a new episode, so that the next sweep looks at
once. Lock order everywhere: the head of the event chain, then the account, since
the triggers on `attempt` take the chain first as well.
"""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from replenish.adapters.ledger import card_file
from replenish.adapters.ledger import models as m
from replenish.adapters.ledger.journal import record
from replenish.adapters.ledger.rules import (
    account_row,
    as_enrolled,
    consent_detail,
    consent_row,
    difference,
    enrolled_event,
    overrides_of,
    rule_row,
)
from replenish.adapters.ledger.session import transaction
from replenish.adapters.ledger.statements import leasing
from replenish.adapters.ledger.turns import release
from replenish.adapters.ledger.zones import refuse_unknown
from replenish.domain.account import Card
from replenish.domain.enrolment import Consent, Enrolled, NewAccount, Overrides
from replenish.domain.rule import Rule
from replenish.errors import AccountExists, AccountNotFound

AGAIN = {"not_before": None, "episode_at": sa.func.now()}
"""What lets the next sweep look at an account with fresh eyes."""

HELD = {"paused_at": None, "pause_reason": None, "quarantined_at": None}
"""An account that nothing holds."""

_ACCOUNT = cast("sa.Table", m.Account.__table__)
_CHAIN = cast("sa.Table", m.Chain.__table__)
_CUT = cast("sa.Table", m.CutOff.__table__)
_LOOK = sa.select(_ACCOUNT, _CUT.c.reason.label("cut_off")).select_from(
    _ACCOUNT.outerjoin(
        _CUT, (_CUT.c.account_id == _ACCOUNT.c.id) & _CUT.c.restored_at.is_(None)
    )
)


class Register:
    """The register of enrolled accounts and their cards, in PostgreSQL.

    Every method is one short transaction and raises `LedgerUnavailable`, having
    changed nothing, when the database is away.
    """

    def __init__(self, engine: sa.Engine, defaults: Rule) -> None:
        self._engine = engine
        self._defaults = defaults

    def enrol(self, account: NewAccount, *, actor: str) -> Enrolled:
        """Write a checked account and its card down.

        Raises:
            AccountExists: it is enrolled already; nothing was changed.
        """
        self.enrol_many([account], actor=actor)
        return self.need(account.ref)

    def enrol_many(self, accounts: Sequence[NewAccount], *, actor: str) -> None:
        """Write all of these down, or none.

        Raises:
            AccountExists: one of them is enrolled already; names the first.
        """
        if not accounts:
            return
        rows = [account_row(account) for account in accounts]
        insert = postgresql.insert(_ACCOUNT).on_conflict_do_nothing()
        with transaction(self._engine) as connection:
            refuse_unknown(connection, [each.overrides.time_zone for each in accounts])
            written = set(
                connection.execute(insert.returning(_ACCOUNT.c.id), rows).scalars()
            )
            there = [each.ref for each in accounts if each.ref not in written]
            if there:
                msg = (
                    f"Account {there[0]} is already enrolled; see `replenish account"
                    f" show {there[0]}`, change it with `replenish account change`."
                )
                raise AccountExists(msg, subject=there[0])
            record(connection, [enrolled_event(each) for each in accounts], actor=actor)
            for account in accounts:
                if account.card:
                    self._add_card(connection, account.ref, account.card, actor=actor)

    def change(
        self,
        account: str,
        overrides: Overrides,
        *,
        to_default: Sequence[str] = (),
        consent: Consent | None = None,
        actor: str,
    ) -> Enrolled:
        """Change what is given, return `to_default` fields to the defaults.

        Repeating it changes nothing more, but begins another episode.

        Raises:
            AccountNotFound: it is not enrolled.
            BadInput: the rule that results cannot work; nothing was changed.
        """
        with transaction(self._engine) as connection:
            row = _lock(connection, account)
            before = overrides_of(row)
            after = before.changed(overrides, to_default=to_default)
            rule = after.over(self._defaults, currency=row["currency"])
            rule.check()
            refuse_unknown(connection, [overrides.time_zone])
            terms = rule_row(after)
            if consent:  # what is newly agreed to is usual
                terms |= {**consent_row(consent), "released_up_to": rule.cap_charge}
            _update(connection, account, {**terms, **AGAIN})
            events = [(account, "rule_changed", difference(before, after))]
            if consent:
                events.append((account, "consent_given", consent_detail(consent)))
            record(connection, [each for each in events if each[2]], actor=actor)
        return self.need(account)

    def get(self, account: str) -> Enrolled | None:
        """Read one account, or None if it is not enrolled."""
        with transaction(self._engine) as connection:
            found = connection.execute(_LOOK.where(_ACCOUNT.c.id == account))
            row = found.mappings().first()
        return as_enrolled(row, self._defaults) if row else None

    def need(self, account: str) -> Enrolled:
        """Read one account.

        Raises:
            AccountNotFound: it is not enrolled.
        """
        found = self.get(account)
        if found is None:
            raise _not_enrolled(account)
        return found

    def page(
        self,
        *,
        after: str = "",
        limit: int = 500,
        paused: bool | None = None,
        quarantined: bool | None = None,
        low: bool | None = None,
        cut_off: bool | None = None,
    ) -> Sequence[Enrolled]:
        """Read a page in the order of refs, after one; None filters nothing."""
        query = _LOOK.where(_ACCOUNT.c.id > after).order_by(_ACCOUNT.c.id).limit(limit)
        for wanted, column in (
            (paused, _ACCOUNT.c.paused_at),
            (quarantined, _ACCOUNT.c.quarantined_at),
            (low, _ACCOUNT.c.low_since),
            (cut_off, _CUT.c.id),
        ):
            if wanted is not None:
                query = query.where(column.is_not(None) == wanted)
        with transaction(self._engine) as connection:
            rows = connection.execute(query).mappings().all()
        return [as_enrolled(row, self._defaults) for row in rows]

    def enrolled_among(self, accounts: Sequence[str]) -> frozenset[str]:
        """Say which of these are enrolled."""
        query = sa.select(_ACCOUNT.c.id).where(_ACCOUNT.c.id.in_(accounts))
        with transaction(self._engine) as connection:
            return frozenset(connection.execute(query).scalars())

    def pause(self, account: str, reason: str, *, actor: str) -> bool:
        """Hold an account until it is resumed; False if for that reason already.

        A further reason is added to those it is held for.

        Raises:
            AccountNotFound: it is not enrolled.
        """
        with transaction(self._engine) as connection:
            _lock(connection, account)
            values = {"account": account, "reason": reason, "actor": actor}
            return connection.execute(leasing.PAUSE, values).first() is not None

    def resume(self, account: str, *, actor: str) -> bool:
        """End a pause, a quarantine, or the wait after too many declines.

        True if it was paused or quarantined.

        Raises:
            AccountNotFound: it is not enrolled.
        """
        with transaction(self._engine) as connection:
            release(connection, account)  # first: attempts are locked before accounts
            before = _lock(connection, account)
            _update(connection, account, {**HELD, **AGAIN})
            detail = {"paused_for": before["pause_reason"] or ""}
            record(connection, [(account, "resumed", detail)], actor=actor)
        return before["paused_at"] is not None

    def add_card(
        self,
        account: str,
        card: Card,
        *,
        priority: int | None = None,
        actor: str,
    ) -> Card:
        """Put a card on file, last in line unless a priority is given.

        Adding one that is there already takes the gateway's present words for it. One
        that its customer has saved again stands for the dead one, which goes off file.

        Raises:
            AccountNotFound: it is not enrolled.
            BadInput: that very card is on file and dead; nothing was changed.
        """
        with transaction(self._engine) as connection:
            _lock(connection, account)
            added = self._add_card(
                connection, account, card, priority=priority, actor=actor
            )
            _update(connection, account, AGAIN)
        return added

    def remove_card(self, account: str, payment_method: str, *, actor: str) -> None:
        """Take a card off file; a charge under way with it is not undone.

        Raises:
            AccountNotFound: it is not enrolled.
            CardNotFound: the account has no such card.
        """
        with transaction(self._engine) as connection:
            _lock(connection, account)
            card = card_file.remove(connection, account, payment_method)
            event = (account, "card_removed", card_file.shown(card))
            record(connection, [event], actor=actor)

    def cards(self, account: str) -> Sequence[Card]:
        """List the cards on file, dead ones included, in the order of trying.

        Raises:
            AccountNotFound: it is not enrolled.
        """
        with transaction(self._engine) as connection:
            cards = card_file.on_file(connection, account)
        return cards or self._none(account)

    def _none(self, account: str) -> Sequence[Card]:
        self.need(account)
        return []

    def _add_card(
        self,
        connection: sa.Connection,
        account: str,
        card: Card,
        *,
        priority: int | None = None,
        actor: str,
    ) -> Card:
        added = card_file.put(connection, account, card, priority=priority)
        replaced = card_file.take_off_replaced(connection, account, added)
        events = [(account, "card_removed", card_file.shown(old)) for old in replaced]
        events.append((account, "card_added", card_file.shown(added)))
        record(connection, events, actor=actor)
        return added


def _lock(connection: sa.Connection, account: str) -> Mapping[Any, Any]:
    connection.execute(
        sa.select(_CHAIN.c.seq).where(_CHAIN.c.account_id == account).with_for_update()
    )
    query = sa.select(_ACCOUNT).where(_ACCOUNT.c.id == account)
    row = connection.execute(query.with_for_update(key_share=True)).mappings().first()
    if row is None:
        raise _not_enrolled(account)
    return row


def _update(connection: sa.Connection, account: str, values: Mapping[str, Any]) -> None:
    change = sa.update(_ACCOUNT).where(_ACCOUNT.c.id == account).values(**values)
    connection.execute(change)


def _not_enrolled(account: str) -> AccountNotFound:
    msg = (
        f"Account {account!r} is not enrolled; see `replenish account list`, or enrol"
        " it with `replenish account enrol`."
    )
    return AccountNotFound(msg, subject=account)
