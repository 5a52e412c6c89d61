"""Which replica renews a person's credentials, and until when."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("credential") as table:
        table.add_column(
            sa.Column("renewing_until", sa.Float(), nullable=False, server_default="0")
        )


def downgrade() -> None:
    with op.batch_alter_table("credential") as table:
        table.drop_column("renewing_until")
