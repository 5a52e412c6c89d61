"""Ends that come nearer: told over a moved clock, renewed or let go from the reminder."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bot.db.watching import WatchStore
from bot.jobs.watching import Watching
from tests.e2e.conftest import GUEST, MARA, ONCA, OPS, SAMI, World, text_of, until
from tests.e2e.test_exceptions import press
from tests.e2e.test_programs import entries
from tests.e2e.test_requests import button

START = datetime.now(UTC).replace(hour=9, minute=0, second=0, microsecond=0)


def ends(world: World, *in_days: int) -> list[int]:
    """So many approved exceptions that end in so many days; all others are rejected."""
    exceptions = world.qualys.compliance.exceptions
    numbers = sorted(exceptions)
    for number in numbers:
        exceptions[number] = replace(exceptions[number], status="Rejected")
    for number, days in zip(numbers, in_days, strict=False):
        day = (START + timedelta(days=days)).date().isoformat()
        exceptions[number] = replace(exceptions[number], status="Approved", expires=day)
    return numbers[: len(in_days)]


async def days_later(world: World, days: float) -> None:
    """The clocks of bot and vendor go to so many days after the start; what is due is polled."""
    at = START + timedelta(days=days)
    world.bot.store.clock = at.timestamp
    watcher = world.bot.registry.watcher("qualys.exceptions")
    assert watcher is not None
    watcher._now = lambda: at  # type: ignore[attr-defined]
    world.qualys._now = lambda: at
    await polled(world)


async def polled(world: World) -> None:
    watching = world.bot.watching
    for watch in await watching.watches.listed():
        taken = await watching.watches.claim(world.bot.store.clock() + 1e9, watch.next_at + 1e9)
        if taken is not None:
            await watching.poll([taken])
            await watching.tell(taken)


def reminders(world: World) -> list[dict[str, Any]]:
    found = []
    for each in world.messages(OPS):
        metadata = each.get("metadata") or {}
        payload = metadata.get("event_payload") or {}
        if metadata.get("event_type") == "amend_change" and payload.get("to") == "Ends":
            found.append(payload)
    return found


@pytest.fixture
async def watched(world: World) -> World:
    ends(world, 40)
    await world.type(MARA, "/amend watch exception ends_within=30")
    await world.told(MARA, "told from now on")
    return world


async def test_told_at_thirty_seven_and_one(watched: World) -> None:
    (number,) = ends(watched, 40)
    for day in range(45):
        await days_later(watched, day)
    await until(lambda: len(reminders(watched)) == 3, "three reminders")
    assert {each["record"] for each in reminders(watched)} == {str(number)}
    assert {each["from"] for each in reminders(watched)} == {"Approved"}
    day = (START + timedelta(days=40)).date().isoformat()
    assert {each["at"] for each in reminders(watched)} == {day}


async def test_renewed_from_the_reminder(watched: World) -> None:
    (number,) = ends(watched, 20)
    await days_later(watched, 0)
    await until(lambda: len(reminders(watched)) == 1)
    await press(watched, MARA, "renew", OPS)
    form = await watched.view_is(MARA, "form")
    assert str(number) in str(form["blocks"])


async def test_let_end_asks_why_notes_it_and_tells_no_more(watched: World) -> None:
    (number,) = ends(watched, 20)
    await days_later(watched, 0)
    await until(lambda: len(reminders(watched)) == 1)
    await press(watched, MARA, "let_end", OPS)
    view = await watched.view_is(MARA, "let_end")
    why = {"reason": {"reason": {"type": "plain_text_input", "value": "it moves in May"}}}
    await watched.act(MARA, "submit", view_id=view["id"], values=why)
    await until(lambda: any("it moves in May" in text_of(m) for m in watched.messages(OPS)))
    for day in (13, 14, 19, 20):
        await days_later(watched, day)
    assert len(reminders(watched)) == 1
    noted = [e async for e in entries(watched) if e["action"] == "watch:let_end"]
    assert [(e["actor"], e["facts"]["record"], e["facts"]["why"]) for e in noted] == [
        (MARA, str(number), "it moves in May")
    ]


def notice(world: World) -> dict[str, Any]:
    """The message of the one reminder."""
    (found,) = (each for each in world.messages(OPS) if "ends on" in text_of(each))
    return found


async def lets_end(world: World) -> None:
    await press(world, MARA, "let_end", OPS)
    view = await world.view_is(MARA, "let_end")
    why = {"reason": {"reason": {"type": "plain_text_input", "value": "it moves in May"}}}
    await world.act(MARA, "submit", view_id=view["id"], values=why)


async def renews(world: World) -> None:
    number, day = notice(world)["metadata"]["event_payload"]["record"], START + timedelta(days=200)
    await world.type(MARA, f"/amend renew {number} end_date={day.date()} comments=x")
    view = await world.view_is(MARA, "review")
    await world.act(MARA, "submit", view_id=view["id"], values={})


async def withdraws(world: World) -> None:
    """In the vendor's console; the next look finds it."""
    exceptions = world.qualys.compliance.exceptions
    for number, each in exceptions.items():
        exceptions[number] = replace(each, status="Rejected")
    await days_later(world, 1)


