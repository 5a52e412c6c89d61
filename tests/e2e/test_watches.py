"""Watches: what changes at a vendor appears in the channel, once, however bad the day."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from bench.sandbox import many_tickets
from bot.domain.people import Account
from deploy.sandbox.company import BOT_USER
from deploy.sandbox.vendors.seed import Entry
from deploy.sandbox.vendors.zstack_tickets import ticket_uuid
from tests.e2e.conftest import (
    GUEST,
    MARA,
    ONCA,
    OPS,
    PEOPLE,
    SAMI,
    UMAR,
    Make,
    World,
    filled,
    start_bot,
    text_of,
    until,
)
from tests.e2e.test_requests import button, has


@pytest_asyncio.fixture
async def watched(make: Make) -> World:
    """A world that polls each second and may post at once."""
    return await make(AMEND_ATTRIBUTION="off", AMEND_POLL_SECONDS="1")


def changes(world: World, kind: str = "amend_change", channel: str = OPS) -> list[dict[str, Any]]:
    return [
        each
        for each in world.messages(channel)
        if (each.get("metadata") or {}).get("event_type") == kind
    ]


async def watch(world: World, words: str, user: str = MARA) -> None:
    await world.type(user, f"/amend watch {words}")
    await world.told(user, "is told from now on")


async def based(world: World, within: float = 120) -> None:
    """Wait until every watch knows what stands at the vendor now."""
    end = time.monotonic() + within
    while True:
        rows = await world.bot.watching.watches.listed()
        if rows and all(each.based for each in rows):
            return
        await asyncio.sleep(0.05)
        assert time.monotonic() < end, "no first poll"


def change(world: World, number: int, condition: str, by: str = "oreyes") -> None:
    """Somebody changes a ticket in the vendor's own console."""
    ticket = world.qualys.tickets[number]
    now = datetime.now(UTC).replace(microsecond=0)
    ticket.history.append(Entry(now, by, old=ticket.condition, new=condition))
    ticket.condition = condition


def open_tickets(world: World, many: int) -> list[int]:
    found = [each.number for each in world.qualys.tickets.values() if each.condition == "OPEN"]
    return found[:many]


async def test_a_change_at_qualys_appears_and_is_edited_as_it_goes_on(watched: World) -> None:
    await watch(watched, "qualys states=OPEN,RESOLVED")
    await based(watched)
    (number,) = open_tickets(watched, 1)
    change(watched, number, "RESOLVED")
    await until(lambda: len(changes(watched)) == 1, "the message")
    payload = changes(watched)[0]["metadata"]["event_payload"]
    assert (payload["vendor"], payload["record"]) == ("qualys", str(number))
    assert (payload["from"], payload["to"]) == ("Open", "Resolved")
    assert payload["at"]
    assert "oreyes" in text_of(changes(watched)[0])
    change(watched, number, "OPEN")
    await until(lambda: changes(watched)[0]["metadata"]["event_payload"]["to"] == "Open")
    assert len(changes(watched)) == 1
    await until(lambda: len(changes(watched, "amend_step")) == 2, "its history in the thread")


async def test_its_buttons_go_the_normal_way_and_are_not_echoed(watched: World) -> None:
    await watch(watched, "qualys states=OPEN")
    await based(watched)
    (number,) = open_tickets(watched, 1)
    change(watched, number, "RESOLVED")
    await until(lambda: len(changes(watched)) == 1)
    change(watched, number, "OPEN")
    await until(lambda: has(changes(watched)[0], "resolve"), "the button")
    message = changes(watched)[0]
    pressed = button(message, "resolve")
    await watched.act(GUEST, "press", channel=OPS, ts=message["ts"], **pressed)
    await until(lambda: "guest" in str(watched.view(GUEST)).lower(), "the guest's no")
    await watched.act(MARA, "press", channel=OPS, ts=message["ts"], **pressed)
    form = await watched.view_is(MARA, "form")
    values = filled(form, ticket_numbers=str(number), change_state="RESOLVED")
    await watched.act(MARA, "submit", view_id=form["id"], values=values)
    review = await watched.view_is(MARA, "review")
    await watched.act(MARA, "submit", view_id=review["id"], values={})
    assert (await watched.settled())["state"] == "succeeded"
    assert watched.cards()[-1].get("thread_ts") == message["ts"]
    steps = len(changes(watched, "amend_step"))
    await polls(watched, 2)
    assert len(changes(watched, "amend_step")) == steps, "no echo"


async def polls(world: World, many: int) -> None:
    before = len(world.qualys.requests)
    await until(lambda: len(world.qualys.requests) >= before + many, "polls")


@pytest.mark.parametrize(
    ("words", "vendor"),
    [
        ("ccs", "ccs"),
        ("xpanse", "xpanse"),
        ("zstack", "zstack"),
        ("exception", "qualys"),
    ],
)
async def test_a_change_at_each_vendor_appears(watched: World, words: str, vendor: str) -> None:
    await watch(watched, f"{words} mode=now")
    await based(watched)
    record = move_something(watched, words)
    await until(lambda: len(changes(watched)) == 1, "the message")
    payload = changes(watched)[0]["metadata"]["event_payload"]
    assert (payload["vendor"], payload["record"]) == (vendor, record)
    assert payload["from"] != payload["to"]


