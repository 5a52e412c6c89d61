"""A bot that has nothing to do rests: no chore asks to be called again and again."""

from __future__ import annotations

import asyncio

from tests.e2e.conftest import APPROVALS, MARA, Make, until
from tests.e2e.test_witnesses import PRIVATE

SHORTEST = (
    0.05  # seconds; what is called more often than that looks for nothing that a person waits for
)


async def test_every_chore_pauses(make: Make) -> None:
    world = await make(
        AMEND_ATTRIBUTION="off",
        AMEND_AUDIT_KEY=PRIVATE,
        AMEND_AUDIT_CHANNEL=APPROVALS,
        AMEND_SIEM_URL="http://127.0.0.1:9/events",
    )
    await world.type(MARA, "/qualys 23456 change_state=RESOLVED")
    await world.settled()
    slept: list[tuple[str, float]] = []
    sleep = world.bot.supervisor.sleep

    async def noted(seconds: float) -> None:
        task = asyncio.current_task()
        slept.append((task.get_name() if task else "", seconds))
        await sleep(seconds)

    world.bot.supervisor.sleep = noted
    await until(lambda: len(slept) > 3, "some chores went to sleep")
    await asyncio.sleep(1)
    assert [each for each in slept if each[1] < SHORTEST] == []
