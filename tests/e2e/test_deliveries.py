"""What Slack delivers: one effect for each act of a person, however often and oddly it comes."""

from __future__ import annotations

from typing import Any

import pytest

from tests.e2e.conftest import MARA, OPS, World, until

TS = "1767000000.000100"
MENTION: dict[str, Any] = {
    "type": "app_mention",
    "user": MARA,
    "text": "<@U0AMEND> qualys 23456 change_state=RESOLVED add_comment=patched",
    "ts": TS,
    "channel": OPS,
    "event_ts": TS,
    "team": "T0SANDBOX",
}


async def mention(world: World) -> dict[str, Any]:
    """A mention's event on a message that really stands in the channel."""
    await world.type(MARA, "A message")
    ts = world.messages()[-1]["ts"]
    return {**MENTION, "ts": ts, "event_ts": ts}


async def delivered(world: World, event: dict[str, Any]) -> None:
    """As an event of its own, with an id of its own and no header that says "again"."""
    await world.slack.core.delivery.send_event(event)


async def quiet(world: World) -> None:
    await until(lambda: bool(world.cards()) and world.payload()["state"] == "succeeded")
    await world.bot.listeners.drain(30)
    assert [each["state"] for each in map(_payload, world.cards())] == ["succeeded"]
    assert len(world.edits()) == 1


def _payload(card: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = card["metadata"]["event_payload"]
    return found


async def test_one_message_under_four_event_ids_runs_once(world: World) -> None:
    event = await mention(world)
    for _ in range(4):
        await delivered(world, event)
    await quiet(world)


async def test_a_mention_whose_message_is_edited_does_not_run_again(world: World) -> None:
    event = await mention(world)
    await delivered(world, event)
    edited = {"user": MARA, "ts": "1967000900.000000"}
    text = event["text"].replace("patched", "patched!")
    await delivered(world, {**event, "text": text, "event_ts": edited["ts"], "edited": edited})
    await quiet(world)


async def test_an_edit_alone_asks_for_nothing(world: World) -> None:
    """The first delivery may be forgotten by now: an edit days later is no new act."""
    await delivered(world, {**await mention(world), "edited": {"user": MARA, "ts": TS}})
    await world.bot.listeners.drain(30)
    assert world.cards() == []
    assert world.edits() == []


async def test_two_messages_that_say_the_same_are_two_acts(world: World) -> None:
    await delivered(world, await mention(world))
    await delivered(world, await mention(world))
    await until(lambda: len(world.cards()) == 2)


@pytest.mark.parametrize("missing", ["user", "text", "ts", "channel"])
@pytest.mark.parametrize("how", ["left out", None, ""])
async def test_an_event_that_lacks_a_part_leads_to_nothing(
    world: World, missing: str, how: str | None
) -> None:
    event = {**MENTION, missing: how}
    if how == "left out":
        del event[missing]
    await delivered(world, event)
    await delivered(world, {"type": "app_home_opened", "tab": "home", "event_ts": TS})
    await world.bot.listeners.drain(30)
    assert world.cards() == []
    assert world.edits() == []