def move_something(world: World, words: str) -> str:
    """A change by hand at the stand-in; the record's id."""
    if words == "ccs":
        world.sandbox.ccs.tickets["INCA0000001"].state = 2
        return "INCA0000001"
    if words == "xpanse":
        world.sandbox.xpanse.change("1", status="under_investigation")
        return "1"
    if words == "zstack":
        world.sandbox.zstack.by_hand(ticket_uuid(0), "reject")
        return ticket_uuid(0)
    pending = (e for e in world.qualys.compliance.exceptions.values() if e.status == "Pending")
    number = int(next(pending).number)
    world.qualys.compliance.decide(number, "Approved", "kaudit", datetime.now(UTC))
    return str(number)


async def test_many_changes_at_once_are_one_digest_with_a_file(watched: World) -> None:
    await watch(watched, "qualys mode=now")
    await based(watched)
    for number in open_tickets(watched, 200):
        change(watched, number, "RESOLVED")
    await until(lambda: len(changes(watched, "amend_changes")) == 1, "the digest")
    await polls(watched, 2)
    digests = changes(watched, "amend_changes")
    assert sum(each["metadata"]["event_payload"]["records"] for each in digests) == 200
    assert len(changes(watched)) == 0
    await until(watched.files_there, "the file")


async def test_ten_thousand_changes_are_one_digest(watched: World) -> None:
    many_tickets(watched.qualys, 10_000)
    await watch(watched, "qualys mode=now")
    await based(watched)
    for ticket in watched.qualys.tickets.values():
        now = datetime.now(UTC).replace(microsecond=0)
        ticket.history.append(Entry(now, "oreyes", old="OPEN", new="RESOLVED"))
        ticket.condition = "RESOLVED"
    await until(lambda: bool(changes(watched, "amend_changes")), "the digest")
    await until(watched.files_there, "the file")
    (file,) = watched.slack.core.files.values()
    assert file.content.count(b"\n") == 10_001, "a line each, and the names of the columns"
    (digest,) = changes(watched, "amend_changes")
    assert digest["metadata"]["event_payload"]["records"] == 10_000
    assert changes(watched) == []


