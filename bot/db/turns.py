"""Turns at a database that takes one writer at a time: those whom somebody waits for go first.

SQLite lets a second writer poll for the lock with growing pauses, and serves nobody in order. In one
process there is a better way: to wait in line, with what holds up an acknowledgement at its head.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass
class Turns:
    """A fair lock with two lines."""

    _busy: bool = False
    _hurried: deque[asyncio.Future[None]] = field(default_factory=deque)
    _patient: deque[asyncio.Future[None]] = field(default_factory=deque)

    @asynccontextmanager
    async def take(self, *, hurried: bool) -> AsyncIterator[None]:
        """The turn until the block ends; a waiter that is cancelled leaves the line."""
        if self._busy:
            await self._wait(self._hurried if hurried else self._patient)
        self._busy = True
        try:
            yield
        finally:
            self._pass_on()

    async def _wait(self, line: deque[asyncio.Future[None]]) -> None:
        waiter = asyncio.get_running_loop().create_future()
        line.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                self._pass_on()  # the turn came in the same moment, and nobody takes it
            raise

    def _pass_on(self) -> None:
        """The next in line; the turn stays busy on the way, so that nobody slips in between."""
        for line in (self._hurried, self._patient):
            while line:
                waiter = line.popleft()
                if not waiter.done():
                    waiter.set_result(None)
                    return
        self._busy = False
