"""What a vendor did by itself after an edit, and whether a request is to run in the quiet window"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("record", schema=None) as batch_op:
        batch_op.add_column(sa.Column("later", sa.Text(), nullable=False, server_default=""))
    with op.batch_alter_table("request", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column("in_quiet", sa.Boolean(), nullable=False, server_default=sa.false())
        )


def downgrade() -> None:
    with op.batch_alter_table("request", schema=None) as batch_op:
        batch_op.drop_column("in_quiet")
    with op.batch_alter_table("record", schema=None) as batch_op:
        batch_op.drop_column("later")
