"""Calls: intent, call, outcome; and what to do where the answer is missing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property

import structlog

from bot import tracing
from bot.db.fence import LeaseLost, insist_in_time
from bot.db.journal import Journal
from bot.db.ledger import Row, as_record
from bot.db.store import Store
from bot.db.tables import Request
from bot.domain.operations import Batch, Operation, Outcome, Result
from bot.domain.parameters import Parameters
from bot.domain.plans import drift
from bot.jobs.budgets import Turns, Window
from bot.jobs.pausing import Pause, pause_for
from bot.jobs.progress import Brake, Parking
from bot.pipeline import Pipeline
from bot.pipeline.parts import LONG_WAIT, changes_on_the_wire
from integrations.errors import (
    BadCredentials,
    NoAnswer,
    Rejected,
    Temporary,
    UnknownOutcome,
    Unreadable,
    VendorError,
)
from integrations.last_look import last_look

log = structlog.get_logger(__name__)

TRIES = 3  # how often a call that certainly changed nothing is sent
STALE = 15.0  # seconds after which a look at a record's state no longer counts
FRESH_FOR = 5.0  # seconds that a retry may pause without another look
LOOKS_AFTER = (0.5, 1.0, 2.0, 4.0)  # seconds before each attempt to read what became of a call
FIRST_LOOK, LAST_LOOK = 1.0, 15.0  # seconds between two looks for a late effect, growing
OPEN = (Result.TO_SEND, Result.UNKNOWN)  # what a later look may still decide

Rows = Sequence[Row]


@dataclass
class Calls:
    """The calls of one request, under one account.

    `lost_answer` is for how many seconds the vendor may be at work on a call that had no answer.
    """

    store: Store
    journal: Journal
    pipeline: Pipeline
    operation: Operation
    request: Request
    sleep: Callable[[float], Awaitable[None]]
    turns: Turns = field(default_factory=lambda: Window(0))
    parking: Parking = field(default_factory=Parking)
    lost_answer: float = 60.0
    _brake: Brake | None = None
    _long: Pause | None = None
    _broken: bool = False
    moved: bool = False  # did the vendor take anything?

    async def send(self, rows: Rows, brake: Brake) -> Pause | None:
        """Send the rows in calls of the operation's size; the pause that the vendor asks for.

        Intents of calls that may be repeated are noted while others are under way, so that no call
        waits for a commit; those of others only when their turn has come. What has no turn within
        `STALE` seconds is left for the next slice, which looks at it again first.
        """
        self._brake = brake
        gate = asyncio.Semaphore(self.operation.parallel)
        ahead = self.operation.call_size == 1 and self.operation.repeatable(self._parameters)
        queue = asyncio.Semaphore(self.operation.parallel * (2 if ahead else 1))
        until = time.monotonic() + STALE

        async def one(group: Rows) -> None:
            async with queue:
                if self._ended or time.monotonic() > until or await brake.pulled():
                    return
                with self.parking.call():
                    await self._guarded(group, gate)

        ended = await asyncio.gather(
            *(one(group) for group in self._groups(rows)), return_exceptions=True
        )
        # Only when nothing is under way any more may the step fail, or the request be put off:
        # whoever goes on with it must find every call settled.
        for each in ended:
            if isinstance(each, BaseException):
                raise each
        return self._long

    @property
    def _ended(self) -> bool:
        """True where no further call of this slice goes out."""
        return self._broken or self._long is not None or self.parking.parked

    async def _guarded(self, rows: Rows, gate: asyncio.Semaphore) -> None:
        try:
            await self._call(rows, gate)
        except Exception:
            self._broken = True
            raise

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
        told = Result.NOT_SENT
        for attempt in range(1, TRIES + 1):
            if not await self._intended(rows):
                return
            try:
                outcomes, answered = await self._attempt(self._batch(rows), rows, gate)
            except BadCredentials as error:
                # It was not let in. Nobody tries on: the vendor would lock the account.
                await self._settled(rows, _to_send(rows))
                await self.pipeline.acting.heard(self.request, error)
                self._leave(error)
                return
            except Temporary as error:
                # Nothing was sent, and that is written down before any pause.
                await self._settled(rows, _to_send(rows))
                if attempt == TRIES and self.request.direct and error.later is None:
                    # Whoever typed it waits for a word, and loses no approval by typing it again.
                    await self._give_up(rows, str(error), told)
                    return
                if attempt == TRIES:
                    self._leave(error.lasting())
                    return
                if not await self._paused(rows, error, attempt):
                    return
                continue
            await self._settled(rows, outcomes)
            again = {each.id: each.words for each in outcomes if each.result is Result.TO_SEND}
            if not again:
                return
            rows = [row for row in rows if row.record_id in again]
            # What had no answer at all may still happen. What had one, and left no trace, will not.
            known = answered and told is not Result.UNKNOWN
            told = Result.REFUSED if known else Result.UNKNOWN
        await self._give_up(rows, next(iter(again.values())), told)

    async def _intended(self, rows: Rows) -> bool:
        """Note the intent, once the budget has room; False where the call must not go out."""
        await self.turns.take()
        if self._ended or (self._brake and await self._brake.pulled()):
            return False
        return await self.journal.sending(self.request.id, rows, self.store.clock())

    async def _attempt(
        self, batch: Batch, rows: Rows, gate: asyncio.Semaphore
    ) -> tuple[Sequence[Outcome], bool]:
        """One call's outcomes, `TO_SEND` where it may be tried again, and whether it was answered.

        Raises `Temporary` where nothing was sent, `BadCredentials` where it was not let in, and
        `LeaseLost` (nothing was sent either) where this process slept on it.
        """
        sent_at = time.time()
        try:
            async with gate:
                insist_in_time()
                sent_at = time.time()
                with last_look(insist_in_time):
                    return await self.operation.apply(batch), True
        except (Temporary, BadCredentials, LeaseLost):
            raise
        except Rejected as error:
            await self.store.set_fields(self.request.id, words=str(error))
            return [Outcome(row.record_id, Result.REFUSED, error.words) for row in rows], True
        except Exception as error:
            answered = isinstance(error, UnknownOutcome) and not isinstance(error, NoAnswer)
            return await self._look_up(batch, sent_at, error, answered=answered), answered

    async def _settled(self, rows: Rows, outcomes: Sequence[Outcome]) -> None:
        await self.journal.settle(self.request.id, rows, outcomes)
        self.moved |= any(each.result is not Result.TO_SEND for each in outcomes)
        if len(rows) > 1 or self.request.records == 1:
            words = "\n".join(dict.fromkeys(each.words for each in outcomes if each.words))
            if words:
                await self.store.set_fields(self.request.id, reply=words[:1000])

    async def _paused(self, rows: Rows, error: Temporary, attempt: int) -> bool:
        """Wait as the vendor asks; False where the rows are left for later, or have moved."""
        if error.wait is not None and error.wait > LONG_WAIT:
            self._leave(error)
            return False
        pause = error.wait if error.wait is not None else 2.0 ** (attempt - 1)
        await self.sleep(pause)
        return pause < FRESH_FOR or await self._as_planned(rows)

    def _leave(self, error: VendorError) -> None:
        """The rows are left for when the wait is over, the longest of all calls'."""
        pause = pause_for(self.request, error, self.store.clock())
        self._long = max(self._long or pause, pause, key=lambda each: each.wait)

    async def _as_planned(self, rows: Rows) -> bool:
        """After a pause: are all of them still as planned? What moved is held back."""
        try:
            now = await self.operation.read([row.record_id for row in rows])
        except VendorError:
            return False
        moved = {row.record_id: drift(as_record(row), now.get(row.record_id)) for row in rows}
        held = [Outcome(each, Result.NOT_SENT, why) for each, why in moved.items() if why]
        if held:
            await self.journal.settle(
                self.request.id, [row for row in rows if moved[row.record_id]], held
            )
        return not held

    async def _give_up(self, rows: Rows, why: str, result: Result) -> None:
        """Tried often enough."""
        await self.store.set_fields(self.request.id, words=why)
        outcomes = [Outcome(row.record_id, result, why) for row in rows]
        await self.journal.settle(self.request.id, rows, outcomes)

    # --- no trustworthy answer --------------------------------------------------------------------

    async def settle_interrupted(self, rows: Rows) -> None:
        """Decide by reading what became of calls that a killed process had sent."""
        gone = InterruptedError("the process ended during the call")
        gate = asyncio.Semaphore(self.operation.parallel)

        async def one(group: Rows) -> None:
            sent_at = min(row.sent_at or 0.0 for row in group)
            async with gate:
                outcomes = await self._look_up(self._batch(group), sent_at, gone, answered=False)
            await self._settled(group, outcomes)

        await asyncio.gather(*(one(group) for group in self._groups(rows)))

    async def _look_up(
        self, batch: Batch, sent_at: float, error: Exception, *, answered: bool
    ) -> Sequence[Outcome]:
        """Sent without a trustworthy answer: decide by reading; what cannot be told is unknown.

        Where the vendor itself did not answer, it may still be at work: it is looked for until that
        is over, since a late effect behind a gateway's error is an effect.
        """
        log.warning(
            "vendor_answer_missing",
            **tracing.marks(self.request.id),
            error=type(error).__name__,
        )
        words = str(error) if isinstance(error, VendorError) else "The answer could not be read."
        outcomes = await self._decided(batch, sent_at, answered=answered)
        if outcomes is None:
            # Nothing can be read either. What may be repeated is, for repeating does no harm.
            again = self.operation.repeatable(self._parameters)
            result = Result.TO_SEND if again else Result.UNKNOWN
            outcomes = [Outcome(each.id, result, "" if again else words) for each in batch.records]
        if any(each.result is Result.UNKNOWN for each in outcomes):
            await self.store.set_fields(self.request.id, words=words)
        return [
            replace(each, words=words) if each.result is Result.TO_SEND else each
            for each in outcomes
        ]

    async def _decided(
        self, batch: Batch, sent_at: float, *, answered: bool
    ) -> Sequence[Outcome] | None:
        """What reading tells, once it tells all or the vendor's work is over by any measure."""
        since = datetime.fromtimestamp(sent_at, UTC).isoformat()
        bound = (
            0.0 if answered else self.operation.at_work_for(len(batch.records), self.lost_answer)
        )
        # A clock that was set back since it was sent prolongs nothing.
        left, pause = min(bound, sent_at + bound - time.time()), FIRST_LOOK
        outcomes = await self._reconciled(batch, since)
        while left > 0 and (outcomes is None or any(each.result in OPEN for each in outcomes)):
            await self.sleep(pause)
            await self.parking.stand()  # the next process goes on looking
            left, pause = left - pause, min(pause * 2, LAST_LOOK)
            outcomes = await self._reconciled(batch, since)
        return outcomes

    async def _reconciled(self, batch: Batch, since: str) -> Sequence[Outcome] | None:
        """What reading tells, tried as often as the vendor needs; None where it cannot be read."""
        for pause in LOOKS_AFTER:
            await self.sleep(pause)
            try:
                return await self.operation.reconcile(batch, since)
            except Temporary as error:
                if error.wait is not None:
                    await self.sleep(min(error.wait, LONG_WAIT))
            except Unreadable:
                continue
            except VendorError:
                return None
        return None


def _to_send(rows: Rows) -> list[Outcome]:
    return [Outcome(row.record_id, Result.TO_SEND) for row in rows]
