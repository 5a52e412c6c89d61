"""One trip for a statement: what is cancelled, or finds the file locked, leaves nothing half done."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest
import pytest_asyncio

from bot.db import onehop

INSERT = "INSERT INTO told VALUES (?)"


@pytest.fixture
def other(tmp_path: Path) -> sqlite3.Connection:
    """Somebody else at the same file."""
    made = sqlite3.connect(tmp_path / "a.db", isolation_level=None, timeout=0.0)
    made.execute("PRAGMA journal_mode=WAL")
    made.execute("CREATE TABLE told (words TEXT)")
    return made


@pytest_asyncio.fixture
async def own(tmp_path: Path, other: sqlite3.Connection) -> AsyncIterator[onehop.OneHop]:
    made = await onehop.connection(str(tmp_path / "a.db"), isolation_level=None, timeout=0.3)
    yield made
    await made.close()
    other.close()


def told(at: sqlite3.Connection) -> list[str]:
    return [words for (words,) in at.execute("SELECT words FROM told ORDER BY words")]


async def test_a_statement_takes_the_beginning_of_its_transaction_along(
    own: onehop.OneHop, other: sqlite3.Connection
) -> None:
    own.begin_with("BEGIN IMMEDIATE")
    cursor = await own.cursor().execute(INSERT, ("one",))
    assert cursor.rowcount == 1
    assert told(other) == []
    await own.commit()
    assert told(other) == ["one"]
    cursor = await own.cursor().execute("SELECT words FROM told")
    assert [each[0] for each in cursor.description] == ["words"]
    assert await cursor.fetchall() == [("one",)]


async def test_many_rows_go_in_one_transaction(
    own: onehop.OneHop, other: sqlite3.Connection
) -> None:
    own.begin_with("BEGIN IMMEDIATE")
    cursor = await own.cursor().executemany(INSERT, [("one",), ("two",)])
    assert cursor.rowcount == 2
    await own.rollback()
    assert told(other) == []


async def test_a_write_that_is_cancelled_while_it_waits_for_the_lock_is_undone(
    own: onehop.OneHop, other: sqlite3.Connection
) -> None:
    other.execute("BEGIN IMMEDIATE")
    own.begin_with("BEGIN IMMEDIATE")
    writing = asyncio.create_task(own.cursor().execute(INSERT, ("never",)))
    await asyncio.sleep(0.02)
    writing.cancel()
    other.execute("COMMIT")  # the thread gets its lock now, and nobody waits for its answer
    with suppress(asyncio.CancelledError):
        await writing
    await own.rollback()
    assert told(other) == []
    other.execute("BEGIN IMMEDIATE")  # nobody holds the lock
    other.execute("COMMIT")


async def test_what_follows_a_lock_that_was_not_got_stands_in_a_transaction_too(
    own: onehop.OneHop, other: sqlite3.Connection
) -> None:
    other.execute("BEGIN IMMEDIATE")
    own.begin_with("BEGIN IMMEDIATE")
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        await own.cursor().execute(INSERT, ("never",))
    other.execute("COMMIT")
    await own.cursor().execute(INSERT, ("never",))
    await own.rollback()
    assert told(other) == []


async def test_the_end_of_nothing_costs_nothing_and_leaves_nothing(
    own: onehop.OneHop, other: sqlite3.Connection
) -> None:
    own.begin_with("BEGIN IMMEDIATE")
    await own.commit()
    await own.cursor().execute(INSERT, ("by itself",))  # outside a transaction, as it was asked
    assert told(other) == ["by itself"]
