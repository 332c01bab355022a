"""The ledger's tables, in the schema `replenish`.

Amounts are `Numeric(19, 6)` in currency units, times are `timestamptz`. The hot
path reads and writes these through SQLAlchemy Core (`Attempt.__table__`); the
rows never leave `adapters.ledger`.

Two things are kept by the database itself, because no code path may go round
them (the functions stand in the first migration):

- every change of an attempt's state is checked against the table `transition`
  and journalled in `event`, in the same statement;
- `event` only grows, and each row carries the hash of the account's previous
  one, so that an edited or missing row shows.
"""

from datetime import datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from replenish.domain.attempt import OPEN, State
from replenish.domain.rule import TopUpKind

SCHEMA = "replenish"

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}

Amount = Annotated[Decimal, mapped_column(sa.Numeric(19, 6))]
Currency = Annotated[str, mapped_column(sa.String(3))]
CreatedAt = Annotated[datetime, mapped_column(server_default=sa.func.now())]
Id = Annotated[str, mapped_column(sa.Uuid(as_uuid=False), primary_key=True)]


def _by_value(members: type[Enum]) -> list[str]:
    return [member.value for member in members]


class Base(DeclarativeBase):
    """Naming, schema and the types that Python's stand for."""

    metadata = sa.MetaData(schema=SCHEMA, naming_convention=NAMING)
    type_annotation_map = {  # noqa: RUF012 SQLAlchemy reads it from the class
        datetime: sa.TIMESTAMP(timezone=True),
        timedelta: sa.Interval(),
        str: sa.Text(),
        dict[str, Any]: JSONB(),
        Enum: sa.Enum(
            Enum,
            native_enum=False,
            create_constraint=True,
            length=32,
            values_callable=_by_value,
        ),
    }


class Account(Base):
    """An enrolled account, its rule's own values, and whether it is held.

    A rule column that is NULL takes the installation's default.
    """

    __tablename__ = "account"
    __table_args__ = (
        sa.Index(
            "ix_account_low",
            "id",
            postgresql_where=sa.text("low_since IS NOT NULL"),
        ),
        sa.Index(
            "ix_account_quarantined",
            "id",
            postgresql_where=sa.text("quarantined_at IS NOT NULL"),
        ),
        {"postgresql_with": {"fillfactor": 70}},
    )

    id: Mapped[str] = mapped_column(primary_key=True)  # the billing package's ref
    currency: Mapped[Currency]
    threshold: Mapped[Amount | None]
    top_up: Mapped[Amount | None]
    top_up_kind: Mapped[TopUpKind | None]
    cap_charge: Mapped[Amount | None]
    cap_day: Mapped[Amount | None]
    cap_month: Mapped[Amount | None]
    count_day: Mapped[int | None]
    cooldown: Mapped[timedelta | None]
    floor: Mapped[Amount | None]
    grace: Mapped[Amount | None]
    time_zone: Mapped[str | None]
    consent_at: Mapped[datetime | None]  # when the customer agreed
    consent_text: Mapped[str | None]  # the version of what they agreed to
    consent_source: Mapped[str | None]  # where: an address, a signed form, …
    paused_at: Mapped[datetime | None]
    pause_reason: Mapped[str | None]
    quarantined_at: Mapped[datetime | None]  # its turns kept losing their workers
    episode_at: Mapped[datetime] = mapped_column(server_default=sa.func.now())
    low_since: Mapped[datetime | None]  # last seen low since; NULL: seen healthy
    not_before: Mapped[datetime | None]  # sweeps leave it alone until then
    enrolled_at: Mapped[CreatedAt]
    released_up_to: Mapped[Amount | None]  # charges that a person holds to be usual


class Card(Base):
    """A card on file: the gateway's ids and what people recognise it by."""

    __tablename__ = "card"
    __table_args__ = (
        sa.UniqueConstraint("account_id", "payment_method"),
        sa.Index("ix_card_fingerprint", "fingerprint"),
    )

    id: Mapped[int] = mapped_column(sa.BigInteger, sa.Identity(), primary_key=True)
    account_id: Mapped[str] = mapped_column(sa.ForeignKey(Account.id))
    customer: Mapped[str]
    payment_method: Mapped[str]
    brand: Mapped[str]
    last4: Mapped[str] = mapped_column(sa.String(4))
    exp_month: Mapped[int]
    exp_year: Mapped[int]
    fingerprint: Mapped[str]
    country: Mapped[str] = mapped_column(server_default="")
    priority: Mapped[int] = mapped_column(server_default="0")
    retry_at: Mapped[datetime | None]  # after a soft decline, not before
    dead_reason: Mapped[str | None]
    dead_at: Mapped[datetime | None]
    removed_at: Mapped[datetime | None]
    added_at: Mapped[CreatedAt]


