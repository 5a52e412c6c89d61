"""Where the audit trail ends, so that a missing end is found."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "audit_head",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("hash", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_head")),
    )
    op.execute(
        "INSERT INTO audit_head (id, seq, hash)"
        " SELECT 1, seq, hash FROM audit ORDER BY seq DESC LIMIT 1"
    )
    op.execute("UPDATE record SET result = 'to_send' WHERE result = 'todo'")


def downgrade() -> None:
    op.drop_table("audit_head")
