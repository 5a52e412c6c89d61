"""The ZStack client: one session for all calls, jobs followed by their own uuid."""

from __future__ import annotations

import asyncio
import email.utils
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from urllib.parse import urlsplit

from integrations.errors import Rejected, UnknownOutcome, Unreadable, VendorError
from integrations.http import Http, Reply, Request, Timeouts, Transport
from integrations.signing_in import Breaker
from integrations.zstack import protocol
from integrations.zstack.config import ZstackSettings
from integrations.zstack.protocol import PAGE, VENDOR, Change, Flow, SessionGone, Ticket

AT_ONCE = 4
POLL_EVERY = 1.0  # seconds between two looks at a job; the vendor's own SDK does the same (C.4)
POLL_FOR = 45.0  # seconds; after that the job goes on without us, and is read again later
OTHER_KEY = {
    "changeticketstatus": "changeTicketStatus",
    "changeTicketStatus": "changeticketstatus",
}


class ZstackClient:
    """Reads tickets and fires their events."""

    def __init__(
        self,
        settings: ZstackSettings,
        *,
        transport: Transport | None = None,
        timeouts: Timeouts | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        now: Callable[[], float] = time.time,
        poll_every: float = POLL_EVERY,
    ) -> None:
        self._http = Http(
            VENDOR,
            verify=settings.verify,
            transport=transport,
            timeouts=timeouts or Timeouts(),
            secrets=protocol.secrets_of(settings),
        )
        self._breaker = Breaker()
        self._settings = settings
        self._sleep = sleep
        self._now = now
        self._poll_every = poll_every
        self._action_key: str = settings.action_key
        self._session = ""
        self._renewing = asyncio.Lock()
        self._gate = asyncio.Semaphore(AT_ONCE)

    async def check(self) -> None:
        """Raises a `VendorError` where ZStack is not reachable or does not take the account."""
        await self._query("/v1/tickets", [("limit", "1")])

    async def aclose(self) -> None:
        """End the session (an account may have only so many, facts C.3), then the connections."""
        if self._session:
            with suppress(VendorError, TimeoutError):
                async with asyncio.timeout(2.0):
                    request = protocol.logout_request(self._settings, self._session)
                    await self._http.send(request, writes=True)
        await self._http.aclose()

    async def tickets(self, uuids: Sequence[str]) -> dict[str, Ticket]:
        """Tickets by uuid; those that ZStack does not list are absent."""
        found: dict[str, Ticket] = {}
        for at in range(0, len(uuids), PAGE):
            chosen = ",".join(uuids[at : at + PAGE])
            reply = await self._query(
                "/v1/tickets", [("q", f"uuid?={chosen}"), ("limit", str(PAGE))]
            )
            found |= {each.uuid: each for each in protocol.read_tickets(reply)}
        return found

    async def all_tickets(self) -> AsyncIterator[list[Ticket]]:
        """Pages of every ticket, in a fixed order."""
        start = 0
        while True:
            query = [("sort", "+uuid"), ("start", str(start)), ("limit", str(PAGE))]
            page = protocol.read_tickets(await self._query("/v1/tickets", query))
            if page:
                yield page
            if len(page) < PAGE:
                return
            start += PAGE

    async def flows(self) -> list[Flow]:
        return protocol.read_flows(await self._query("/v1/tickets/flow", []))

    async def history(self, ticket: str) -> list[Change]:
        """A ticket's history, oldest first."""
        query = [("q", f"ticketUuid={ticket}"), ("sort", "+sequence")]
        return protocol.read_history(await self._query("/v1/tickets/histories", query))

    async def changes(self, after: int) -> AsyncIterator[list[Change]]:
        """Pages of history beyond a sequence number (facts C.8: the clean cursor)."""
        while True:
            query = [
                ("q", f"sequence>{after}"),
                ("sort", "+sequence"),
                ("limit", str(PAGE)),
            ]
            page = protocol.read_history(await self._query("/v1/tickets/histories", query))
            if page:
                yield page
                after = page[-1].sequence
            if len(page) < PAGE:
                return

    async def newest(self) -> int:
        """The sequence number of the newest entry of any history; 0 for none."""
        query = [("sort", "-sequence"), ("limit", "1")]
        page = protocol.read_history(await self._query("/v1/tickets/histories", query))
        return page[0].sequence if page else 0

    # --- the edit ------------------------------------------------------------------------------------

    async def change(self, ticket: str, changes: Mapping[str, str], job: str) -> Ticket:
        """Fire an event under a job uuid of ours, and wait for its result.

        Raises `UnknownOutcome` where the job does not end in time; `job_result` reads it later.
        """
        reply = await self._fire(ticket, changes, job)
        if not _is_known(reply):
            try:
                found = protocol.read_change(reply)
            except Unreadable as error:
                raise UnknownOutcome(VENDOR, error.words) from error
            if found is not None:
                return found
        ended = await self._told(job)
        if ended is None:
            words = f"job {job} is still running"
            raise UnknownOutcome(VENDOR, words)
        return ended

    async def _told(self, job: str) -> Ticket | None:
        """How a job that the server has taken ended; None where it has not.

        The job goes on whatever happens to our reading of it, so a failure to read is no failure
        of the job: `UnknownOutcome`.
        """
        try:
            return await self._followed(job)
        except SessionGone:
            raise
        except VendorError as error:
            if isinstance(error, Rejected) and error.code != "404":
                raise  # the job itself ended so
            raise UnknownOutcome(VENDOR, error.words) from error

    async def _fire(self, ticket: str, changes: Mapping[str, str], job: str) -> Reply:
        """With the other spelling of the action where the server knows only that (facts C.1)."""
        key = self._action_key
        reply = await self._put(key, ticket, changes, job)
        if _knows_no_such_key(reply):
            # By the key that this call used: others may have found the right one meanwhile.
            other = OTHER_KEY[key]
            reply = await self._put(other, ticket, changes, job)
            if not _knows_no_such_key(reply):
                self._action_key = other
        return reply

    async def _put(self, key: str, ticket: str, changes: Mapping[str, str], job: str) -> Reply:
        request = protocol.change_request(self._settings, key, ticket, changes, job)
        return await self._signed_send(request, writes=True)

    async def _followed(self, job: str) -> Ticket | None:
        """Poll a job; None where it has not ended in time."""
        for _ in range(int(POLL_FOR / self._poll_every)):
            await self._sleep(self._poll_every)
            try:
                found = await self.job_result(job)
            except Unreadable:
                continue
            if found is not None:
                return found
        return None

    async def job_result(self, job: str) -> Ticket | None:
        """What became of a job: its ticket, None while it runs.

        Raises `Rejected` with the vendor's reason where it failed, with code 404 where no such job
        is known (never begun, or ended more than three hours ago, facts C.4).
        """
        request = protocol.job_request(self._settings, job)
        reply = await self._signed_send(request, writes=False)
        if reply.status == 404:
            words = "no such job is known"
            raise Rejected(VENDOR, words, code="404")
        return protocol.read_change(reply)

    # --- signing -------------------------------------------------------------------------------------

    async def _query(self, path: str, query: Sequence[tuple[str, str]]) -> Reply:
        request = protocol.query_request(self._settings, path, query)
        reply = await self._signed_send(request, writes=False)
        try:
            protocol.require_session(reply)
        except SessionGone:
            self._session = ""
            reply = await self._signed_send(request, writes=False)
        return reply

    async def _signed_send(self, request: Request, *, writes: bool) -> Reply:
        async with self._gate:
            self._breaker.check()
            headers = {**request.headers, **await self._authorization(request)}
            reply = await self._http.send(replace(request, headers=headers), writes=writes)
        if refusal := protocol.refusal(reply):
            raise self._breaker.refused(refusal)
        self._breaker.accepted()
        return reply

    async def _authorization(self, request: Request) -> Mapping[str, str]:
        if self._settings.by_key:
            path = urlsplit(request.url).path.removeprefix(protocol.ROOT)
            date = email.utils.formatdate(self._now(), usegmt=True)
            return protocol.signed(self._settings, request.method, path, date)
        async with self._renewing:
            if not self._session:
                with self._breaker.attempt():
                    login = protocol.login_request(self._settings)
                    reply = await self._http.send(login, writes=False)
                    self._session = protocol.read_session(reply)
        return {"Authorization": f"OAuth {self._session}"}

    def forget_session(self) -> None:
        """The next call signs in again."""
        self._session = ""


def _knows_no_such_key(reply: Reply) -> bool:
    return reply.status == 400 and protocol.NO_ACTION in reply.body.decode("utf-8", "replace")


def _is_known(reply: Reply) -> bool:
    """True where the server has this job already: it refuses to run it twice (facts C.5)."""
    text = reply.body.decode("utf-8", "replace")
    return reply.status == 400 and protocol.DUPLICATE.lower() in text.lower()
