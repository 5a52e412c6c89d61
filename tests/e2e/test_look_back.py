"""`/amend report`: numbers of what was recorded and seen, of those vendors that one may see."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
import pytest_asyncio

from tests.e2e.conftest import (
    APPROVALS,
    GUEST,
    MARA,
    ONCA,
    OPS,
    SAMI,
    UMAR,
    Make,
    World,
    text_of,
    until,
)
from tests.e2e.test_register import stand
from tests.e2e.test_requests import button, confirmed
from tests.e2e.test_watches import based, change, changes, open_tickets, watch

DAY = 86_400.0
STAND_OPEN = ("OPEN", "REOPENED", "RESOLVED")  # what is ignored or fixed waits for nobody


@pytest_asyncio.fixture
async def seen(make: Make) -> World:
    """A world whose channel watches, so that changes elsewhere are seen too."""
    return await make(AMEND_ATTRIBUTION="off", AMEND_POLL_SECONDS="1")


def reports(world: World, channel: str = OPS) -> list[dict[str, Any]]:
    return [
        each
        for each in world.messages(channel)
        if "last " in each["text"] and "days:" in each["text"]
    ]


async def report(
    world: World, user: str = MARA, words: str = "", channel: str = OPS
) -> dict[str, Any]:
    known = len(reports(world, channel))
    await world.type(user, f"/amend report {words}".strip(), channel=channel)
    await until(lambda: len(reports(world, channel)) > known, "the report")
    return reports(world, channel)[-1]


def blocks(message: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [each for each in message["blocks"] if each["type"] == kind]


def cells(table: dict[str, Any]) -> list[list[Any]]:
    return [[each.get("value", each.get("text")) for each in row] for row in table["rows"]]


async def test_the_numbers_are_those_of_what_happened(seen: World) -> None:
    await watch(seen, "qualys states=OPEN,RESOLVED,CLOSED")
    await based(seen)
    first, second, third = open_tickets(seen, 3)
    await confirmed(seen, MARA, f"/qualys {first},{second} add_comment=checked")
    await until(lambda: len(seen.cards()) == 1 and seen.payload()["state"] == "succeeded", "done")
    change(seen, third, "RESOLVED")
    await until(lambda: bool(changes(seen)), "seen elsewhere")
    before = len(seen.qualys.requests)
    message = await report(seen, words="qualys days=7")
    assert (
        "Qualys, last 7 days: 1 request; 2 records changed, 0 refused, 0 unknown."
        in message["text"]
    )
    (by_day,) = (
        each for each in blocks(message, "data_visualization") if each["chart"]["type"] == "bar"
    )
    series = {
        each["name"]: [p["value"] for p in each["data"]] for each in by_day["chart"]["series"]
    }
    assert sum(series["Amend"]) == 2
    assert sum(series["Elsewhere"]) == 1
    (shares,) = (
        each for each in blocks(message, "data_visualization") if each["chart"]["type"] == "pie"
    )
    still_open = [each for each in seen.qualys.tickets.values() if each.condition in STAND_OPEN]
    assert sum(each["value"] for each in shares["chart"]["segments"]) == len(still_open)
    (table,) = blocks(message, "data_table")
    assert cells(table)[1][1:] == [1, 2, 0, 0]
    polls = [each for each in seen.qualys.requests[before:] if "ticket_list" not in each.path]
    assert polls == [], "nothing was asked of the vendor but what the watch polls"


async def test_an_approval_is_told_by_how_long_it_took(world: World) -> None:
    await confirmed(world, MARA, "/qualys 23456 change_state=IGNORED")
    await until(lambda: bool(world.cards(APPROVALS)), "asked")
    later = world.bot.store.clock() + 720.0
    world.bot.store.clock = lambda: later
    ask = world.cards(APPROVALS)[-1]
    await world.act(ONCA, "press", channel=APPROVALS, ts=ask["ts"], **button(ask, "approve"))
    await until(lambda: world.payload()["state"] == "succeeded", "done")
    message = await report(world, words="qualys")
    assert "an approval took 12 min (median)" in message["text"]


@pytest.mark.parametrize(
    ("user", "words", "titles"),
    [
        (MARA, "", "Symantec CCS, Qualys, Cortex Xpanse, ZStack Cloud"),
        (UMAR, "", "Qualys, Cortex Xpanse, ZStack Cloud"),
        (ONCA, "ccs", "Symantec CCS"),
    ],
)
async def test_only_vendors_that_one_may_see_are_counted(
    world: World, user: str, words: str, titles: str
) -> None:
    named = (await report(world, user, words))["text"].partition(", last ")[0]
    assert set(named.split(", ")) == set(titles.split(", "))


@pytest.mark.parametrize(
    ("user", "words", "answer"),
    [
        (UMAR, "ccs", "To see numbers of"),
        (SAMI, "xpanse", "To see numbers of"),
        (GUEST, "", "Guests"),
        (MARA, "qualys days=6", "7 to 90"),
        (MARA, "qualys days=91", "7 to 90"),
        (MARA, "days=many", "7 to 90"),
        (MARA, "qualis", "/amend report qualys"),
        (MARA, "qualys every=monday", "mon@09:00"),
        (MARA, "qualys since=2026", "`since` is not known"),
    ],
)
async def test_what_is_not_to_be_had_is_said_in_a_sentence(
    world: World, user: str, words: str, answer: str
) -> None:
    await world.type(user, f"/amend report {words}")
    await world.told(user, answer)
    assert reports(world) == []


async def test_week_by_week_it_comes_once_and_after_a_downtime_once(world: World) -> None:
    await world.type(MARA, "/amend report qualys days=14 every=mon@09:00")
    await world.told(MARA, "It comes from now on")
    (row,) = await world.bot.watching.watches.listed(OPS)
    begins = datetime.fromtimestamp(row.next_at, UTC)
    assert row.next_at > world.bot.store.clock()
    assert begins.minute == 0

    async def at(moment: float) -> int:
        world.bot.store.clock = lambda: moment
        for _ in range(3):
            await world.bot.looks.repeat()
        world.bot.messenger.clock = lambda: moment + 1
        await world.bot.messenger.drain()
        return int(await world.bot.outbox.waiting())

    await at(row.next_at - 60)
    assert reports(world) == []
    await at(row.next_at + 1)
    await until(lambda: len(reports(world)) == 1, "the first")
    await at(row.next_at + 5 * 7 * DAY + 3600)  # down for five weeks
    await until(lambda: len(reports(world)) == 2, "one for all that were missed")
    (later,) = await world.bot.watching.watches.listed(OPS)
    weeks = (later.next_at - row.next_at) / (7 * DAY)
    assert abs(weeks - 6) < 0.02, "an hour more or less where the clocks change"


async def test_it_is_listed_and_ended_like_a_watch(world: World) -> None:
    await world.type(MARA, "/amend report every=fri@16:30")
    await world.told(MARA, "It comes from now on")
    await world.type(MARA, "/amend watches")
    said = await world.told(MARA, "a look back on the last 30 days")
    assert "fri@16:30" in said
    await world.type(MARA, "/amend unwatch report")
    await world.told(MARA, "has ended")
    assert await world.bot.watching.watches.listed(OPS) == []


async def test_who_lost_their_rights_has_no_one_told_any_more(world: World) -> None:
    await world.type(MARA, "/amend report qualys every=mon@09:00")
    await world.told(MARA, "It comes from now on")
    (row,) = await world.bot.watching.watches.listed(OPS)
    await world.bot.store.unmap_person(world.bot.team, MARA, "qualys", ONCA)
    world.bot.store.clock = lambda: row.next_at + 1
    world.bot.messenger.clock = lambda: row.next_at + 2
    await world.bot.looks.repeat()

    async def parked() -> str:
        (now,) = await world.bot.watching.watches.listed(OPS)
        return now.parked

    await world.bot.messenger.drain()
    async with asyncio.timeout(120):
        while not await parked():  # noqa: ASYNC110 - the outbox tells nobody
            await asyncio.sleep(0.05)
    assert reports(world) == []


async def test_exceptions_that_end_soon_are_counted_where_a_watch_looks(seen: World) -> None:
    exceptions = seen.qualys.compliance.exceptions
    for number, each in list(exceptions.items()):
        exceptions[number] = replace(each, status="Rejected")
    stand(seen, 3, 20, 29, 60)
    assert "exceptions end" not in (await report(seen, words="qualys"))["text"]
    await watch(seen, "exception ends_within=90")
    await based(seen)
    assert "3 exceptions end within 30 days" in (await report(seen, words="qualys"))["text"]


async def test_an_older_workspace_gets_the_same_as_text_and_is_left_in_peace_for_an_hour(
    world: World,
) -> None:
    await world.slack.fault("slack", "older_workspace")
    await world.type(MARA, '/qualys 23456 add_comment="Host patched"')
    await world.settled()
    message = await report(world, words="qualys days=7")
    assert {each["type"] for each in message["blocks"]} == {"section"}
    said = text_of(message)
    assert "1 record changed" in said
    assert "1 Amend, 0 Elsewhere" in said
    assert "Requests: 1 · Changed: 1" in said

    def tried() -> int:
        seen = world.slack.core.traffic.since(0)
        return sum("data_table" in json.dumps(each["request"]) for each in seen)

    once = tried()
    await report(world, words="qualys days=8")
    assert tried() == once, "no table is tried for an hour"
    later = world.bot.client._ticks() + 3601
    world.bot.client._ticks = lambda: later
    await world.slack.fault("slack", None)
    again = await report(world, words="qualys days=9")
    assert blocks(again, "data_table")


async def test_app_home_shows_the_last_thirty_days(world: World) -> None:
    await world.type(MARA, '/qualys 23456 add_comment="Host patched"')
    await world.settled()
    await world.act(MARA, "home")
    await until(lambda: "The last 30 days" in json.dumps(world.slack.state(MARA)["home"]))
    home = json.dumps(world.slack.state(MARA)["home"])
    assert "1 record changed" in home
    assert "data_table" in home
