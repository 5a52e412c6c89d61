"""After a backup was brought back: nothing that may have gone out since goes out once more."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import func, update
from sqlmodel import col, select

from bot.db import audit
from bot.db.store import Store
from bot.db.tables import Delivered, Delivery, PlannedRecord, Request
from bot.domain.operations import Result
from bot.domain.plans import State

WHY = "The database was brought back from a backup; please ask for it again."
LOOKED_FOR = 7 * 86400.0  # seconds back in which a message that is to be posted may stand already
# What waited, and what becomes of it: it may have run since, or have been decided.
_WAITED = {
    State.RECEIVED: State.FAILED,
    State.PLANNED: State.EXPIRED,
    State.PENDING_APPROVAL: State.EXPIRED,
    State.SCHEDULED: State.CANCELLED,
}


async def restored(store: Store) -> Mapping[str, int]:
    """How many requests `ended` and how many are `under_way`. No bot may be at work.

    What is to do of a run that had begun stands as sent, so that the next start reads at the vendor
    what became of it, and what must not be repeated never goes out again.
    """
    ended = 0
    for state, to in _WAITED.items():
        ended += await _end(store, state, to)
    under_way = await _take_for_sent(store)
    await _look_for_messages(store)
    facts = {"ended": ended, "under_way": under_way}
    await store.note(audit.AMEND, "amend:restored", "", facts)
    return facts


async def _end(store: Store, state: State, to: State) -> int:
    done = 0
    for request in await store.requests_in((state,)):
        done += await store.move(
            request.id,
            (state,),
            to,
            actor=audit.AMEND,
            action=f"request:{to}",
            unbegun=True,
            rest=WHY,
            words=WHY,
            ended_at=store.clock(),
        )
    return done


async def _take_for_sent(store: Store) -> int:
    """Every record that is to do in a run that has begun, from when the run began."""
    begun = select(Request.id).where(col(Request.state).in_((State.RUNNING, State.SCHEDULED)))
    since = (
        select(func.coalesce(Request.started_at, Request.planned_at, Request.created_at))
        .where(Request.id == PlannedRecord.request_id)
        .scalar_subquery()
    )
    async with store.transaction() as session:
        many = len((await session.exec(begun)).all())
        await session.exec(
            update(PlannedRecord)
            .where(
                col(PlannedRecord.request_id).in_(begun),
                col(PlannedRecord.result) == Result.TO_SEND,
            )
            .values(result=Result.SENDING, sent_at=since)
            .execution_options(synchronize_session=False)
        )
    return many


async def _look_for_messages(store: Store) -> None:
    """What was to be posted may stand in Slack, and what people pressed may have been done."""
    now = store.clock()
    async with store.transaction() as session:
        await session.exec(
            update(Delivery)
            .where(col(Delivery.ts) == "", col(Delivery.sent_version) < col(Delivery.version))
            .values(attempting=now - LOOKED_FOR)
        )
        undone = update(Delivered).where(col(Delivered.done_at).is_(None))
        await session.exec(undone.values(done_at=now))
