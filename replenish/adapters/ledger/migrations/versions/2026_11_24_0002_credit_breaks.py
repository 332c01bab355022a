"""Credits that went missing from their balances, and the index they are found by.

Revises: the ledger.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """A table of breaks, and the settled attempts in their order."""
    op.create_table(
        "credit_break",
        sa.Column("attempt_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("missing", sa.Numeric(precision=19, scale=6), nullable=False),
        sa.Column("amount", sa.Numeric(precision=19, scale=6), nullable=True),
        sa.Column(
            "found_at",
            sa.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("put_right_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("put_right_how", sa.Text(), nullable=True),
        sa.Column("again_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["account_id"],
            ["replenish.account.id"],
            name="fk_credit_break_account_id_account",
        ),
        sa.ForeignKeyConstraint(
            ["attempt_id"],
            ["replenish.attempt.id"],
            name="fk_credit_break_attempt_id_attempt",
        ),
        sa.PrimaryKeyConstraint("attempt_id", name="pk_credit_break"),
        schema="replenish",
    )
    op.create_index(
        "ix_credit_break_unfinished",
        "credit_break",
        ["found_at"],
        schema="replenish",
        postgresql_where=sa.text("amount IS NOT NULL AND put_right_at IS NULL"),
    )
    op.create_index(
        "ix_attempt_settled",
        "attempt",
        ["settled_at", "id"],
        schema="replenish",
        postgresql_where=sa.text("state = 'settled'"),
    )
    op.create_index(
        "ix_attempt_uncredited",
        "attempt",
        ["claimed_at"],
        schema="replenish",
        postgresql_where=sa.text("state = 'charged'"),
    )


def downgrade() -> None:
    """Refuse: the ledger is never thrown away; restore a backup instead."""
    raise NotImplementedError
