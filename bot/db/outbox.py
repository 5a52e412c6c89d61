"""The outbox: which messages Slack is to hold. State is written first; the words go out after."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import func, or_, update
from sqlmodel import col, select

from bot.db.store import Store
from bot.db.tables import Delivery


class Outbox:
    """Messages that are wanted. Wanting one again before it is sent costs nothing: coalesced."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def want(self, delivery: Delivery) -> None:
        """Ask for a message, or for the newest words in one that stands already."""
        async with self._store.transaction() as session:
            known = await session.get(Delivery, delivery.key, with_for_update=True)
            if known is None:
                delivery.due_at = self._store.clock()
                session.add(delivery)
            else:
                known.version += 1

    async def due(
        self, now: float, paused: Sequence[str] = (), limit: int = 50
    ) -> Sequence[Delivery]:
        """What Slack is to hold by now, but for new messages to channels that are `paused`."""
        async with self._store.transaction() as session:
            query = (
                select(Delivery)
                .where(col(Delivery.sent_version) < col(Delivery.version), Delivery.due_at <= now)
                .where(or_(col(Delivery.ts) != "", col(Delivery.channel).not_in(paused)))
                .order_by(col(Delivery.due_at))
                .limit(limit)
            )
            return (await session.exec(query)).all()

    async def claim(self, delivery: Delivery, now: float, until: float) -> bool:
        """Take a delivery on until `until`; False where another replica was first."""
        async with self._store.transaction() as session:
            done = await session.exec(
                update(Delivery)
                .where(
                    col(Delivery.key) == delivery.key,
                    col(Delivery.due_at) == delivery.due_at,
                    col(Delivery.sent_version) < col(Delivery.version),
                )
                # The first attempt counts: what it may have posted is looked for from then on.
                .values(due_at=until, attempting=func.coalesce(col(Delivery.attempting), now))
            )
            return int(done.rowcount) == 1

    async def release(self) -> None:
        """Nobody else is sending: what a killed process had taken on is due at once."""
        async with self._store.transaction() as session:
            await session.exec(
                update(Delivery).where(col(Delivery.attempting).is_not(None)).values(due_at=0.0)
            )

    async def sent(self, key: str, version: int, *, channel: str, ts: str, next_at: float) -> None:
        """A version is in Slack; the next one may go out from `next_at` on."""
        async with self._store.transaction() as session:
            await session.exec(
                update(Delivery)
                .where(col(Delivery.key) == key)
                .values(
                    sent_version=version,
                    channel=channel,
                    ts=ts,
                    due_at=next_at,
                    attempting=None,
                    failures=0,
                )
            )

    async def failed(self, key: str, *, again_at: float, failures: int) -> None:
        async with self._store.transaction() as session:
            await session.exec(
                update(Delivery)
                .where(col(Delivery.key) == key)
                .values(due_at=again_at, failures=failures)
            )

    async def get(self, key: str) -> Delivery | None:
        async with self._store.transaction() as session:
            return await session.get(Delivery, key)

    async def waiting(self) -> int:
        """How many messages Slack does not hold yet."""
        async with self._store.transaction() as session:
            query = select(func.count()).where(col(Delivery.sent_version) < col(Delivery.version))
            return (await session.exec(query)).one()

    async def oldest(self) -> float | None:
        """For how many seconds the oldest unsent message has been due; None where nothing waits."""
        async with self._store.transaction() as session:
            query = select(func.min(Delivery.due_at)).where(
                col(Delivery.sent_version) < col(Delivery.version), col(Delivery.due_at) > 0
            )
            since = (await session.exec(query)).one()
        return None if since is None else max(0.0, self._store.clock() - since)
