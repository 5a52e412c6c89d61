"""SQLite's driver with one trip to its thread for each statement, where it has four and more.

`aiosqlite` makes a cursor, executes, fetches and closes in a trip each, the beginning of a transaction
takes three, and a trip costs as much as the statement does. Nothing here reads a result in parts, so all
of it can happen in one.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import aiosqlite

CHUNK = 64  # rows at a time of a cursor that is iterated over, which none is here


def connection(database: str, **options: Any) -> OneHop:
    """A connection to the file `database`; `options` are those of `sqlite3.connect`."""
    return OneHop(database, options)


class OneHop(aiosqlite.Connection):
    """A connection whose cursors hold their whole result.

    What is said goes to the thread in order, also where the caller is cancelled meanwhile; so each
    statement takes the beginning of its transaction along, and the end is left out only where nothing
    was said at all.
    """

    _beginning, _said = "", False
    _opened: sqlite3.Connection | None = None

    def __init__(self, database: str, options: Mapping[str, Any]) -> None:
        super().__init__(partial(self._open, database, options), CHUNK)

    def _open(self, database: str, options: Mapping[str, Any]) -> sqlite3.Connection:
        """In the connection's own thread."""
        self._opened = sqlite3.connect(database, **options)
        return self._opened

    def stop(self) -> asyncio.Future[Any] | None:
        """End the thread. One whose opening was cancelled has a connection that nobody got."""
        self._tx.put_nowait((None, self._abandon))
        return super().stop()

    def _abandon(self) -> None:
        if self._connection is None and self._opened is not None:
            self._opened.close()

    def begin_with(self, words: str) -> None:
        """Have `words` (`BEGIN …`) said together with the next statement, which is the first."""
        self._beginning = words

    def cursor(self) -> Whole:  # type: ignore[override]
        return Whole(self)

    async def whole(self, execute: Any, sql: str, parameters: Any) -> Any:
        """What `execute` (a method of the driver's cursor) leaves: description, rows, counts."""
        first, self._beginning, self._said = self._beginning, "", True
        words = (first, execute, sql, parameters)
        return await self._execute(self._whole, *words)  # type: ignore[no-untyped-call]

    def _whole(self, first: str, execute: Any, sql: str, parameters: Any) -> Any:
        """In the connection's own thread."""
        cursor = self._conn.cursor()
        try:
            if first:
                self._begin(cursor, first)
            execute(cursor, sql, parameters)
            rows = cursor.fetchall() if cursor.description else ()
            return cursor.description, rows, cursor.rowcount, cursor.lastrowid
        finally:
            cursor.close()

    def _begin(self, cursor: sqlite3.Cursor, words: str) -> None:
        try:
            cursor.execute(words)
        except sqlite3.Error:
            self._beginning = words  # what is said next must not stand outside a transaction
            raise

    async def commit(self) -> None:
        if self._ends():
            await super().commit()

    async def rollback(self) -> None:
        if self._ends():
            await super().rollback()

    def _ends(self) -> bool:
        said, self._said, self._beginning = self._said, False, ""
        return said


class Whole:
    """A cursor with all rows of its one statement."""

    def __init__(self, held: OneHop) -> None:
        self._held = held
        self._rows: Sequence[Any] = ()
        self.description: Any = None
        self.rowcount, self.arraysize = -1, 1
        self.lastrowid: int | None = None

    async def __aenter__(self) -> Whole:
        return self

    async def execute(self, sql: str, parameters: Iterable[Any] = ()) -> Whole:
        await self._say(sqlite3.Cursor.execute, sql, parameters)
        return self

    async def executemany(self, sql: str, parameters: Iterable[Iterable[Any]]) -> Whole:
        await self._say(sqlite3.Cursor.executemany, sql, parameters)
        return self

    async def fetchall(self) -> Sequence[Any]:
        return self._rows

    async def close(self) -> None:
        self._rows = ()

    async def _say(self, execute: Any, sql: str, parameters: Any) -> None:
        told = await self._held.whole(execute, sql, parameters)
        self.description, self._rows, self.rowcount, self.lastrowid = told
