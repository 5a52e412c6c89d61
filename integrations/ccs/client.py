"""The CCS client: one token for all calls, renewed once where CCS no longer takes it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from integrations.ccs import protocol
from integrations.ccs.config import CcsSettings
from integrations.ccs.protocol import VENDOR, Token
from integrations.ccs.reading import CannotRead, Page, Ticket, read_page
from integrations.errors import BadCredentials, Rejected, Temporary, UnknownOutcome, Unreadable
from integrations.http import Http, Reply, Request, Timeouts, Transport
from integrations.secrets import Mask, spellings
from integrations.signing_in import Breaker

# CCS REST API Guide 1.0 (facts A.2): access 60 minutes, refresh 90; renewed a little before.
ACCESS_FOR = 55 * 60.0
REFRESH_FOR = 85 * 60.0
AT_ONCE = 16  # one Windows service answers: be modest (facts A.6)
PAGE = 100


class CcsClient:
    """Reads and updates remediation tickets. `clock` is monotonic, in seconds."""

    def __init__(
        self,
        settings: CcsSettings,
        *,
        transport: Transport | None = None,
        timeouts: Timeouts | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        connected = partial(
            Http,
            VENDOR,
            name="ccs",
            verify=settings.verify,
            transport=transport,
            timeouts=timeouts or Timeouts(),
            secrets=protocol.secrets_of(settings),
        )
        # An update sets values, so repeating one is harmless and connections may be kept.
        self._http = connected(keep_write_connections=AT_ONCE)
        # Its answers are where tokens come from, also those that the other one has to hide.
        self._door = connected()
        self._breaker = Breaker(clock)
        self._settings = settings
        self._clock = clock
        self._token: Token | None = None
        self._since = 0.0
        self._renewing = asyncio.Lock()
        self._gate = asyncio.Semaphore(AT_ONCE)

    async def check(self) -> None:
        """Raises a `VendorError` where CCS is not reachable or does not take the account."""
        await self._signed_in(None)

    async def aclose(self) -> None:
        await self._http.aclose()
        await self._door.aclose()

    async def ticket(self, number: str) -> Ticket | None:
        """One ticket; None where CCS lists none with this number, in whatever case.

        Raises `CannotRead` where this server shows no tickets.
        """
        page = await self._read(
            lambda token: protocol.ticket_request(self._settings, token, number)
        )
        return next((each for each in page.tickets if _same(each.number, number)), None)

    async def tickets(self, numbers: Sequence[str]) -> dict[str, Ticket | Rejected]:
        """Tickets by the number asked for, several calls at a time; those not listed are absent.

        In place of one that CCS refuses to show (400 and 403 speak of a ticket) stands its refusal.
        """
        found = await asyncio.gather(*(self._shown(each) for each in numbers))
        return {
            number: ticket
            for number, ticket in zip(numbers, found, strict=True)
            if ticket is not None
        }

    async def _shown(self, number: str) -> Ticket | Rejected | None:
        try:
            return await self.ticket(number)
        except CannotRead:
            raise
        except Rejected as error:
            if error.code is None:  # an error with status 200, which speaks of the server
                raise
            return error

    async def search(self, fields: Mapping[str, str]) -> AsyncIterator[Sequence[Ticket]]:
        """Pages of the tickets that match every field.

        A server may give smaller pages than it was asked for: its count of pages tells the end, or
        else a page with nothing new.
        """
        seen: set[str] = set()
        number = 0
        while True:
            page = await self._read(partial(self._page, fields, number))
            new = [each for each in page.tickets if each.number not in seen]
            seen.update(each.number for each in new)
            if new:
                yield new
            number += 1
            if number >= page.pages if page.pages is not None else not new:
                return

    async def update(self, number: str, changes: Mapping[str, str]) -> None:
        """Change one ticket. Returns only where CCS said 204."""
        if self._settings.send_priority == "always" and "Priority" not in changes:
            changes = {**changes, **await self._present_priority(number)}
        sent = dict(changes)

        def make(token: Token) -> Request:
            return protocol.update_request(self._settings, token, number, sent)

        reply = await self._send(make, writes=True)
        try:
            protocol.read_updated(reply)
        except Unreadable as error:
            # It went out, so an answer that cannot be read says nothing about what it did.
            raise UnknownOutcome(VENDOR, error.words) from error

    def _page(self, fields: Mapping[str, str], page: int, token: Token) -> Request:
        return protocol.search_request(self._settings, token, fields, page, PAGE)

    async def _present_priority(self, number: str) -> dict[str, str]:
        try:
            present = await self.ticket(number)
        except CannotRead:
            return {}
        return {"Priority": present.priority} if present and present.priority else {}

    # --- token ---------------------------------------------------------------------------------------

    async def _read(self, make: Callable[[Token], Request]) -> Page:
        page = read_page(await self._send(make, writes=False))
        named = self._settings.priority_name
        return replace(
            page,
            tickets=[
                replace(each, priority=each.priority and named(each.priority))
                for each in page.tickets
            ],
        )

    async def _send(self, make: Callable[[Token], Request], *, writes: bool) -> Reply:
        """Send with a token; where CCS takes it no more (401), once again with a new one."""
        async with self._gate:
            self._breaker.check()
            token = await self._signed_in(None)
            reply = await self._http.send(make(token), writes=writes)
            if reply.status == 401:
                token = await self._signed_in(token)
                reply = await self._http.send(make(token), writes=writes)
        if reply.status == 401:
            words = protocol.words_of(reply) or "HTTP 401 with a fresh token"
            raise self._breaker.refused(BadCredentials(VENDOR, words))
        self._breaker.accepted()
        return reply

    async def _signed_in(self, refused: Token | None) -> Token:
        """A token that is not `refused`; concurrent callers share one renewal."""
        async with self._renewing:
            age = self._clock() - self._since
            known = self._token
            if known is not None and known is not refused and age < ACCESS_FOR:
                return known
            self._breaker.enter()
            self._token = None
            if known is not None and known.refresh and age < REFRESH_FOR:
                self._token = await self._refreshed(known)
            if self._token is None:
                self._token = await self._granted()
            self._since = self._clock()
            self._http.hide(spellings(self._token.access) | spellings(self._token.refresh))
            return self._token

    async def _granted(self) -> Token:
        request = protocol.password_grant(self._settings)
        try:
            return protocol.read_token(await self._door.send(request, writes=False))
        except BadCredentials as error:
            raise self._breaker.refused(error) from None

    async def _refreshed(self, known: Token) -> Token | None:
        """A renewed token; None where the refresh token is not taken either."""
        request = protocol.refresh_grant(self._settings, known)
        try:
            return protocol.read_token(await self._door.send(request, writes=False))
        except (BadCredentials, Rejected, Unreadable):
            return None
        except Temporary as error:
            hidden = Mask(spellings(known.refresh))
            words = hidden(error.words.encode()).decode()
            raise Temporary(VENDOR, words, wait=error.wait) from None


def _same(shown: str, asked: str) -> bool:
    return shown.strip().casefold() == asked.strip().casefold()
