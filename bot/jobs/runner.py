"""Running a plan: slice by slice, with intent noted before each call and the outcome after it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from bot.db.ledger import Ledger, as_record
from bot.db.store import Store
from bot.db.tables import PlannedRecord, Request
from bot.domain.operations import Batch, Operation, Outcome, Result
from bot.domain.parameters import Parameters
from bot.domain.plans import OVER, State, drift, outcome
from bot.pipeline import LONG_WAIT, Pipeline, changes_on_the_wire
from integrations.errors import BadCredentials, Rejected, Temporary, Unreadable, VendorError

log = structlog.get_logger(__name__)

SLICE = 100  # records between two looks at cancel, rights and drift, where a call takes fewer
TRIES = 3  # how often a call that certainly changed nothing is sent
FRESH = 1.0  # seconds for which a plan of a direct request needs no second look

Sleep = Callable[[float], Awaitable[None]]


@dataclass
class Runner:
    """Carries out one request at a time in steps that are safe to begin again after a crash."""

    store: Store
    ledger: Ledger
    pipeline: Pipeline
    sleep: Sleep = asyncio.sleep

    async def begin(self, request_id: str) -> bool:
        """Check rights and approvals once more and show the card; False where the run must not be."""
        request = await self.store.request(request_id)
        if request is None or request.state != State.RUNNING:
            return False
        why = await self._forbidden(request)
        if why:
            await self._stop(request, why)
            return False
        # The card is words: it never holds up the vendor's call.
        await self.pipeline.voice.show(request_id)
        return True

    async def _forbidden(self, request: Request) -> str:
        operation = self.pipeline.operation(request.operation)
        decision = await self.pipeline.decide(operation, request.requester, request.channel)
        if not decision.allowed:
            return " ".join(decision.reasons)
        if not await self.pipeline.still_approved(request):
            return "An approval does not hold any more, so nothing was sent."
        return ""

    async def run_slice(self, request_id: str) -> float | None:
        """The next slice. None when nothing is left, else seconds to wait before the next one."""
        request = await self.store.request(request_id)
        if request is None or request.state != State.RUNNING:
            return None
        operation = self.pipeline.operation(request.operation)
        await self._settle_interrupted(request, operation)
        if request.cancelling:
            await self.ledger.close_rest(request_id, "cancelled before it was sent")
            return None
        size = max(operation.call_size, SLICE)
        rows = await self.ledger.records(request_id, (Result.TODO,), size)
        if not rows:
            return None
        wait = await self._send(request, operation, await self._unmoved(request, operation, rows))
        await self.pipeline.voice.show(request_id)
        return wait

    async def resume(self, request_id: str) -> None:
        """The vendor's pause is over."""
        await self.store.move(
            request_id,
            (State.SCHEDULED,),
            State.RUNNING,
            actor="amend",
            action="request:resumed",
            run_at=None,
        )

    async def finish(self, request_id: str) -> None:
        """Add up, name the state that the request ends in, and post the receipt."""
        request = await self.store.request(request_id)
        if request is None or request.state in OVER or request.state == State.SCHEDULED:
            return
        counts = await self.ledger.counts(request_id)
        cancelled = request.cancelling and counts.not_sent > request.left_out
        state = outcome(counts, request.left_out, cancelled)
        await self.store.move(
            request_id,
            (State.RUNNING,),
            state,
            actor="amend",
            action=f"request:{state}",
            facts={**counts.public(), "not_sent": counts.not_sent},
            ended_at=self.store.clock(),
        )
        await self.pipeline.voice.show(request_id)
        await self.pipeline.voice.reply(request_id)

    async def _stop(self, request: Request, why: str) -> None:
        await self.ledger.close_rest(request.id, why)
        await self.store.set_fields(request.id, words=why)
        await self.finish(request.id)

    # --- one slice -------------------------------------------------------------------------------

    async def _unmoved(
        self, request: Request, operation: Operation, rows: Sequence[PlannedRecord]
    ) -> list[PlannedRecord]:
        """The rows whose records are still as planned; the others are held back, and say why."""
        fresh = self.store.clock() - (request.planned_at or 0.0) < FRESH
        if request.direct and fresh:
            return list(rows)
        try:
            now = await operation.read([row.record_id for row in rows])
        except VendorError as error:
            await self._hold(request, rows, f"its present state could not be read: {error}")
            return []
        kept, held = [], []
        for row in rows:
            why = drift(as_record(row), now.get(row.record_id))
            if why:
                held.append((row, why))
            else:
                kept.append(row)
        for row, why in held:
            await self._hold(request, [row], why)
        return kept

    async def _hold(self, request: Request, rows: Sequence[PlannedRecord], why: str) -> None:
        outcomes = [Outcome(row.record_id, Result.NOT_SENT, why) for row in rows]
        await self.ledger.settle(request.id, rows, outcomes)

    async def _send(
        self, request: Request, operation: Operation, rows: Sequence[PlannedRecord]
    ) -> float:
        """Send the rows in calls of the operation's size; seconds that the vendor asks to wait."""
        size = operation.call_size
        groups = [rows[start : start + size] for start in range(0, len(rows), size)]
        gate = asyncio.Semaphore(operation.parallel)

        async def one(group: Sequence[PlannedRecord]) -> float:
            async with gate:
                return await self._call(request, operation, group)

        return max(await asyncio.gather(*(one(group) for group in groups)), default=0.0)

    async def _call(
        self, request: Request, operation: Operation, rows: Sequence[PlannedRecord]
    ) -> float:
        """One call: intent, call, outcome. Seconds that the vendor asks to wait, 0 for none."""
        batch = self._batch(request, operation, rows)
        for attempt in range(1, TRIES + 1):
            if not await self.ledger.sending(request.id, rows, self.store.clock()):
                return 0.0
            sent_at = time.time()
            try:
                outcomes = await operation.apply(batch)
            except Temporary as error:
                wait = await self._not_sent(request, rows, error, attempt)
                if wait is not None:
                    return wait
                continue
            except (Rejected, BadCredentials) as error:
                await self._refused(request, rows, error)
                return 0.0
            except (VendorError, Exception) as error:
                outcomes = await self._look_up(request, operation, batch, sent_at, error)
            await self._settled(request, rows, outcomes)
            if all(each.result is not Result.TODO for each in outcomes):
                return 0.0
        await self._hold(request, rows, "the vendor did not take it after several tries")
        return 0.0

    async def _settled(
        self, request: Request, rows: Sequence[PlannedRecord], outcomes: Sequence[Outcome]
    ) -> None:
        await self.ledger.settle(request.id, rows, outcomes)
        words = "\n".join(dict.fromkeys(each.words for each in outcomes if each.words))
        if words:
            await self.store.set_fields(request.id, reply=words[:1000])

    async def _not_sent(
        self, request: Request, rows: Sequence[PlannedRecord], error: Temporary, attempt: int
    ) -> float | None:
        """Nothing was changed: None to try again now, seconds to schedule, or 0 to give up."""
        todo = [Outcome(row.record_id, Result.TODO) for row in rows]
        await self.ledger.settle(request.id, rows, todo)
        if error.wait is not None and error.wait > LONG_WAIT:
            await self._schedule(request, error)
            return error.wait
        if attempt == TRIES:
            await self.store.set_fields(request.id, words=str(error))
            await self._hold(request, rows, str(error))
            return 0.0
        await self.sleep(error.wait if error.wait is not None else 2.0 ** (attempt - 1))
        return None

    async def _schedule(self, request: Request, error: Temporary) -> None:
        await self.store.move(
            request.id,
            (State.RUNNING,),
            State.SCHEDULED,
            actor="amend",
            action="request:scheduled",
            facts={"reason": str(error), "seconds": error.wait},
            words=str(error),
            run_at=self.store.clock() + (error.wait or 0.0),
        )

    async def _refused(
        self, request: Request, rows: Sequence[PlannedRecord], error: VendorError
    ) -> None:
        outcomes = [Outcome(row.record_id, Result.REFUSED, error.words) for row in rows]
        await self.ledger.settle(request.id, rows, outcomes)
        await self.store.set_fields(request.id, words=str(error), reply=error.words[:1000])

    async def _look_up(
        self,
        request: Request,
        operation: Operation,
        batch: Batch,
        sent_at: float,
        error: Exception,
    ) -> Sequence[Outcome]:
        """Sent without a trustworthy answer: decide by reading; what cannot be told is unknown."""
        log.warning("vendor_answer_missing", request=request.id, error=type(error).__name__)
        known = isinstance(error, VendorError)
        words = str(error) if known else "The answer could not be read."
        await self.store.set_fields(request.id, words=words)
        since = datetime.fromtimestamp(sent_at, UTC).isoformat()
        for attempt in range(1, TRIES + 1):
            await self.sleep(0.5 * attempt)
            try:
                return await operation.reconcile(batch, since)
            except (Temporary, Unreadable):
                continue
            except VendorError:
                break
        return [Outcome(record.id, Result.UNKNOWN, words) for record in batch.records]

    async def _settle_interrupted(self, request: Request, operation: Operation) -> None:
        """What stood at `sending` when the process died is decided by reading, never sent again.

        A record that reading finds untouched goes back to do only where repeating is safe.
        """
        rows = await self.ledger.records(request.id, (Result.SENDING,), operation.call_size)
        if not rows:
            return
        batch = self._batch(request, operation, rows)
        sent_at = min(row.sent_at or 0.0 for row in rows)
        gone = InterruptedError("the process ended during the call")
        outcomes = await self._look_up(request, operation, batch, sent_at, gone)
        await self._settled(request, rows, outcomes)

    def _batch(
        self, request: Request, operation: Operation, rows: Sequence[PlannedRecord]
    ) -> Batch:
        parameters: Parameters = self.pipeline.parameters(request)
        changes = changes_on_the_wire(operation, parameters, request.comment)
        return Batch(parameters, changes, [as_record(row) for row in rows])
