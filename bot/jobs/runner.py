"""Running a plan: slice by slice, with intent noted before each call and the outcome after it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

import structlog

from bot import tracing
from bot.db.journal import Journal
from bot.db.ledger import Ledger, Row, as_record
from bot.db.store import Store
from bot.db.tables import Request
from bot.db.watching import WatchStore
from bot.domain.errors import AmendError, NotNow
from bot.domain.operations import Operation, Outcome, Result, Vendor
from bot.domain.plans import OVER, Counts, State, drift, outcome
from bot.jobs.budgets import Budgets
from bot.jobs.calls import TRIES, Calls
from bot.jobs.pausing import Pause, Windows, longer, pause_for, put_off, too_long
from bot.jobs.progress import Brake, Parking, ticking
from bot.metrics import RECORDS
from bot.pipeline import Pipeline
from bot.pipeline.parts import LONG_WAIT, barred_as_sent, ended_by_its_run
from integrations.errors import Rejected, Temporary, VendorError

log = structlog.get_logger(__name__)

LOOK = 1000  # records that are read again in one go
LOOK_ONE_BY_ONE = 256  # the same, where a call takes one record
LOOK_FOR = 5.0  # seconds after which a slice is cut to what has been read again
SLICE = (
    100  # records between two looks at drift, where a call takes fewer; up to this a run is short
)
WAVES = 64  # calls that each of the parallel ones gets in a slice
FRESH = 1.0  # seconds for which a plan of a direct request needs no second look
FOLLOW_EVERY = 10.0  # seconds between two looks at what the vendor does by itself
FOLLOW_LATE = 3600.0  # seconds beyond their time for which their end is tried to be told

ENDS = ("changed", "unchanged", "refused", "unknown", "not_sent")

IN_LINE = "Another bulk run under the same vendor account goes first."

T = TypeVar("T")
Sleep = Callable[[float], Awaitable[None]]


@dataclass
class Runner:
    """Carries out one request at a time in steps that are safe to begin again after a crash."""

    store: Store
    ledger: Ledger
    pipeline: Pipeline
    sleep: Sleep = asyncio.sleep
    follow_every: float = FOLLOW_EVERY
    lost_answer: float = (
        60.0  # seconds; a gateway gives up after 30 or 60, and the vendor soon after
    )
    budgets: Budgets = field(default_factory=Budgets)
    parking: Parking = field(default_factory=Parking)
    journal: Journal = field(init=False)
    watches: WatchStore = field(init=False)
    windows: Windows = field(init=False)

    def __post_init__(self) -> None:
        self.journal = Journal(self.store)
        self.watches = WatchStore(self.store)
        self.windows = Windows(self.pipeline.parts)
        for each in self.pipeline.parts.registry.operations:
            for result in ENDS:  # a rate sees nothing of a series that begins with its first count
                RECORDS.labels(each.name, result)

    # --- begin and end ----------------------------------------------------------------------------

    async def outlook(self, request_id: str) -> tuple[float, str, bool]:
        """(seconds until a request may run, the account in whose line it waits, has it begun).

        The line is "" for a short run; where that is due it begins here, and not a step later.
        """
        request = await self.store.request(request_id)
        if request is None:
            return 0.0, "", False
        if ended_by_its_run(request):
            return 0.0, "", True  # what its end failed to say is left
        lane = await self._lane(request)
        if request.state == State.SCHEDULED and request.run_at is not None:
            wait = self.windows.runs_at(request) - self.store.clock()
            return max(wait, 0.001), lane, False
        return 0.0, lane, not lane and await self._begun(request)

    async def _lane(self, request: Request) -> str:
        if request.records - request.left_out <= SLICE:
            return ""
        try:
            return _account(await self._vendor(request))
        except AmendError:
            return ""  # `begin` says why it may not be

    async def resume(self, request_id: str) -> None:
        """The wait is over: the vendor's pause, or the time that was wished for."""
        request = await self.store.request(request_id)
        if request is None or request.state != State.SCHEDULED or await self.windows.wait(request):
            return
        await self.store.move(
            request_id,
            (State.SCHEDULED,),
            State.RUNNING,
            actor="amend",
            action="request:resumed",
            run_at=None,
            words="",
        )

    async def _vendor(self, request: Request) -> Vendor:
        """The vendor as the requester acts at it. Raises `AmendError`."""
        acting = self.pipeline.acting
        return await acting.vendor(acting.operation(request.operation).vendor, request.requester)

    async def waits(self, request_id: str) -> None:
        """It stands in line; a run that was begun already shows how far it is instead."""
        request = await self.store.request(request_id)
        if request is None or request.started_at is not None:
            return
        await self.store.set_fields(request_id, words=IN_LINE)
        await self.pipeline.parts.voice.show(request_id)

    async def begin(self, request_id: str) -> bool:
        """Check rights and approvals once more; False where the run must not be.

        True, too, for one that a killed process ended here: what that failed to say is left.
        """
        request = await self.store.request(request_id)
        return request is not None and await self._begun(request)

    async def _begun(self, request: Request) -> bool:
        if ended_by_its_run(request):
            return True
        if request.state != State.RUNNING or await self.windows.wait(request):
            return False
        try:
            why = await self._forbidden(request)
        except NotNow as error:
            await self._wait(request, str(error))
            return False
        if why:
            await self.stop(request, why)
            return False
        return await self.store.begin(request.id)

    async def _changed(self, request: Request) -> str:
        """Why nothing of it goes out ever again, "" where it may: not what was reviewed."""
        return self.windows.gone(request) or await self.pipeline.acting.other_account(request)

    async def _wait(self, request: Request, why: str) -> float:
        """It cannot be known now whether it may go on: later, unless it was too long already."""
        now = self.store.clock()
        if too_long(request, now):
            await self.stop(request, why)
            return 0.0
        wait = await put_off(self.store, request.id, Pause(why, longer(request, now)))
        await self.pipeline.parts.voice.show(request.id)
        return wait

    async def _forbidden(self, request: Request) -> str:
        """Why it may not run, "" where it may. Raises `NotNow` where that cannot be known."""
        try:
            operation = await self._operation(request)
        except AmendError as error:
            return str(error)
        acting = self.pipeline.acting
        if why := await self._changed(request):
            return why
        decision = await acting.decide(operation, request.requester, request.channel)
        if decision.unsure:
            raise NotNow(decision.reasons)
        if not decision.allowed or decision.account is None or decision.reach is None:
            return await acting.in_names(" ".join(decision.reasons))
        if not await self.pipeline.approvals.still_approved(request):
            return "An approval does not hold any more, so nothing was sent."
        return ""

    async def finish(self, request_id: str) -> None:
        """Add up, name the state that the request ends in, and post the receipt.

        Safe to repeat: where a killed process had ended it, the words are asked for once more.
        """
        request = await self.store.request(request_id)
        if request is None or request.state == State.SCHEDULED:
            return
        operation = self.pipeline.parts.registry.by_name(request.operation)
        counts = await self.ledger.counts(request_id)
        if request.state not in OVER:
            await self._end(request, operation, counts)
        beside = ["reply"]
        if request.demands:
            beside.append("ask")  # who approved it sees how it ended
        if operation is not None and operation.wishes and counts.changed:
            beside.append("offer")
        voice = self.pipeline.parts.voice
        if operation is not None and counts.changed:
            await self._no_reminders(request, operation)
        await voice.show(request_id, *beside)
        if request.relation == "decision":
            await voice.show(request.source, "reply", "offer")
        if request.relation == "undo":
            await voice.show(request.source)  # whose Undo may be gone

    async def _no_reminders(self, request: Request, operation: Operation) -> None:
        """What was renewed or decided anew does not end as reminders say."""
        registry = self.pipeline.parts.registry
        watchers = [
            each.name
            for vendor in registry.vendors
            for each in vendor.watchers
            if (renews := registry.by_name(each.lets_end)) is not None
            and operation.name in (renews.name, renews.approved_as)
        ]
        if watchers:
            done = self.ledger.all(request.id, (Result.CHANGED,))
            await self.watches.ends_over(watchers, [row.record_id async for row in done])

    async def _end(self, request: Request, operation: Operation | None, counts: Counts) -> None:
        state = outcome(counts, request.cancelling)
        now = self.store.clock()
        goes_on = (
            operation is not None
            and counts.changed
            and request.relation != "undo"
            and operation.goes_on(self.pipeline.acting.parameters(request))
        )
        ended = await self.store.move(
            request.id,
            (State.RUNNING,),
            state,
            actor="amend",
            action=f"request:{state}",
            facts={**counts.public(), "not_sent": counts.not_sent},
            ended_at=now,
            follow_until=now + operation.follows if operation and goes_on else None,
        )
        for result in ENDS if ended else ():
            RECORDS.labels(request.operation, result).inc(getattr(counts, result))

    async def stop(self, request: Request, why: str) -> None:
        """The run must not be: it ends here."""
        await self._close(request, why)
        await self.finish(request.id)

    async def _close(self, request: Request, why: str) -> None:
        """Nothing more is sent. What was under way when a process died is settled."""
        await self._settle_left(request)
        await self.ledger.close_rest(request.id, why)
        await self.store.set_fields(request.id, words=why)

    async def _settle_left(self, request: Request) -> None:
        rows = await self.ledger.records(request.id, (Result.SENDING,), request.records)
        if not rows:
            return
        try:
            calls = await self._calls(request)
        except AmendError:  # the vendor is switched off, or the credentials are closed
            outcomes = [Outcome(row.record_id, Result.UNKNOWN) for row in rows]
            await self.journal.settle(request.id, rows, outcomes)
        else:
            await calls.settle_interrupted(rows)

    async def follow_up(self, request_id: str) -> float | None:
        """Look once at what the vendor did by itself; seconds until the next look, None at the end.

        A slice of the records has its turn in each look, the next one at the next. A look that
        fails is tried again, for as long as it may be of use.
        """
        request = await self.store.request(request_id)
        if request is None or request.follow_until is None or request.state not in OVER:
            return None
        try:
            return await self._followed(request, request.follow_until)
        except Exception as error:
            log.warning("follow_up_failed", **tracing.marks(request_id), error=type(error).__name__)
        over = self.store.clock() > request.follow_until + FOLLOW_LATE
        return None if over else self.follow_every

    async def _followed(self, request: Request, until: float) -> float | None:
        request_id = request.id
        silent = await self.ledger.silent(request_id)
        if not silent:
            return None
        if self.store.clock() > until:
            await self.ledger.say_of_the_silent(request_id, "nothing new from the vendor so far")
            await self.pipeline.parts.voice.follow(request_id)
            return None
        turn = int(self.store.clock() / self.follow_every) * SLICE % len(silent)
        said = await self._look_after(request, silent[turn : turn + SLICE])
        if said:
            await self.ledger.say(request_id, said)
            await self.pipeline.parts.voice.follow(request_id)
        return self.follow_every if len(said) < len(silent) else None

    async def _look_after(self, request: Request, ids: Sequence[str]) -> Mapping[str, str]:
        operation = await self._operation(request)
        try:
            return await operation.follow_up(self.pipeline.acting.parameters(request), ids)
        except VendorError as error:
            log.info("follow_up_failed", **tracing.marks(request.id), error=type(error).__name__)
            return {}

    # --- one slice --------------------------------------------------------------------------------

    async def run_slice(self, request_id: str) -> float | None:
        """The next slice. None when nothing is left, else seconds to wait before the next one."""
        request = await self.store.request(request_id)
        if request is None or request.state != State.RUNNING:
            return None
        operation = self.pipeline.acting.operation(request.operation)
        size = max(operation.call_size, SLICE, WAVES * operation.parallel)
        rows = await self.ledger.records(request_id, (Result.SENDING, Result.TO_SEND), size)
        if not rows:
            return None
        calls = await self._calls(request)
        with tracing.following("request.run", request.id, request.operation):
            return await self._slice(request, calls, rows)

    async def _slice(self, request: Request, calls: Calls, rows: Sequence[Row]) -> float | None:
        interrupted = [row for row in rows if row.result == Result.SENDING]
        if interrupted:
            # A killed process had sent them: what became of them is read, and what is not safe to
            # repeat never goes out again.
            await calls.settle_interrupted(interrupted)
            return 0.0
        if await self._over(request):
            return None
        if wait := await self.windows.wait(request):
            return wait
        brake = Brake(partial(self._pulled, request), self.pipeline.parts.vault.changes)
        async with ticking(self.pipeline.parts.voice, request.id):
            wait = await self._send(request, calls, rows, brake)
        await self.parking.stand()
        await self.pipeline.parts.voice.show(request.id)
        return wait

    async def _over(self, request: Request) -> bool:
        """True where nothing more goes out: it was cancelled, or is not what was reviewed."""
        if request.cancelling:
            await self.ledger.close_rest(request.id, "cancelled before it was sent")
            return True
        why = await self._changed(request)
        if why:
            await self._close(request, why)
        return bool(why)

    async def _send(
        self, request: Request, calls: Calls, rows: Sequence[Row], brake: Brake
    ) -> float:
        """Look, then send; seconds to wait where the vendor, or Slack, cannot be asked now."""
        try:
            kept = await self._unmoved(request, calls.operation, rows)
            pause = await calls.send(kept, brake)
        except NotNow as error:
            return await self._wait(request, str(error))
        except VendorError as error:
            await self.pipeline.acting.heard(request, error)
            pause = pause_for(request, error, self.store.clock())
        if pause is None:
            return 0.0
        # Who takes some of it each time is only slow, and is waited for.
        if too_long(request, self.store.clock()) and not calls.moved:
            await self._close(request, pause.why)
            return 0.0
        return await put_off(self.store, request.id, pause)

    async def _pulled(self, request: Request) -> bool:
        """True where no further call may go out: it is to stop or to wait, or the account changed."""
        if await self.store.stopping(request.id) or self.windows.closed_for(request):
            return True
        return bool(await self.pipeline.acting.other_account(request))

    async def _calls(self, request: Request) -> Calls:
        vendor = await self._vendor(request)
        return Calls(
            self.store,
            self.journal,
            self.pipeline,
            vendor.operation(request.operation),
            request,
            self.sleep,
            self.budgets.turns(_account(vendor), vendor.edits_per_second),
            self.parking,
            self.lost_answer,
        )

    async def _operation(self, request: Request) -> Operation:
        return (await self._vendor(request)).operation(request.operation)

    async def _unmoved(
        self, request: Request, operation: Operation, rows: Sequence[Row]
    ) -> list[Row]:
        """The rows whose records are still as planned; the others are held back, and say why."""
        fresh = 0.0 <= self.store.clock() - (request.planned_at or 0.0) < FRESH
        if request.direct and fresh:
            return list(rows)
        kept: list[Row] = []
        one_by_one = operation.call_size == 1
        piece = LOOK_ONE_BY_ONE if one_by_one else LOOK
        until = time.monotonic() + LOOK_FOR
        for at in range(0, len(rows), piece):
            if one_by_one and at and time.monotonic() > until:
                break  # a slow vendor: the rest is looked at when its turn is near
            kept += await self._still(request, operation, rows[at : at + piece])
        return kept

    async def _still(
        self, request: Request, operation: Operation, rows: Sequence[Row]
    ) -> list[Row]:
        ids = [row.record_id for row in rows]
        try:
            now = await self._patiently(partial(operation.read, ids))
            barred = await self._patiently(partial(self._barred, request, operation, rows))
        except Rejected as error:
            await self._hold(request, rows, f"its present state could not be read: {error}")
            return []
        held = {
            row.record_id: why
            for row in rows
            if (why := barred.get(row.record_id) or drift(as_record(row), now.get(row.record_id)))
        }
        outcomes = [Outcome(each, Result.NOT_SENT, why) for each, why in held.items()]
        moved = [row for row in rows if row.record_id in held]
        await self.journal.settle(request.id, moved, outcomes)
        return [row for row in rows if row.record_id not in held]

    async def _patiently(self, read: Callable[[], Awaitable[T]]) -> T:
        """A read, tried again after the vendor's pause.

        Raises `Rejected` where the vendor says no, any other `VendorError` where it does not say.
        """
        for attempt in range(1, TRIES):
            try:
                return await read()
            except Temporary as error:
                pause = error.wait if error.wait is not None else 2.0 ** (attempt - 1)
                if pause > LONG_WAIT:
                    raise
                await self.sleep(pause)
        return await read()

    async def _barred(
        self, request: Request, operation: Operation, rows: Sequence[Row]
    ) -> Mapping[str, str]:
        """Which records the caller may no longer change: a scope may have narrowed since."""
        acting = self.pipeline.acting
        decision = await acting.decide(operation, request.requester, request.channel)
        if decision.unsure:
            raise NotNow(decision.reasons)
        if decision.account is None or decision.reach is None:
            why = await acting.in_names(" ".join(decision.reasons))
            return {row.record_id: why for row in rows}
        records = [(as_record(row), row.changes) for row in rows]
        parameters = acting.parameters(request)
        return await barred_as_sent(
            operation, parameters, records, decision.account, decision.reach
        )

    async def _hold(self, request: Request, rows: Sequence[Row], why: str) -> None:
        outcomes = [Outcome(row.record_id, Result.NOT_SENT, why) for row in rows]
        await self.journal.settle(request.id, rows, outcomes)


def _account(vendor: Vendor) -> str:
    return f"{vendor.name}:{vendor.account}"
