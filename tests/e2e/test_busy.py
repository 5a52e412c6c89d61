"""Past the bound of what waits for an answer, the acknowledgement itself says so."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.e2e.conftest import APPROVALS, MARA, ONCA, World, until
from tests.e2e.test_requests import confirmed, press, state_is

STORY = "/qualys 23456 change_state=RESOLVED"


async def test_what_is_not_taken_on_says_so_and_never_runs(world: World) -> None:
    frame = world.bot.listeners.frame
    await confirmed(world, MARA, "/qualys 23457,23458 change_state=IGNORED")
    await state_is(world, "pending_approval")
    await until(lambda: bool(world.cards(APPROVALS)), "the question")
    await world.bot.listeners.drain(30)
    bound, frame.most = frame.most, 0
    await world.type(MARA, STORY)
    await world.told(MARA, "Amend is busy")
    await world.type(MARA, "/amend help")
    await world.type(MARA, "/qualys")
    assert not world.view(MARA), "no form opens"
    await press(world, ONCA, "approve", APPROVALS)
    frame.most = bound
    assert len(await world.bot.store.requests_in(("running", "received"))) == 0
    assert await world.bot.store.votes(world.payload()["request_id"]) == {}
    await press(world, ONCA, "approve", APPROVALS)
    await until(lambda: len(world.edits()) == 1, "the approved edit")


async def test_a_form_that_is_submitted_while_it_is_busy_is_not_lost(world: World) -> None:
    frame = world.bot.listeners.frame
    await world.type(MARA, "/qualys 23456,23457 add_comment=busy")
    view = await world.view_is(MARA, "review")
    bound, frame.most = frame.most, 0
    await world.act(MARA, "submit", view_id=view["id"], values={})
    assert "Amend is busy" in str(world.view(MARA)["blocks"])
    assert world.edits() == []
    frame.most = bound
    await world.act(MARA, "close", view_id=world.view(MARA)["id"])
    await world.act(MARA, "submit", view_id=view["id"], values={})
    assert (await world.settled())["changed"] == 2


async def test_a_burst_of_questions_asks_slack_once_who_that_is(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.bot.directory.forget(MARA)
    asked, ask = [], world.bot.client.users_info

    async def counted(**given: Any) -> Any:
        asked.append(given)
        return await ask(**given)

    monkeypatch.setattr(world.bot.client, "users_info", counted)
    await asyncio.gather(*(world.type(MARA, "/amend whoami") for _ in range(30)))
    await until(lambda: len(world.private(MARA)) >= 30, "all answers")
    assert asked == [{"user": MARA}]
