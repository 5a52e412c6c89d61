"""Who waits for an acknowledgement goes first; what is put off begins nevertheless."""

from __future__ import annotations

import asyncio

import pytest

from bot import courtesy
from bot.courtesy import Courtesy


async def test_work_begins_once_nobody_waits() -> None:
    held, order = Courtesy(), list[str]()

    async def work() -> None:
        async with held.in_turn():
            order.append("work")

    with held.served():
        task = asyncio.create_task(work())
        with held.served():
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.01)
        order.append("acknowledged")
    await task
    assert order == ["acknowledged", "work"]


async def test_some_work_goes_on_however_many_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(courtesy, "PUT_OFF", 0.01)
    held, done, at_once = Courtesy(), list[int](), list[int]()

    async def work(number: int) -> None:
        async with held.in_turn():
            at_once.append(number)
            assert len(at_once) <= courtesy.MEANWHILE
            await asyncio.sleep(0.01)
            at_once.remove(number)
            done.append(number)

    with held.served():
        await asyncio.wait_for(asyncio.gather(*map(work, range(8))), 10)
    assert sorted(done) == list(range(8))


async def test_a_failed_listener_holds_nothing_up() -> None:
    held = Courtesy()
    with pytest.raises(ValueError, match="broken"), held.served():
        raise ValueError("broken")
    async with asyncio.timeout(10), held.in_turn():
        pass
