"""What goes out to Slack: a quick edit is one message, and no message holds up another."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from slack_sdk.errors import SlackApiError
from sqlalchemy.exc import OperationalError

from bot.db.outbox import Outbox
from bot.db.tables import Delivery
from bot.slack.outgoing import voice
from bot.slack.outgoing.pacing import BURST, EVERY, Pace
from tests.e2e.conftest import APPROVALS, MARA, ONCA, OPS, World, text_of, until
from tests.e2e.test_requests import confirmed

COMMENT = '/qualys 23456 add_comment="Host patched"'


def writes(world: World, method: str) -> list[dict[str, object]]:
    seen = world.slack.core.traffic.since(0)
    return [dict(each["request"]) for each in seen if each["what"] == method]


async def test_a_quick_edit_is_one_message_that_says_done(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(voice, "FIRST_CARD", 60.0)  # on a busy machine, no edit is quick
    await world.type(MARA, COMMENT)
    assert (await world.settled())["state"] == "succeeded"
    card = world.cards()[-1]
    edits = [each for each in writes(world, "chat.update") if each["ts"] == card["ts"]]
    assert edits == [], "the card was posted once, when the run was over"


async def test_a_slow_edit_says_meanwhile_that_it_runs(world: World) -> None:
    world.qualys.set_fault("slow", {"seconds": 3, "only": "ticket_edit"})
    await world.type(MARA, COMMENT)
    await until(lambda: bool(world.cards()) and world.payload()["state"] == "running")
    assert (await world.settled())["state"] == "succeeded"


async def test_a_deleted_card_is_left_in_peace_and_the_receipt_still_comes(world: World) -> None:
    world.qualys.set_fault("slow", {"seconds": 3, "only": "ticket_edit"})
    await world.type(MARA, COMMENT)
    await until(lambda: bool(world.cards()), "the card")
    await world.bot.client.chat_delete(channel=OPS, ts=world.cards()[-1]["ts"])
    await until(lambda: len(world.edits()) == 1)

    async def left() -> int:
        return int(await world.bot.outbox.waiting())

    async with asyncio.timeout(120):
        while await left():  # noqa: ASYNC110 - the outbox tells nobody
            await asyncio.sleep(0.05)


async def test_where_approvals_cannot_be_asked_it_is_asked_here_and_somebody_is_told(
    world: World,
) -> None:
    world.slack.core.workspace.channel(APPROVALS).members.remove("U0AMEND")
    await confirmed(world, MARA, "/qualys 23456 change_state=IGNORED")
    await until(
        lambda: any("Approve" in text_of(each) for each in world.cards(OPS)), "asked where it was"
    )
    direct = await world.bot.client.conversations_open(users=MARA)
    channel = str(direct["channel"]["id"])
    await until(
        lambda: any("cannot be posted to" in text_of(each) for each in world.messages(channel))
    )


@pytest.mark.parametrize("away", [0, 2])
async def test_of_two_posts_of_one_message_the_late_one_is_taken_away_and_the_newest_words_stand(
    away: int, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where a replica is paused while it posts, and another one posts in its place; its
    connections to the database may be gone when it wakes up."""
    messenger, other = world.bot.messenger, Outbox(world.bot.store, "another")
    send, posts = messenger._send, list[str]()
    record, failures = messenger.outbox.sent, iter(range(away))

    async def sent(*args: Any, **more: Any) -> bool:
        if posts and next(failures, None) is not None:
            raise OperationalError("UPDATE", {}, Exception("the server closed the connection"))
        return await record(*args, **more)

    monkeypatch.setattr(messenger.outbox, "sent", sent)

    async def slept(delivery: Delivery) -> tuple[str, str]:
        place = await send(delivery)
        if delivery.kind == "card" and not posts:
            theirs = await other.get(delivery.key)
            assert theirs is not None
            now = world.bot.store.clock()
            assert await other.claim(theirs, now, now + 60)
            posted = await world.bot.client.chat_postMessage(channel=OPS, text="old words")
            posts.extend([place[1], str(posted["ts"])])
            await other.sent(theirs, channel=OPS, ts=posts[1], next_at=now)
        return place

    monkeypatch.setattr(messenger, "_send", slept)
    await world.type(MARA, COMMENT)
    await until(lambda: [each["ts"] for each in world.cards()] == posts[1:] != [], "theirs")
    assert (await world.settled())["state"] == "succeeded"
    assert posts[0] not in [each["ts"] for each in world.messages(OPS)]


async def test_a_channel_that_slack_slows_down_holds_up_no_other(world: World) -> None:
    world.bot.messenger.pace.block(OPS, 3600)
    await world.type(MARA, COMMENT)
    await world.type(ONCA, '/qualys 23457 add_comment="Host patched"', channel=APPROVALS)
    assert (await world.settled(APPROVALS))["state"] == "succeeded"
    assert world.cards(OPS) == []
    assert len(world.edits()) == 2, "words never hold up the work"


def test_a_short_burst_then_one_a_second() -> None:
    now = [1000.0]
    pace = Pace(lambda: now[0])
    for _ in range(BURST):
        assert pace.may_post("C1")
        pace.posted("C1")
    assert not pace.may_post("C1")
    assert pace.slow() == ["C1"]
    assert pace.may_post("C2")
    now[0] += EVERY
    assert pace.may_post("C1")
    pace.block("C1", 5.0)
    assert (pace.may_post("C1"), pace.silent()) == (False, ["C1"])
    now[0] += 5.0
    assert pace.may_post("C1"), "one, and no burst"
    pace.posted("C1")
    assert not pace.may_post("C1")
    now[0] += 100.0
    assert pace.slow() == []


async def test_what_slack_refuses_for_good_is_given_up_after_some_tries(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[str] = []

    async def refused(**message: object) -> None:
        tries.append(str(message["channel"]))
        answer = await world.bot.client.auth_test()
        answer.data["error"] = "invalid_blocks"
        raise SlackApiError("no", answer)

    monkeypatch.setattr("bot.slack.outgoing.messenger.AT_MOST", 0.05)
    monkeypatch.setattr(world.bot.client, "chat_postMessage", refused)
    await world.type(MARA, COMMENT)
    async with asyncio.timeout(120):
        while not tries or await world.bot.outbox.waiting():  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    assert len(world.edits()) == 1
