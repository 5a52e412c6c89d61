"""Signs of life of replicas on one PostgreSQL, so that a survivor takes over from a killed one.

Each replica holds a session advisory lock that is derived from its name; the lock goes with the
connection, so it is free as soon as PostgreSQL notices that the process is gone.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import psycopg
import structlog

log = structlog.get_logger(__name__)

TAKEN_EVERY = 5.0  # seconds between two looks for replicas that are gone


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
        self._held = await psycopg.AsyncConnection.connect(self.url, autocommit=True)
        await self._held.execute("SELECT pg_advisory_lock(%s)", (lock_key(self.executor),))

    async def take_over(
        self, owners: Iterable[str], resume: Callable[[str], Awaitable[None]]
    ) -> None:
        """Call `resume` for each of the owners that is gone; one replica at a time does.

        Gone is who held no lock in two looks: a living one takes its lock again at its own next
        look, where only its connection was lost.
        """
        missing: set[str] = set()
        for owner in set(owners) - {self.executor, ""}:
            async with self._gone(owner) as gone:
                if gone and owner in self._missing:
                    log.warning("replica_gone", replica=owner)
                    await resume(owner)
                elif gone:
                    missing.add(owner)
        self._missing = missing

    @asynccontextmanager
    async def _gone(self, owner: str) -> AsyncIterator[bool]:
        """True where nobody holds this owner's lock; it is ours until the block ends."""
        connection = await psycopg.AsyncConnection[tuple[bool]].connect(self.url)
        async with connection:
            asked = "SELECT pg_try_advisory_xact_lock(%s)"
            row = await (await connection.execute(asked, (lock_key(owner),))).fetchone()
            yield bool(row and row[0])

    async def close(self) -> None:
        if self._held is not None:
            await self._held.close()
