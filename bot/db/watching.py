"""Watches and what they noticed: the durable side of notifications."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import ColumnElement, delete, func, insert, or_, update
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from bot.db import audit
from bot.db.store import Store
from bot.db.tables import Delivery, News, PlannedRecord, Request, Watch, Watched
from bot.db.upsert import put_new
from bot.domain.clocks import APART
from bot.domain.operations import Result, Sighting
from bot.domain.reminders import is_to_come, let_go

_WATCHED = Watched.__table__  # type: ignore[attr-defined]
_NEWS = News.__table__  # type: ignore[attr-defined]

ECHO_WITHIN = 24 * 3600.0  # seconds in which a change of Amend's own is recognised
NO_WEEK = 8 * 24 * 3600.0  # seconds; longer than one whose clocks are changed
BEGINS = "begins"  # the kind of the message that tells a channel of a new watch
REPORT = "report"  # what a repeated look back has in the place of a watcher
ENDS = "Ends"  # the state to which a reminder says that a record goes
ENDS_KEY = "#ends"  # what a watch remembers of an end, beside the state of the same record
_IN = 500  # values in one IN (…); SQLite takes at most 999 variables in old builds


@dataclass
class WatchStore:
    """Watches, the states they last saw, and the news that came of it."""

    store: Store
    owner: str = ""  # the replica that polls

    # --- watches ----------------------------------------------------------------------------------

    async def add(self, watch: Watch, *wanted: Delivery) -> None:
        """Keep a new watch and want its messages; one that is known already stays as it is."""
        async with self.store.transaction() as session:
            if not await put_new(session, watch):
                return
            session.add_all(wanted)
            facts = {"watch": watch.id, "watcher": watch.watcher, "selection": watch.selection}
            where = {"channel": watch.channel}
            await audit.append(
                session, self.store.clock(), watch.owner, "watch:added", "", facts | where
            )

    async def end(self, watch_id: str, actor: str) -> bool:
        """Forget a watch and what it saw; False where there was none."""
        async with self.store.transaction() as session:
            found = await session.get(Watch, watch_id)
            if found is None:
                return False
            await session.delete(found)
            await session.exec(delete(Watched).where(col(Watched.watch_id) == watch_id))
            facts = {"watch": watch_id, "channel": found.channel}
            await audit.append(session, self.store.clock(), actor, "watch:ended", "", facts)
            return True

    async def get(self, watch_id: str) -> Watch | None:
        async with self.store.reading() as session:
            return await session.get(Watch, watch_id)

    async def listed(self, channel: str = "") -> Sequence[Watch]:
        """Every watch, or those of one channel, oldest first."""
        async with self.store.reading() as session:
            query = select(Watch)
            if channel:
                query = query.where(Watch.channel == channel)
            return (await session.exec(query.order_by(col(Watch.created_at)))).all()

    async def oldest_poll(self) -> Mapping[str, float]:
        """When the watch that waits longest was last polled well, by vendor (epoch seconds)."""
        found: dict[str, float] = {}
        for each in await self.listed():
            if each.parked or each.watcher == REPORT:
                continue
            vendor, at = each.watcher.partition(".")[0], each.polled_at or each.created_at
            found[vendor] = min(found.get(vendor, at), at)
        return found

    async def claim(self, now: float, until: float, farthest: float = float("inf")) -> Watch | None:
        """The next watch that is due, taken on until `until`; None where none is.

        What was polled later than now, or waits beyond `farthest`, was so by a clock that has been
        set back since.
        """
        async with self.store.transaction() as session:
            next_at = col(Watch.next_at)
            ahead = or_(next_at > farthest + APART, col(Watch.polled_at) > now + APART)
            due = or_(next_at <= now, ahead)
            query = select(Watch).where(due, Watch.parked == "", Watch.watcher != REPORT)
            watch = (await session.exec(query.order_by(col(Watch.next_at)).limit(1))).first()
            if watch is None:
                return None
            return watch if await self._take(session, watch, until) else None

    async def claim_alike(self, watch: Watch, soon: float, until: float) -> list[Watch]:
        """Other watches that the poll of `watch` serves as well, if they are due by `soon`.

        They watch the same selection, and were polled no earlier, so that what it has to begin at
        is old enough for all of them.
        """
        async with self.store.transaction() as session:
            query = select(Watch).where(
                Watch.id != watch.id,
                Watch.watcher == watch.watcher,
                Watch.based == watch.based,
                Watch.next_at <= soon,
                Watch.parked == "",
            )
            found = [
                each
                for each in (await session.exec(query)).all()
                if each.selection == watch.selection
                and (each.polled_at or 0.0) >= (watch.polled_at or 0.0)
            ]
            return [each for each in found if await self._take(session, each, until)]

    async def _take(self, session: AsyncSession, watch: Watch, until: float) -> bool:
        """Take a watch under its next epoch; False where another replica was first."""
        epoch = watch.epoch + 1
        polled_at = None if watch.polled_at is None else min(watch.polled_at, self.store.clock())
        done = await session.exec(
            update(Watch)
            .where(col(Watch.id) == watch.id, col(Watch.next_at) == watch.next_at)
            .where(col(Watch.epoch) == watch.epoch)
            .values(next_at=until, holder=self.owner, epoch=epoch, polled_at=polled_at)
            .execution_options(synchronize_session=False)
        )
        if int(done.rowcount) != 1:
            return False
        session.expunge(watch)
        watch.epoch, watch.polled_at = epoch, polled_at
        return True

    async def hold(self, watch: Watch, until: float) -> bool:
        """Hold a watch on for longer; False where it is another one's by now, or has ended."""
        return await self._set(watch, next_at=until)

    async def postpone(self, watch: Watch, next_at: float) -> None:
        """Nothing went wrong; it is only not yet to be polled."""
        await self._set(watch, next_at=next_at)

    async def release(self) -> None:
        """Nobody else is polling: what a process that ended had taken on is due at once."""
        async with self.store.transaction() as session:
            held = update(Watch).where(col(Watch.failures) == 0, col(Watch.watcher) != REPORT)
            await session.exec(held.values(next_at=0.0))

    async def polled(self, watch: Watch, cursor: str, next_at: float) -> None:
        """A poll came to its end: from here on the next one begins."""
        values = {"cursor": cursor, "next_at": next_at, "polled_at": self.store.clock()}
        await self._set(watch, based=True, failures=0, trouble="", **values)

    async def failed(self, watch: Watch, failures: int, trouble: str, next_at: float) -> None:
        await self._set(watch, failures=failures, trouble=trouble, next_at=next_at)

    async def park(self, watch_id: str, why: str) -> bool:
        """Stop polling for a channel that cannot be told; False where it is parked already."""
        async with self.store.transaction() as session:
            done = await session.exec(
                update(Watch)
                .where(col(Watch.id) == watch_id, col(Watch.parked) == "")
                .values(parked=why)
            )
            return int(done.rowcount) == 1

    async def _set(self, watch: Watch, **values: object) -> bool:
        """Only while the watch is held as it was taken: who has lost it changes nothing."""
        async with self.store.transaction() as session:
            done = await session.exec(update(Watch).where(*_held(watch)).values(**values))
            return int(done.rowcount) == 1

    # --- repeated looks back ----------------------------------------------------------------------

    async def due_reports(self, now: float) -> Sequence[Watch]:
        """Those whose time has come, and those whose time no week has: a clock that was ahead set it."""
        async with self.store.reading() as session:
            due = or_(col(Watch.next_at) <= now, col(Watch.next_at) > now + NO_WEEK)
            query = select(Watch).where(due, Watch.watcher == REPORT, Watch.parked == "")
            return (await session.exec(query)).all()

    async def report(self, watch: Watch, next_at: float) -> None:
        """Want the message of a look back that is due, and name the next time: both, and once."""
        now = self.store.clock()
        async with self.store.transaction() as session:
            done = await session.exec(
                update(Watch)
                .where(col(Watch.id) == watch.id, col(Watch.next_at) == watch.next_at)
                .values(next_at=next_at, polled_at=now)
            )
            if int(done.rowcount) == 1:
                key = f"{watch.id}:report:{int(watch.next_at)}"
                session.add(
                    Delivery(key=key, request_id=watch.id, kind=REPORT, channel=watch.channel)
                )

    # --- what was seen ----------------------------------------------------------------------------

    async def notice(self, watch: Watch, page: Sequence[Sighting], states: frozenset[str]) -> int:
        """Compare a page with what was known, keep the new states; how many are news.

        One transaction: a page that is read again after a crash finds nothing new.
        """
        newest = {each.id: each for each in page}
        async with self.store.transaction() as session:
            if not await _ours(session, watch):
                return 0
            known = await _known(session, watch.id, list(newest))
            moved = [each for each in newest.values() if known.get(each.id) != each.state]
            if not moved:
                return 0
            await _remember(session, watch.id, {each.id: each.state for each in moved}, known)
            if not watch.based:
                return 0
            told = await _own_edits(session, watch, moved, self.store.clock() - ECHO_WITHIN)
            news = [
                each
                for each in moved
                if _concerns(known.get(each.id, ""), each.state, states)
                and (each.id, each.state) not in told
            ]
            await self._write(session, watch, news, known)
            return len(news)

    async def remind(self, watch: Watch, page: Sequence[Sighting]) -> int:
        """Keep what is to be told of ends that come nearer, once a stage; how many are news."""
        due = {f"{each.id}{ENDS_KEY}": each for each in page}
        async with self.store.transaction() as session:
            if not due or not await _ours(session, watch):
                return 0
            known = await _known(session, watch.id, list(due))
            news = {
                key: each
                for key, each in due.items()
                if each.reminder and each.reminder.is_due(known.get(key, ""))
            }
            if not news:
                return 0
            told = {key: each.reminder.key for key, each in news.items() if each.reminder}
            await _remember(session, watch.id, told, known)
            moved = [each.id for key, each in news.items() if key in known]
            await self._tell_anew(session, watch.id, moved)
            was = {each.id: each.state for each in news.values()}
            ending = [replace(each, state=ENDS) for each in news.values()]
            await self._write(session, watch, ending, was)
            return len(news)

    async def forget_ends(self, watch: Watch, near: Collection[str]) -> None:
        """Keep no end but those of the records in `near`: a later look found no other."""
        async with self.store.transaction() as session:
            if not await _ours(session, watch):
                return
            query = select(Watched.record_id).where(
                Watched.watch_id == watch.id, col(Watched.record_id).endswith(ENDS_KEY)
            )
            known = (await session.exec(query)).all()
            gone = [each for each in known if each.removesuffix(ENDS_KEY) not in near]
            await self._no_end(session, watch.id, gone)

    async def ends_over(self, watchers: Collection[str], records: Sequence[str]) -> None:
        """These records do not end any more on the day that watches of these kinds know."""
        keys = [f"{each}{ENDS_KEY}" for each in records]
        async with self.store.transaction() as session:
            query = select(Watch.id).where(col(Watch.watcher).in_(watchers))
            for watch_id in (await session.exec(query)).all():
                known = await _known(session, watch_id, keys)
                await self._no_end(session, watch_id, list(known))

    async def _no_end(self, session: AsyncSession, watch_id: str, keys: Sequence[str]) -> None:
        await _forget(session, watch_id, keys)
        await self._tell_anew(session, watch_id, [each.removesuffix(ENDS_KEY) for each in keys])

    async def _tell_anew(
        self, session: AsyncSession, watch_id: str, records: Sequence[str]
    ) -> None:
        """The notices of these records' ends are made once more: their buttons may be gone."""
        for at in range(0, len(records), _IN):
            query = select(News.seq).where(
                News.watch_id == watch_id,
                col(News.record_id).in_(records[at : at + _IN]),
                _are(True),
            )
            keys = [f"{watch_id}:ends:{seq}" for seq in (await session.exec(query)).all()]
            notice = update(Delivery).where(col(Delivery.key).in_(keys))
            due = self.store.clock()
            await session.exec(notice.values(version=Delivery.version + 1, due_at=due))

    async def end_known(self, watch_id: str, record: str) -> str:
        """What a watch remembers of a record's end (`Reminder.key`, `let_go`); "" for nothing."""
        key = f"{record}{ENDS_KEY}"
        async with self.store.reading() as session:
            return (await _known(session, watch_id, [key])).get(key, "")

    async def let_end(self, watch_id: str, record: str, ends: str, actor: str, why: str) -> bool:
        """End the reminders of one end in a watch; False where the watch has ended, or it stands no
        more, or somebody has let it end before."""
        async with self.store.transaction() as session:
            watch = select(Watch.id).where(Watch.id == watch_id).with_for_update()
            if (await session.exec(watch)).first() is None:
                return False
            key = f"{record}{ENDS_KEY}"
            known = await _known(session, watch_id, [key])
            if not is_to_come(ends, known.get(key, "")):
                return False
            await _remember(session, watch_id, {key: let_go(ends)}, known)
            await self._tell_anew(session, watch_id, [record])
            facts = {"watch": watch_id, "record": record, "ends": ends, "why": why}
            await audit.append(session, self.store.clock(), actor, "watch:let_end", "", facts)
            return True

    async def _write(
        self,
        session: AsyncSession,
        watch: Watch,
        news: Sequence[Sighting],
        known: dict[str, str],
    ) -> None:
        if not news:
            return
        query = select(func.max(News.seq)).where(News.watch_id == watch.id)
        last = (await session.exec(query)).first() or 0
        rows = [
            {
                "watch_id": watch.id,
                "seq": last + number,
                "vendor": watch.watcher.partition(".")[0],
                "record_id": each.id,
                "label": each.label,
                "from_state": known.get(each.id, ""),
                "to_state": each.state,
                "at": each.at,
                "by": each.by,
                "url": each.url,
                "digest": "",
                "told": 0,
                "noticed_at": self.store.clock(),
            }
            for number, each in enumerate(news, 1)
        ]
        connection = await session.connection()
        await connection.execute(insert(_NEWS), rows)

    # --- what is to be told -----------------------------------------------------------------------

    async def untold(self, watch_id: str, limit: int, *, ends: bool) -> Sequence[News]:
        """What is not told yet, oldest first: ends that come nearer, or changes of state."""
        async with self.store.reading() as session:
            query = select(News).where(News.watch_id == watch_id, News.told == 0, _are(ends))
            return (await session.exec(query.order_by(col(News.seq)).limit(limit))).all()

    async def pending(self, watch_id: str, *, ends: bool) -> tuple[int, int, int, float] | None:
        """(how many, first, last, since when) of what is not told yet; None for nothing."""
        async with self.store.reading() as session:
            query = select(
                func.count(), func.min(News.seq), func.max(News.seq), func.min(News.noticed_at)
            ).where(News.watch_id == watch_id, News.told == 0, _are(ends))
            many, first, last, since = (await session.exec(query)).one()
        return (many, first, last, since) if many else None

    async def tell(
        self, watch_id: str, upto: int, deliveries: Sequence[Delivery], digest: str, *, ends: bool
    ) -> None:
        """Want these messages, and mark the news up to `upto` as told by them: all or nothing."""
        async with self.store.transaction() as session:
            # One replica at a time; the next one finds nothing to tell any more.
            await session.exec(select(Watch.id).where(Watch.id == watch_id).with_for_update())
            untold = select(News.seq).where(
                News.watch_id == watch_id, News.seq <= upto, News.told == 0, _are(ends)
            )
            if (await session.exec(untold.limit(1))).first() is None:
                return
            for delivery in deliveries:
                known = await session.get(Delivery, delivery.key, with_for_update=True)
                if known is None:
                    session.add(delivery)
                else:
                    known.version += 1
            await session.exec(
                update(News)
                .where(
                    col(News.watch_id) == watch_id,
                    col(News.seq) <= upto,
                    col(News.told) == 0,
                    _are(ends),
                )
                .values(told=1, digest=digest)
            )

    async def in_digest(self, watch_id: str, digest: str) -> Sequence[News]:
        async with self.store.reading() as session:
            query = select(News).where(News.watch_id == watch_id, News.digest == digest)
            return (await session.exec(query.order_by(col(News.seq)))).all()

    async def at(self, watch_id: str, seq: int) -> News | None:
        async with self.store.reading() as session:
            return await session.get(News, (watch_id, seq))

    async def of_record(self, watch_id: str, record_id: str) -> Sequence[News]:
        """One record's news in a watch, oldest first."""
        async with self.store.reading() as session:
            query = select(News).where(News.watch_id == watch_id, News.record_id == record_id)
            return (await session.exec(query.order_by(col(News.seq)))).all()


