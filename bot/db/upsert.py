"""Inserting what another replica may insert at the same moment, without a gap between look and act."""

from __future__ import annotations

from typing import Any

from sqlalchemy import inspect, literal
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import SQLModel
from sqlmodel.ext.asyncio.session import AsyncSession


async def put_new(session: AsyncSession, row: SQLModel) -> bool:
    """Insert a row; False (and nothing changes) where one with its key is there already."""
    connection = await session.connection()
    statement = _insert(connection.dialect.name, row)
    new = statement.on_conflict_do_nothing(index_elements=_key(row)).returning(literal(1))
    # Not by the row count, which the drivers do not tell alike.
    return (await connection.execute(new)).first() is not None


async def put(session: AsyncSession, row: SQLModel) -> None:
    """Insert a row, or write it over the one with its key."""
    connection = await session.connection()
    statement = _insert(connection.dialect.name, row)
    new = {each.name: each for each in statement.excluded if each.name not in _key(row)}
    await connection.execute(statement.on_conflict_do_update(index_elements=_key(row), set_=new))


def _insert(dialect: str, row: SQLModel) -> Any:
    """Each of the two databases has its own form of the same statement."""
    insert = sqlite.insert if dialect == "sqlite" else postgresql.insert
    return insert(inspect(type(row)).local_table).values(**row.model_dump())


def _key(row: SQLModel) -> list[str]:
    return [each.name for each in inspect(type(row)).primary_key]