class Batch(Base):
    """One page of a sweep: what it selected and how that ended."""

    __tablename__ = "batch"
    __table_args__ = (
        sa.Index(
            "ix_batch_unclosed",
            "opened_at",
            postgresql_where=sa.text("closed_at IS NULL"),
        ),
        sa.Index("ix_batch_opened_at", "opened_at"),
    )

    id: Mapped[Id]
    kind: Mapped[str]  # hot | full
    opened_at: Mapped[CreatedAt]
    selected: Mapped[int]
    claimed: Mapped[int] = mapped_column(server_default="0")
    skipped: Mapped[dict[str, Any]] = mapped_column(server_default="{}")  # reason: n
    closed_at: Mapped[datetime | None]
    closed_by: Mapped[str | None]  # chord | reconcile
    counts: Mapped[dict[str, Any] | None]  # final state: n
    amounts: Mapped[dict[str, Any] | None]  # currency: settled amount as text
    cut_off: Mapped[int | None]


_OPEN_STATES = ", ".join(f"'{state}'" for state in sorted(OPEN))


class Attempt(Base):
    """The only thing that moves money; see `replenish.domain.attempt`.

    What the gateway is told (account, card, amount, currency, customer, payment
    method) is frozen at the claim; a trigger refuses to change it.
    """

    __tablename__ = "attempt"
    __table_args__ = (
        sa.Index(
            "uq_attempt_open",
            "account_id",
            unique=True,
            postgresql_where=sa.text(f"state IN ({_OPEN_STATES})"),
        ),
        sa.Index(
            "ix_attempt_nudge",
            "nudge_at",
            postgresql_where=sa.text(f"state IN ({_OPEN_STATES})"),
        ),
        sa.Index("ix_attempt_account_claimed", "account_id", "claimed_at"),
        sa.Index(
            "ix_attempt_declined",
            "fingerprint",
            "changed_at",
            postgresql_where=sa.text("state IN ('declined', 'action_required')"),
        ),
        sa.Index(
            "ix_attempt_uncredited",
            "claimed_at",
            postgresql_where=sa.text("state = 'charged'"),
        ),
        sa.Index("ix_attempt_batch", "batch_id"),
        sa.Index(
            "ix_attempt_settled",
            "settled_at",
            "id",
            postgresql_where=sa.text("state = 'settled'"),
        ),
        sa.Index("ix_attempt_intent", "intent"),
        sa.Index(
            "ix_attempt_in_flight",
            "fingerprint",
            postgresql_where=sa.text("state IN ('claimed', 'charging', 'unknown')"),
        ),
        sa.Index(
            "ix_attempt_answered",
            "changed_at",
            postgresql_where=sa.text(
                "state IN ('charged', 'settled', 'declined', 'action_required')"
            ),
        ),
        sa.Index(
            "ix_attempt_largest",
            "account_id",
            "amount",
            postgresql_where=sa.text("state = 'settled'"),
        ),
        sa.CheckConstraint("amount > 0", name="amount_positive"),
        {"postgresql_with": {"fillfactor": 60}},
    )

    id: Mapped[Id]
    account_id: Mapped[str] = mapped_column(sa.ForeignKey(Account.id))
    card_id: Mapped[int | None] = mapped_column(sa.ForeignKey(Card.id))
    amount: Mapped[Amount]
    currency: Mapped[Currency]
    customer: Mapped[str]
    payment_method: Mapped[str]
    fingerprint: Mapped[str]
    state: Mapped[State]
    batch_id: Mapped[str | None] = mapped_column(
        sa.Uuid(as_uuid=False), sa.ForeignKey(Batch.id)
    )
    intent: Mapped[str | None]  # pi_…
    confirms: Mapped[int] = mapped_column(server_default="0")
    available_before: Mapped[Amount | None]  # what the claim was decided on
    reason: Mapped[str] = mapped_column(server_default="")  # of the last change
    evidence: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    actor: Mapped[str] = mapped_column(server_default="")  # who made the last change
    lease: Mapped[str | None] = mapped_column(sa.Uuid(as_uuid=False))
    next_at: Mapped[datetime] = mapped_column(server_default=sa.func.now())
    # ^ the lease's end, or when to go on: nobody takes it before
    nudge_at: Mapped[datetime] = mapped_column(server_default=sa.func.now())
    # ^ when reconcile hands it out again, if it is still open
    takes: Mapped[int] = mapped_column(server_default="0")
    lost: Mapped[int] = mapped_column(server_default="0")
    # ^ workers lost in a row since its last step; the present one not counted
    claimed_at: Mapped[CreatedAt]
    changed_at: Mapped[CreatedAt]  # last change of state
    charged_at: Mapped[datetime | None]
    settled_at: Mapped[datetime | None]


