"""The job engine: what it waits for is a span of time, whatever the clock does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from bot.jobs.engine import Engine, Work


class Planning:
    """Work that is to be asked again once, two seconds later."""

    def __init__(self) -> None:
        self.asked = 0

    async def prepare(self, _request_id: str) -> float | None:
        self.asked += 1
        return 2.0 if self.asked == 1 else None

    async def is_direct(self, _request_id: str) -> bool:
        return False


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def test_a_pause_that_began_while_the_clock_was_ahead_ends_in_its_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process ends in the pause, and the next one has the right time."""
    url, work, real = f"sqlite:///{tmp_path / 'amend.db'}", Planning(), time.time
    with monkeypatch.context() as ahead:
        ahead.setattr(time, "time", lambda: real() + 7200)
        first = Engine(url)
        await first.launch(cast("Work", work))
        await first.start("prepare", "R1")
        await until(lambda: work.asked == 1)
        await asyncio.sleep(0.5)
        await first.close()
    second: Any = Engine(url)
    await second.launch(cast("Work", work))
    try:
        await until(lambda: work.asked == 2)
    finally:
        await second.close()
