"""In a crowd whoever waits for an acknowledgement goes first; what is put off goes on nevertheless."""

from __future__ import annotations

import asyncio

import pytest

from bot.courtesy import Courtesy


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def crowd(held: Courtesy, many: int) -> None:
    for _ in range(many):
        with held.served():
            pass


async def begun_at_once(held: Courtesy, many: int) -> int:
    """How many of so many pieces of work are begun while none of them ends."""
    begun = 0

    async def work() -> None:
        nonlocal begun
        async with held.in_turn():
            begun += 1
            await asyncio.Event().wait()

    tasks = [asyncio.create_task(work()) for _ in range(many)]
    await asyncio.sleep(0.3)
    for each in tasks:
        each.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return begun


async def test_what_one_person_asks_begins_at_once() -> None:
    held = Courtesy(Clock())
    crowd(held, 2)
    assert await begun_at_once(held, 9) == 9


async def test_in_a_crowd_two_go_on() -> None:
    held = Courtesy(Clock())
    crowd(held, 30)
    assert await begun_at_once(held, 9) == 2


async def test_the_others_begin_when_the_crowd_has_gone() -> None:
    clock = Clock()
    held = Courtesy(clock)
    crowd(held, 30)
    clock.now += 1
    assert await begun_at_once(held, 9) == 9


async def test_all_of_it_is_done_in_a_crowd_that_stays() -> None:
    held, done = Courtesy(Clock()), list[int]()

    async def work(number: int) -> None:
        async with held.in_turn():
            done.append(number)

    crowd(held, 30)
    await asyncio.wait_for(asyncio.gather(*map(work, range(20))), 120)
    assert sorted(done) == list(range(20))


async def test_a_failed_listener_is_not_waited_for() -> None:
    held = Courtesy(Clock())
    for _ in range(9):
        with pytest.raises(ValueError, match="broken"), held.served():
            raise ValueError("broken")
    held.clock.now += 1  # type: ignore[attr-defined]
    assert await begun_at_once(held, 9) == 9
