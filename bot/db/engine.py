"""Opening the database: drivers, pragmas and transactions that lose no update."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

import psycopg
from sqlalchemy import Engine, ExceptionContext, event
from sqlalchemy.exc import DatabaseError, DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as AllTaken
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import QueuePool

from bot.db import onehop
from bot.settings import BadSettings

# What tells of a database that is not there, or not yet; anything else is a fault that stays.
AWAY = (
    OperationalError,
    InterfaceError,
    psycopg.OperationalError,
    OSError,
    TimeoutError,
    AllTaken,  # of connections, because each of them waits
)

# What was acknowledged survives even a power cut.
SYNCHRONOUS = "FULL"

# KiB that each of SQLite's connections keeps of a file: by itself two megabytes, which ten of them fill
# over weeks. What is not there comes from the system's own cache.
PAGES = 512

READS_WITHIN = 60.0  # seconds for which a look waits for a connection in a burst
GIVEN_BACK_WITHIN = 5.0  # seconds; a transaction that was cancelled needs a rollback's time
ENDED_WITHIN = 10.0  # seconds; a thread that waits for SQLite's lock gives up before

# Seconds that a transaction on PostgreSQL may say nothing; the server ends it then, so that who is paused
# holds up nobody. Less than a lease lasts, and more than the event loop ever stands still.
IDLE_WITHIN = 10.0

# Both sides notice within half a minute that the other's machine is gone.
_ALIVE = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3}
_ALIVE_HERE = {**_ALIVE, "tcp_user_timeout": 15_000}

# The threads of an engine's connections, as long as they live.
_threads: WeakKeyDictionary[Engine, WeakSet[Thread]] = WeakKeyDictionary()


def driver_url(url: str) -> str:
    """The SQLAlchemy URL for a `DATABASE_URL`."""
    if url.startswith("sqlite:///"):
        return url.replace("sqlite:///", "sqlite+aiosqlite:///", 1)
    return url.replace("postgresql://", "postgresql+psycopg://", 1)


def sqlite_path(url: str) -> Path | None:
    """Where a SQLite database is, or would be; None for one that is a server's."""
    path = url.removeprefix("sqlite:///")
    return None if path == url else Path(path)


def open_engine(
    url: str,
    *,
    busy_seconds: float = 5.0,
    pool: int = 2,
    prepared: bool = True,
    in_line: float | None = None,
    replica: str = "",
) -> AsyncEngine:
    """An engine for `url`. A locked SQLite file raises after `busy_seconds`.

    `in_line` is for how many seconds one waits for a connection to it; else as long as for the lock.
    `replica` is whose sessions they are, where several share a PostgreSQL.

    SQLAlchemy's default SQLite transactions begin at the first write, so that a read before it can
    be stale; `BEGIN IMMEDIATE` takes the write lock first. A pool of two is enough for one writer.
    """
    if url.startswith("sqlite"):
        threads: WeakSet[Thread] = WeakSet()
        engine = create_async_engine(
            driver_url(url),
            pool_size=pool,
            max_overflow=0,
            pool_timeout=busy_seconds if in_line is None else in_line,
            connect_args={
                "timeout": busy_seconds,
                "isolation_level": None,
                "async_creator_fn": partial(_connection, threads),
            },
        )
        _threads[engine.sync_engine] = threads
        if prepared:
            _prepare_sqlite(engine, busy_seconds)
        return engine
    engine = create_async_engine(
        driver_url(url),
        pool_size=max(pool, 5),
        max_overflow=0,
        pool_timeout=busy_seconds,
        pool_pre_ping=True,
        connect_args=connecting(
            max(1, int(busy_seconds)), replica, lock_timeout=int(busy_seconds * 1000)
        ),
    )
    event.listen(engine.sync_engine, "handle_error", _as_lost)
    return engine


def session_name(replica: str) -> str:
    """What PostgreSQL knows the sessions of a replica by, so that others can end them."""
    return f"amend:{replica}" if replica else "amend"


