"""Courtesy: work in the background lets those go first who wait for an acknowledgement.

One event loop serves both. A burst of requests would else be planned while it still comes in, and its
last would wait for an acknowledgement as long as the first for an answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field

PUT_OFF = 1.0  # seconds between two looks whether something may begin nevertheless
MEANWHILE = 2  # pieces of work that go on however many acknowledgements are waited for


@dataclass
class Courtesy:
    """Counts who waits for an acknowledgement, and puts off the beginning of other work meanwhile."""

    _waiting: int = 0
    _begun: int = 0
    _nobody: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self._nobody.set()

    @contextmanager
    def served(self) -> Iterator[None]:
        """Somebody waits for an acknowledgement until the block ends."""
        self._waiting += 1
        self._nobody.clear()
        try:
            yield
        finally:
            self._waiting -= 1
            if not self._waiting:
                self._nobody.set()

    @asynccontextmanager
    async def in_turn(self) -> AsyncIterator[None]:
        """The block begins once nobody waits; after a second also where few blocks are begun."""
        await self._lets_pass()
        while self._waiting and self._begun >= MEANWHILE:
            await self._lets_pass()
        self._begun += 1
        try:
            yield
        finally:
            self._begun -= 1

    async def _lets_pass(self) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._nobody.wait(), PUT_OFF)
