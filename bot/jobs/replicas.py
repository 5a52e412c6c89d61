"""Signs of life of replicas on one PostgreSQL, so that a survivor takes over from a killed one.

Each replica holds a session advisory lock that is derived from its name; the lock goes with the
connection, so it is free as soon as PostgreSQL notices that the process is gone.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import psycopg
import structlog

from bot.db.engine import connecting, session_name
from bot.db.leases import Leases
from bot.db.store import Store

log = structlog.get_logger(__name__)

TAKEN_EVERY = 5.0  # seconds between two looks for replicas that are gone
CONNECTED_WITHIN = 5  # seconds


def lock_key(executor: str) -> int:
    """The advisory lock of a replica: 63 bits of its name's hash."""
    return int.from_bytes(hashlib.sha256(executor.encode()).digest()[:8], "big") >> 1


@dataclass
class Replicas:
    """`executor` is this replica's name; `url` the PostgreSQL that all of them share."""

    url: str
    executor: str
    _held: psycopg.AsyncConnection[tuple[bool]] | None = field(default=None)
    _missing: set[str] = field(default_factory=set)

    async def hold(self) -> None:
        """Hold our own lock; taken again where the connection was lost."""
        if self._held is not None and not self._held.closed:
            try:
                await self._held.execute("SELECT 1")
            except psycopg.Error:
                log.warning("sign_of_life_lost")
            else:
                return
        self._held = await psycopg.AsyncConnection.connect(
            self.url, autocommit=True, **connecting(CONNECTED_WITHIN, self.executor)
        )
        await self._held.execute("SELECT pg_advisory_lock(%s)", (lock_key(self.executor),))

    async def take_over(
        self,
        owners: Iterable[str],
        lapsed: Collection[str],
        resume: Callable[[str], Awaitable[None]],
    ) -> None:
        """Call `resume` for each of the owners that is gone; one replica at a time does.

        Gone is whose lease lapsed (it may be paused, and wake up), and who held no lock in two
        looks: a living one takes its lock again at its own next look, where only its connection
        was lost.
        """
        missing: set[str] = set()
        for owner in set(owners) - {self.executor, ""}:
            async with self._alone(f"after {owner}") as ours:
                if not ours:
                    continue
                free = not await self.shows_life(owner)
                if owner in lapsed or (free and owner in self._missing):
                    log.warning("replica_gone", replica=owner)
                    await self._end_sessions(owner)
                    await resume(owner)
                elif free:
                    missing.add(owner)
        self._missing = missing

    async def shows_life(self, owner: str) -> bool:
        """True where this owner's lock is held."""
        async with self._alone(owner) as free:
            return not free

    async def _end_sessions(self, owner: str) -> None:
        """Whatever a paused replica has locked is free from here on.

        The server ends by itself what says nothing between two questions, and waits for ever where
        it was paused in the middle of one.
        """
        connection = await psycopg.AsyncConnection.connect(
            self.url, autocommit=True, **connecting(CONNECTED_WITHIN, self.executor)
        )
        async with connection:
            ended = (
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s"
            )
            await connection.execute(ended, (session_name(owner),))

    @asynccontextmanager
    async def _alone(self, name: str) -> AsyncIterator[bool]:
        """True where nobody holds the lock of this name; it is ours until the block ends."""
        connection = await psycopg.AsyncConnection[tuple[bool]].connect(
            self.url, **connecting(CONNECTED_WITHIN, self.executor)
        )
        async with connection:
            asked = "SELECT pg_try_advisory_xact_lock(%s)"
            row = await (await connection.execute(asked, (lock_key(name),))).fetchone()
            yield bool(row and row[0])

    async def close(self) -> None:
        if self._held is not None:
            await self._held.close()


async def anybody_lives(url: str, store: Store) -> bool:
    """True where a replica is at work on this PostgreSQL; a SQLite file has its owner's lock."""
    if url.startswith("sqlite"):
        return False
    replicas = Replicas(url, "")
    return any([await replicas.shows_life(each) for each in await Leases(store, "", "").others()])
