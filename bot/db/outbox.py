"""The outbox: which messages Slack is to hold. State is written first; the words go out after."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import func, or_, update
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from bot.db.store import Store
from bot.db.tables import Delivery
from bot.db.upsert import put_new

FARTHEST = 120.0  # seconds; no message is put off for longer


class Outbox:
    """Messages that are wanted. Wanting one again before it is sent costs nothing: coalesced."""

    def __init__(self, store: Store, owner: str = "") -> None:
        """`owner` is the replica that sends."""
        self._store, self._owner = store, owner

    async def want(self, *deliveries: Delivery, first_after: float = 0.0) -> None:
        """Ask for messages, or for the newest words in those that stand already.

        A message that does not stand yet is left for `first_after` seconds to get its newest words;
        asked for again with less, it goes out earlier.
        """
        due = self._store.clock() + first_after
        async with self._store.transaction() as session:
            for each in deliveries:
                each.due_at = due
                if not await put_new(session, each):
                    await _renew(session, each.key, due)

    async def due(
        self, now: float, *, slow: Sequence[str] = (), silent: Sequence[str] = (), limit: int = 50
    ) -> tuple[Sequence[Delivery], float | None]:
        """What Slack is to hold by now: nothing for `silent` channels, only edits for `slow` ones.

        And for how many seconds the next message still waits; None where Slack holds them all.
        """
        unsent = col(Delivery.sent_version) < col(Delivery.version)
        # What is due later than anything may be was put off by a clock that has been set back since.
        over = or_(col(Delivery.due_at) <= now, col(Delivery.due_at) > now + FARTHEST)
        async with self._store.reading() as session:
            query = (
                select(Delivery)
                .where(unsent, over)
                .where(col(Delivery.channel).not_in(silent))
                .where(or_(col(Delivery.ts) != "", col(Delivery.channel).not_in(slow)))
                .order_by(col(Delivery.due_at))
                .limit(limit)
            )
            due = (await session.exec(query)).all()
            first = (await session.exec(select(func.min(Delivery.due_at)).where(unsent))).one()
        return due, None if first is None else max(0.0, first - self._store.clock())

    async def hurry(self, request_id: str) -> None:
        """What waited for another message of this request is due now."""
        async with self._store.transaction() as session:
            await self._hurry(session, request_id)

    async def _hurry(self, session: AsyncSession, request_id: str) -> None:
        await session.exec(
            update(Delivery)
            .where(
                col(Delivery.request_id) == request_id,
                col(Delivery.ts) == "",
                col(Delivery.attempting).is_(None),
                col(Delivery.sent_version) < col(Delivery.version),
            )
            .values(due_at=self._store.clock())
        )

    async def claim(self, delivery: Delivery, now: float, until: float) -> bool:
        """Take a delivery on until `until`, under its next epoch; False where another was first.

        What becomes of it is noted only while that epoch stands: who was paused, and finds that
        another replica has taken it on meanwhile, changes nothing.
        """
        epoch = delivery.epoch + 1
        async with self._store.transaction() as session:
            done = await session.exec(
                update(Delivery)
                .where(
                    col(Delivery.key) == delivery.key,
                    col(Delivery.epoch) == delivery.epoch,
                    col(Delivery.due_at) == delivery.due_at,
                    col(Delivery.sent_version) < col(Delivery.version),
                )
                # The first attempt counts: what it may have posted is looked for from then on.
                .values(
                    due_at=until,
                    attempting=func.coalesce(col(Delivery.attempting), now),
                    holder=self._owner,
                    epoch=epoch,
                )
            )
        if int(done.rowcount) != 1:
            return False
        delivery.epoch = epoch
        return True

    async def release(self) -> None:
        """Nobody else is sending: what a killed process had taken on is due at once."""
        async with self._store.transaction() as session:
            await session.exec(
                update(Delivery).where(col(Delivery.attempting).is_not(None)).values(due_at=0.0)
            )

    async def sent(
        self, delivery: Delivery, *, channel: str, ts: str, next_at: float, opens: bool = False
    ) -> bool:
        """Its version is in Slack; the next one may go out from `next_at` on.

        Where it `opens` a thread, what waited for it is due now. False where another replica has
        taken it on meanwhile: what went out late may stand over newer words, so the newest are
        wanted once more.
        """
        where = {"channel": channel, "thread_ts": delivery.thread_ts, "ts": ts}
        in_time = await self._set(
            delivery,
            sent_version=delivery.version,
            due_at=next_at,
            attempting=None,
            failures=0,
            opens=opens,
            **where,
        )
        if not in_time:
            await self._once_more(delivery)
        return in_time

    async def postponed(self, delivery: Delivery, again_at: float, failures: int) -> None:
        """It was not tried at all: something else has to stand first."""
        await self._set(delivery, due_at=again_at, failures=failures, attempting=None)

    async def failed(self, delivery: Delivery, *, again_at: float, failures: int) -> None:
        """It was tried, and may even stand: the next try looks for it first."""
        if not await self._set(delivery, due_at=again_at, failures=failures):
            await self._once_more(delivery)

    async def given_up(self, delivery: Delivery) -> None:
        """Slack will never hold it: nobody asks again, until somebody wants it anew."""
        await self._set(delivery, sent_version=delivery.version, attempting=None, failures=0)

    async def _set(self, delivery: Delivery, *, opens: bool = False, **values: Any) -> bool:
        """Only while it is held as it was claimed; False where it is not."""
        async with self._store.transaction() as session:
            done = await session.exec(
                update(Delivery)
                .where(col(Delivery.key) == delivery.key, col(Delivery.epoch) == delivery.epoch)
                .values(**values)
            )
            held = int(done.rowcount) == 1
            if held and opens:
                await self._hurry(session, delivery.request_id)
        return held

    async def _once_more(self, delivery: Delivery) -> None:
        async with self._store.transaction() as session:
            await session.exec(
                update(Delivery)
                .where(col(Delivery.key) == delivery.key)
                .values(version=col(Delivery.version) + 1)
            )

    async def get(self, key: str) -> Delivery | None:
        async with self._store.reading() as session:
            return await session.get(Delivery, key)

    async def waiting(self) -> int:
        """How many messages Slack does not hold yet."""
        async with self._store.reading() as session:
            query = select(func.count()).where(col(Delivery.sent_version) < col(Delivery.version))
            return (await session.exec(query)).one()

    async def oldest(self) -> float | None:
        """For how many seconds the oldest unsent message has been due; None where nothing waits."""
        async with self._store.reading() as session:
            query = select(func.min(Delivery.due_at)).where(
                col(Delivery.sent_version) < col(Delivery.version), col(Delivery.due_at) > 0
            )
            since = (await session.exec(query)).one()
        return None if since is None else max(0.0, self._store.clock() - since)


async def _renew(session: AsyncSession, key: str, due: float) -> None:
    query = select(Delivery).where(Delivery.key == key).with_for_update()
    known = (await session.exec(query)).one()
    known.version += 1
    if known.attempting is None and not known.ts:
        known.due_at = min(known.due_at, due)
