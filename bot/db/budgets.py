"""The budget of a vendor account where several replicas edit under it: one line, kept by the database."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from sqlalchemy import Float, case, cast, extract, func, literal
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col

from bot.db.store import Store
from bot.db.tables import Budget

LONGEST = 600.0  # seconds; a line that reaches further was made by a clock that was set back since


@dataclass(frozen=True)
class Line:
    """Edits of one account, at least 1 / `per_second` seconds apart, whichever replica they are of."""

    store: Store
    account: str
    per_second: int
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep

    async def take(self) -> None:
        """Wait until it is this edit's turn; turns are given in the order in which they are asked for."""
        await self.sleep(await self._turn())

    async def _turn(self) -> float:
        """Seconds until the turn that is ours from here on, by the database's clock."""
        now, apart = cast(extract("epoch", func.clock_timestamp()), Float), 1 / self.per_second
        until = col(Budget.next_at)
        turn = case((until.between(now, now + LONGEST), until), else_=now)
        first = insert(Budget).values(account=self.account, next_at=now + apart)
        asked = first.on_conflict_do_update(
            index_elements=["account"], set_={"next_at": turn + literal(apart)}
        ).returning(until - literal(apart) - now)
        async with self.store.transaction() as session:
            connection = await session.connection()
            return max(0.0, float((await connection.execute(asked)).scalar_one()))
