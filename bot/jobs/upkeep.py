"""What keeps requests moving: taken up, started in time, reminded of, expired, forgotten."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from bot.db import audit
from bot.db.leases import Leases
from bot.db.outbox import Outbox
from bot.db.store import Store
from bot.db.tables import Request
from bot.db.watching import WatchStore
from bot.domain.clocks import APART
from bot.domain.plans import OVER, State
from bot.jobs.engine import STRAY_EVERY, Engine
from bot.jobs.pausing import Windows
from bot.jobs.supervisor import Chore, each_apart
from bot.jobs.trouble import PAUSES, TRIES
from bot.metrics import (
    LANE_WAITING,
    OUTBOX_OLDEST,
    OUTBOX_WAITING,
    REQUESTS,
    SIEM_OLDEST,
    WATCH_LAG,
)
from bot.pipeline import Pipeline
from bot.pipeline.parts import ended_by_its_run

SWEEP = 10.0  # seconds between two looks for work that nobody carries on
REVIEWED_WITHIN = 24 * 3600.0  # seconds; a plan that nobody submitted by then is forgotten
TOLD_WITHIN = 24 * 3600.0  # seconds; what could not be told for so long is of no use any more
RARELY = 60.0  # seconds between two looks for what has no hurry


@dataclass
class Upkeep:
    """The chores of requests. Each looks at the database, so that a restart forgets nothing."""

    store: Store
    engine: Engine
    pipeline: Pipeline
    outbox: Outbox
    watching: WatchStore
    vendors: Sequence[str]
    leases: Leases | None = None
    forwards: bool = False  # a SIEM is to have the trail
    windows: Windows = field(init=False)

    def __post_init__(self) -> None:
        self.windows = Windows(self.pipeline.parts)

    def chores(self) -> list[Chore]:
        return [
            Chore("accepted requests", self.take_up, SWEEP),
            Chore("strays", self.engine.pick_up_strays, STRAY_EVERY),
            Chore("scheduled requests", self.start_due, SWEEP),
            Chore("approvals", self.wait_on_approvals, SWEEP),
            Chore("reviews", self.forget_reviews, RARELY),
            Chore("gauges", self.measure, SWEEP),
        ]

    async def take_up(self) -> None:
        """Start what was accepted and is carried on by nobody, and what a failure cut short."""
        now = self.store.clock()
        waiting = await self.store.requests_in((State.RECEIVED, State.RUNNING))
        due = [
            each
            for each in waiting
            if not -APART <= now - each.created_at <= SWEEP / 2 and _may_try(each, now)
        ]
        if due:
            carried = await self.engine.under_way()
            due = [each for each in due if each.id not in carried]
        await each_apart("take up", [*due, *await self._cut_short(now)], self._start)

    async def _cut_short(self, now: float) -> list[Request]:
        """What was planned, or has ended, and failed before anybody was told."""
        names = await self.engine.failed(now - TOLD_WITHIN)
        found = [each for name in names if (each := await self.store.request(name))]
        return [each for each in found if _is_to_tell(each) and _may_try(each, now)]

    async def start_due(self) -> None:
        """Start what was scheduled for about now."""
        soon = self.store.clock() + SWEEP
        scheduled = await self.store.requests_in((State.SCHEDULED,))
        waits = [(each, self.windows.runs_at(each)) for each in scheduled if each.run_at]
        due = [(each, at) for each, at in waits if at < soon]
        # A window that opens makes many due at once, which one replica alone would all run; what
        # nobody began in time begins with whoever comes first.
        ours, late = await self._share(), soon - 2 * SWEEP
        begun = [each for each, at in due if at < late or ours(each.id)]
        await each_apart("start", begun, self._start)

    async def _share(self) -> Callable[[str], bool]:
        return await self.leases.share() if self.leases else lambda _: True

    async def _start(self, request: Request) -> None:
        await self.engine.start("carry_out" if _is_to_run(request) else "prepare", request.id)

    async def wait_on_approvals(self) -> None:
        """Nobody has decided yet: it expires, or a reminder is due."""
        pending = await self.store.requests_in((State.PENDING_APPROVAL,))
        await each_apart("wait on approval", pending, self._wait_on)

    async def _wait_on(self, request: Request) -> None:
        approvals = self.pipeline.approvals
        if approvals.is_late(request):
            await approvals.expire(request.id)
            return
        await approvals.recount(request)
        if request.remind_at and request.remind_at < self.store.clock():
            await approvals.remind(request)

    async def forget_reviews(self) -> None:
        """A plan whose review nobody submitted is let go."""
        before = self.store.clock() - REVIEWED_WITHIN
        planned = await self.store.requests_in((State.PLANNED,))
        old = [each for each in planned if each.planned_at and each.planned_at < before]
        await each_apart("forget review", old, self.pipeline.preparer.abandon)

    async def measure(self) -> None:
        """What the database tells; a state that emptied reads 0. Without it the last values stand."""
        OUTBOX_WAITING.set(await self.outbox.waiting())
        OUTBOX_OLDEST.set(await self.outbox.oldest() or 0.0)
        many = await self.store.count_requests()
        for state in State:
            REQUESTS.labels(state.value).set(many.get(state, 0))
        waiting = await self.engine.waiting()
        polled = await self.watching.oldest_poll()
        now = self.store.clock()
        for vendor in self.vendors:
            lanes = (many for lane, many in waiting.items() if lane.partition(":")[0] == vendor)
            LANE_WAITING.labels(vendor).set(sum(lanes))
            WATCH_LAG.labels(vendor).set(now - polled[vendor] if vendor in polled else 0.0)
        if self.forwards:
            SIEM_OLDEST.set(await self._waits_for_siem())

    async def _waits_for_siem(self) -> float:
        async with self.store.reading() as session:
            since = (await audit.forwarded(session)).since
        return 0.0 if since is None else max(0.0, self.store.clock() - since)


def _may_try(request: Request, now: float) -> bool:
    """False in the pause after a failure, none of which is longer than the last."""
    return not now < (request.retry_at or 0.0) <= now + PAUSES[-1] + APART


def _is_to_tell(request: Request) -> bool:
    return request.state == State.PLANNED or (
        request.state in OVER and request.failures < 2 * TRIES
    )


def _is_to_run(request: Request) -> bool:
    """True where it is past its review, so that what is left of it is not in its plan's workflow."""
    if request.state in OVER:
        return ended_by_its_run(request)
    return request.state == State.RUNNING or (
        request.state != State.PLANNED and bool(request.digest)
    )
