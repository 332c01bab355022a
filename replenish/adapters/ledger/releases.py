"""What is held for a person, and a person's word that lets it go on."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

import sqlalchemy as sa

from replenish.adapters.ledger.journal import record
from replenish.adapters.ledger.session import transaction
from replenish.domain.decision import Reason
from replenish.domain.money import plain, sensible
from replenish.errors import AccountNotFound, BadInput, CardNotFound

FOR_A_PERSON = (
    Reason.PAUSED,
    Reason.QUARANTINED,
    Reason.DECLINES_EPISODE,
    Reason.CARD_SHARED,
    Reason.UNUSUAL_AMOUNT,
)
"""Reasons that end by a person's hand only, and that a person may end."""

_HELD = sa.text("""
SELECT k.account_id AS account, k.reason, k.detail, k.first_at AS since, k.available
FROM replenish.skip k
WHERE k.reason = ANY(:reasons) AND k.account_id > :after
ORDER BY k.account_id LIMIT :limit
""")

_NUMBER = sa.text("""
SELECT fingerprint FROM replenish.card
WHERE account_id = :account AND payment_method = :method AND removed_at IS NULL
""")

_USERS = sa.text("""
SELECT DISTINCT account_id FROM replenish.card
WHERE fingerprint = :fingerprint AND removed_at IS NULL ORDER BY account_id
""")

_CLEAR = sa.text("""
INSERT INTO replenish.clearance (account_id, fingerprint, actor)
VALUES (:account, :fingerprint, :actor) ON CONFLICT DO NOTHING
RETURNING account_id
""")

_AGAIN = sa.text("""
UPDATE replenish.account SET not_before = NULL WHERE id = ANY(:accounts)
""")

_UP_TO = sa.text("""
UPDATE replenish.account SET released_up_to = :up_to, not_before = NULL
WHERE id = :account RETURNING id
""")

_ENROLLED = sa.text("SELECT 1 FROM replenish.account WHERE id = :account")


@dataclass(frozen=True, slots=True)
class Held:
    """An account that waits for a person; `since` is aware UTC."""

    account: str
    reason: str
    detail: str
    since: datetime
    available: Decimal | None


class Releases:
    """The desk at which holds are looked at; each method is one transaction.

    Raises, from every method:
        LedgerUnavailable: the database is away; nothing was changed.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def held(self, *, after: str = "", limit: int = 500) -> Sequence[Held]:
        """Page the low accounts that only a person can let go on."""
        values = {"reasons": list(FOR_A_PERSON), "after": after, "limit": limit}
        with transaction(self._engine) as connection:
            rows = connection.execute(_HELD, values).mappings()
            return [Held(**row) for row in rows]

    def release_card(
        self, account: str, payment_method: str, *, everywhere: bool, actor: str
    ) -> Sequence[str]:
        """Let the account use a number of many accounts; give who was let.

        With `everywhere` so are all that have the number now; whoever gets it later
        is held again. Repeating it changes nothing.

        Raises:
            CardNotFound: the account has no such card on file.
            BadInput: the gateway gave the card no fingerprint to know it by.
        """
        with transaction(self._engine) as connection:
            fingerprint = self._number(connection, account, payment_method)
            users = [account]
            if everywhere:
                found = connection.execute(_USERS, {"fingerprint": fingerprint})
                users = list(found.scalars())
            let = [
                user for user in users if _clear(connection, user, fingerprint, actor)
            ]
            detail = {"payment_method": payment_method, "asked_for": account}
            events = [(user, "card_released", detail) for user in let]
            record(connection, events, actor=actor)
            connection.execute(_AGAIN, {"accounts": let})
        return let

    def release_amount(self, account: str, up_to: Decimal, *, actor: str) -> None:
        """Let charges up to an amount pass as usual; caps stay as they are.

        Raises:
            AccountNotFound: it is not enrolled.
            BadInput: no amount above zero.
        """
        if not sensible(up_to) or up_to <= 0:
            msg = f"{up_to} is no amount above zero; give one like 150.00."
            raise BadInput(msg, subject=account)
        with transaction(self._engine) as connection:
            if connection.execute(_ENROLLED, {"account": account}).first() is None:
                msg = f"Account {account} is not enrolled; `replenish account list`."
                raise AccountNotFound(msg, subject=account)
            event = (account, "amount_released", {"up_to": plain(up_to)})
            record(connection, [event], actor=actor)
            connection.execute(_UP_TO, {"account": account, "up_to": up_to})

    @staticmethod
    def _number(connection: sa.Connection, account: str, payment_method: str) -> str:
        values = {"account": account, "method": payment_method}
        row = connection.execute(_NUMBER, values).first()
        if row is None:
            msg = (
                f"Account {account} has no card {payment_method} on file; see"
                f" `replenish card list {account}`."
            )
            raise CardNotFound(msg, subject=payment_method)
        if not row.fingerprint:
            msg = f"The gateway gave {payment_method} no fingerprint; it is not held."
            raise BadInput(msg, subject=payment_method)
        return str(row.fingerprint)


def _clear(
    connection: sa.Connection, account: str, fingerprint: str, actor: str
) -> bool:
    values = {"account": account, "fingerprint": fingerprint, "actor": actor}
    return connection.execute(_CLEAR, values).first() is not None
