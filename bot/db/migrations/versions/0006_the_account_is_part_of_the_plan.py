"""Under which account a request goes out, and how often Amend itself failed on it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("request") as table:
        table.add_column(sa.Column("account", sa.Text(), nullable=False, server_default=""))
        table.add_column(
            sa.Column("own_account", sa.Boolean(), nullable=False, server_default=sa.false())
        )
        table.add_column(sa.Column("failures", sa.Integer(), nullable=False, server_default="0"))
        table.add_column(sa.Column("retry_at", sa.Float(), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("request") as table:
        table.drop_column("retry_at")
        table.drop_column("failures")
        table.drop_column("own_account")
        table.drop_column("account")
