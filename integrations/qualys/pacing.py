"""Keeps to the limits that Qualys names in its own headers, for each endpoint."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple

from integrations.errors import Temporary
from integrations.qualys.faults import VENDOR, wait_in
from integrations.qualys.reading import number

# Facts 9: the Standard tier allows 2 calls at a time; Express only 1, which its header tells.
AT_ONCE = 2
# A person is waiting: a longer pause is told and scheduled, not slept through.
LONGEST_WAIT = 60.0


LONGEST_APART = 900.0


class _Left(NamedTuple):
    """What an answer at `at` (seconds) told: calls left of `limit` in a window (seconds)."""

    calls: int
    limit: int
    window: int
    at: float


def _left(headers: Mapping[str, str], at: float) -> _Left | None:
    """Facts 9: not every answer has the headers."""
    names = ("remaining", "limit", "window-sec")
    calls, limit, window = (number(headers.get(f"x-ratelimit-{name}")) for name in names)
    if calls is None or not limit or not window:
        return None
    return _Left(calls, limit, window, at)


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
        self._left: _Left | None = None

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
        self._left = _left(headers, self._clock()) or self._left
        wait = wait_in(headers)
        if wait and number(headers.get("x-ratelimit-remaining")) == 0:
            self._not_before = max(self._not_before, self._clock() + wait)

    def apart(self) -> float:
        """Seconds between two calls of something that can wait, 0 while half of the limit is left.

        Beyond that it takes at most half of what is left; the last tenth is for people, and then it
        comes every quarter of an hour.
        """
        left = self._left
        if left is None or self._clock() - left.at > left.window or left.calls * 2 >= left.limit:
            return 0.0
        if left.calls * 10 <= left.limit:
            return LONGEST_APART
        return min(LONGEST_APART, 2 * left.window / left.calls)

    async def _pause(self, most: float) -> None:
        wait = self._not_before - self._clock()
        if wait > most:
            raise Temporary(VENDOR, "its limit of calls is used up for now", wait=wait)
        if wait > 0:
            await self._sleep(wait)
