"""Turning the pages of a ticket list: while one is looked at, the next is on its way.

Where the next page begins stands at the end of a page. A glance at its last bytes is enough to ask for
it, while a thread still reads the page; what the thread finds is what counts.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass

from integrations.errors import Unreadable
from integrations.qualys.faults import VENDOR
from integrations.qualys.models import Page, Ticket

AHEAD = 1  # pages that are on their way; more bring nothing, for one is read while one is looked at

Glance = Callable[[bytes], None]
# Fetches the page that begins at a ticket number (None: the first), and shows its body at once.
Fetch = Callable[[int | None, Glance], Awaitable[Page]]

# Facts 3.1: TRUNCATION is the last child of the root.
_CUT = re.compile(rb'<TRUNCATION\s+last="(\d{1,18})"')
_END = 1000  # bytes


@dataclass(frozen=True)
class _Coming:
    """A page on its way: where the next one seems to begin, and the page, None behind the last."""

    glance: asyncio.Future[int | None]
    page: asyncio.Task[Page | None]


async def turned(fetch: Fetch) -> AsyncGenerator[Sequence[Ticket]]:
    """The pages of a list, each without what was on the one before. Raises a `VendorError`.

    Facts 3.1: sources differ on whether TRUNCATION/@last is on this page or the next. Asking from
    `last` on and dropping what was seen is right either way.
    """
    since, seen = 0, frozenset[int]()
    coming = deque([_first(fetch, None)])
    try:
        while True:
            while len(coming) <= AHEAD:
                coming.append(_next(fetch, coming[-1].glance))
            page = await coming[0].page or Page((), None)
            new = [each for each in page.tickets if each.number not in seen]
            yield new
            if page.last is None or (not new and len(page.tickets) <= 1):
                return
            if not new or page.last <= since:
                # More is announced and does not come; a part must not pass for the whole.
                raise Unreadable(VENDOR, "the next page of the ticket list brings nothing new")
            since, seen = page.last, frozenset(each.number for each in page.tickets)
            if coming.popleft().glance.result() != since:
                await _dropped(coming)
                coming = deque([_first(fetch, since)])
    finally:
        await _dropped(coming)


def _first(fetch: Fetch, since: int | None) -> _Coming:
    glance = asyncio.get_running_loop().create_future()
    return _Coming(glance, asyncio.create_task(_fetched(fetch, since, glance)))


def _next(fetch: Fetch, begins: asyncio.Future[int | None]) -> _Coming:
    glance = asyncio.get_running_loop().create_future()

    async def follow() -> Page | None:
        since = await asyncio.shield(begins)
        if since is None:
            glance.set_result(None)
            return None
        return await _fetched(fetch, since, glance)

    return _Coming(glance, asyncio.create_task(follow()))


async def _fetched(fetch: Fetch, since: int | None, glance: asyncio.Future[int | None]) -> Page:
    def look(body: bytes) -> None:
        cut = _CUT.search(body, max(0, len(body) - _END))
        if not glance.done():  # a page may be fetched again
            glance.set_result(int(cut[1]) if cut else None)

    return await fetch(since, look)


async def _dropped(coming: Sequence[_Coming]) -> None:
    for each in coming:
        each.page.cancel()
    await asyncio.gather(*(each.page for each in coming), return_exceptions=True)