def watch_id(act: str) -> str:
    """The id of the watch that an act sets up, by the act's key: each try of it means the same one."""
    return f"W{hashlib.sha256(act.encode()).hexdigest()[:8].upper()}"


def beginning(watch: Watch) -> Delivery:
    """The message that tells a channel who has it told of what."""
    key = f"{watch.id}:{BEGINS}"
    return Delivery(key=key, request_id=watch.id, kind=BEGINS, channel=watch.channel)


def _held(watch: Watch) -> tuple[ColumnElement[bool], ...]:
    return col(Watch.id) == watch.id, col(Watch.epoch) == watch.epoch


async def _ours(session: AsyncSession, watch: Watch) -> bool:
    """Is the watch held as it was taken? Then it stays so until the transaction ends."""
    query = select(Watch.id).where(*_held(watch)).with_for_update()
    return (await session.exec(query)).first() is not None


def _are(ends: bool) -> ColumnElement[bool]:
    return (col(News.to_state) == ENDS) == ends


def _concerns(was: str, now: str, states: frozenset[str]) -> bool:
    return not states or was in states or now in states


async def _known(session: AsyncSession, watch_id: str, ids: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for at in range(0, len(ids), _IN):
        query = select(Watched.record_id, Watched.state).where(
            Watched.watch_id == watch_id, col(Watched.record_id).in_(ids[at : at + _IN])
        )
        found |= dict((await session.exec(query)).all())
    return found


async def _remember(
    session: AsyncSession, watch_id: str, moved: Mapping[str, str], known: dict[str, str]
) -> None:
    connection = await session.connection()
    rows = [
        {"watch_id": watch_id, "record_id": key, "state": state} for key, state in moved.items()
    ]
    await _forget(session, watch_id, [each for each in moved if each in known])
    await connection.execute(insert(_WATCHED), rows)


async def _forget(session: AsyncSession, watch_id: str, keys: Sequence[str]) -> None:
    connection = await session.connection()
    for at in range(0, len(keys), _IN):
        await connection.execute(
            delete(_WATCHED).where(
                _WATCHED.c.watch_id == watch_id, _WATCHED.c.record_id.in_(keys[at : at + _IN])
            )
        )


async def _own_edits(
    session: AsyncSession, watch: Watch, moved: Sequence[Sighting], since: float
) -> set[tuple[str, str]]:
    """(record, state) of what was done through Amend in this channel: not echoed there."""
    found: set[tuple[str, str]] = set()
    ids = [each.id for each in moved]
    for at in range(0, len(ids), _IN):
        query = (
            select(PlannedRecord)
            .join(Request, col(Request.id) == col(PlannedRecord.request_id))
            .where(
                Request.channel == watch.channel,
                Request.created_at > since,
                col(Request.operation).startswith(f"{watch.watcher.partition('.')[0]}."),
                # The vendor may show what it did before its answer to us is written down.
                col(PlannedRecord.result).in_((Result.CHANGED, Result.SENDING, Result.UNKNOWN)),
                col(PlannedRecord.record_id).in_(ids[at : at + _IN]),
            )
        )
        for row in (await session.exec(query)).all():
            found |= {(row.record_id, state) for state in row.after.values()}
    return found
