"""When a request was released to run: submitted, or approved where it needs that."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("request") as table:
        table.add_column(sa.Column("released_at", sa.Float(), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("request") as table:
        table.drop_column("released_at")
