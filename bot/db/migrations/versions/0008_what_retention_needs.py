"""What was made is found by an index"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

MADE = sa.text("made <> ''")


def upgrade() -> None:
    op.create_index("ix_record_made", "record", ["made"], sqlite_where=MADE, postgresql_where=MADE)


def downgrade() -> None:
    op.drop_index("ix_record_made", "record")