def connecting(within: int, replica: str = "", **settings: object) -> dict[str, Any]:
    """How psycopg connects `within` so many seconds, with these settings of the session."""
    named = {f"tcp_{name}": value for name, value in _ALIVE.items()}
    named["idle_in_transaction_session_timeout"] = int(IDLE_WITHIN * 1000)
    options = " ".join(f"-c {name}={value}" for name, value in {**named, **settings}.items())
    known = {"application_name": session_name(replica), "connect_timeout": within}
    return {**_ALIVE_HERE, **known, "options": options}


def _as_lost(context: ExceptionContext) -> DBAPIError | None:
    """A connection that the server ended is a lost one, whatever class its reason has."""
    error = context.sqlalchemy_exception
    if not context.is_disconnect or not isinstance(error, DBAPIError) or isinstance(error, AWAY):
        return None
    lost = OperationalError(error.statement, error.params, error.orig or error)
    lost.connection_invalidated = True
    return lost


@contextmanager
def sqlite_file() -> Iterator[None]:
    """Raises `BadSettings` where a file is no database of SQLite's: no try later mends that."""
    try:
        yield
    except DatabaseError as error:
        if getattr(error.orig, "sqlite_errorcode", None) != sqlite3.SQLITE_NOTADB:
            raise
        raise BadSettings("DATABASE_URL: the file that it names is no SQLite database.") from None


def open_reader(url: str, replica: str = "") -> AsyncEngine:
    """An engine that only reads, each transaction one consistent state of a database that is there.

    It takes no write lock, so that whoever works is not held up, and sets nothing up.
    """
    if url.startswith("sqlite"):
        engine = open_engine(url, pool=4, prepared=False, in_line=READS_WITHIN)
        event.listen(engine.sync_engine, "connect", _read_only)
        _begin_with(engine, "BEGIN")
        return engine
    return create_async_engine(
        driver_url(url),
        isolation_level="REPEATABLE READ",
        pool_pre_ping=True,
        pool_timeout=READS_WITHIN,
        # Who only looks holds up nobody, and may take its time between two pages.
        connect_args=connecting(
            5, replica, default_transaction_read_only="on", idle_in_transaction_session_timeout=0
        ),
    )


def _read_only(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA query_only=ON")
    cursor.execute(f"PRAGMA cache_size=-{PAGES}")
    cursor.close()


async def close_engine(engine: AsyncEngine) -> None:
    """Close every connection, also one that a cancelled transaction is still giving back.

    An engine that is disposed of earlier forgets such a connection, and nobody closes it. One whose
    opening was cancelled, or that was cut off, is in no pool: its thread is waited for here, since
    it answers to the event loop, which may be closed next.
    """
    with suppress(TimeoutError):
        async with asyncio.timeout(GIVEN_BACK_WITHIN):
            while _lent(engine):  # noqa: ASYNC110 - a pool tells nobody what comes back
                await asyncio.sleep(0.01)
    await engine.dispose()
    threads = list(_threads.get(engine.sync_engine, ()))
    with suppress(TimeoutError):
        async with asyncio.timeout(ENDED_WITHIN):
            while any(each.is_alive() for each in threads):  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.005)


def _connection(threads: WeakSet[Thread], *args: Any, **options: Any) -> onehop.OneHop:
    connection = onehop.connection(*args, **options)
    connection._thread.daemon = True  # as SQLAlchemy does: it never holds up the process' end
    threads.add(connection._thread)
    return connection


def _lent(engine: AsyncEngine) -> int:
    """Connections that somebody has out of the pool, or is opening."""
    pool = engine.sync_engine.pool
    return pool.checkedout() if isinstance(pool, QueuePool) else 0


def _prepare_sqlite(engine: AsyncEngine, busy_seconds: float) -> None:
    @event.listens_for(engine.sync_engine, "connect")
    def _connect(connection: Any, _record: Any) -> None:
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout={int(busy_seconds * 1000)}")
        cursor.execute(f"PRAGMA cache_size=-{PAGES}")
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute(f"PRAGMA synchronous={SYNCHRONOUS}")
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.close()

    _begin_with(engine, "BEGIN IMMEDIATE")


def _begin_with(engine: AsyncEngine, words: str) -> None:
    @event.listens_for(engine.sync_engine, "begin")
    def _begin(connection: Any) -> None:
        connection.connection.driver_connection.begin_with(words)