class Turn(Base):
    """A worker's turn on an account that has no open attempt; gone when it ended."""

    __tablename__ = "turn"

    account_id: Mapped[str] = mapped_column(sa.ForeignKey(Account.id), primary_key=True)
    worker: Mapped[str]
    until: Mapped[datetime]  # a turn that is not ended by then has lost its worker
    lost: Mapped[int] = mapped_column(server_default="0")  # those before it, in a row


class Event(Base):
    """What happened to an account, in order; only ever added to, hash-chained."""

    __tablename__ = "event"
    __table_args__ = (
        sa.UniqueConstraint("account_id", "seq"),
        sa.Index("ix_event_attempt", "attempt_id"),
        sa.Index("ix_event_at", "at"),
    )

    id: Mapped[int] = mapped_column(sa.BigInteger, sa.Identity(), primary_key=True)
    account_id: Mapped[str]
    seq: Mapped[int] = mapped_column(sa.BigInteger)
    attempt_id: Mapped[str | None] = mapped_column(sa.Uuid(as_uuid=False))
    kind: Mapped[str]  # attempt | enrolled | card_added | paused | cut_off | …
    from_state: Mapped[str | None]
    to_state: Mapped[str | None]
    at: Mapped[CreatedAt]
    actor: Mapped[str]
    detail: Mapped[dict[str, Any]]
    previous: Mapped[str]  # hash of the event before, '' for the first
    hash: Mapped[str]


class Chain(Base):
    """The head of each account's event chain."""

    __tablename__ = "chain"
    __table_args__ = {"postgresql_with": {"fillfactor": 50}}  # noqa: RUF012

    account_id: Mapped[str] = mapped_column(primary_key=True)
    seq: Mapped[int] = mapped_column(sa.BigInteger)
    hash: Mapped[str]


class Transition(Base):
    """The steps an attempt may take; a copy of `domain.attempt.TRANSITIONS`."""

    __tablename__ = "transition"

    from_state: Mapped[str] = mapped_column(primary_key=True)
    to_state: Mapped[str] = mapped_column(primary_key=True)


class Skip(Base):
    """Why an account is not charged at present; one row an account."""

    __tablename__ = "skip"
    __table_args__ = (
        sa.Index("ix_skip_batch", "batch_id"),
        {"postgresql_with": {"fillfactor": 70}},
    )

    account_id: Mapped[str] = mapped_column(primary_key=True)
    decision: Mapped[str]  # wait | leave | cut_off
    reason: Mapped[str]
    detail: Mapped[str] = mapped_column(server_default="")
    until: Mapped[datetime | None]
    available: Mapped[Amount | None]
    batch_id: Mapped[str | None] = mapped_column(sa.Uuid(as_uuid=False))
    first_at: Mapped[CreatedAt]
    last_at: Mapped[CreatedAt]
    times: Mapped[int] = mapped_column(sa.BigInteger, server_default="1")


