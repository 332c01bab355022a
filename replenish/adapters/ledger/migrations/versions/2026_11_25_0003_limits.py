"""Limits over many accounts: breakers, clearances, and what they are looked up by.

Revises: credit breaks.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Two tables, a column, and three partial indexes on attempts."""
    op.add_column(
        "account",
        sa.Column("released_up_to", sa.Numeric(precision=19, scale=6), nullable=True),
        schema="replenish",
    )
    op.create_table(
        "breaker",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        _now("since"),
        sa.Column("until", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("by_hand", sa.Boolean(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("ended_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("ended_by", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_breaker"),
        schema="replenish",
    )
    op.create_index(
        "uq_breaker_standing",
        "breaker",
        ["name"],
        unique=True,
        schema="replenish",
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.create_table(
        "clearance",
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        _now("cleared_at"),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"],
            ["replenish.account.id"],
            name="fk_clearance_account_id_account",
        ),
        sa.PrimaryKeyConstraint("account_id", "fingerprint", name="pk_clearance"),
        schema="replenish",
    )
    _index_attempts(
        "ix_attempt_in_flight",
        ["fingerprint"],
        "state IN ('claimed', 'charging', 'unknown')",
    )
    _index_attempts(
        "ix_attempt_answered",
        ["changed_at"],
        "state IN ('charged', 'settled', 'declined', 'action_required')",
    )
    _index_attempts("ix_attempt_largest", ["account_id", "amount"], "state = 'settled'")


def downgrade() -> None:
    """Refuse: the ledger is never thrown away; restore a backup instead."""
    raise NotImplementedError


def _now(name: str) -> sa.Column[object]:
    return sa.Column(
        name,
        sa.TIMESTAMP(timezone=True),
        server_default=sa.text("now()"),
        nullable=False,
    )


def _index_attempts(name: str, columns: list[str], where: str) -> None:
    op.create_index(
        name, "attempt", columns, schema="replenish", postgresql_where=sa.text(where)
    )
