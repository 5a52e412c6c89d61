"""Courtesy: work in the background lets those go first who wait for an acknowledgement.

One event loop serves both. A burst of requests would else be planned while it still comes in, and its
last would wait for an acknowledgement as long as the first for an answer.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field

CROWD, LATELY = 4, 0.15  # so many acknowledgements within so many seconds are a crowd
MEANWHILE = 2  # pieces of work that go on in a crowd
LOOKS_EVERY = 0.05  # seconds between two looks whether it has gone


@dataclass
class Courtesy:
    """Notes who waits for an acknowledgement, and puts off the beginning of other work in a crowd."""

    clock: Callable[[], float] = time.monotonic
    _waiting: int = 0
    _begun: int = 0
    _came: deque[float] = field(default_factory=lambda: deque([float("-inf")] * CROWD, CROWD))

    @contextmanager
    def served(self) -> Iterator[None]:
        """Somebody waits for an acknowledgement until the block ends."""
        self._came.append(self.clock())
        self._waiting += 1
        try:
            yield
        finally:
            self._waiting -= 1

    @asynccontextmanager
    async def in_turn(self) -> AsyncIterator[None]:
        """The block begins at once where few wait; in a crowd, once few such blocks are begun."""
        while self._crowded and self._begun >= MEANWHILE:  # noqa: ASYNC110 - time tells nobody
            await asyncio.sleep(LOOKS_EVERY)
        self._begun += 1
        try:
            yield
        finally:
            self._begun -= 1

    @property
    def _crowded(self) -> bool:
        return self._waiting >= CROWD or self.clock() - self._came[0] < LATELY
