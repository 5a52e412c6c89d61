"""Alembic's part of a migration; loaded where there is something to migrate."""

from __future__ import annotations

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Connection

from bot.db.migrate import MIGRATIONS
from bot.domain.errors import AmendError


def upgrade(connection: Connection, to: str = "head") -> None:
    """Apply what is missing up to a revision, inside the connection's transaction.

    Raises `AmendError` where the database is at a revision that is not known here.
    """
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    if connection.dialect.name == "postgresql":
        # Replicas that start together take turns; the lock goes with the transaction.
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(71094027)")
    try:
        command.upgrade(config, to)
    except CommandError:
        message = (
            "DATABASE_URL: the database has a schema that this version of Amend does not know."
        )
        raise AmendError(message) from None
