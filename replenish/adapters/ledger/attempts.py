"""The arbiter of attempts: `replenish.ports.Ledger` over PostgreSQL."""

import json
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from replenish.adapters.ledger import adoption, pages
from replenish.adapters.ledger.history import history_of
from replenish.adapters.ledger.rules import rule_of
from replenish.adapters.ledger.session import transaction
from replenish.adapters.ledger.statements import batches, claiming, leasing, recovery
from replenish.domain.account import DEAD_FOR_ALL, NO_CHARGES_OFF_SESSION, Card
from replenish.domain.attempt import LOST_WORKERS, OPEN, SPENT, Attempt, State
from replenish.domain.money import Money
from replenish.domain.outcome import SeenIntent
from replenish.domain.policy import CutOff
from replenish.domain.rule import Limits, Rule
from replenish.errors import LeaseLost
from replenish.failpoints import failpoint
from replenish.ports import (
    MISUSE,
    Adoption,
    Claims,
    Proposal,
    Standing,
    Subject,
    Verdict,
)

OPEN_STATES = sorted(OPEN)
SPENT_STATES = sorted(SPENT)
DEAD = sorted(DEAD_FOR_ALL)
REFUSED = sorted(NO_CHARGES_OFF_SESSION)

CREDIT_LEASE = 10.0  # seconds; a credit takes milliseconds, and it must be quick
UNCOMMITTED = {State.CHARGING: "pi_uncommitted", State.SETTLED: "done_uncommitted"}
NUDGE = 1.5  # leases a handed-out attempt is given before it is handed out again


