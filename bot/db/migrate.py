"""Bring the database to the newest schema."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import structlog
from sqlalchemy import Connection, inspect
from sqlalchemy.ext.asyncio import AsyncEngine

from bot.db.engine import sqlite_file

log = structlog.get_logger(__name__)

MIGRATIONS = Path(__file__).with_name("migrations")


def newest() -> str:
    """The revision that the last of the migrations leads to; each file begins with its own."""
    return max(each.name.partition("_")[0] for each in (MIGRATIONS / "versions").glob("0*.py"))


def present(connection: Connection) -> str:
    """The revision that the database is at; "" before the first."""
    if not inspect(connection).has_table("alembic_version"):
        return ""
    found = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
    return str(found or "")


def is_newer(revision: str) -> bool:
    """Made by a later version than this one."""
    return revision.isdigit() and revision > newest()


async def migrate(engine: AsyncEngine) -> bool:
    """Apply every migration that is missing; safe at each start and by several processes.

    False where a later version did so before. Migrations only add what the version before can do
    without, so that it goes on beside the later one, and in its place if that is taken back.

    Raises `BadSettings` where a SQLite file is no database.
    """
    with sqlite_file():
        async with engine.begin() as connection:
            found = await connection.run_sync(present)
            if is_newer(found):
                log.warning("database_is_newer", schema=found, known=newest())
                return False
            if found != newest():
                # Alembic costs a good part of a start's time, and most have nothing to migrate.
                await connection.run_sync(import_module("bot.db.upgrading").upgrade)
    return True
