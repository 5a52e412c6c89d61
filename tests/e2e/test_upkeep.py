"""What keeps the house in order beside the requests: gauges, retention, standing work."""

from __future__ import annotations

import asyncio
import time

from prometheus_client import REGISTRY

from bot.domain.plans import State
from tests.e2e.conftest import MARA, World, until

SECOND = "/qualys 23457 add_comment=checked"


def gauge(state: str) -> float | None:
    return REGISTRY.get_sample_value("amend_requests", {"state": state})


async def test_a_state_that_emptied_reads_0(world: World) -> None:
    await world.type(MARA, "/qualys 23456,23457 add_comment=checked")
    await world.view_is(MARA, "review")
    await world.bot.upkeep.measure()
    assert gauge("planned") == 1
    assert gauge("running") == 0, "a state that nothing is in is there, too"
    (left,) = await world.bot.store.requests_in((State.PLANNED,))
    await world.bot.store.set_fields(left.id, planned_at=time.time() - 25 * 3600)
    await world.bot.upkeep.forget_reviews()
    await world.bot.upkeep.measure()
    assert gauge("planned") == 0


async def test_the_engines_own_rows_go_and_its_work_goes_on(world: World) -> None:
    await world.type(MARA, "/qualys 23456 change_state=RESOLVED")
    await world.settled()
    removed = 0
    async with asyncio.timeout(120):
        while not removed:  # the workflow ends a moment after its request
            removed = await world.bot.engine.purge(time.time() + 3600, 100)
    assert await world.bot.engine.purge(time.time() - 3600, 100) == 0
    await world.type(MARA, SECOND)
    await until(lambda: len(world.edits()) == 2)


async def test_a_request_whose_first_workflows_were_removed_is_started_again(world: World) -> None:
    await world.type(MARA, "/qualys 23456 change_state=RESOLVED")
    request_id = (await world.settled())["request_id"]
    engine = world.bot.engine
    await engine.start("carry_out", request_id, patience=60)
    async with asyncio.timeout(120):
        while not await engine.purge(time.time() + 3600, 1):  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.05)
    (left,) = await engine._known(request_id)
    await engine.start("carry_out", request_id, patience=60)
    names = {each.workflow_id for each in await engine._known(request_id)}
    assert left.workflow_id in names
    assert len(names) == 2, "a new one, under a name that was not used before"
