"""Watching: each watch is polled in time, compared with what was known, and its news are told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import structlog

from bot.db.tables import Delivery, News, Watch
from bot.db.watching import WatchStore
from bot.domain.errors import AmendError
from bot.domain.operations import Cursor, Registry, Sighting, Watcher
from bot.domain.parameters import read
from bot.domain.quiethours import speak_at
from integrations.errors import Temporary, VendorError

log = structlog.get_logger(__name__)

PAGE = 1000
LEASE = 180.0  # seconds for which a poll is its replica's; the vendor's slowest list takes less
LONGEST_GAP = 900.0  # seconds between two tries at a vendor that is down
AT_ONCE = 4  # watches polled at the same time
APART = 3  # changes that get a message each; more at once are one digest
JOINS = 30.0  # seconds by which a poll may come early because another one reads the same


@dataclass
class Watching:
    """Polls what is due. The schedule is in the database, so that it survives restarts.

    Watches of the same selection share one poll, and meet in it from then on.
    """

    watches: WatchStore
    registry: Registry
    every: float
    wake: Callable[[], None]
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
            watch = await self.watches.claim(now, now + LEASE)
            if watch is None:
                break
            soon = now + min(self.every / 2, JOINS)
            alike = await self.watches.claim_alike(watch, soon, now + LEASE)
            task = asyncio.create_task(self._safely([watch, *alike]))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        for each in await self.watches.listed():
            # The others speak at the end of their poll, so that one poll is one digest.
            if each.mode != "now" or each.quiet.get("from"):
                await self.tell(each)

    async def close(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _safely(self, group: Sequence[Watch]) -> None:
        try:
            await self.poll(group)
            for watch in group:
                await self.tell(watch)
        except Exception:
            log.exception("poll_failed", watch=group[0].id)

    async def poll(self, group: Sequence[Watch]) -> None:
        """One poll for all of `group`: page by page what changed, then the new cursor.

        The first was polled longest ago, so its cursor holds for all of them.
        """
        watcher = self.registry.watcher(group[0].watcher)
        now = self.watches.store.clock()
        if watcher is None:
            for watch in group:
                await self.watches.failed(watch.id, 0, "it is not switched on", now + LONGEST_GAP)
            return
        yields_until = (group[0].polled_at or 0.0) + watcher.apart()
        if yields_until > now:
            for watch in group:
                await self.watches.postpone(watch.id, yields_until)
            return
        try:
            cursor = await self._read(group, watcher)
        except (VendorError, AmendError) as error:
            for watch in group:
                await self._failed(watch, error, now)
            return
        for watch in group:
            await self.watches.polled(watch.id, cursor, now + self.every)

    async def _read(self, group: Sequence[Watch], watcher: Watcher) -> str:
        cursor = group[0].cursor
        selection = read(watcher.parameters, group[0].selection)
        states = watcher.states(selection)
        page: list[Sighting] = []

        async def notice() -> None:
            for watch in group:
                await self.watches.notice(watch, page, states)
            page.clear()

        async for each in watcher.poll(selection, cursor):
            if isinstance(each, Cursor):
                cursor = each.value
                continue
            page.append(each)
            if len(page) == PAGE:
                await notice()
        await notice()
        return cursor

    async def _failed(self, watch: Watch, error: Exception, now: float) -> None:
        failures = watch.failures + 1
        gap = min(self.every * 2.0 ** min(failures - 1, 10), max(LONGEST_GAP, self.every))
        if isinstance(error, Temporary) and error.wait is not None:
            gap = max(error.wait, self.every)
        log.info("watch_failed", watch=watch.id, error=type(error).__name__)
        await self.watches.failed(watch.id, failures, str(error), now + gap)

    # --- telling ----------------------------------------------------------------------------------

    async def tell(self, watch: Watch) -> None:
        """Turn news into wanted messages: one a record, or one digest."""
        pending = await self.watches.pending(watch.id)
        if pending is None:
            return
        many, first, last, since = pending
        now = self.watches.store.clock()
        if speak_at(watch.mode, watch.quiet, since, now) > now:
            return
        if watch.mode != "now" or many > APART:
            digest = f"{watch.id}:digest:{first}"
            await self.watches.tell(watch.id, last, [_wanted(watch, digest, "digest")], digest)
        else:
            news = await self.watches.untold(watch.id, many)
            await self.watches.tell(watch.id, last, _apart(watch, news), "")
        self.wake()


def _apart(watch: Watch, news: Sequence[News]) -> list[Delivery]:
    """A message for each record, and a line of its history in the thread."""
    wanted = []
    for each in news:
        wanted.append(_wanted(watch, f"{watch.id}:of:{each.record_id}", "change"))
        wanted.append(_wanted(watch, f"{watch.id}:step:{each.seq}", "step"))
    return wanted


def _wanted(watch: Watch, key: str, kind: str) -> Delivery:
    return Delivery(key=key, request_id=watch.id, kind=kind, channel=watch.channel)
