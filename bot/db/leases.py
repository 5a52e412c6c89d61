"""Leases: which replica works on what, for as long as it shows that it lives.

A replica renews one row of its own; what it holds is its own while that row is in time. Taking a
request raises its epoch, so that a replica that was paused and wakes up late changes nothing.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import blake2b

from sqlalchemy import (
    ColumnElement,
    Float,
    cast,
    delete,
    extract,
    func,
    insert,
    literal,
    or_,
    update,
)
from sqlmodel import col, select

from bot.db.fence import HELD, Lease, LeaseLost
from bot.db.store import Store
from bot.db.tables import Delivery, Replica, Request, Watch

LASTS = 20.0  # seconds for which a replica owns what it holds after each sign of life


@dataclass
class Leases:
    """`owner` is this replica's name, and `version` that of the workflows it runs.

    `ticks` gives seconds of a clock that goes on while this process is paused.
    """

    store: Store
    owner: str
    version: str
    lasts: float = LASTS
    ticks: Callable[[], float] = time.monotonic
    _shown: float = float("-inf")  # when we last showed that we live
    _steady: float = float("-inf")  # since when we have done so without a gap

    def _now(self) -> ColumnElement[float]:
        """The database's clock where replicas share one: machines differ."""
        if self.store.engine.dialect.name == "sqlite":
            return literal(self.store.clock())
        return cast(extract("epoch", func.clock_timestamp()), Float)

    async def renew(self) -> None:
        """Show that this replica lives."""
        until, asked = self._now() + self.lasts, self.ticks()
        async with self.store.transaction() as session:
            done = await session.exec(
                update(Replica).where(col(Replica.name) == self.owner).values(until=until)
            )
            if int(done.rowcount) == 0:
                row = {"name": self.owner, "version": self.version, "until": until}
                await session.exec(insert(Replica).values(**row))
        if not self._in_time():
            self._steady = asked
        self._shown = asked

    def _in_time(self) -> bool:
        """Have we shown that we live in time?"""
        return self.ticks() - self._shown < self.lasts

    async def lapsed(self) -> Sequence[str]:
        """Other replicas that gave no sign of life in time.

        Where the database was away for all of us, the others get as long as a lease lasts to show
        themselves again.
        """
        if self.ticks() - self._steady < self.lasts:
            return ()
        async with self.store.reading() as session:
            query = select(Replica.name).where(
                col(Replica.until) < self._now(), Replica.name != self.owner
            )
            return (await session.exec(query)).all()

    async def others(self) -> Sequence[str]:
        """Every other replica that is known, alive or not."""
        async with self.store.reading() as session:
            return (
                await session.exec(select(Replica.name).where(Replica.name != self.owner))
            ).all()

    async def share(self) -> Callable[[str], bool]:
        """Which requests are this replica's to begin, of what all that live find due at once.

        All agree on it by the names alone, and where one comes or goes only its own share moves.
        """
        async with self.store.reading() as session:
            query = select(Replica.name).where(col(Replica.until) >= self._now())
            living = {*(await session.exec(query)).all(), self.owner}
        return lambda request_id: (
            max(living, key=lambda name: blake2b(f"{request_id} {name}".encode()).digest())
            == self.owner
        )

    async def versions(self) -> frozenset[str]:
        """The versions of replicas that live."""
        async with self.store.reading() as session:
            query = select(Replica.version).where(col(Replica.until) >= self._now())
            return frozenset((await session.exec(query)).all())

    async def end(self, owner: str) -> None:
        """A replica is gone: what it held is free from here on, and its messages and polls are due.

        What it had sent, and what fails and waits, stays as it is. A late word of the one that is
        gone does not count any more.
        """
        async with self.store.transaction() as session:
            await session.exec(update(Replica).where(col(Replica.name) == owner).values(until=0.0))
            held = update(Request).where(col(Request.holder) == owner)
            await session.exec(held.values(holder=""))
            posting = update(Delivery).where(
                col(Delivery.holder) == owner, col(Delivery.attempting).is_not(None)
            )
            epoch = col(Delivery.epoch) + 1
            await session.exec(posting.values(holder="", epoch=epoch, due_at=0.0))
            polling = update(Watch).where(col(Watch.holder) == owner, col(Watch.failures) == 0)
            await session.exec(polling.values(holder="", epoch=col(Watch.epoch) + 1, next_at=0.0))

    async def forget(self, owner: str) -> None:
        """Everything of a replica that is gone goes on elsewhere."""
        async with self.store.transaction() as session:
            await session.exec(
                delete(Replica).where(col(Replica.name) == owner, col(Replica.until) < self._now())
            )

    @asynccontextmanager
    async def held(self, request_id: str) -> AsyncIterator[None]:
        """Hold a request: what the block writes of it is fenced. Raises `LeaseLost`."""
        lease = await self._take(request_id)
        if lease is None:
            raise LeaseLost(request_id)
        token = HELD.set(lease)
        try:
            yield
        finally:
            HELD.reset(token)
            await self._let_go(lease)

    async def _take(self, request_id: str) -> Lease | None:
        living = select(Replica.name).where(col(Replica.until) >= self._now())
        free = or_(col(Request.holder).in_(("", self.owner)), col(Request.holder).not_in(living))
        async with self.store.transaction() as session:
            done = await session.exec(
                update(Request)
                .where(col(Request.id) == request_id, free)
                .values(holder=self.owner, epoch=col(Request.epoch) + 1)
            )
            if int(done.rowcount) != 1:
                return None
            query = select(Request.epoch).where(Request.id == request_id)
            return Lease(request_id, (await session.exec(query)).one(), self._in_time)

    async def _let_go(self, lease: Lease) -> None:
        async with self.store.transaction() as session:
            await session.exec(
                update(Request)
                .where(col(Request.id) == lease.request_id, col(Request.epoch) == lease.epoch)
                .values(holder="")
            )
