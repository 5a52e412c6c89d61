"""Keeps to the limits that Qualys names in its own headers, for each endpoint."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from integrations.errors import Temporary
from integrations.qualys.faults import VENDOR, wait_in
from integrations.qualys.reading import number

# Facts 9: the Standard tier allows 2 calls at a time; Express only 1, which its header tells.
AT_ONCE = 2
# A person is waiting: a longer pause is told and scheduled, not slept through.
LONGEST_WAIT = 60.0


class Pace:
    """The turnstile of one endpoint: at most 2 calls at a time, and none before the vendor allows.

    The limits count for each API function and subscription (facts 9).
    """

    def __init__(
        self, sleep: Callable[[float], Awaitable[object]], clock: Callable[[], float]
    ) -> None:
        self._sleep = sleep
        self._clock = clock
        self._waiting: list[asyncio.Future[None]] = []
        self._running = 0
        self._allowed = AT_ONCE
        self._not_before = 0.0

    async def enter(self, most: float = LONGEST_WAIT) -> None:
        """Wait for a turn, which lasts until `leave`.

        Raises `Temporary` where the vendor asks for more than `most` seconds.
        """
        while self._running >= self._allowed:
            turn = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            await turn
        self._running += 1
        try:
            await self._pause(most)
        except BaseException:
            self.leave()
            raise

    def leave(self) -> None:
        """The call is over at the vendor, too."""
        self._running -= 1
        waiting, self._waiting = self._waiting, []
        for turn in waiting:
            if not turn.done():
                turn.set_result(None)

    def heed(self, headers: Mapping[str, str]) -> None:
        """Learn from an answer: calls allowed at a time, and a pause once none are left."""
        at_once = number(headers.get("x-concurrency-limit-limit"))
        if at_once:
            self._allowed = min(AT_ONCE, at_once)
        wait = wait_in(headers)
        if wait and number(headers.get("x-ratelimit-remaining")) == 0:
            self._not_before = max(self._not_before, self._clock() + wait)

    async def _pause(self, most: float) -> None:
        wait = self._not_before - self._clock()
        if wait > most:
            raise Temporary(VENDOR, "its limit of calls is used up for now", wait=wait)
        if wait > 0:
            await self._sleep(wait)
