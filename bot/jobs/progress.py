"""What happens beside a running slice: the card ticks, and a pulled brake is noticed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import structlog

from bot.db.store import Store
from bot.pipeline.parts import Voice

log = structlog.get_logger(__name__)

TICK = 1.0  # seconds between two looks; a card is not edited more often


@asynccontextmanager
async def ticking(voice: Voice, request_id: str) -> AsyncIterator[None]:
    """Ask for a fresh card each second while the body runs."""

    async def tick() -> None:
        while True:
            await asyncio.sleep(TICK)
            try:
                await voice.show(request_id)
            except Exception:  # words never hold up the work
                log.info("card_not_refreshed", request=request_id)

    task = asyncio.create_task(tick())
    try:
        yield
    finally:
        task.cancel()


@dataclass
class Brake:
    """Whether a request is to stop, as of at most a second ago."""

    store: Store
    request_id: str
    _known: bool = False
    _until: float = 0.0

    async def pulled(self) -> bool:
        now = time.monotonic()
        if not self._known and now >= self._until:
            self._until = now + TICK
            self._known = await self.store.stopping(self.request_id)
        return self._known
