"""The ZStack client: one session for all calls, jobs followed by their own uuid."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TypeVar
from urllib.parse import urlsplit

from integrations.errors import (
    BadCredentials,
    NoAnswer,
    Rejected,
    UnknownOutcome,
    Unreadable,
    VendorError,
)
from integrations.http import Http, Reply, Request, Timeouts, Transport
from integrations.secrets import Mask, spellings
from integrations.signing_in import Breaker
from integrations.zstack import failures, protocol
from integrations.zstack.config import ZstackSettings
from integrations.zstack.failures import VENDOR, NodeGone, NotBegun, SessionGone
from integrations.zstack.jobs import TakenJobs
from integrations.zstack.protocol import PAGE, Change, Flow, Ticket
from integrations.zstack.wallclock import WallClock

Row = TypeVar("Row")
AT_ONCE = 4
POLL_EVERY = 1.0  # seconds between two looks at a job; the vendor's own SDK does the same (C.4)
POLL_FOR = 45.0  # seconds; after that the job goes on without us, and is read again later
SKEWED = (
    "it finds the time of the call skewed (requestTimeTooSkewed); check the clocks of both machines"
    " and ZSTACK_TIME_ZONE, the zone that the server lives in"
)
OTHER_KEY = {
    "changeticketstatus": "changeTicketStatus",
    "changeTicketStatus": "changeticketstatus",
}


@dataclass(frozen=True)
class Answer:
    """A reply, and the session that its call went out under; "" for an access key."""

    reply: Reply
    session: str = ""


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
            name="zstack",
            verify=settings.verify,
            transport=transport,
            timeouts=timeouts or Timeouts(),
            secrets=protocol.secrets_of(settings),
        )
        self._breaker = Breaker()
        self._settings = settings
        self._sleep = sleep
        self._wall = WallClock(settings.time_zone, now)
        self._learning = asyncio.Lock()
        self._poll_every = poll_every
        self._action_key: str = settings.action_key
        self._session = ""
        self._sessions = Mask()
        self._renewing = asyncio.Lock()
        self._gate = asyncio.Semaphore(AT_ONCE)
        self._jobs = TakenJobs()

    @property
    def ahead_of_utc(self) -> float:
        """Seconds by which the server's clock is ahead, as it is set or was learned."""
        return self._wall.shift

    async def check(self) -> None:
        """Raises a `VendorError` where ZStack is not reachable or does not take the account."""
        protocol.read_tickets(await self._query("/v1/tickets", [("limit", "1")]))

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

    def all_tickets(self) -> AsyncIterator[list[Ticket]]:
        """Pages of every ticket, in a fixed order."""
        return self._pages("/v1/tickets", protocol.read_tickets)

    async def flows(self) -> list[Flow]:
        """All flows that the account may see; raises `Rejected` where it may list none."""
        pages = self._pages("/v1/tickets/flow", protocol.read_flows)
        return [each async for page in pages for each in page]

    async def _pages(
        self, path: str, read: Callable[[Reply], list[Row]]
    ) -> AsyncIterator[list[Row]]:
        """Every row of a list: one that is asked for at once ends after 1,000 (facts C.6)."""
        start = 0
        while True:
            query = [("sort", "+uuid"), ("start", str(start)), ("limit", str(PAGE))]
            page = read(await self._query(path, query))
            if page:
                yield page
            if len(page) < PAGE:
                return
            start += PAGE

    async def names(self, uuids: Iterable[str]) -> dict[str, str]:
        """Names of virtual ids and accounts by uuid, as far as this account may see them."""
        asked = sorted(set(uuids) - {""})
        found: dict[str, str] = {}
        for path in ("/v1/iam2/virtual-ids", "/v1/accounts"):
            rest = [each for each in asked if each not in found]
            with suppress(Rejected):
                for at in range(0, len(rest), PAGE):
                    query = [("q", f"uuid?={','.join(rest[at : at + PAGE])}"), ("limit", str(PAGE))]
                    found |= protocol.read_names(await self._query(path, query))
        return {each: name for each, name in found.items() if name}

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

    async def change(self, ticket: str, changes: Mapping[str, str], jobs: Sequence[str]) -> Ticket:
        """Fire an event under the first of `jobs` (uuids of ours) that is not used up, and wait.

        A job is used up where it ended without having begun anything: for its session, or because
        the management node was not ready (facts C.4). Raises `UnknownOutcome` where it does not end
        in time; `job_result` reads it later.
        """
        for job in jobs[:-1]:
            answer = await self._fire(ticket, changes, job)
            try:
                return await self._ended(answer, job)
            except SessionGone:
                continue
            except NotBegun:
                if not failures.is_known(answer.reply):
                    raise  # only now: the caller waits before it tries again
        return await self._ended(await self._fire(ticket, changes, jobs[-1]), jobs[-1])

    async def _ended(self, answer: Answer, job: str) -> Ticket:
        """How the job ended whose call was answered so."""
        if failures.is_known(answer.reply):
            self._jobs.knows_ours()  # and it began under an earlier call's session
            return await self._awaited(job)
        try:
            return self._changed(answer.reply, job) or await self._awaited(job)
        except SessionGone:
            self._forget(answer.session)
            raise

    def _changed(self, reply: Reply, job: str) -> Ticket | None:
        """The ticket, where the call itself was answered with it; None where a job was taken."""
        try:
            found = protocol.read_change(reply)
        except Unreadable as error:
            raise UnknownOutcome(VENDOR, error.words) from error
        if found is None:
            self._jobs.took(job, protocol.read_job(reply))
        return found

    async def _awaited(self, job: str) -> Ticket:
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
        except (SessionGone, NotBegun, UnknownOutcome):
            raise
        except VendorError as error:
            if isinstance(error, Rejected) and error.code != "404":
                raise  # the job itself ended so
            raise UnknownOutcome(VENDOR, error.words) from error

    async def _fire(self, ticket: str, changes: Mapping[str, str], job: str) -> Answer:
        """With the other spelling of the action where the server knows only that (facts C.1)."""
        key = self._action_key
        answer = await self._put(key, ticket, changes, job)
        if failures.knows_no_such_key(answer.reply):
            # By the key that this call used: others may have found the right one meanwhile.
            other = OTHER_KEY[key]
            answer = await self._put(other, ticket, changes, job)
            if not failures.knows_no_such_key(answer.reply):
                self._action_key = other
        return answer

    async def _put(self, key: str, ticket: str, changes: Mapping[str, str], job: str) -> Answer:
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

    @property
    def keeps_our_jobs(self) -> bool | None:
        """Does the server keep jobs under the uuids that we send? None where that is not seen yet."""
        return self._jobs.under_ours

    async def job_result(self, job: str) -> Ticket | None:
        """What became of a job: its ticket, None while it runs.

        Raises `Rejected` with the vendor's reason where it failed, with code 404 where no such job
        is known (never begun, or ended more than three hours ago, facts C.4); `NotBegun` where it
        ended before it began; `NoAnswer` where ZStack itself does not know how it ended, or knows no
        more of a job that it took.
        """
        theirs = self._jobs.theirs(job)
        request = protocol.job_request(self._settings, theirs)
        reply = (await self._signed_send(request, writes=False)).reply
        if reply.status == 404 and job in self._jobs:
            words = f"it took this as job {theirs}, and knows no more of that"
            raise NoAnswer(VENDOR, words)
        if reply.status == 404:
            words = "no such job is known"
            raise Rejected(VENDOR, words, code="404")
        if reply.status in (200, 202) and theirs == job:
            self._jobs.knows_ours()
        try:
            return protocol.read_change(reply)
        except NodeGone as error:
            raise NoAnswer(VENDOR, error.words) from error

    # --- signing -------------------------------------------------------------------------------------

    async def _query(self, path: str, query: Sequence[tuple[str, str]]) -> Reply:
        """Asked for once more where its session has ended."""
        request = protocol.query_request(self._settings, path, query)
        answer = await self._signed_send(request, writes=False)
        if protocol.says_session_gone(answer.reply):
            self._forget(answer.session)
            answer = await self._signed_send(request, writes=False)
        return answer.reply

    async def _signed_send(self, request: Request, *, writes: bool) -> Answer:
        async with self._gate:
            self._breaker.check()
            answer = await self._sent(request, writes=writes)
            if failures.is_skewed(answer.reply):
                # Nothing was looked at but the time, so also a write goes out again.
                answer = await self._in_its_zone(request, answer, writes=writes)
        reply = answer.reply
        if failures.is_skewed(reply):
            raise self._breaker.refused(BadCredentials(VENDOR, SKEWED))
        if refusal := protocol.refusal(reply):
            raise self._breaker.refused(refusal)
        self._breaker.accepted()
        return answer

    async def _sent(self, request: Request, *, writes: bool) -> Answer:
        session = "" if self._settings.by_key else await self._signed_in()
        presented = {"Authorization": f"OAuth {session}"} if session else self._signed(request)
        headers = {**request.headers, **presented}
        reply = await self._http.send(replace(request, headers=headers), writes=writes)
        # Of sessions all: a job's answer may quote one that it began under, which is no longer this.
        signature = Mask(spellings(presented["Authorization"].rpartition(":")[2]))
        return Answer(replace(reply, body=signature(self._sessions(reply.body))), session)

    async def _in_its_zone(self, request: Request, answer: Answer, *, writes: bool) -> Answer:
        """The same call at the time that the server's own clock shows, which is looked for."""
        if not self._wall.learns:
            return answer
        tried = self._wall.shift
        async with self._learning:
            if self._wall.shift != tried:  # somebody else found it meanwhile
                return await self._sent(request, writes=writes)
            for shift in self._wall.guesses(answer.reply.headers.get("date", "")):
                self._wall.shift = shift
                answer = await self._sent(request, writes=writes)
                if not failures.is_skewed(answer.reply):
                    return answer
            self._wall.shift = tried
        return answer

    def _signed(self, request: Request) -> Mapping[str, str]:
        path = urlsplit(request.url).path.removeprefix(protocol.ROOT)
        return protocol.signed(self._settings, request.method, path, self._wall.date())

    async def _signed_in(self) -> str:
        """The session, which is begun where there is none."""
        async with self._renewing:
            if not self._session:
                with self._breaker.attempt():
                    login = protocol.login_request(self._settings)
                    reply = await self._http.send(login, writes=False)
                    self._session = protocol.read_session(reply)
                    self._sessions.add(spellings(self._session))
            return self._session

    def _forget(self, session: str) -> None:
        """The next call signs in again, unless somebody else did since this session ended."""
        if self._session == session:
            self._session = ""
