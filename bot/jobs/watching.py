"""Watching: each watch is polled in time, compared with what was known, and its news are told."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import structlog

from bot.db.tables import Delivery, News, Watch
from bot.db.watching import ENDS, WatchStore
from bot.domain.errors import AmendError
from bot.domain.operations import Cursor, Registry, Sighting, Watcher
from bot.domain.parameters import read_stored
from bot.domain.quiethours import speak_at
from bot.jobs.supervisor import each_apart
from bot.pipeline.parts import AT_MOST
from integrations.errors import Temporary, VendorError

log = structlog.get_logger(__name__)

PAGE = 1000
LEASE = 180.0  # seconds for which a poll is its replica's; held on while it reads
LONGEST_POLL = 3600.0  # seconds; a list that takes longer would never be read to its end
TOO_LONG = "its list took more than an hour to read"
LONGEST_GAP = 900.0  # seconds between two tries at a vendor that is down
AT_ONCE = 4  # watches polled at the same time
APART = 3  # changes that get a message each; more at once are one digest
ENDS_APART = 20  # the same for ends that come nearer
TOLD_AFTER = 5  # failures one after the other; its owner hears of it then, once
OUR_FAULT = "Amend failed on what the vendor sent; the log names the fault"
JOINS = 30.0  # seconds by which a poll may come early because another one reads the same

TellOwner = Callable[[Watch, str], Awaitable[None]]


@dataclass
class Watching:
    """Polls what is due. The schedule is in the database, so that it survives restarts.

    Watches of the same selection share one poll, and meet in it from then on. `tell_owner` is
    given a watch that has failed `TOLD_AFTER` times, with the reason.
    """

    watches: WatchStore
    registry: Registry
    every: float
    wake: Callable[[], None]
    tell_owner: TellOwner | None = None
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def run(self) -> None:
        """Poll for ever."""
        while True:
            try:
                await self.round()
            except Exception:  # a locked database must not end the watching
                log.warning("watching_failed")
            await asyncio.sleep(min(1.0, self.every / 4))

    async def round(self) -> None:
        """Start every poll that is due; tell what may be told by now."""
        while len(self._tasks) < AT_ONCE:
            now = self.watches.store.clock()
            watch = await self.watches.claim(now, now + LEASE, now + max(AT_MOST, self.every))
            if watch is None:
                break
            soon = now + min(self.every / 2, JOINS)
            alike = await self.watches.claim_alike(watch, soon, now + LEASE)
            task = asyncio.create_task(self._safely([watch, *alike]))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        # The others speak at the end of their poll, so that one poll is one digest.
        late = [each for each in await self.watches.listed() if _speaks_later(each)]
        await each_apart("tell of a watch", late, self.tell)

    async def close(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _safely(self, group: list[Watch]) -> None:
        try:
            await self.poll(group)
            await each_apart("tell of a watch", group, self.tell)
        except Exception:
            log.exception("poll_failed", watch=group[0].id)

    async def poll(self, group: list[Watch]) -> None:
        """One poll for all of `group`: page by page what changed, then the new cursor.

        The first was polled longest ago, so its cursor holds for all of them. Those that are not
        ours any more leave the group, and with the last of them the poll ends.
        """
        watcher = self.registry.watcher(group[0].watcher)
        now = self.watches.store.clock()
        if watcher is None:
            for watch in group:
                await self.watches.failed(watch, 0, "it is not switched on", now + LONGEST_GAP)
            return
        yields_until = (group[0].polled_at or 0.0) + watcher.apart()
        if yields_until > now:
            for watch in group:
                await self.watches.postpone(watch, yields_until)
            return
        try:
            cursor = await self._read_in_time(group, watcher)
        except Exception as error:
            # Whatever it is: a watch that cannot go on says so, backs off, and holds up no other.
            if not isinstance(error, (VendorError, AmendError)):
                log.exception("poll_failed", watch=group[0].id)
            now = self.watches.store.clock()
            await each_apart("note a failure", group, partial(self._failed, error=error, now=now))
            return
        for watch in group:
            await self.watches.polled(watch, cursor, now + self.every)

    async def _read_in_time(self, group: list[Watch], watcher: Watcher) -> str:
        """The new cursor; "" for none, where the group is empty by then."""
        reading = asyncio.create_task(self._read(group, watcher))
        try:
            async with asyncio.timeout(LONGEST_POLL):
                while group and not (await asyncio.wait((reading,), timeout=LEASE / 3))[0]:
                    until = self.watches.store.clock() + LEASE
                    group[:] = [each for each in group if await self.watches.hold(each, until)]
        except TimeoutError:
            raise AmendError(TOO_LONG) from None
        finally:
            reading.cancel()
            await asyncio.wait((reading,))
        return "" if reading.cancelled() else reading.result()

    async def _read(self, group: Sequence[Watch], watcher: Watcher) -> str:
        last = Cursor(group[0].cursor)
        selection = read_stored(watcher.parameters, group[0].selection)
        states = watcher.states(selection)
        page, near = list[Sighting](), set[str]()

        async def notice() -> None:
            changes = [each for each in page if each.reminder is None]
            ends = [each for each in page if each.reminder is not None]
            near.update(each.id for each in ends)
            for watch in tuple(group):
                await self.watches.notice(watch, changes, states)
                await self.watches.remind(watch, ends)
            page.clear()

        async for each in watcher.poll(selection, last.value):
            if isinstance(each, Cursor):
                last = each
                continue
            page.append(each)
            if len(page) == PAGE:
                await notice()
        await notice()
        for watch in tuple(group) if last.ends else ():
            await self.watches.forget_ends(watch, near)
        return last.value

    async def _failed(self, watch: Watch, error: Exception, now: float) -> None:
        failures = watch.failures + 1
        gap = min(self.every * 2.0 ** min(failures - 1, 10), max(LONGEST_GAP, self.every))
        if isinstance(error, Temporary) and error.wait is not None:
            gap = max(min(error.wait, AT_MOST), self.every)
        log.info("watch_failed", watch=watch.id, error=type(error).__name__)
        known = isinstance(error, (VendorError, AmendError))
        why = str(error) if known else OUR_FAULT
        await self.watches.failed(watch, failures, why, now + gap)
        if failures == TOLD_AFTER and self.tell_owner is not None:
            await self.tell_owner(watch, why)

    # --- telling ----------------------------------------------------------------------------------

    async def tell(self, watch: Watch) -> None:
        """Turn news into wanted messages: one a record, or one digest."""
        for ends in (False, True):
            await self._tell(watch, ends=ends)

    async def _tell(self, watch: Watch, *, ends: bool) -> None:
        """Changes of state, or ends that come nearer: those have buttons of their own, so more of
        them stand apart."""
        pending = await self.watches.pending(watch.id, ends=ends)
        if pending is None:
            return
        many, first, last, since = pending
        now = self.watches.store.clock()
        if speak_at(watch.mode, watch.quiet, since, now) > now:
            return
        apart = many <= ENDS_APART if ends else watch.mode == "now" and many <= APART
        if apart:
            news = await self.watches.untold(watch.id, many, ends=ends)
            await self.watches.tell(watch.id, last, _apart(watch, news), "", ends=ends)
        else:
            digest = f"{watch.id}:digest:{first}"
            wanted = [_wanted(watch, digest, "digest")]
            await self.watches.tell(watch.id, last, wanted, digest, ends=ends)
        self.wake()


def _speaks_later(watch: Watch) -> bool:
    return watch.mode != "now" or bool(watch.quiet.get("from"))


def _apart(watch: Watch, news: Sequence[News]) -> list[Delivery]:
    """A message for each record, and a line of its history in the thread."""
    wanted = []
    for each in news:
        if each.to_state == ENDS:
            wanted.append(_wanted(watch, f"{watch.id}:ends:{each.seq}", "ends"))
            continue
        wanted.append(_wanted(watch, f"{watch.id}:of:{each.record_id}", "change"))
        wanted.append(_wanted(watch, f"{watch.id}:step:{each.seq}", "step"))
    return wanted


def _wanted(watch: Watch, key: str, kind: str) -> Delivery:
    return Delivery(key=key, request_id=watch.id, kind=kind, channel=watch.channel)
