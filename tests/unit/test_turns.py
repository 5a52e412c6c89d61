"""Turns: one at a time, the hurried first, and a waiter that leaves takes nothing with it."""

from __future__ import annotations

import asyncio

from bot.db.turns import Turns


async def test_one_at_a_time_and_the_hurried_first() -> None:
    turns, order, inside = Turns(), [], 0

    async def one(name: str, *, hurried: bool) -> None:
        nonlocal inside
        async with turns.take(hurried=hurried):
            inside += 1
            assert inside == 1
            await asyncio.sleep(0)
            order.append(name)
            inside -= 1

    names = [("first", False), ("a", False), ("b", False), ("ack", True), ("ack2", True)]
    await asyncio.gather(*(one(name, hurried=hurried) for name, hurried in names))
    assert order == ["first", "ack", "ack2", "a", "b"]


async def test_a_waiter_that_is_cancelled_passes_its_turn_on() -> None:
    turns, done = Turns(), []

    async def one(name: str) -> None:
        async with turns.take(hurried=False):
            done.append(name)

    async with turns.take(hurried=False):
        tasks = [asyncio.create_task(one(name)) for name in ("a", "b", "c")]
        await asyncio.sleep(0)
        tasks[0].cancel()
    tasks[1].cancel()  # its turn has come in this very moment
    await asyncio.gather(*tasks, return_exceptions=True)
    assert done == ["c"]
    async with asyncio.timeout(120), turns.take(hurried=True):
        done.append("free")
    assert done == ["c", "free"]
