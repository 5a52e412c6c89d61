"""Which replica works on a request, a watch or a message, and under which epoch."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_HELD = ("request", "watch", "delivery")


def upgrade() -> None:
    op.create_table(
        "replica",
        sa.Column("name", sa.String(), primary_key=True),
        sa.Column("version", sa.String(), nullable=False),
        sa.Column("until", sa.Float(), nullable=False),
    )
    for name in _HELD:
        with op.batch_alter_table(name) as table:
            table.add_column(sa.Column("holder", sa.Text(), nullable=False, server_default=""))
            table.add_column(sa.Column("epoch", sa.Integer(), nullable=False, server_default="0"))


def downgrade() -> None:
    for name in _HELD:
        with op.batch_alter_table(name) as table:
            table.drop_column("epoch")
            table.drop_column("holder")
    op.drop_table("replica")
