"""What happens beside a running slice: the card ticks, and a pulled brake is noticed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field

import structlog

from bot import tracing
from bot.pipeline.parts import Voice

log = structlog.get_logger(__name__)

TICK = 1.0  # seconds between two looks; a card is not edited more often
FIRST = 0.05  # seconds; the vendor's first call goes out before the first card


@asynccontextmanager
async def ticking(voice: Voice, request_id: str) -> AsyncIterator[None]:
    """Ask for a fresh card each second while the body runs."""

    async def tick() -> None:
        pause = FIRST
        while True:
            await asyncio.sleep(pause)
            pause = TICK
            try:
                await voice.show(request_id)
            except Exception:  # words never hold up the work
                log.info("card_not_refreshed", **tracing.marks(request_id))

    task = asyncio.create_task(tick())
    try:
        yield
    finally:
        task.cancel()


@dataclass
class Parking:
    """The end of the process: no new call goes out, and those under way may come home.

    So a planned restart leaves no call without its outcome, unless the vendor takes too long.
    """

    parked: bool = False
    _under_way: int = 0
    _home: asyncio.Event = field(default_factory=asyncio.Event)

    @contextmanager
    def call(self) -> Iterator[None]:
        """A call is under way until the block ends."""
        self._under_way += 1
        try:
            yield
        finally:
            self._under_way -= 1
            if self.parked and not self._under_way:
                self._home.set()

    async def park(self, within: float) -> None:
        """Let no further call begin; returns once all are home, or after so many seconds."""
        self.parked = True
        if self._under_way:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._home.wait(), within)

    async def stand(self) -> None:
        """Nothing goes on after parking: the step is begun again by the next process."""
        if self.parked:
            await asyncio.Event().wait()


@dataclass
class Brake:
    """Whether a request is to stop, as of at most a second ago; it was not when this was made.

    `changes` counts what people stored and removed here: where it has moved, it is asked at once.
    """

    ask: Callable[[], Awaitable[bool]]
    changes: Callable[[], int]
    _known: bool = False
    _until: float = field(default_factory=lambda: time.monotonic() + TICK)
    _seen: int = field(init=False)
    _asking: asyncio.Lock = field(default_factory=asyncio.Lock)

    def __post_init__(self) -> None:
        self._seen = self.changes()

    async def pulled(self) -> bool:
        """Calls that come while it is asked wait for the answer: none slips through meanwhile."""
        async with self._asking:
            now, changes = time.monotonic(), self.changes()
            if not self._known and (now >= self._until or changes != self._seen):
                self._until, self._seen = now + TICK, changes
                self._known = await self.ask()
            return self._known
