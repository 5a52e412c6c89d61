"""Calls: intent, call, outcome; and what to do where the answer is missing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property

import structlog

from bot.db.journal import Journal
from bot.db.ledger import Row, as_record
from bot.db.store import Store
from bot.db.tables import Request
from bot.domain.operations import Batch, Operation, Outcome, Result
from bot.domain.parameters import Parameters
from bot.domain.plans import State
from bot.jobs.budgets import Window
from bot.jobs.progress import Brake, Parking
from bot.pipeline import Pipeline
from bot.pipeline.parts import LONG_WAIT, changes_on_the_wire
from integrations.errors import BadCredentials, Rejected, Temporary, Unreadable, VendorError

log = structlog.get_logger(__name__)

TRIES = 3  # how often a call that certainly changed nothing is sent

Rows = Sequence[Row]


@dataclass
class Calls:
    """The calls of one request, under one account."""

    store: Store
    journal: Journal
    pipeline: Pipeline
    operation: Operation
    request: Request
    sleep: Callable[[float], Awaitable[None]]
    window: Window = field(default_factory=lambda: Window(0))
    parking: Parking = field(default_factory=Parking)
    _wait: float = field(default=0.0)

    async def send(self, rows: Rows, brake: Brake) -> float:
        """Send the rows in calls of the operation's size; seconds that the vendor asks to wait.

        Intents of calls that may be repeated are noted while others are under way, so that no call
        waits for a commit; those of others only when their turn has come.
        """
        gate = asyncio.Semaphore(self.operation.parallel)
        ahead = self.operation.call_size == 1 and self.operation.repeatable(self._parameters)
        queue = asyncio.Semaphore(self.operation.parallel * (2 if ahead else 1))

        async def one(group: Rows) -> None:
            async with queue:
                if self._wait or self.parking.parked or await brake.pulled():
                    return
                with self.parking.call():
                    await self._call(group, gate)

        await asyncio.gather(*(one(group) for group in self._groups(rows)))
        return self._wait

    def _groups(self, rows: Rows) -> list[list[Row]]:
        """Rows that go out in one call: as many as it takes, all with the same values."""
        size = self.operation.call_size
        groups: list[list[Row]] = []
        open_groups: dict[str, list[Row]] = {}
        for row in rows:
            values = str(sorted(row.changes.items())) if row.changes else ""
            group = open_groups.get(values)
            if group is None or len(group) == size:
                group = open_groups[values] = []
                groups.append(group)
            group.append(row)
        return groups

    @cached_property
    def _parameters(self) -> Parameters:
        """Read once: a request may name 20,000 records, and each call needs its other values."""
        return self.pipeline.acting.parameters(self.request)

    @cached_property
    def _shared(self) -> Mapping[str, str]:
        return changes_on_the_wire(self.operation, self._parameters, self.request.comment)

    def _batch(self, rows: Rows) -> Batch:
        changes = rows[0].changes if rows[0].changes is not None else self._shared
        return Batch(self._parameters, changes, [as_record(row) for row in rows], rows[0].key)

    async def _call(self, rows: Rows, gate: asyncio.Semaphore) -> None:
        batch = self._batch(rows)
        for attempt in range(1, TRIES + 1):
            if not await self._intended(rows):
                return
            outcomes = await self._attempt(batch, rows, attempt, gate)
            if outcomes is None:
                return
            await self._settled(rows, outcomes)
            if all(each.result is not Result.TO_SEND for each in outcomes):
                return
        await self._hold(rows, "the vendor did not take it after several tries")

    async def _intended(self, rows: Rows) -> bool:
        """Note the intent, once the budget has room; False where the call must not go out."""
        await self.window.take()
        if self.parking.parked:
            return False
        return await self.journal.sending(self.request.id, rows, self.store.clock())

    async def _attempt(
        self, batch: Batch, rows: Rows, attempt: int, gate: asyncio.Semaphore
    ) -> Sequence[Outcome] | None:
        """One call's outcomes, `TO_SEND` where it may be tried again; None where that is over."""
        sent_at = time.time()
        try:
            async with gate:
                sent_at = time.time()
                return await self.operation.apply(batch)
        except Temporary as error:
            return await self._not_sent(rows, error, attempt)
        except (Rejected, BadCredentials) as error:
            await self.store.set_fields(self.request.id, words=str(error))
            return [Outcome(row.record_id, Result.REFUSED, error.words) for row in rows]
        except (VendorError, Exception) as error:
            return await self._look_up(batch, sent_at, error)

    async def _settled(self, rows: Rows, outcomes: Sequence[Outcome]) -> None:
        await self.journal.settle(self.request.id, rows, outcomes)
        if len(rows) > 1 or self.request.records == 1:
            words = "\n".join(dict.fromkeys(each.words for each in outcomes if each.words))
            if words:
                await self.store.set_fields(self.request.id, reply=words[:1000])

    async def _not_sent(
        self, rows: Rows, error: Temporary, attempt: int
    ) -> Sequence[Outcome] | None:
        """Nothing was changed: try again after a pause, put the request off, or give up."""
        if error.wait is not None and error.wait > LONG_WAIT:
            await self._settled(rows, _to_send(rows))
            await self._put_off(error)
            return None
        if attempt == TRIES:
            await self.store.set_fields(self.request.id, words=str(error))
            await self._hold(rows, str(error))
            return None
        await self.sleep(error.wait if error.wait is not None else 2.0 ** (attempt - 1))
        return _to_send(rows)

    async def _put_off(self, error: Temporary) -> None:
        self._wait = max(self._wait, error.wait or 0.0)
        await self.store.move(
            self.request.id,
            (State.RUNNING,),
            State.SCHEDULED,
            actor="amend",
            action="request:scheduled",
            facts={"reason": str(error), "seconds": error.wait},
            words=str(error),
            run_at=self.store.clock() + (error.wait or 0.0),
        )

    async def _hold(self, rows: Rows, why: str) -> None:
        outcomes = [Outcome(row.record_id, Result.NOT_SENT, why) for row in rows]
        await self.journal.settle(self.request.id, rows, outcomes)

    # --- no trustworthy answer --------------------------------------------------------------------

    async def settle_interrupted(self, rows: Rows) -> None:
        """Decide by reading what became of calls that a killed process had sent."""
        gone = InterruptedError("the process ended during the call")
        gate = asyncio.Semaphore(self.operation.parallel)

        async def one(group: Rows) -> None:
            sent_at = min(row.sent_at or 0.0 for row in group)
            async with gate:
                outcomes = await self._look_up(self._batch(group), sent_at, gone)
            await self._settled(group, outcomes)

        await asyncio.gather(*(one(group) for group in self._groups(rows)))

    async def _look_up(self, batch: Batch, sent_at: float, error: Exception) -> Sequence[Outcome]:
        """Sent without a trustworthy answer: decide by reading; what cannot be told is unknown."""
        log.warning("vendor_answer_missing", request=self.request.id, error=type(error).__name__)
        known = isinstance(error, VendorError)
        words = str(error) if known else "The answer could not be read."
        await self.store.set_fields(self.request.id, words=words)
        since = datetime.fromtimestamp(sent_at, UTC).isoformat()
        for attempt in range(1, TRIES + 1):
            await self.sleep(0.5 * attempt)
            try:
                return await self.operation.reconcile(batch, since)
            except (Temporary, Unreadable):
                continue
            except VendorError:
                break
        return [Outcome(record.id, Result.UNKNOWN, words) for record in batch.records]


def _to_send(rows: Rows) -> list[Outcome]:
    return [Outcome(row.record_id, Result.TO_SEND) for row in rows]
