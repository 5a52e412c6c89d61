"""Retention: what is old enough is removed, in small steps; the audit trail never is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Table, delete, tuple_
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from bot.db.store import Store
from bot.db.tables import Delivered, Delivery, Draft, News, PlannedRecord, Request, Vote
from bot.domain.plans import OVER

DAY = 24 * 3600.0
A_STEP = 500  # rows of a table in one transaction, so that nobody waits for it
BETWEEN_STEPS = 0.5  # seconds; a bulk run beside it has the database most of the time
LOOKS_EVERY = 3600.0  # seconds between two rounds
FIRST_AFTER = 60.0  # seconds after a start
KEPT_FOR = DAY  # of keys of deliveries and drafts; Slack's last redelivery comes after some minutes

Purge = Callable[[float, int], Awaitable[int]]


@dataclass
class Retention:
    """Removes what is older than `days`; `purge_engine` does it for the engine's own rows."""

    store: Store
    days: int
    purge_engine: Purge

    async def step(self) -> float:
        """One small step; seconds until the next, long ones when nothing old is left."""
        before = self.store.clock() - self.days * DAY
        removed = await self._requests(before)
        removed += await self._rows(_NEWS, col(News.noticed_at) < before)
        # What stands in Slack for so long is not edited any more.
        sent = col(Delivery.sent_version) >= col(Delivery.version)
        removed += await self._rows(_DELIVERY, sent & (col(Delivery.due_at) < before))
        soon = self.store.clock() - KEPT_FOR
        removed += await self._rows(_DELIVERED, col(Delivered.done_at) < soon)
        removed += await self._rows(_DRAFT, col(Draft.created_at) < soon)
        removed += await self.purge_engine(before, A_STEP)
        return BETWEEN_STEPS if removed else LOOKS_EVERY

    async def _requests(self, before: float) -> int:
        """A piece of the oldest finished request: its records first, and itself at the end."""
        async with self.store.transaction() as session:
            request_id = await _oldest(session, before)
            if request_id is None:
                return 0
            records = await _remove(session, _RECORD, _RECORD.c.request_id == request_id)
            if records < A_STEP:
                for table in (_VOTE, _DELIVERY):
                    await session.exec(delete(table).where(table.c.request_id == request_id))
                await session.exec(delete(Request).where(col(Request.id) == request_id))
            return records + 1

    async def _rows(self, table: Table, old: ColumnElement[bool]) -> int:
        async with self.store.transaction() as session:
            return await _remove(session, table, old)


async def _oldest(session: AsyncSession, before: float) -> str | None:
    """The request that ended first, before then; not one that an unfinished one goes back to."""
    needed = select(Request.source).where(col(Request.state).not_in(OVER), Request.source != "")
    query = (
        select(Request.id)
        .where(col(Request.state).in_(OVER), col(Request.ended_at) < before)
        .where(col(Request.id).not_in(needed))
        .order_by(col(Request.ended_at))
        .limit(1)
    )
    return (await session.exec(query)).first()


async def _remove(session: AsyncSession, table: Table, old: ColumnElement[bool]) -> int:
    key = tuple(table.primary_key.columns)
    some = select(*key).where(old).limit(A_STEP)
    done = await session.exec(delete(table).where(tuple_(*key).in_(some)))
    return int(done.rowcount)


def _table(model: object) -> Table:
    found: Table = model.__table__  # type: ignore[attr-defined]
    return found


_RECORD, _VOTE, _DELIVERY = map(_table, (PlannedRecord, Vote, Delivery))
_NEWS, _DELIVERED, _DRAFT = map(_table, (News, Delivered, Draft))
