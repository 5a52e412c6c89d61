"""Text that nobody can store, and faults of our own: five tries, a sentence, and nobody else waits."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from bot.jobs import trouble
from bot.pipeline.planning import Planner
from tests.e2e.conftest import MARA, ONCA, World, until

STORY = "/qualys 23456 change_state=RESOLVED"


async def test_half_a_surrogate_pair_in_a_vendors_text_is_no_reason_to_stop(world: World) -> None:
    number = min(world.sandbox.xpanse.incidents)
    incident: Any = world.sandbox.xpanse.incidents[number]
    incident.name = "broken \ud83d text \x00 here"
    told: list[str] = []
    keep = world.sandbox.xpanse.on_traffic
    world.sandbox.xpanse.on_traffic = lambda entry: (told.append(json.dumps(entry)), keep(entry))
    await world.type(MARA, f"/xpanse {number} status=UNDER_INVESTIGATION")
    assert (await world.settled())["state"] == "succeeded"
    assert any("broken" in each and "ud83d" in each for each in told), "the vendor did say it"


async def test_half_a_surrogate_pair_in_what_somebody_types_is_no_reason_either(
    world: World,
) -> None:
    await world.type(MARA, "A message")
    ts = world.messages()[-1]["ts"]
    event = {
        "type": "app_mention",
        "user": MARA,
        "text": "<@U0AMEND> ccs \ud83d\x00 TicketDescription=x",
        "ts": ts,
        "channel": "C0OPS",
        "event_ts": ts,
        "team": "T0SANDBOX",
    }
    await world.slack.core.delivery.send_event(event)
    await world.bot.listeners.drain(30)
    await world.type(MARA, STORY)
    assert (await world.settled())["state"] == "succeeded"


async def test_a_request_on_which_amend_fails_is_given_up_after_five_tries_and_told(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = []
    plan = Planner.plan

    async def fails(self: Planner, request: Any) -> None:
        if request.requester != MARA:
            await plan(self, request)
            return
        tries.append(request.id)
        raise ValueError("a fault of our own")

    monkeypatch.setattr(Planner, "plan", fails)
    monkeypatch.setattr(trouble, "PAUSES", (0.0,))
    monkeypatch.setattr("bot.jobs.upkeep.SWEEP", 0.0)
    await world.type(MARA, STORY)
    await world.type(ONCA, STORY)
    assert (await world.settled())["state"] == "succeeded", "others do not wait"
    async with asyncio.timeout(120):
        while len(tries) < trouble.TRIES:
            await world.bot.upkeep.take_up()
            await asyncio.sleep(0.1)
    await world.told(MARA, "given up")
    seen = len(tries)
    assert seen == trouble.TRIES
    request = await world.bot.store.request(tries[0])
    assert request is not None
    assert request.state == "failed"
    await until(lambda: len(tries) == seen)
    assert len(world.edits()) == 1
