"""Under which account a request goes out."""

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


def downgrade() -> None:
    with op.batch_alter_table("request") as table:
        table.drop_column("own_account")
        table.drop_column("account")
