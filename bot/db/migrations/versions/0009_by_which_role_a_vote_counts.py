"""By which role and account at the vendor somebody approved."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("vote") as table:
        table.add_column(sa.Column("role", sa.Text(), nullable=False, server_default=""))
        table.add_column(sa.Column("account", sa.Text(), nullable=False, server_default=""))


def downgrade() -> None:
    with op.batch_alter_table("vote") as table:
        table.drop_column("account")
        table.drop_column("role")