async def test_an_end_between_reading_and_posting_repeats_nothing_and_loses_nothing(
    watched: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await watch(watched, "qualys mode=now")
    await based(watched)
    (number,) = open_tickets(watched, 1)
    await watched.bot.supervisor.stop("messages")  # nothing is posted any more
    change(watched, number, "RESOLVED")

    watches = watched.bot.watching.watches
    (row,) = await watches.listed()
    for _ in range(200):
        if await watches.of_record(row.id, str(number)):
            break
        await asyncio.sleep(0.05)
    await watched.bot.stop()
    assert changes(watched) == []
    watched.bot = await start_bot(watched.sandbox, tmp_path, monkeypatch, AMEND_POLL_SECONDS="1")
    await until(lambda: len(changes(watched)) == 1, "the message")
    await polls(watched, 3)
    assert len(changes(watched)) == 1


async def test_a_vendor_that_is_down_loses_nothing(watched: World) -> None:
    await watch(watched, "qualys mode=now")
    await based(watched)
    watched.qualys.set_fault("http_503", {"only": "ticket_list"})
    (number,) = open_tickets(watched, 1)
    change(watched, number, "RESOLVED")
    await polls(watched, 5)
    assert changes(watched) == []
    await watched.type(MARA, "/amend watches")
    await watched.told(MARA, ":warning:")
    watched.qualys.set_fault(None)
    await until(lambda: len(changes(watched)) == 1, "the message")


async def test_a_channel_that_is_gone_parks_the_watch_and_tells_its_owner(watched: World) -> None:
    await watch(watched, "qualys mode=now")
    await based(watched)
    watched.slack.core.workspace.channel(OPS).members.remove(BOT_USER)
    change(watched, open_tickets(watched, 1)[0], "RESOLVED")
    await until(lambda: "parked" in str(watched.slack.state(MARA)["messages"]), "word to the owner")
    (row,) = await watched.bot.watching.watches.listed()
    assert row.parked


async def test_quiet_hours_and_hourly_digests_hold_back_and_tell_later(watched: World) -> None:
    await watch(watched, "qualys mode=hourly")
    await based(watched)
    for number in open_tickets(watched, 2):
        change(watched, number, "RESOLVED")
    await polls(watched, 2)
    assert changes(watched, "amend_changes") == []
    real = watched.bot.store.clock
    watched.bot.store.clock = lambda: real() + 3700
    await until(lambda: len(changes(watched, "amend_changes")) == 1, "the digest")


async def test_watches_are_listed_and_ended(watched: World) -> None:
    await watch(watched, "qualys vuln_severities=5 quiet=22:00-06:00")
    await watch(watched, "ccs mode=daily")
    await watched.type(ONCA, "/amend watches")
    text = await watched.told(ONCA, "vuln_severities=5")
    assert "22:00" in text
    await watched.type(ONCA, "/amend unwatch qualys")
    await watched.told(ONCA, "has ended")
    shown = next(m for m in watched.seen_by(ONCA) if m.get("ephemeral") and has(m, "unwatch"))
    await watched.act(ONCA, "press", channel=OPS, ts=shown["ts"], **button(shown, "unwatch"))
    await watched.told(ONCA, "There is no such watch")


async def test_an_equal_watch_is_not_set_up_twice(world: World) -> None:
    await watch(world, "qualys states=OPEN")
    await world.type(ONCA, "/amend watch qualys states=OPEN")
    told = await world.told(ONCA, "told of it already")
    (kept,) = await world.bot.watching.watches.listed(OPS)
    assert f"/amend unwatch {kept.id}" in told
    await world.type(ONCA, "/amend watch qualys states=OPEN mode=hourly")
    await world.told(ONCA, "is told from now on")
    assert len(await world.bot.watching.watches.listed(OPS)) == 2


async def test_a_watch_that_is_parked_keeps_nobody_from_an_equal_one(world: World) -> None:
    await watch(world, "qualys states=OPEN")
    (first,) = await world.bot.watching.watches.listed(OPS)
    assert await world.bot.watching.watches.park(first.id, "the channel is gone")
    await world.type(ONCA, "/amend watch qualys states=OPEN")
    await world.told(ONCA, "is told from now on")


WRONG = [
    ("", "What shall be watched"),
    ("qualsy", "watch qualys"),
    ("qualys states=OPNE", "OPEN"),
    ("qualys mode=weekly", "hourly"),
    ("qualys quiet=22", "22:00-06:00"),
    ("qualys colour=red", "colour"),
]


@pytest.mark.parametrize(("words", "answer"), WRONG)
async def test_a_wrong_watch_gets_one_sentence(world: World, words: str, answer: str) -> None:
    await world.type(MARA, f"/amend watch {words}")
    await world.told(MARA, answer)


async def test_a_guest_may_not_watch(world: World) -> None:
    await world.type(GUEST, "/amend watch qualys states=OPEN")
    await world.told(GUEST, "uest")
    await world.type(SAMI, "/amend watch ccs mode=now")
    await world.told(SAMI, "you must be allowed to do something there")
    assert await world.bot.watching.watches.listed() == []


async def test_the_form_sets_up_a_watch(world: World) -> None:
    await world.type(MARA, "/amend watch qualys")
    view = await world.view_is(MARA, "watch")
    wrong = {"quiet": {"quiet": {"type": "plain_text_input", "value": "late"}}}
    await world.act(MARA, "submit", view_id=view["id"], values=wrong)
    assert "quiet" in world.view(MARA)["errors"]
    right = {"quiet": {"quiet": {"type": "plain_text_input", "value": "22:00-06:00"}}}
    await world.act(MARA, "submit", view_id=view["id"], values=right)
    await world.told(MARA, "is told from now on")
    (row,) = await world.bot.watching.watches.listed()
    assert row.quiet["timezone"] != "UTC"


async def test_who_has_lost_the_right_has_no_channel_told_any_more(watched: World) -> None:
    await watch(watched, "qualys mode=now", ONCA)
    await based(watched)
    left = [each for each in PEOPLE if each[0] != ONCA]
    bot = watched.bot
    await bot.store.import_people(bot.team, left, replace=True, actor="test")
    change(watched, open_tickets(watched, 1)[0], "RESOLVED")
    await until(lambda: "parked" in str(watched.slack.state(ONCA)["messages"]), "word to the owner")
    (row,) = await bot.watching.watches.listed()
    assert "may not" in row.parked
    assert changes(watched) == []


async def test_nor_whose_role_came_to_reach_a_part_only(watched: World) -> None:
    await watch(watched, "qualys mode=now", ONCA)
    await based(watched)
    scoped = (ONCA, Account("qualys", "oreyes", "Unit Manager", ("10.10.10.0/24",)))
    left = [each for each in PEOPLE if each[0] != ONCA]
    bot = watched.bot
    await bot.store.import_people(bot.team, [*left, scoped], replace=True, actor="test")
    change(watched, open_tickets(watched, 1)[0], "RESOLVED")
    await until(lambda: "parked" in str(watched.slack.state(ONCA)["messages"]), "word to the owner")
    assert "10.10.10.0/24" in str(watched.slack.state(ONCA)["messages"])
    assert changes(watched) == []


async def test_who_reaches_a_part_only_has_no_channel_told_of_the_rest(world: World) -> None:
    await world.type(UMAR, "/amend watch qualys states=OPEN")
    told = await world.told(UMAR, "reaches")
    assert "10.10.10.0/24" in told
    assert await world.bot.watching.watches.listed() == []
