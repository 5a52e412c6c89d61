"""Bring the database to the newest schema."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncEngine


def alembic_config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")))
    return config


def upgrade(connection: Connection, to: str = "head") -> None:
    """Apply what is missing up to a revision, inside the connection's transaction."""
    config = alembic_config()
    config.attributes["connection"] = connection
    if connection.dialect.name == "postgresql":
        # Replicas that start together take turns; the lock goes with the transaction.
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(71094027)")
    command.upgrade(config, to)


async def migrate(engine: AsyncEngine) -> None:
    """Apply every migration that is missing; safe at each start and by several processes."""
    async with engine.begin() as connection:
        await connection.run_sync(upgrade)