class PostgresLedger:
    """Enrolled accounts and attempts, by the database's clock.

    Args:
        engine: the ledger's database.
        defaults: the installation's rule, under each account's own.
        lease: seconds a worker may hold an attempt between two steps; longer
            than the slowest gateway call.
        limits: what bounds charges over all accounts; the defaults if not given.
    """

    def __init__(
        self,
        engine: sa.Engine,
        *,
        defaults: Rule,
        lease: float,
        actor: str,
        limits: Limits | None = None,
    ) -> None:
        self._engine = engine
        self._defaults = defaults
        self._lease = lease
        self._nudge = NUDGE * lease
        self._actor = actor
        self._limits = limits or Limits()

    def subjects(
        self, accounts: Sequence[str], *, due: bool = False, without: str | None = None
    ) -> Sequence[Subject]:
        """Read enrolled accounts with rule, cards and history; one statement."""
        with transaction(self._engine) as connection:
            rows = connection.execute(
                claiming.SUBJECTS,
                {
                    "accounts": list(accounts),
                    "due": due,
                    "without": without,
                    "time_zone": self._defaults.time_zone,
                    "cooldown": self._defaults.cooldown,
                    "open": OPEN_STATES,
                    "spent": SPENT_STATES,
                    "settled": self._limits.unusual_after,
                    "dead_for_all": DEAD,
                },
            ).mappings()
            return [self._subject(row) for row in rows]

    def claim(
        self,
        proposals: Sequence[Proposal],
        *,
        kind: str,
        standings: Sequence[Standing] = (),
    ) -> Claims:
        """Open the attempts of one page, with its batch and its skips; commits."""
        if not proposals and not standings:
            return Claims(None, ())
        batch = str(uuid.uuid4())
        by_id = {str(uuid.uuid4()): proposal for proposal in proposals}
        with transaction(self._engine) as connection:
            page = pages.batch_row(
                batch, kind, proposed=len(by_id), standings=standings
            )
            connection.execute(batches.OPEN_BATCH, page)
            rows = self._insert(connection, batch, by_id) if by_id else ()
            lost = len(by_id) - len(rows)
            connection.execute(
                batches.COUNT_CLAIMED,
                {"id": batch, "claimed": len(rows), "lost": lost},
            )
            if standings:
                notes = pages.skips(batch, standings) | {"actor": self._actor}
                connection.execute(claiming.NOTE, notes)
            failpoint("claim_uncommitted")
        failpoint("claim_commit_sent")
        claimed = tuple(pages.opened(by_id[str(row.id)], row, batch) for row in rows)
        cut = any(isinstance(s.decision, CutOff) for s in standings)
        return Claims(batch, claimed, exhausted=cut)

    def _insert(
        self, connection: sa.Connection, batch: str, by_id: Mapping[str, Proposal]
    ) -> Sequence[sa.Row[Any]]:
        limits = self._limits
        values = pages.proposed(by_id, limits)
        values |= {
            "batch": batch,
            "actor": self._actor,
            "patience": self._nudge,
            "spent": SPENT_STATES,
            "refused_countries": REFUSED,
            "per_minute": limits.charges_per_minute,
            "declines_day": limits.card_declines_24h,
            "declines_month": limits.card_declines_30d,
        }
        rows = connection.execute(claiming.CLAIM, values).all()
        accounts = [row.account_id for row in rows]
        connection.execute(claiming.MARK_LOW, {"accounts": accounts})
        return rows

    def take(self, account: str, *, worker: str, alone: bool = False) -> Attempt | None:
        """Lease the account's open attempt, or None if there is none to be had."""
        values = {
            "account": account,
            "worker": worker,
            "alone": alone,
            "most": LOST_WORKERS,
            "lease": str(uuid.uuid4()),
            "seconds": self._lease,
        }
        with transaction(self._engine) as connection:
            row = connection.execute(leasing.TAKE, values).mappings().first()
        return _attempt(row) if row else None

    def advance(
        self,
        attempt: Attempt,
        to: State,
        *,
        reason: str = "",
        evidence: Mapping[str, str | int] | None = None,
        intent: str | None = None,
        verdict: Verdict | None = None,
    ) -> Attempt:
        """Take a step under the lease, with all that follows from it.

        Raises:
            LeaseLost: somebody else holds the attempt or has moved it on.
        """
        values = {
            "id": attempt.id,
            "old": attempt.state,
            "to": to,
            "reason": reason,
            "evidence": json.dumps(dict(evidence or {})),
            "intent": intent,
            "lease": attempt.lease,
            "ends": to not in OPEN,
            "seconds": CREDIT_LEASE if to is State.CHARGED else self._lease,
        }
        with transaction(self._engine) as connection:
            row = connection.execute(leasing.ADVANCE, values).mappings().first()
            if row is None:
                raise _lease_lost(attempt)
            if to is State.SETTLED:
                self._funded(connection, attempt, evidence or {})
            self._follow(connection, attempt, to, verdict)
            failpoint(UNCOMMITTED.get(to, "record_uncommitted"))
        return _attempt(row)

    def put_back(self, attempt: Attempt, *, seconds: float, reason: str) -> None:
        """Give the lease back; nobody takes the attempt for so long."""
        values = {
            "id": attempt.id,
            "lease": attempt.lease,
            "seconds": seconds,
            "reason": reason,
        }
        with transaction(self._engine) as connection:
            connection.execute(leasing.PUT_BACK, values)

    def holds(self, attempt: Attempt) -> bool:
        """Say whether the lease stands and nothing has stopped the charge since."""
        values = {"id": attempt.id, "lease": attempt.lease}
        with transaction(self._engine) as connection:
            return bool(connection.execute(leasing.HOLDS, values).scalar())

    def came_late(self, attempt: Attempt) -> None:
        """Count no worker as lost of an attempt whose earlier worker is alive."""
        with transaction(self._engine) as connection:
            connection.execute(leasing.CAME_LATE, {"id": attempt.id})

    def uncredited(self, reasons: Sequence[str], *, limit: int) -> int:
        """Count charged attempts that wait for one of these reasons, up to a limit."""
        values = {"reasons": list(reasons), "limit": limit}
        with transaction(self._engine) as connection:
            return int(connection.execute(recovery.UNCREDITED, values).scalar_one())

    def misused(self, *, limit: int) -> int:
        """Count accounts held for `MISUSE` of late, and since the last charge."""
        values = {"reason": MISUSE, "limit": limit}
        with transaction(self._engine) as connection:
            return int(connection.execute(recovery.MISUSED, values).scalar_one())

    def waiting(self, reason: str) -> str | None:
        """Give an account whose attempt, not charged, waits for this; None: nobody."""
        with transaction(self._engine) as connection:
            found = connection.execute(recovery.WAITING, {"reason": reason})
            return found.scalar_one_or_none()

    def wake(self, reason: str) -> None:
        """Let attempts that wait for this go on at once; the charged need it not."""
        with transaction(self._engine) as connection:
            connection.execute(recovery.WAKE, {"reason": reason})

    def stranded(self, *, limit: int) -> Sequence[str]:
        """List accounts whose open attempt nobody works on, and push them on."""
        with transaction(self._engine) as connection:
            rows = connection.execute(
                recovery.STRANDED,
                {"limit": limit, "patience": self._nudge, "most": LOST_WORKERS},
            )
            first = sorted(rows, key=lambda row: row.state != State.CHARGED)
            return [row.account_id for row in first]

    def adopt(self, seen: Sequence[SeenIntent]) -> Adoption:
        """Compare charges with our rows, and take those without one into the books."""
        return adoption.adopt(self._engine, seen)

    def _funded(
        self,
        connection: sa.Connection,
        attempt: Attempt,
        evidence: Mapping[str, str | int],
    ) -> None:
        values = {
            "account": attempt.account,
            "available": evidence.get("now", evidence.get("available")),
            "threshold": self._defaults.threshold,
        }
        connection.execute(leasing.FUNDED, values)

    def _follow(
        self,
        connection: sa.Connection,
        attempt: Attempt,
        to: State,
        verdict: Verdict | None,
    ) -> None:
        if to not in OPEN and to is not State.SETTLED:
            connection.execute(leasing.LOOK_AGAIN, {"account": attempt.account})
        if verdict is None:
            return
        connection.execute(
            leasing.MARK_CARD,
            {
                "card": int(attempt.card.id) if attempt.card.id else None,
                "dead": verdict.dead,
                "retry_at": verdict.retry_at,
            },
        )
        if verdict.pause:
            connection.execute(
                leasing.PAUSE,
                {
                    "account": attempt.account,
                    "reason": verdict.pause,
                    "actor": self._actor,
                },
            )

    def _subject(self, row: sa.RowMapping) -> Subject:
        return Subject(
            account=row["id"],
            rule=rule_of(row, self._defaults),
            history=history_of(row),
            now=row["now"],
        )


def _attempt(row: sa.RowMapping) -> Attempt:
    """Read a row; of the card, only what the gateway is told is known here."""
    card = Card(
        id="" if row["card_id"] is None else str(row["card_id"]),
        customer=row["customer"],
        payment_method=row["payment_method"],
        brand="",
        last4="",
        exp_month=0,
        exp_year=0,
        fingerprint=row["fingerprint"],
    )
    return Attempt(
        id=str(row["id"]),
        account=row["account_id"],
        card=card,
        amount=Money(row["amount"], row["currency"]),
        state=State(row["state"]),
        claimed_at=row["claimed_at"],
        intent=row["intent"],
        confirms=row["confirms"],
        batch=str(row["batch_id"]) if row["batch_id"] else None,
        lease=str(row["lease"]) if row["lease"] else None,
        takes=row["takes"],
        lost=row["lost"],
    )


def _lease_lost(attempt: Attempt) -> LeaseLost:
    msg = (
        f"Attempt {attempt.id} of account {attempt.account} is in other hands now;"
        " they finish it."
    )
    return LeaseLost(msg, subject=attempt.id)
