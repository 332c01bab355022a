"""The ledger: its tables, and the journal that the database keeps of them.

Revises: nothing.
"""

from pathlib import Path

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

STEPS = (
    "claimed charging",
    "claimed released",
    "charging unknown",
    "charging charged",
    "charging declined",
    "charging action_required",
    "charging cancelled",
    "unknown charging",
    "unknown charged",
    "unknown declined",
    "unknown action_required",
    "unknown cancelled",
    "charged settled",
)


def upgrade() -> None:
    """The ledger."""
    _tables()
    _journal()
    op.execute("INSERT INTO replenish.installation DEFAULT VALUES")


def _tables() -> None:
    op.create_table(
        "account",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("threshold", sa.Numeric(precision=19, scale=6), nullable=True),
        sa.Column("top_up", sa.Numeric(precision=19, scale=6), nullable=True),
        sa.Column(
            "top_up_kind",
            sa.Enum(
                "fixed",
                "target",
                name="topupkind",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=True,
        ),
        sa.Column("cap_charge", sa.Numeric(precision=19, scale=6), nullable=True),
        sa.Column("cap_day", sa.Numeric(precision=19, scale=6), nullable=True),
        sa.Column("cap_month", sa.Numeric(precision=19, scale=6), nullable=True),
        sa.Column("count_day", sa.Integer(), nullable=True),
        sa.Column("cooldown", sa.Interval(), nullable=True),
        sa.Column("floor", sa.Numeric(precision=19, scale=6), nullable=True),
        sa.Column("grace", sa.Numeric(precision=19, scale=6), nullable=True),
        sa.Column("time_zone", sa.Text(), nullable=True),
        sa.Column("consent_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("consent_text", sa.Text(), nullable=True),
        sa.Column("consent_source", sa.Text(), nullable=True),
        sa.Column("paused_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("pause_reason", sa.Text(), nullable=True),
        sa.Column(
            "episode_at",
            sa.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("low_since", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("not_before", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.Column(
            "enrolled_at",
            sa.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_account")),
        schema="replenish",
        postgresql_with={"fillfactor": 70},
    )
    op.create_index(
        "ix_account_low",
        "account",
        ["id"],
        unique=False,
        schema="replenish",
        postgresql_where=sa.text("low_since IS NOT NULL"),
    )
    op.create_table(
        "batch",
        sa.Column("id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column(
            "opened_at",
            sa.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("selected", sa.Integer(), nullable=False),
        sa.Column("claimed", sa.Integer(), server_default="0", nullable=False),
        sa.Column(
            "skipped",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default="{}",
            nullable=False,
        ),
        sa.Column("closed_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("closed_by", sa.Text(), nullable=True),
        sa.Column("counts", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("amounts", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("cut_off", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_batch")),
        schema="replenish",
    )
    op.create_index(
        "ix_batch_opened_at", "batch", ["opened_at"], unique=False, schema="replenish"
    )
    op.create_index(
        "ix_batch_unclosed",
        "batch",
        ["opened_at"],
        unique=False,
        schema="replenish",
        postgresql_where=sa.text("closed_at IS NULL"),
    )
    op.create_table(
        "chain",
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", name=op.f("pk_chain")),
        schema="replenish",
        postgresql_with={"fillfactor": 50},
    )
    op.create_table(
        "event",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("attempt_id", sa.Uuid(as_uuid=False), nullable=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("from_state", sa.Text(), nullable=True),
        sa.Column("to_state", sa.Text(), nullable=True),
        sa.Column(
            "at",
            sa.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("detail", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("previous", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_event")),
        sa.UniqueConstraint("account_id", "seq", name=op.f("uq_event_account_id_seq")),
        schema="replenish",
    )
    op.create_index("ix_event_at", "event", ["at"], unique=False, schema="replenish")
    op.create_index(
        "ix_event_attempt", "event", ["attempt_id"], unique=False, schema="replenish"
    )
    op.create_table(
        "job",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("busy_until", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("begun_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("ended_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("detail", sa.Text(), server_default="", nullable=False),
        sa.Column("cursor", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_job")),
        schema="replenish",
    )
    op.create_table(
        "orphan",
        sa.Column("intent", sa.Text(), nullable=False),
        sa.Column("attempt_id", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("amount", sa.Numeric(precision=19, scale=6), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column(
            "seen_at",
            sa.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column(
            "adopted", sa.Boolean(), server_default=sa.text("false"), nullable=False
        ),
        sa.Column("note", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("intent", name=op.f("pk_orphan")),
        schema="replenish",
    )
    op.create_table(
        "skip",
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("decision", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), server_default="", nullable=False),
        sa.Column("until", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("available", sa.Numeric(precision=19, scale=6), nullable=True),
        sa.Column("batch_id", sa.Uuid(as_uuid=False), nullable=True),
        sa.Column(
            "first_at",
            sa.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column(
            "last_at",
            sa.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("times", sa.BigInteger(), server_default="1", nullable=False),
        sa.PrimaryKeyConstraint("account_id", name=op.f("pk_skip")),
        schema="replenish",
        postgresql_with={"fillfactor": 70},
    )
    op.create_index(
        "ix_skip_batch", "skip", ["batch_id"], unique=False, schema="replenish"
    )
    op.create_table(
        "stop",
        sa.Column("id", sa.Integer(), server_default="1", nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column(
            "since",
            sa.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.CheckConstraint("id = 1", name=op.f("ck_stop_only_one")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_stop")),
        schema="replenish",
    )
    op.create_table(
        "installation",
        sa.Column("id", sa.Integer(), server_default="1", nullable=False),
        sa.Column(
            "mark",
            sa.Uuid(as_uuid=False),
            server_default=sa.text("gen_random_uuid()"),
            nullable=False,
        ),
        sa.CheckConstraint("id = 1", name=op.f("ck_installation_only_one")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_installation")),
        schema="replenish",
    )
    op.create_table(
        "transition",
        sa.Column("from_state", sa.Text(), nullable=False),
        sa.Column("to_state", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("from_state", "to_state", name=op.f("pk_transition")),
        schema="replenish",
    )
    op.create_table(
        "card",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("customer", sa.Text(), nullable=False),
        sa.Column("payment_method", sa.Text(), nullable=False),
        sa.Column("brand", sa.Text(), nullable=False),
        sa.Column("last4", sa.String(length=4), nullable=False),
        sa.Column("exp_month", sa.Integer(), nullable=False),
        sa.Column("exp_year", sa.Integer(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("country", sa.Text(), server_default="", nullable=False),
        sa.Column("priority", sa.Integer(), server_default="0", nullable=False),
        sa.Column("retry_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("dead_reason", sa.Text(), nullable=True),
        sa.Column("dead_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("removed_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.Column(
            "added_at",
            sa.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["account_id"],
            ["replenish.account.id"],
            name=op.f("fk_card_account_id_account"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_card")),
        sa.UniqueConstraint(
            "account_id",
            "payment_method",
            name=op.f("uq_card_account_id_payment_method"),
        ),
        schema="replenish",
    )
    op.create_index(
        "ix_card_fingerprint", "card", ["fingerprint"], unique=False, schema="replenish"
    )
    op.create_table(
        "cut_off",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), server_default="", nullable=False),
        sa.Column("available", sa.Numeric(precision=19, scale=6), nullable=False),
        sa.Column(
            "begun_at",
            sa.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("done_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("restored_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("restored_why", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["account_id"],
            ["replenish.account.id"],
            name=op.f("fk_cut_off_account_id_account"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_cut_off")),
        schema="replenish",
    )
    op.create_index(
        "ix_cut_off_begun_at", "cut_off", ["begun_at"], unique=False, schema="replenish"
    )
    op.create_index(
        "uq_cut_off_standing",
        "cut_off",
        ["account_id"],
        unique=True,
        schema="replenish",
        postgresql_where=sa.text("restored_at IS NULL"),
    )
    op.create_table(
        "attempt",
        sa.Column("id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("card_id", sa.BigInteger(), nullable=True),
        sa.Column("amount", sa.Numeric(precision=19, scale=6), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("customer", sa.Text(), nullable=False),
        sa.Column("payment_method", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "claimed",
                "charging",
                "unknown",
                "charged",
                "settled",
                "declined",
                "action_required",
                "cancelled",
                "released",
                name="state",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("batch_id", sa.Uuid(as_uuid=False), nullable=True),
        sa.Column("intent", sa.Text(), nullable=True),
        sa.Column("confirms", sa.Integer(), server_default="0", nullable=False),
        sa.Column("available_before", sa.Numeric(precision=19, scale=6), nullable=True),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column(
            "evidence",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default="{}",
            nullable=False,
        ),
        sa.Column("actor", sa.Text(), server_default="", nullable=False),
        sa.Column("lease", sa.Uuid(as_uuid=False), nullable=True),
        sa.Column(
            "next_at",
            sa.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column(
            "nudge_at",
            sa.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("takes", sa.Integer(), server_default="0", nullable=False),
        sa.Column(
            "claimed_at",
            sa.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column(
            "changed_at",
            sa.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("charged_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("settled_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.CheckConstraint("amount > 0", name=op.f("ck_attempt_amount_positive")),
        sa.ForeignKeyConstraint(
            ["account_id"],
            ["replenish.account.id"],
            name=op.f("fk_attempt_account_id_account"),
        ),
        sa.ForeignKeyConstraint(
            ["batch_id"], ["replenish.batch.id"], name=op.f("fk_attempt_batch_id_batch")
        ),
        sa.ForeignKeyConstraint(
            ["card_id"], ["replenish.card.id"], name=op.f("fk_attempt_card_id_card")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_attempt")),
        schema="replenish",
        postgresql_with={"fillfactor": 60},
    )
    op.create_index(
        "ix_attempt_account_claimed",
        "attempt",
        ["account_id", "claimed_at"],
        unique=False,
        schema="replenish",
    )
    op.create_index(
        "ix_attempt_batch", "attempt", ["batch_id"], unique=False, schema="replenish"
    )
    op.create_index(
        "ix_attempt_declined",
        "attempt",
        ["fingerprint", "changed_at"],
        unique=False,
        schema="replenish",
        postgresql_where=sa.text("state IN ('declined', 'action_required')"),
    )
    op.create_index(
        "ix_attempt_intent", "attempt", ["intent"], unique=False, schema="replenish"
    )
    op.create_index(
        "ix_attempt_nudge",
        "attempt",
        ["nudge_at"],
        unique=False,
        schema="replenish",
        postgresql_where=sa.text(
            "state IN ('charged', 'charging', 'claimed', 'unknown')"
        ),
    )
    op.create_index(
        "uq_attempt_open",
        "attempt",
        ["account_id"],
        unique=True,
        schema="replenish",
        postgresql_where=sa.text(
            "state IN ('charged', 'charging', 'claimed', 'unknown')"
        ),
    )


def _journal() -> None:
    sql = Path(__file__).with_name("2026_11_23_0001_journal.sql").read_text("utf-8")
    op.get_bind().exec_driver_sql(sql.replace("%", "%%"))
    rows = (step.split() for step in STEPS)
    op.bulk_insert(
        sa.table(
            "transition",
            sa.column("from_state"),
            sa.column("to_state"),
            schema="replenish",
        ),
        [{"from_state": old, "to_state": new} for old, new in rows],
    )


def downgrade() -> None:
    """Refuse: the ledger is never thrown away; restore a backup instead."""
    raise NotImplementedError
