"""The thin Qualys client: moves bytes, turns pages, keeps the pace, repeats what is safe."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Mapping,
    Sequence,
)
from contextlib import aclosing
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import TypeVar
from urllib.parse import urlsplit

from integrations.errors import Temporary
from integrations.http import Http, Reply, Request, Timeouts, Transport
from integrations.qualys import protocol
from integrations.qualys.config import QualysSettings
from integrations.qualys.faults import VENDOR, said_at
from integrations.qualys.models import EditReply, Page, Ticket, User
from integrations.qualys.pacing import LONGEST_WAIT, Pace
from integrations.qualys.page_turning import Glance, turned
from integrations.qualys.ticket_lists import read_page
from integrations.secrets import spellings
from integrations.signing_in import Breaker

T = TypeVar("T")

TRIES = 3
# Facts 3.1: a page holds 1,000 tickets, so as many numbers fit into one.
NUMBERS_A_CALL = 1_000


class QualysClient:
    """Calls Qualys with one account; Basic authentication, as ticket_edit.php requires.

    Every method raises a `VendorError`. A read raises `Temporary` after 3 tries, or at once where the
    vendor asks to wait for more than a minute (`wait` says how long). A write is sent once: whoever
    waits must write down that nothing was sent, and look at the records again before the next try.
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
        user, password = self._auth
        self._http = Http(
            VENDOR,
            name="qualys",
            verify=settings.verify,
            timeouts=timeouts,
            transport=transport,
            secrets=spellings(password, user),
        )
        # When Qualys gave its last answer, by its own clock; None where it did not say.
        self.said_at: datetime | None = None
        self._breaker = Breaker(clock)
        self._sleep = sleep
        self._paces: dict[str, Pace] = defaultdict(lambda: Pace(sleep, clock))

    @property
    def username(self) -> str:
        """The login that every call goes out under."""
        return self._auth[0]

    async def tickets(self, filters: Mapping[str, str]) -> AsyncIterator[Ticket]:
        """All tickets that `filters` select, by number. See `pages`."""
        async with aclosing(self.pages(filters)) as pages:
            async for page in pages:
                for ticket in page:
                    yield ticket

    def pages(
        self, filters: Mapping[str, str], *, history: bool = True
    ) -> AsyncGenerator[Sequence[Ticket]]:
        """The same in pages of up to 1,000; the next ones are under way while one is looked at.

        Where `states` is absent the vendor's default counts, on which sources differ: name them.
        Without `history` the tickets come with none, and sooner.
        """
        return turned(partial(self._page, filters, history=history))

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

        `Temporary`: it did not run (409 with 1960 or 1965), or nothing was sent. `UnknownOutcome` and
        `Unreadable`: read the tickets back.
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
        """Send any request with the account, at the vendor's pace; `read` makes the value of it."""
        signed = self._signed(request)

        async def once() -> T:
            with self._breaker.attempt():
                return read(await self._sent(signed, writes=writes))

        return await (once() if writes else self._tried(once))

    def apart(self, path: str) -> float:
        """Seconds that two polls of an endpoint have to be apart; see `Pace.apart`."""
        return self._paces[path].apart()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _page(
        self,
        filters: Mapping[str, str],
        since: int | None,
        glance: Glance = lambda _: None,
        *,
        history: bool = True,
    ) -> Page:
        request = protocol.list_request(self._base, filters, since)

        async def once() -> Page:
            with self._breaker.attempt():
                reply = await self._sent(self._signed(request), writes=False)
                glance(reply.body)
                # A page keeps libxml2 busy for milliseconds: in a thread, nobody waits for that.
                return await asyncio.to_thread(read_page, reply, history=history)

        return await self._tried(once)

    async def _sent(self, request: Request, *, writes: bool) -> Reply:
        pace = self._pace(request)
        await pace.enter(0.0 if writes else LONGEST_WAIT)
        call = self._http.begin(request, writes=writes)
        # Whoever waits may be cancelled; the call goes on at the vendor, and so does its turn.
        call.add_done_callback(lambda _: pace.leave())
        reply = await asyncio.shield(call)
        pace.heed(reply.headers)
        self.said_at = said_at(reply.headers)
        return reply

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
        try:
            return await call()
        except Temporary as error:
            raise error.lasting() from error

    def _pace(self, request: Request) -> Pace:
        return self._paces[urlsplit(request.url).path]

    def _signed(self, request: Request) -> Request:
        return replace(request, auth=self._auth)