async def press_old(world: World, before: dict[str, Any], key: str) -> None:
    """Press what a client shows that has not heard of the newest edit yet."""
    stands = world.slack.core.workspace.find(OPS, before["ts"])
    newest, stands.blocks = stands.blocks, before["blocks"]
    await world.act(MARA, "press", channel=OPS, ts=before["ts"], **button(before, key))
    stands.blocks = newest


@pytest.mark.parametrize("settles", [lets_end, renews, withdraws])
async def test_what_is_settled_has_no_buttons_and_an_old_press_does_nothing(
    watched: World, settles: Callable[[World], Awaitable[None]]
) -> None:
    ends(watched, 20)
    await days_later(watched, 0)
    await until(lambda: len(reminders(watched)) == 1)
    before = notice(watched)
    await settles(watched)
    await until(lambda: "actions" not in str(notice(watched)["blocks"]), "the buttons are gone")
    noted = [e async for e in entries(watched) if e["action"] == "watch:let_end"]
    for key in ("renew", "let_end"):
        told = len(watched.private(MARA))
        await press_old(watched, before, key)
        await until(lambda many=told: len(watched.private(MARA)) == many + 1, "one answer")
    assert watched.view(MARA).get("callback_id") not in ("form", "let_end")
    assert [e async for e in entries(watched) if e["action"] == "watch:let_end"] == noted


async def test_an_old_press_before_the_next_look_finds_what_the_vendor_has(watched: World) -> None:
    (number,) = ends(watched, 20)
    await days_later(watched, 0)
    await until(lambda: len(reminders(watched)) == 1)
    exceptions = watched.qualys.compliance.exceptions
    exceptions[number] = replace(exceptions[number], status="Rejected")
    await press(watched, MARA, "let_end", OPS)
    await watched.told(MARA, "does not end on")
    await until(lambda: "actions" not in str(notice(watched)["blocks"]), "the buttons are gone")


async def test_of_two_who_let_it_end_the_first_is_noted(watched: World) -> None:
    ends(watched, 20)
    await days_later(watched, 0)
    await until(lambda: len(reminders(watched)) == 1)
    why = {"reason": {"reason": {"type": "plain_text_input", "value": "mine"}}}
    views = {}
    for user in (MARA, ONCA):
        await press(watched, user, "let_end", OPS)
        views[user] = await watched.view_is(user, "let_end")
    for user, view in views.items():
        await watched.act(user, "submit", view_id=view["id"], values=why)
    noted = [e async for e in entries(watched) if e["action"] == "watch:let_end"]
    assert [each["actor"] for each in noted] == [MARA]
    assert "settled meanwhile" in str(watched.view(ONCA).get("errors"))


async def test_who_could_not_renew_it_cannot_let_it_end(watched: World) -> None:
    ends(watched, 20)
    await days_later(watched, 0)
    await until(lambda: len(reminders(watched)) == 1)
    known = len(watched.private(GUEST))
    await press(watched, GUEST, "let_end", OPS)
    await until(lambda: len(watched.private(GUEST)) > known or bool(watched.view(GUEST)))
    assert watched.view(GUEST).get("callback_id") != "let_end"


async def test_several_on_one_day_have_their_buttons_each(watched: World) -> None:
    numbers = ends(watched, *([20] * 14))
    await days_later(watched, 0)
    await until(lambda: len(reminders(watched)) == 14, "each has a message of its own")
    assert {each["record"] for each in reminders(watched)} == {str(each) for each in numbers}


async def test_very_many_on_one_day_are_one_table_soonest_first(watched: World) -> None:
    numbers = ends(watched, *range(1, 31))
    await days_later(watched, 0)

    def found() -> list[dict[str, Any]]:
        return [m for m in watched.messages(OPS) if "30 exceptions end soon" in m["text"]]

    await until(lambda: bool(found()), "the digest")
    (table,) = (each for each in found()[0]["blocks"] if each["type"] == "data_table")
    assert [each[0]["text"] for each in table["rows"][1:]] == [str(each) for each in numbers]
    assert "/amend renew" in text_of(found()[0])
    assert reminders(watched) == []


