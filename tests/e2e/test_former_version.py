"""What an earlier version accepted goes on, although its words would be refused today."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest
from sqlalchemy import update

from bot.db.tables import Watch
from tests.e2e.conftest import MARA, OPS, World, until
from tests.e2e.test_requests import at, confirmed, press, state_is

UNSEEN = "seen\u200b by SOC"


async def as_it_was_taken(world: World) -> str:
    """The newest request, with words that were taken then."""
    request_id = str(world.payload()["request_id"])
    request = await world.bot.store.request(request_id)
    assert request is not None
    known = {**request.parameters, "comment": UNSEEN}
    await world.bot.store.set_fields(request_id, parameters=known)
    return request_id


async def scheduled(world: World) -> None:
    await confirmed(world, MARA, "/xpanse 71,72 comment=seen", **at(3600))
    await state_is(world, "scheduled")
    request_id = await as_it_was_taken(world)
    await world.bot.store.set_fields(request_id, run_at=time.time(), wished_at=time.time())
    await world.bot.upkeep.start_due()


async def undone(world: World) -> None:
    await world.type(MARA, "/xpanse 71 status=under_investigation comment=seen")
    await world.settled()
    await until(lambda: len(world.thread()) > 0)
    await as_it_was_taken(world)
    await press(world, MARA, "undo")
    view = await world.view_is(MARA, "review")
    await world.act(MARA, "submit", view_id=view["id"], values={})
    await until(lambda: len(world.cards()) == 2, "the undo's card")


@pytest.mark.parametrize("way", [scheduled, undone])
async def test_a_request_goes_on(way: Callable[[World], Awaitable[None]], world: World) -> None:
    await way(world)
    assert (await world.settled())["state"] == "succeeded"


async def test_a_watch_goes_on(world: World) -> None:
    await world.type(MARA, "/amend watch ccs AssignedTo=somebody")
    await world.told(MARA, "is told from now on")
    store = world.bot.watching.watches
    async with world.bot.store.transaction() as session:
        stored = {"AssignedTo": "some\u200bbody"}
        await session.exec(update(Watch).values(selection=stored, next_at=0.0, polled_at=None))
    end = time.monotonic() + 120
    while not (polled := (await store.listed(OPS))[0]).polled_at and not polled.trouble:
        assert time.monotonic() < end
        await asyncio.sleep(0.1)
    assert polled.trouble == ""
