"""What was acknowledged is answered first come, first served, and one question serves all."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from bot.db.engine import open_engine
from bot.db.store import Store
from bot.slack.incoming import frame as frame_module
from bot.slack.incoming.frame import Frame
from bot.slack.link.shared import Shared


@pytest.fixture
def frame(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Frame:
    monkeypatch.setattr(frame_module, "AT_ONCE", 2)
    return Frame(Store(open_engine(f"sqlite:///{tmp_path / 'unused.db'}")), "T", most=6)


async def test_answers_are_given_in_their_order_and_some_at_a_time(frame: Frame) -> None:
    begun: list[int] = []
    doors = [asyncio.Event() for _ in range(5)]

    async def answer(number: int) -> None:
        begun.append(number)
        await doors[number].wait()

    for number in range(5):
        frame.in_turn(answer(number))
    await asyncio.sleep(0.01)
    assert begun == [0, 1]
    doors[1].set()
    await asyncio.sleep(0.01)
    assert begun == [0, 1, 2]
    for each in doors:
        each.set()
    await frame.drain(5)
    assert begun == [0, 1, 2, 3, 4]


async def test_a_form_opens_at_once_and_the_bound_counts_everything(frame: Frame) -> None:
    never, opened = asyncio.Event(), asyncio.Event()

    async def waits() -> None:
        await never.wait()

    async def opens() -> None:
        opened.set()
        await never.wait()

    for _ in range(5):
        frame.in_turn(waits())
    assert not frame.busy
    frame.spawn(opens())
    await asyncio.wait_for(opened.wait(), 120)
    assert frame.busy
    never.set()
    await frame.drain(5)
    assert not frame.busy


async def test_one_that_fails_gives_its_turn_on(frame: Frame) -> None:
    ended: list[int] = []

    async def answer(number: int) -> None:
        if number < 3:
            raise ValueError("a fault of our own")
        ended.append(number)

    for number in range(5):
        frame.in_turn(answer(number))
    await frame.drain(5)
    assert ended == [3, 4]


async def test_one_question_serves_all_who_wait_and_the_next_is_asked_anew() -> None:
    asked: list[str] = []
    door = asyncio.Event()
    shared: Shared[str] = Shared()

    async def ask() -> str:
        asked.append("?")
        await door.wait()
        return "!"

    waiting = [asyncio.create_task(shared.once("U1", ask)) for _ in range(20)]
    await asyncio.sleep(0.01)
    waiting[0].cancel()
    door.set()
    answers = await asyncio.gather(*waiting, return_exceptions=True)
    assert answers[1:] == ["!"] * 19
    assert isinstance(answers[0], asyncio.CancelledError)
    assert len(asked) == 1
    assert await shared.once("U1", ask) == "!"
    assert len(asked) == 2


async def test_its_error_is_everybodys() -> None:
    shared: Shared[Any] = Shared()

    async def ask() -> None:
        await asyncio.sleep(0)
        raise OSError("Slack is away")

    answers = await asyncio.gather(
        *(shared.once("U1", ask) for _ in range(3)), return_exceptions=True
    )
    assert [type(each) for each in answers] == [OSError] * 3
