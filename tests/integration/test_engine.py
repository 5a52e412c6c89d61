"""The job engine: what it waits for is a span of time, and what was cut short is found again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
from dbos import DBOS, SetWorkflowID

from bot.jobs.engine import Engine, Work, _follow_workflow


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
    async with asyncio.timeout(120):
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


class Following:
    """Work that is over at once, and then followed for ever."""

    def __init__(self) -> None:
        self.looks = 0

    async def outlook(self, _request_id: str) -> tuple[float, str, bool]:
        return 0.0, "", True

    async def run_slice(self, _request_id: str) -> float | None:
        return None

    async def finish(self, _request_id: str) -> None:
        pass

    async def follow_up(self, _request_id: str) -> float | None:
        self.looks += 1
        return 0.1


async def test_what_is_followed_is_followed_on_after_its_workflow_was_ended_as_an_older_one(
    tmp_path: Path,
) -> None:
    engine, work = Engine(f"sqlite:///{tmp_path / 'amend.db'}"), Following()
    await engine.launch(cast("Work", work))
    try:
        await engine.start("carry_out", "R1")
        await until(lambda: work.looks > 2)
        assert await engine.failed(0.0) == set()
        await end_what_is_under_way()
        assert await engine.failed(0.0) == {"R1"}
        assert await engine.failed(time.time() + 60) == set(), "it ended before that"
        looks = work.looks
        await engine.start("carry_out", "R1")
        await until(lambda: work.looks > looks + 2)
        assert await engine.failed(0.0) == set()
    finally:
        await engine.close()


async def test_names_that_earlier_versions_gave_are_passed_over(tmp_path: Path) -> None:
    """They called a following after the run it came of."""
    engine, work = Engine(f"sqlite:///{tmp_path / 'amend.db'}"), Following()
    await engine.launch(cast("Work", work))
    try:
        with SetWorkflowID("carry_out:R1:1-7"):
            await DBOS.start_workflow_async(_follow_workflow, "R1")
        await until(lambda: work.looks > 2)
        assert await engine.under_way() == set()
        await end_what_is_under_way()
        assert await engine.failed(0.0) == set()
        await engine.start("carry_out", "R1")
        assert await engine.under_way() == {"R1"}
    finally:
        await engine.close()


async def end_what_is_under_way() -> None:
    """As a new version does with those of the one before."""
    found = await DBOS.list_workflows_async(status=["PENDING"])
    await DBOS.cancel_workflows_async([each.workflow_id for each in found])
    async with asyncio.timeout(120):
        while await DBOS.list_workflows_async(status=["PENDING"]):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
