"""The Cortex Xpanse client: every call signed anew, a few at a time."""

from __future__ import annotations

import asyncio
import secrets
import string
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from integrations.errors import UnknownOutcome, Unreadable
from integrations.http import Http, Reply, Timeouts, Transport
from integrations.secrets import Mask, spellings
from integrations.signing_in import Breaker
from integrations.xpanse import protocol
from integrations.xpanse.config import XpanseSettings
from integrations.xpanse.protocol import API, MOST_COUNTED, PAGE, VENDOR, Incident, Page, User

AT_ONCE = 4
_NONCE = string.ascii_letters + string.digits


class XpanseClient:
    """Reads and updates incidents. `now` gives epoch seconds."""

    def __init__(
        self,
        settings: XpanseSettings,
        *,
        transport: Transport | None = None,
        timeouts: Timeouts | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._http = Http(
            VENDOR,
            name="xpanse",
            verify=settings.verify,
            transport=transport,
            timeouts=timeouts or Timeouts(),
            secrets=spellings(settings.api_key.get_secret_value(), settings.api_key_id),
        )
        self._breaker = Breaker()
        self._settings = settings
        self._now = now
        self._gate = asyncio.Semaphore(AT_ONCE)

    async def check(self) -> None:
        """Raises a `VendorError` where Xpanse is not reachable or does not take the key."""
        protocol.read_validated(await self._post("/api_keys/validate/", {}))

    async def aclose(self) -> None:
        await self._http.aclose()

    async def update(self, incident: str, changes: Mapping[str, str]) -> tuple[bool, list[str]]:
        """Change one incident: (what Xpanse replied, its warnings)."""
        body = protocol.update_body(self._settings, incident, changes)
        reply = await self._post(f"{API}/incidents/update_incident/", body, writes=True)
        try:
            return protocol.read_update(reply)
        except Unreadable as error:
            # It went out, so an answer that cannot be read says nothing about what it did.
            raise UnknownOutcome(VENDOR, error.words) from error

    async def incidents(self, ids: Sequence[str]) -> dict[str, Incident]:
        """Incidents by id; those that Xpanse does not list are absent."""
        found: dict[str, Incident] = {}
        for at in range(0, len(ids), PAGE):
            found |= await self._listed(ids[at : at + PAGE])
        return found

    async def _listed(self, ids: Sequence[str]) -> dict[str, Incident]:
        """Asked for again while there are more of them than an answer holds."""
        found: dict[str, Incident] = {}
        while missing := [each for each in ids if each not in found]:
            page = await self._page(
                [{"field": "incident_id_list", "operator": "in", "value": missing}], 0
            )
            new = {each.id: each for each in page.incidents if each.id in missing}
            found |= new
            if not new or _holds_all(page, 0):
                break
        return found

    async def changed(self, since: int) -> AsyncIterator[Sequence[Incident]]:
        """Pages of incidents modified since `since` (epoch ms; 0: all), oldest first.

        An incident that changes meanwhile moves to the end, and all after it move up. So a page
        begins where the last one ended in time and not in number, and nothing is passed over; what
        is met again unchanged is left out.
        """
        seen: set[tuple[str, int]] = set()
        start = 0
        while True:
            chosen = {"field": "modification_time", "operator": "gte", "value": since}
            page = await self._page([chosen] if since else [], start)
            new = [each for each in page.incidents if (each.id, each.modified) not in seen]
            seen.update((each.id, each.modified) for each in new)
            if new:
                yield new
            if not new or _holds_all(page, start):
                return
            newest = page.incidents[-1].modified
            # Many with one time: on by half a page, so that what moves up is met all the same.
            step = max(1, len(page.incidents) // 2)
            since, start = (newest, 0) if newest > since else (since, start + step)

    async def users(self) -> list[User]:
        return protocol.read_users(await self._post(f"{API}/rbac/get_users/", {"request_data": {}}))

    async def _page(self, filters: Sequence[Mapping[str, Any]], start: int) -> Page:
        body = protocol.search_body(filters, start)
        return protocol.read_incidents(await self._post(f"{API}/incidents/get_incidents/", body))

    async def _post(self, path: str, body: Any, *, writes: bool = False) -> Reply:
        async with self._gate:
            with self._breaker.attempt():
                reply = await self._sent(path, body, writes=writes)
                if protocol.told_status(reply) == 401:
                    raise protocol.failure(reply, writes=writes)
        return reply

    async def _sent(self, path: str, body: Any, *, writes: bool) -> Reply:
        """Signed just before it leaves: a call that waited would come with an old time stamp."""
        nonce = "".join(secrets.choice(_NONCE) for _ in range(64))
        signed = protocol.headers(self._settings, nonce, int(self._now() * 1000))
        request = protocol.request(self._settings, path, body, signed)
        reply = await self._http.send(request, writes=writes)
        hidden = Mask(spellings(signed["authorization"], self._settings.api_key_id))
        return replace(reply, body=hidden(reply.body))


def _holds_all(page: Page, start: int) -> bool:
    """True where this page is the last; the count stops at 9,999, beyond which none is believed."""
    if page.total is None or page.total >= MOST_COUNTED:
        return not page.incidents
    return start + len(page.incidents) >= page.total
