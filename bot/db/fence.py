"""The fence: what a step writes of its request counts only while the request is still its own."""

from __future__ import annotations

from collections.abc import Callable, Set
from contextvars import ContextVar
from dataclasses import dataclass

from sqlalchemy import ColumnElement
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from bot.db.tables import Request


class LeaseLost(Exception):
    """Another replica works on the request; nothing was written."""


@dataclass(frozen=True)
class Lease:
    """A request as one replica holds it: whoever takes it next does so under a higher epoch.

    `in_time` tells, without asking the database, whether the replica has shown that it lives.
    """

    request_id: str
    epoch: int
    in_time: Callable[[], bool] = lambda: True


# The lease of the step that runs here. None: nothing is fenced, as with one owner of the database,
# or for what people press, which compares states instead.
HELD: ContextVar[Lease | None] = ContextVar("lease", default=None)


def epoch_of(request_id: str) -> int | None:
    """The epoch under which this step holds a request; None where it holds no lease on it."""
    lease = HELD.get()
    return lease.epoch if lease is not None and lease.request_id == request_id else None


def still_ours(request_id: str) -> tuple[ColumnElement[bool], ...]:
    """A condition on `request` that fails for who has lost it."""
    epoch = epoch_of(request_id)
    return () if epoch is None else (col(Request.epoch) == epoch,)


def insist_in_time() -> None:
    """Before a call goes out: a process that was paused finds here that it slept too long.

    Raises `LeaseLost`. The writes are fenced by themselves; a call at a vendor cannot be.
    """
    lease = HELD.get()
    if lease is not None and not lease.in_time():
        raise LeaseLost(lease.request_id)


async def insist(session: AsyncSession, request_id: str) -> None:
    """Hold the request's row as ours until the transaction ends. Raises `LeaseLost`."""
    epoch = epoch_of(request_id)
    if epoch is not None and await lost(session, {(request_id, epoch)}):
        raise LeaseLost(request_id)


async def lost(session: AsyncSession, held: Set[tuple[str, int]]) -> bool:
    """Is one of these requests held under another epoch? If not, all stay so until the end."""
    query = select(Request.id, Request.epoch).where(col(Request.id).in_({each for each, _ in held}))
    # In one order, so that two transactions never wait for each other's rows.
    found = await session.exec(query.order_by(Request.id).with_for_update(read=True))
    return not held <= {(each, epoch) for each, epoch in found.all()}
