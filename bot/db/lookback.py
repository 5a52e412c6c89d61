"""What is counted for a look back: from what Amend recorded and what the watches saw, nothing else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from sqlalchemy import func
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from bot.db.store import Store
from bot.db.tables import AuditEntry, News, PlannedRecord, Request, Watch, Watched
from bot.db.watching import ENDS, ENDS_KEY
from bot.domain.lookback import ENDS_SOON, Line, LookBack, day_of
from bot.domain.operations import Result
from bot.domain.plans import State

_NEVER_ASKED = (State.RECEIVED, State.PLANNED, State.DENIED)
_IN = 500  # values in one IN (…); SQLite takes at most 999 variables in old builds
ECHO = 24 * 3600.0  # seconds in which a change that a watch sees is taken for Amend's own

# (watcher, state): does a record in it still stand open?
StandsOpen = Callable[[str, str], bool]


@dataclass(frozen=True)
class Counting:
    """Counts what concerns these vendors and their operations, `days` back from now."""

    store: Store
    vendors: Collection[str]
    operations: Collection[str]
    days: int
    zone: str

    async def count(self, stands_open: StandsOpen) -> LookBack:
        """One look, in one transaction. Asks no vendor anything."""
        now = self.store.clock()
        since = now - self.days * 86400.0
        async with self.store.reading() as session:
            requests = await self._requests(session, since)
            ended = await _ended(session, list(requests))
            return LookBack(
                since,
                self.days,
                self.zone,
                self._lines(requests, ended),
                self._ours(requests, ended),
                await self._elsewhere(session, since),
                await _waits(session, [each.id for each in requests.values() if each.demands]),
                await self._open_records(session, stands_open),
                await self._ending(session, day_of(now, self.zone)),
            )

    async def _requests(self, session: AsyncSession, since: float) -> dict[str, Request]:
        query = select(Request).where(
            Request.created_at >= since,
            col(Request.operation).in_(self.operations),
            col(Request.state).not_in(_NEVER_ASKED),
        )
        return {each.id: each for each in (await session.exec(query)).all()}

    def _lines(
        self, requests: Mapping[str, Request], ended: Mapping[str, Counter[Result]]
    ) -> list[Line]:
        found = []
        for operation in sorted({each.operation for each in requests.values()}):
            ids = [each.id for each in requests.values() if each.operation == operation]
            results = sum((ended.get(each, Counter()) for each in ids), Counter[Result]())
            found.append(Line(operation, len(ids), results))
        return found

    def _ours(
        self, requests: Mapping[str, Request], ended: Mapping[str, Counter[Result]]
    ) -> Counter[date]:
        found: Counter[date] = Counter()
        for request_id, results in ended.items():
            request = requests[request_id]
            day = day_of(request.started_at or request.created_at, self.zone)
            found[day] += results[Result.CHANGED]
        return found

    async def _elsewhere(self, session: AsyncSession, since: float) -> Counter[date]:
        """Changes that watches noticed and Amend did not make, each once however many watch it."""
        query = (
            select(News.vendor, News.record_id, News.to_state, func.min(News.noticed_at))
            .where(
                News.noticed_at >= since,
                col(News.vendor).in_(self.vendors),
                News.to_state != ENDS,
            )
            .group_by(News.vendor, News.record_id, News.to_state, News.at)
        )
        noticed = (await session.exec(query)).all()
        own = await _brought_about(session, {each[1] for each in noticed}, since - ECHO)
        found: Counter[date] = Counter()
        for *change, at in noticed:
            if not any(at - ECHO < sent <= at for sent in own.get(tuple(change), ())):
                found[day_of(at, self.zone)] += 1
        return found

    async def _watches(self, session: AsyncSession) -> list[Watch]:
        watches = (await session.exec(select(Watch))).all()
        return [each for each in watches if each.watcher.partition(".")[0] in self.vendors]

    async def _open_records(
        self, session: AsyncSession, stands_open: StandsOpen
    ) -> dict[tuple[str, str], int]:
        """By (watcher, state), each record once."""
        seen: dict[tuple[str, str], int] = {}
        watches = await self._watches(session)
        for watcher in sorted({each.watcher for each in watches}):
            ids = [each.id for each in watches if each.watcher == watcher]
            one = (
                select(Watched.record_id, func.max(Watched.state).label("state"))
                .where(
                    col(Watched.watch_id).in_(ids[:_IN]),
                    ~col(Watched.record_id).endswith(ENDS_KEY),
                )
                .group_by(Watched.record_id)
                .subquery()
            )
            query = select(one.c.state, func.count()).group_by(one.c.state)
            for state, many in (await session.exec(query)).all():
                if stands_open(watcher, state):
                    seen[watcher, state] = many
        return seen

    async def _ending(self, session: AsyncSession, today: date) -> int | None:
        looks = [
            each.id
            for each in await self._watches(session)
            if int(each.selection.get("ends_within") or 0) >= ENDS_SOON
        ]
        if not looks:
            return None
        query = select(Watched.record_id, Watched.state).where(
            col(Watched.watch_id).in_(looks[:_IN]), col(Watched.record_id).endswith(ENDS_KEY)
        )
        last = (today + timedelta(days=ENDS_SOON)).isoformat()
        rows = (await session.exec(query)).all()
        return len({key for key, told in rows if today.isoformat() <= told[:10] <= last})


async def _brought_about(
    session: AsyncSession, ids: Collection[str], since: float
) -> dict[tuple[str, ...], list[float]]:
    """When Amend sent what brought a record to a state, by (vendor, record, state)."""
    found: dict[tuple[str, ...], list[float]] = {}
    listed = sorted(ids)
    for at in range(0, len(listed), _IN):
        query = (
            select(
                Request.operation,
                PlannedRecord.record_id,
                PlannedRecord.after,
                PlannedRecord.sent_at,
            )
            .join(Request, col(Request.id) == col(PlannedRecord.request_id))
            .where(
                col(PlannedRecord.record_id).in_(listed[at : at + _IN]),
                PlannedRecord.result == Result.CHANGED,
                col(PlannedRecord.sent_at) > since,
            )
        )
        for operation, record, after, sent in (await session.exec(query)).all():
            for state in after.values():
                key = operation.partition(".")[0], record, state
                found.setdefault(key, []).append(sent or 0.0)
    return found


async def _ended(session: AsyncSession, ids: Sequence[str]) -> dict[str, Counter[Result]]:
    """How many records of each request ended how."""
    found: dict[str, Counter[Result]] = {}
    for at in range(0, len(ids), _IN):
        query = (
            select(PlannedRecord.request_id, PlannedRecord.result, func.count())
            .where(
                col(PlannedRecord.request_id).in_(ids[at : at + _IN]), PlannedRecord.left_out == ""
            )
            .group_by(PlannedRecord.request_id, PlannedRecord.result)
        )
        for request_id, result, many in (await session.exec(query)).all():
            found.setdefault(request_id, Counter())[Result(result)] = many
    return found


async def _waits(session: AsyncSession, ids: Sequence[str]) -> list[float]:
    """Seconds from each submission to its last vote, as the audit trail has them."""
    found = []
    for at in range(0, len(ids), _IN):
        times: dict[str, dict[str, float]] = {}
        actions = ("request:submitted", "request:approved")
        query = select(AuditEntry.request_id, AuditEntry.action, AuditEntry.at).where(
            col(AuditEntry.request_id).in_(ids[at : at + _IN]), col(AuditEntry.action).in_(actions)
        )
        for request_id, action, when in (await session.exec(query)).all():
            times.setdefault(request_id, {})[action] = when
        found += [
            each["request:approved"] - each["request:submitted"]
            for each in times.values()
            if len(each) == len(actions)
        ]
    return found