async def test_a_year_of_five_hundred_exceptions_with_restarts(watched: World) -> None:
    """Each reminder once, though the watching begins anew and days are missed."""
    chance = random.Random(5)  # noqa: S311 - which day, not a secret
    exceptions = watched.qualys.compliance.exceptions
    last = {}
    for number in sorted(exceptions)[:500]:
        last[number] = chance.randint(0, 380)
        day = (START + timedelta(days=last[number])).date().isoformat()
        exceptions[number] = replace(exceptions[number], status="Approved", expires=day)
    for number in sorted(exceptions)[500:]:
        exceptions[number] = replace(exceptions[number], status="Rejected")
    seen = [day for day in range(-31, 366) if chance.random() < 0.8]
    for day in seen:
        if chance.random() < 0.1:
            bot = watched.bot
            store = WatchStore(bot.store)
            bot.watching = Watching(store, bot.registry, bot.watching.every, lambda: None)
        await days_later(watched, day)
    wanted: Counter[str] = Counter()
    for number, end in last.items():
        told: set[int] = set()
        for day in seen:
            stages = [s for s in (30, 7, 1) if 0 <= end - day <= s]
            if stages and not told & {s for s in (30, 7, 1) if s <= min(stages)}:
                told.add(min(stages))
                wanted[str(number)] += 1
    store = watched.bot.watching.watches
    (watch,) = await store.listed()
    got: Counter[str] = Counter()
    for number in last:
        news = await store.of_record(watch.id, str(number))
        got[str(number)] += sum(each.to_state == "Ends" for each in news)
    assert got == wanted
    assert sum(wanted.values()) > 800


def placed(world: World, *, within: bool) -> int:
    """The one exception that ends soon: of a host within Sami's 10.10.10.0/24, or outside it."""
    ends(world)
    exceptions = world.qualys.compliance.exceptions
    number = next(
        n
        for n, each in exceptions.items()
        if str(each.result.host.ip).startswith("10.10.10.") is within
    )
    day = (START + timedelta(days=20)).date().isoformat()
    exceptions[number] = replace(exceptions[number], status="Approved", expires=day)
    return number


@pytest.mark.parametrize("within", [True, False])
async def test_only_what_lies_in_ones_scope_is_let_end(watched: World, within: bool) -> None:
    placed(watched, within=within)
    await days_later(watched, 0)
    await until(lambda: len(reminders(watched)) == 1)
    await press(watched, SAMI, "let_end", OPS)
    if within:
        await watched.view_is(SAMI, "let_end")
        return
    await until(lambda: "outside your scope" in str(watched.view(SAMI)), "the reason")
    assert watched.view(SAMI)["callback_id"] == "message"


async def test_the_scope_is_asked_for_again_as_the_reason_comes(watched: World) -> None:
    number = placed(watched, within=True)
    await days_later(watched, 0)
    await until(lambda: len(reminders(watched)) == 1)
    await press(watched, SAMI, "let_end", OPS)
    view = await watched.view_is(SAMI, "let_end")
    why = {"reason": {"reason": {"type": "plain_text_input", "value": "it moves in May"}}}
    watched.qualys.set_fault("http_500", {"only": "exception"})
    await watched.act(SAMI, "submit", view_id=view["id"], values=why)
    assert "Please try again" in watched.view(SAMI)["errors"]["reason"]
    watched.qualys.set_fault(None)
    exceptions = watched.qualys.compliance.exceptions
    far = next(e for e in exceptions.values() if not str(e.result.host.ip).startswith("10.10.10."))
    exceptions[number] = replace(exceptions[number], result=far.result)
    await watched.act(SAMI, "submit", view_id=view["id"], values=why)
    assert "outside your scope" in watched.view(SAMI)["errors"]["reason"]
    assert [e async for e in entries(watched) if e["action"] == "watch:let_end"] == []


async def test_where_the_vendor_does_not_say_it_is_neither_yes_nor_no(watched: World) -> None:
    placed(watched, within=True)
    await days_later(watched, 0)
    await until(lambda: len(reminders(watched)) == 1)
    watched.qualys.set_fault("http_500", {"only": "exception"})
    await press(watched, SAMI, "let_end", OPS)
    await until(lambda: "cannot be known now" in str(watched.view(SAMI)), "neither yes nor no")
    assert [e async for e in entries(watched) if e["action"] == "access:denied"] == []