class CutOff(Base):
    """A service that we ended; standing while `restored_at` is NULL."""

    __tablename__ = "cut_off"
    __table_args__ = (
        sa.Index(
            "uq_cut_off_standing",
            "account_id",
            unique=True,
            postgresql_where=sa.text("restored_at IS NULL"),
        ),
        sa.Index("ix_cut_off_begun_at", "begun_at"),
    )

    id: Mapped[int] = mapped_column(sa.BigInteger, sa.Identity(), primary_key=True)
    account_id: Mapped[str] = mapped_column(sa.ForeignKey(Account.id))
    reason: Mapped[str]
    detail: Mapped[str] = mapped_column(server_default="")
    available: Mapped[Amount]
    begun_at: Mapped[CreatedAt]
    done_at: Mapped[datetime | None]
    restored_at: Mapped[datetime | None]
    restored_why: Mapped[str | None]


class CreditBreak(Base):
    """A credit that went missing from its balance after it was settled.

    `amount` is what is put right, once; NULL: only a person can say.
    """

    __tablename__ = "credit_break"
    __table_args__ = (
        sa.Index(
            "ix_credit_break_unfinished",
            "found_at",
            postgresql_where=sa.text("amount IS NOT NULL AND put_right_at IS NULL"),
        ),
    )

    attempt_id: Mapped[str] = mapped_column(
        sa.Uuid(as_uuid=False), sa.ForeignKey(Attempt.id), primary_key=True
    )
    account_id: Mapped[str] = mapped_column(sa.ForeignKey(Account.id))
    missing: Mapped[Amount]
    amount: Mapped[Amount | None]
    found_at: Mapped[CreatedAt]
    put_right_at: Mapped[datetime | None]
    put_right_how: Mapped[str | None]
    again_at: Mapped[datetime | None]  # when it was missing once more, and held


class Job(Base):
    """A periodic job: whose turn it is, when it last ran, and its cursor."""

    __tablename__ = "job"

    name: Mapped[str] = mapped_column(primary_key=True)
    busy_until: Mapped[datetime | None]
    begun_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    detail: Mapped[str] = mapped_column(server_default="")
    cursor: Mapped[str | None]


class Stop(Base):
    """The switch that stops all charging: at most one row."""

    __tablename__ = "stop"
    __table_args__ = (sa.CheckConstraint("id = 1", name="only_one"),)

    id: Mapped[int] = mapped_column(primary_key=True, server_default="1")
    reason: Mapped[str]
    since: Mapped[CreatedAt]


class Breaker(Base):
    """A stop of all charging that the rows themselves brought about.

    It stands while `ended_at` is NULL and `until`, if there is one, is not over.
    """

    __tablename__ = "breaker"
    __table_args__ = (
        sa.Index(
            "uq_breaker_standing",
            "name",
            unique=True,
            postgresql_where=sa.text("ended_at IS NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(sa.BigInteger, sa.Identity(), primary_key=True)
    name: Mapped[str]  # charge_rate | decline_share | gateway_down
    since: Mapped[CreatedAt]
    until: Mapped[datetime | None]  # when it ends by itself
    by_hand: Mapped[bool]
    detail: Mapped[str]
    ended_at: Mapped[datetime | None]
    ended_by: Mapped[str | None]


class Clearance(Base):
    """A person's word that an account may use a card number of many accounts."""

    __tablename__ = "clearance"

    account_id: Mapped[str] = mapped_column(sa.ForeignKey(Account.id), primary_key=True)
    fingerprint: Mapped[str] = mapped_column(primary_key=True)
    cleared_at: Mapped[CreatedAt]
    actor: Mapped[str]


class Installation(Base):
    """Who we are at the gateway: one row, drawn when the schema was made."""

    __tablename__ = "installation"
    __table_args__ = (sa.CheckConstraint("id = 1", name="only_one"),)

    id: Mapped[int] = mapped_column(primary_key=True, server_default="1")
    mark: Mapped[str] = mapped_column(
        sa.Uuid(as_uuid=False), server_default=sa.text("gen_random_uuid()")
    )


class Orphan(Base):
    """A charge at the gateway with our mark on it and no attempt of ours."""

    __tablename__ = "orphan"

    intent: Mapped[str] = mapped_column(primary_key=True)
    attempt_id: Mapped[str]
    account_id: Mapped[str]
    amount: Mapped[Amount]
    currency: Mapped[Currency]
    seen_at: Mapped[CreatedAt]
    adopted: Mapped[bool] = mapped_column(server_default=sa.false())
    note: Mapped[str] = mapped_column(server_default="")
