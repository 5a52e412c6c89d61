"""What bears witness outside the database: signed checkpoints in a channel, entries at a SIEM."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from ssl import SSLContext

import structlog
from aiohttp import ClientError, ClientSession, ClientTimeout
from sqlalchemy import update
from sqlmodel import col

from bot.db import audit
from bot.db.audit import Witness
from bot.db.store import Store
from bot.db.tables import AuditForwarded
from bot.jobs.supervisor import Pause
from bot.proof.ocsf import api_activity

log = structlog.get_logger(__name__)

LOOKS_EVERY = 5.0  # seconds between two looks for something new
HELD_FOR = 60.0  # seconds for which one replica forwards, unless it goes on
AT_ONCE = 200  # entries in one post
PATIENCE = 20.0  # seconds for the SIEM's answer
LONGEST_PAUSE = 300.0  # seconds between two tries while the SIEM is away


@dataclass
class Checkpoints:
    """Signs the tree's head where there is something new, at most once in `every` seconds.

    `wake` has what is to be posted sent soon.
    """

    store: Store
    witness: Witness
    every: float
    wake: Callable[[], None]

    async def tick(self) -> Pause:
        """Sign where it is due; seconds until the next look."""
        await self.sign(self.every)
        return Pause(min(LOOKS_EVERY, self.every))

    async def sign(self, every: float = 0.0) -> bool:
        """Sign what is new, where the last one is `every` seconds old; True where it was signed."""
        async with self.store.transaction() as session:
            made = await audit.sign(session, self.witness, self.store.clock(), every)
        if made:
            self.wake()
        return made is not None


class NotTaken(ClientError):
    """The SIEM answered, and took nothing."""

    def __init__(self, status: int) -> None:
        super().__init__(f"the SIEM answered {status}")
        self.status = status


@dataclass
class Forwarding:
    """Posts entries to a SIEM in order, as arrays of OCSF events, each until it was taken.

    One replica does so at a time. What was posted without an answer is posted again: an event's
    `metadata.uid` tells.
    """

    store: Store
    http: ClientSession
    url: str
    token: str
    proxy: str | None = None
    authorities: SSLContext | None = None
    _pause: float = LOOKS_EVERY

    async def tick(self) -> Pause:
        """Forward what is new; seconds until the next look, growing while the SIEM is away."""
        try:
            while await self._forward():
                pass
        except (ClientError, TimeoutError, OSError) as error:
            status = getattr(error, "status", None)  # of the SIEM, or of a proxy before it
            log.warning("siem_takes_nothing", error=type(error).__name__, status=status)
            self._pause = min(self._pause * 2, LONGEST_PAUSE)
        else:
            self._pause = LOOKS_EVERY
        return Pause(self._pause)

    async def _forward(self) -> bool:
        """One post; False where nothing is new, or another replica forwards."""
        after = await self._hold()
        if after is None:
            return False
        taken = after
        try:
            batch = await audit.batch(self.store.engine, after, AT_ONCE)
            if batch:
                await self._post([api_activity(json.loads(line)) for _, line in batch])
                taken = batch[-1][0]
        finally:
            await self._let_go(taken)
        return len(batch) == AT_ONCE

    async def _hold(self) -> int | None:
        """Up to which entry the SIEM has the trail; None where another replica forwards."""
        now = self.store.clock()
        async with self.store.transaction() as session:
            found = await session.get(AuditForwarded, 1, with_for_update=True)
            if found is None:
                found = AuditForwarded(id=1)
            elif now < found.until <= now + HELD_FOR:
                return None
            found.until = now + HELD_FOR
            session.add(found)
            return found.seq

    async def _let_go(self, seq: int) -> None:
        async with self.store.transaction() as session:
            await session.exec(
                update(AuditForwarded)
                .where(col(AuditForwarded.seq) <= seq)
                .values(seq=seq, until=0.0)
            )

    async def _post(self, events: list[dict[str, object]]) -> None:
        """Raises `NotTaken` where the SIEM does not take them, `ClientError` where it is not reached."""
        async with self.http.post(
            self.url,
            json=events,
            headers={"Authorization": f"Bearer {self.token}"} if self.token else {},
            timeout=ClientTimeout(total=PATIENCE),
            allow_redirects=False,
            proxy=self.proxy,
            ssl=self.authorities or True,
        ) as answer:
            if answer.status // 100 != 2:
                raise NotTaken(answer.status)
