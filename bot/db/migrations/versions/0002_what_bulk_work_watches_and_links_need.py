"""What bulk work, watches and links need"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "credential",
        sa.Column("team", sa.String(), nullable=False),
        sa.Column("slack_user", sa.String(), nullable=False),
        sa.Column("vendor", sa.String(), nullable=False),
        sa.Column("account", sa.String(), nullable=False),
        sa.Column("sealed", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("team", "slack_user", "vendor", name=op.f("pk_credential")),
    )
    op.create_table(
        "news",
        sa.Column("watch_id", sa.String(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("vendor", sa.String(), nullable=False),
        sa.Column("record_id", sa.String(), nullable=False),
        sa.Column("label", sa.String(), nullable=False),
        sa.Column("from_state", sa.String(), nullable=False),
        sa.Column("to_state", sa.String(), nullable=False),
        sa.Column("at", sa.String(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("url", sa.String(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("told", sa.Integer(), nullable=False),
        sa.Column("noticed_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("watch_id", "seq", name=op.f("pk_news")),
    )
    with op.batch_alter_table("news", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_news_record_id"), ["record_id"], unique=False)
        batch_op.create_index("ix_news_watch_id_told", ["watch_id", "told"], unique=False)

    op.create_table(
        "watch",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("team", sa.String(), nullable=False),
        sa.Column("channel", sa.String(), nullable=False),
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("watcher", sa.String(), nullable=False),
        sa.Column("selection", sa.JSON(), nullable=False),
        sa.Column("mode", sa.String(), nullable=False),
        sa.Column("quiet", sa.JSON(), nullable=False),
        sa.Column("cursor", sa.Text(), nullable=False),
        sa.Column("based", sa.Boolean(), nullable=False),
        sa.Column("next_at", sa.Float(), nullable=False),
        sa.Column("polled_at", sa.Float(), nullable=True),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("trouble", sa.Text(), nullable=False),
        sa.Column("parked", sa.String(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_watch")),
    )
    with op.batch_alter_table("watch", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_watch_channel"), ["channel"], unique=False)

    op.create_table(
        "watched",
        sa.Column("watch_id", sa.String(), nullable=False),
        sa.Column("record_id", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("watch_id", "record_id", name=op.f("pk_watched")),
    )
    with op.batch_alter_table("draft", schema=None) as batch_op:
        batch_op.add_column(sa.Column("source", sa.String(), nullable=False, server_default=""))

    with op.batch_alter_table("record", schema=None) as batch_op:
        batch_op.add_column(sa.Column("made", sa.String(), nullable=False, server_default=""))
        batch_op.add_column(sa.Column("changes", sa.JSON(), nullable=True))
        batch_op.add_column(sa.Column("key", sa.String(), nullable=False, server_default=""))
        batch_op.add_column(sa.Column("places", sa.JSON(), nullable=False, server_default="[]"))

    with op.batch_alter_table("record", schema=None) as batch_op:
        batch_op.create_index("ix_record_record_id", ["record_id"], unique=False)

    with op.batch_alter_table("request", schema=None) as batch_op:
        batch_op.add_column(sa.Column("source", sa.String(), nullable=False, server_default=""))
        batch_op.add_column(sa.Column("relation", sa.String(), nullable=False, server_default=""))
        batch_op.add_column(sa.Column("reason", sa.Text(), nullable=False, server_default=""))
        batch_op.add_column(sa.Column("notes", sa.JSON(), nullable=False, server_default="[]"))
        batch_op.add_column(sa.Column("wished_at", sa.Float(), nullable=True))
        batch_op.add_column(sa.Column("remind_at", sa.Float(), nullable=True))
        batch_op.add_column(
            sa.Column("reminders", sa.Integer(), nullable=False, server_default="0")
        )
        batch_op.add_column(sa.Column("follow_until", sa.Float(), nullable=True))
        batch_op.create_index(batch_op.f("ix_request_source"), ["source"], unique=False)


def downgrade() -> None:
    with op.batch_alter_table("draft", schema=None) as batch_op:
        batch_op.drop_column("source")

    with op.batch_alter_table("request", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_request_source"))
        batch_op.drop_column("follow_until")
        batch_op.drop_column("reminders")
        batch_op.drop_column("remind_at")
        batch_op.drop_column("wished_at")
        batch_op.drop_column("notes")
        batch_op.drop_column("reason")
        batch_op.drop_column("relation")
        batch_op.drop_column("source")

    with op.batch_alter_table("record", schema=None) as batch_op:
        batch_op.drop_index("ix_record_record_id")
        batch_op.drop_column("places")
        batch_op.drop_column("key")
        batch_op.drop_column("changes")
        batch_op.drop_column("made")

    op.drop_table("watched")
    with op.batch_alter_table("watch", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_watch_channel"))

    op.drop_table("watch")
    with op.batch_alter_table("news", schema=None) as batch_op:
        batch_op.drop_index("ix_news_watch_id_told")
        batch_op.drop_index(batch_op.f("ix_news_record_id"))

    op.drop_table("news")
    op.drop_table("credential")
