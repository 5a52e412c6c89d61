"""The supervisor: no chore's fault is another's, and one that fails is tried with growing pauses."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from bot.jobs.supervisor import LONGEST_PAUSE, Chore, Supervisor, each_apart


class Pauses:
    """Sleeps that take no time and are noted; after `most` of them nobody wakes any more."""

    def __init__(self, most: int) -> None:
        self.noted: list[float] = []
        self.most = most
        self.over = asyncio.Event()

    async def __call__(self, seconds: float) -> None:
        self.noted.append(seconds)
        if len(self.noted) > self.most:
            self.over.set()
            await asyncio.Event().wait()
        await asyncio.sleep(0)


async def supervised(pauses: Pauses, *chores: Chore) -> None:
    supervisor = Supervisor(sleep=pauses)
    supervisor.start(chores)
    async with asyncio.timeout(120):
        await pauses.over.wait()
    await supervisor.stop()


def failing(times: int) -> Callable[[], Awaitable[float | None]]:
    left = iter(range(times))

    async def do() -> float | None:
        if next(left, None) is not None:
            raise ZeroDivisionError
        return None

    return do


async def test_pauses_grow_up_to_a_bound_and_are_forgotten_after_a_success() -> None:
    pauses = Pauses(12)
    await supervised(pauses, Chore("c", failing(9), 10.0))
    assert pauses.noted[:6] == [0.0, 20.0, 40.0, 80.0, 160.0, LONGEST_PAUSE]
    assert max(pauses.noted) == LONGEST_PAUSE
    assert pauses.noted[10:12] == [10.0, 10.0]


async def test_a_chore_that_always_fails_stops_no_other() -> None:
    done = []

    async def fine() -> float | None:
        done.append(1)
        return 5.0

    pauses = Pauses(40)
    await supervised(pauses, Chore("bad", failing(10**9), 1.0), Chore("good", fine, 1.0))
    assert len(done) > 5
    assert 5.0 in pauses.noted


async def test_one_bad_item_holds_up_none_of_the_others() -> None:
    done = []

    async def do(item: int) -> None:
        if item == 2:
            raise ZeroDivisionError
        done.append(item)

    await each_apart("count", [1, 2, 3], do)
    assert done == [1, 3]


async def test_what_a_chore_waits_for_ends_with_the_supervisor() -> None:
    ended = asyncio.Event()

    async def hang() -> float | None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return None

    supervisor = Supervisor()
    supervisor.start([Chore("hangs", hang, 1.0)])
    await asyncio.sleep(0.01)
    await supervisor.stop()
    assert ended.is_set()
