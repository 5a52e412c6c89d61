"""Faults of Amend's own: a request is tried again with growing pauses, and given up after five."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

import structlog
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as AllTaken

from bot import tracing
from bot.db.fence import LeaseLost
from bot.db.tables import Request
from bot.domain.plans import OVER, State
from bot.jobs.runner import Runner
from bot.pipeline import Pipeline

log = structlog.get_logger(__name__)

TRIES = 5
PAUSES = (10.0, 30.0, 120.0, 600.0)  # seconds after each fault but the last
# The database being away says nothing about the request; it is tried again, and not counted.
NOT_ITS_FAULT = (OperationalError, InterfaceError, AllTaken, TimeoutError)
GIVEN_UP = (
    "Amend failed on this request five times, so it was given up and nothing more is sent."
    " Please tell an administrator: the log names the fault."
)

T = TypeVar("T")


@dataclass
class Trouble:
    """Lets a step of a request fail, and sees to it that somebody hears of it in the end."""

    pipeline: Pipeline
    runner: Runner

    async def within(self, request_id: str, step: Callable[[str], Awaitable[T]]) -> T | None:
        """The step; its failure is counted and raised. After the last one the request is over, and
        there is nothing left to do."""
        try:
            return await step(request_id)
        except (*NOT_ITS_FAULT, LeaseLost):
            raise
        except Exception as error:
            store = self.pipeline.parts.store
            known = await store.request(request_id)
            before = known.failures if known else 0
            again = store.clock() + PAUSES[min(before, len(PAUSES) - 1)]
            many = await store.failed(request_id, again)
            log.exception(
                "request_failed",
                **tracing.marks(request_id),
                fault=type(error).__name__,
                tries=many,
            )
            if many < TRIES or known is None or known.state in OVER:
                raise
            await self._give_up(known)
            return None

    async def _give_up(self, request: Request) -> None:
        if request.state in (State.RECEIVED, State.PLANNED) or not request.digest:
            await self.pipeline.preparer.turn_down(request, RuntimeError(GIVEN_UP))
            return
        try:
            await self.runner.stop(request, GIVEN_UP)
        except Exception:  # what fails may be the end itself: the state must come first
            log.exception("request_not_ended", **tracing.marks(request.id))
            await self.pipeline.parts.store.move(
                request.id,
                (State.RUNNING, State.SCHEDULED),
                State.FAILED,
                actor="amend",
                action="request:failed",
                facts={"why": GIVEN_UP},
                words=GIVEN_UP,
                ended_at=self.pipeline.parts.store.clock(),
                rest=GIVEN_UP,
            )
            await self.pipeline.parts.voice.show(request.id)
