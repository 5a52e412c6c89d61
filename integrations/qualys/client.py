"""The thin Qualys client: moves bytes, turns pages, keeps the pace, repeats what is safe."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar
from urllib.parse import urlsplit

from integrations.errors import Temporary, Unreadable
from integrations.http import Http, Reply, Request, Timeouts, Transport
from integrations.qualys import protocol
from integrations.qualys.config import QualysSettings
from integrations.qualys.faults import VENDOR
from integrations.qualys.models import EditReply, Page, Ticket, User
from integrations.qualys.pacing import LONGEST_WAIT, Pace
from integrations.xml import iter_elements

T = TypeVar("T")

TRIES = 3
# Facts 3.1: a page holds 1,000 tickets, so as many numbers fit into one.
NUMBERS_A_CALL = 1_000


class QualysClient:
    """Calls Qualys with one account; Basic authentication, as ticket_edit.php requires.

    Every method raises a `VendorError`: `Temporary` after 3 tries, or at once where the vendor
    asks to wait for more than a minute (`wait` says how long).
    """

    def __init__(
        self,
        settings: QualysSettings,
        *,
        transport: Transport | None = None,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        timeouts: Timeouts | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._base = settings.url
        self._auth = (settings.username, settings.password.get_secret_value())
        self._http = Http(VENDOR, timeouts=timeouts, transport=transport)
        self._sleep = sleep
        self._paces: dict[str, Pace] = defaultdict(lambda: Pace(sleep, clock))

    async def tickets(self, filters: Mapping[str, str]) -> AsyncIterator[Ticket]:
        """All tickets that `filters` select, by number; one page is held at a time.

        Facts 3.1: sources differ on whether TRUNCATION/@last is on this page or the next. Asking
        from `last` on and dropping what was seen is right either way. Where `states` is absent
        the vendor's default counts, on which sources differ: name the states.
        """
        since: int | None = None
        seen: frozenset[int] = frozenset()
        while True:
            page = await self._page(filters, since)
            new = [each for each in page.tickets if each.number not in seen]
            for ticket in new:
                yield ticket
            if page.last is None or (not new and len(page.tickets) <= 1):
                return
            if not new or page.last < (since or 0):
                # More is announced and does not come; a part must not pass for the whole.
                raise Unreadable(VENDOR, "the next page of the ticket list brings nothing new")
            since, seen = page.last, frozenset(each.number for each in page.tickets)

    async def tickets_by_number(self, numbers: Iterable[int]) -> dict[int, Ticket]:
        """The tickets with these numbers, whatever their state; those that are gone are missing."""
        wanted = sorted(set(numbers))
        found: dict[int, Ticket] = {}
        for start in range(0, len(wanted), NUMBERS_A_CALL):
            chunk = wanted[start : start + NUMBERS_A_CALL]
            filters = {
                "ticket_numbers": ",".join(map(str, chunk)),
                "states": protocol.ALL_STATES,
            }
            async for ticket in self.tickets(filters):
                found[ticket.number] = ticket
        return {each: found[each] for each in wanted if each in found}

    async def edit(self, numbers: Sequence[int], changes: Mapping[str, str]) -> EditReply:
        """Edit 1 to 20,000 tickets; ValueError for none, more, or no change.

        Repeated only where the vendor says that it did not run (409 with 1960 or 1965) or where
        nothing was sent. `UnknownOutcome` and `Unreadable`: read the tickets back.
        """
        request = protocol.edit_request(self._base, numbers, changes)
        read = self._http.timeouts.read + len(numbers) * protocol.SECONDS_PER_TICKET
        request = replace(request, read=read)
        return await self.call(request, protocol.read_edit, writes=True)

    async def users(self) -> list[User]:
        """All users of the subscription that the account may see."""
        request = protocol.user_list_request(self._base)
        return await self.call(request, protocol.read_users, writes=False)

    async def asset_groups(self, title_contains: str = "") -> list[str]:
        """Titles of asset groups that contain the words, in whatever case, sorted."""
        request = protocol.asset_group_request(self._base)
        titles = await self.call(request, protocol.read_asset_groups, writes=False)
        wanted = title_contains.casefold()
        return sorted({each for each in titles if wanted in each.casefold()})

    async def check(self) -> None:
        """Prove URL, credentials and the right to see tickets, with the cheapest ticket list."""
        await self._page({"ticket_numbers": "1", "states": protocol.ALL_STATES}, None)

    async def call(self, request: Request, read: Callable[[Reply], T], *, writes: bool) -> T:
        """Send any request with the account, at the vendor's pace; `read` makes the value of it.

        Repeated only on `Temporary`, so `read` raises that on a write only where nothing ran.
        """
        signed = self._signed(request)
        return await self._tried(lambda: self._once(signed, read, writes=writes))

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _page(self, filters: Mapping[str, str], since: int | None) -> Page:
        request = self._signed(protocol.list_request(self._base, filters, since))
        return await self._tried(lambda: self._streamed(request))

    async def _streamed(self, request: Request) -> Page:
        pace = self._pace(request)
        async with pace.turn(), self._http.stream(request) as flow:
            pace.heed(flow.headers)
            if flow.status != 200:
                reply = await flow.whole()
                raise protocol.failure_in(reply, writes=False) or Unreadable(VENDOR, "")
            reader = protocol.PageReader(flow.status, flow.headers)
            async for element in iter_elements(flow.chunks, protocol.PAGE_ELEMENTS, VENDOR):
                reader.take(element)
            return reader.page()

    async def _once(self, request: Request, read: Callable[[Reply], T], *, writes: bool) -> T:
        pace = self._pace(request)
        async with pace.turn():
            reply = await self._http.send(request, writes=writes)
            pace.heed(reply.headers)
        return read(reply)

    async def _tried(self, call: Callable[[], Awaitable[T]]) -> T:
        """Repeat what changed nothing: after the vendor's own wait, or after 1 and 2 seconds."""
        for tried in range(1, TRIES):
            try:
                return await call()
            except Temporary as error:
                wait = error.wait if error.wait is not None else 2.0 ** (tried - 1)
                if wait > LONGEST_WAIT:
                    raise
                await self._sleep(wait)
        return await call()

    def _pace(self, request: Request) -> Pace:
        return self._paces[urlsplit(request.url).path]

    def _signed(self, request: Request) -> Request:
        return replace(request, auth=self._auth)
