"""Alembic's environment: runs on the connection that `bot.db.upgrading` hands over."""

from alembic import context
from sqlmodel import SQLModel

from bot.db import tables

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=SQLModel.metadata,
    include_name=lambda name, kind, _parents: kind != "table" or name in tables.OURS,
    render_as_batch=True,
    compare_type=True,
)

with context.begin_transaction():
    context.run_migrations()
