"""Why a vote did not count when the votes were last counted."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("vote") as table:
        table.add_column(sa.Column("lapsed", sa.Text(), nullable=False, server_default=""))


def downgrade() -> None:
    with op.batch_alter_table("vote") as table:
        table.drop_column("lapsed")
