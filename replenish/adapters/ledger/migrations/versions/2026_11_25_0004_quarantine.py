"""Lost workers are counted, and accounts that lose too many are quarantined.

Revises: the limits.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """A count beside each lease, turns without an attempt, and the quarantine."""
    op.add_column(
        "attempt",
        sa.Column("lost", sa.Integer(), server_default="0", nullable=False),
        schema="replenish",
    )
    op.add_column(
        "account",
        sa.Column("quarantined_at", sa.TIMESTAMP(timezone=True), nullable=True),
        schema="replenish",
    )
    op.create_index(
        "ix_account_quarantined",
        "account",
        ["id"],
        schema="replenish",
        postgresql_where=sa.text("quarantined_at IS NOT NULL"),
    )
    op.create_table(
        "turn",
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("worker", sa.Text(), nullable=False),
        sa.Column("until", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("lost", sa.Integer(), server_default="0", nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"],
            ["replenish.account.id"],
            name="fk_turn_account_id_account",
        ),
        sa.PrimaryKeyConstraint("account_id", name="pk_turn"),
        schema="replenish",
    )


def downgrade() -> None:
    """Refuse: the ledger is never thrown away; restore a backup instead."""
    raise NotImplementedError
