"""Setting up what a channel is told: one act is one watch, a form gets its answer, people are people."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiohttp import ServerDisconnectedError

from bot.db.watching import WatchStore
from bot.domain.errors import NotNow
from bot.slack.incoming import deeds
from bot.slack.link.directory import SlackDirectory
from bot.slack.outgoing.home import Home
from bot.slack.outgoing.voice import SlackVoice
from tests.e2e.conftest import MARA, ONCA, OPS, SAMI, World, filled, text_of, until
from tests.e2e.test_requests import button, has
from tests.e2e.test_told_again import AWAY, Fails

SILENT = "Slack could not say who you are just now; please try again."


def slack_says_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who anybody is cannot be known: neither now nor by what was said before."""

    async def nobody(this: Any, user: str, believed: Any) -> Any:
        raise NotNow([SILENT])

    monkeypatch.setattr(SlackDirectory, "_asked", nobody)
    world.bot.pipeline.parts.directory._known.clear()


async def watches(world: World) -> list[Any]:
    return list(await world.bot.watching.watches.listed(OPS))


def announced(world: World, sign: str) -> list[dict[str, Any]]:
    return [each for each in world.messages() if each.get("text", "").startswith(sign)]


@pytest.mark.parametrize(
    ("words", "sign", "other"),
    [
        ("watch qualys severities=5", ":eyes:", "watch qualys severities=4"),
        ("report every=mon@09:00", ":bar_chart:", "report every=mon@09:00"),
    ],
)
async def test_a_mention_whose_answer_fails_sets_up_one_watch(
    words: str, sign: str, other: str, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deeds, "PAUSES", (0.0,) * 4)
    said = Fails(monkeypatch, SlackVoice, "tell", ServerDisconnectedError(), times=2)
    await world.type(MARA, f"@Amend {words}")
    async with asyncio.timeout(120):
        while said.calls < 3:
            await world.bot.deeds.take_up()
            await asyncio.sleep(0.1)
    (watch,) = await watches(world)
    await world.told(MARA, watch.id)
    await until(lambda: bool(announced(world, sign)), "its channel is told")
    assert len(announced(world, sign)) == 1
    await world.type(MARA, f"@Amend {other}")
    await until(lambda: len(announced(world, sign)) == 2, "another act is another watch")
    assert len(await watches(world)) == 2


@pytest.mark.parametrize("what", ["slack", "database"])
async def test_a_submitted_watch_always_gets_an_answer(
    what: str, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.type(MARA, "/amend watch qualys")
    view = await world.view_is(MARA, "watch")
    if what == "slack":
        slack_says_nothing(world, monkeypatch)
    else:
        Fails(monkeypatch, WatchStore, "add", AWAY)
    await world.act(MARA, "submit", view_id=view["id"], values=filled(view, mode="now", quiet=""))
    await world.told(MARA, SILENT if what == "slack" else "database does not answer")
    assert await watches(world) == []


async def test_a_form_that_cannot_be_filled_names_what_is_silent(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    slack_says_nothing(world, monkeypatch)
    await world.type(MARA, "/qualys")
    await until(lambda: SILENT in text_of(world.view(MARA)), "the true reason")
    assert "database" not in text_of(world.view(MARA))


async def test_the_home_page_ends_its_asking_where_slack_is_silent(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[str] = []

    async def show(this: Home, user: str, blocks: Any) -> None:
        shown.append(text_of({"blocks": list(blocks)}))

    monkeypatch.setattr(Home, "_show", show)
    slack_says_nothing(world, monkeypatch)
    await world.bot.listeners.home.publish(MARA)
    assert SILENT in shown[-1]
    assert "asking …" not in shown[-1]


async def handing_on(world: World) -> dict[str, Any]:
    await world.type(SAMI, "/qualys 23456 change_state=RESOLVED")
    await world.told(SAMI, "Hand it to")
    denial = next(each for each in world.seen_by(SAMI) if has(each, "hand"))
    return {"channel": OPS, "ts": denial["ts"], **button(denial, "hand")}


async def test_to_whom_a_request_may_go_is_not_nobody_where_slack_is_silent(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    press = await handing_on(world)
    slack_says_nothing(world, monkeypatch)
    await world.act(SAMI, "press", **press)
    await until(lambda: SILENT in text_of(world.view(SAMI)), "the true reason")


async def test_a_request_that_cannot_be_handed_on_now_says_so(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.act(SAMI, "press", **await handing_on(world))
    view = await world.view_is(SAMI, "hand")
    slack_says_nothing(world, monkeypatch)
    await world.act(SAMI, "submit", view_id=view["id"], values=filled(view, to=ONCA))
    told = await world.told(SAMI, SILENT)
    assert "somebody else" not in told


# --- people in a watch ----------------------------------------------------------------------------


async def corrected(world: World, typed: str) -> dict[str, Any]:
    """The form under words that were refused."""
    await world.type(MARA, typed)
    await until(lambda: any(each.get("ephemeral") for each in world.seen_by(MARA)))
    message = [each for each in world.seen_by(MARA) if each.get("ephemeral")][-1]
    await world.act(MARA, "press", channel=OPS, ts=message["ts"], **button(message, "watch_form"))
    return await world.view_is(MARA, "watch")


def initial(view: dict[str, Any], name: str) -> Any:
    (block,) = [each for each in view["blocks"] if each.get("block_id") == name]
    return block["element"].get("initial_value")


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("@onca", "northwind\\oreyes"),
        ("me", "northwind\\mlindqvist"),
        ("northwind\\somebody", "northwind\\somebody"),
        ("@sami", None),  # who has no account there is nobody to watch for
    ],
)
async def test_the_form_under_a_wrong_watch_names_the_vendors_users(
    typed: str, shown: str | None, world: World
) -> None:
    view = await corrected(world, f"/amend watch ccs AssignedTo={typed} mode=nonsense")
    assert initial(view, "AssignedTo") == shown


@pytest.mark.parametrize(
    ("typed", "watched"),
    [
        ("me", "northwind\\mlindqvist"),
        (f"<@{ONCA}>", "northwind\\oreyes"),
        (f"@{ONCA}", "northwind\\oreyes"),
        ("onca.reyes@northwind.example", "northwind\\oreyes"),
        ("northwind\\somebody", "northwind\\somebody"),
    ],
)
async def test_a_submitted_watch_takes_people_as_a_typed_one_does(
    typed: str, watched: str, world: World
) -> None:
    await world.type(MARA, "/amend watch ccs")
    view = await world.view_is(MARA, "watch")
    values = filled(view, AssignedTo=typed, mode="now", quiet="")
    await world.act(MARA, "submit", view_id=view["id"], values=values)
    await world.told(MARA, "This channel is told from now on")
    (watch,) = await watches(world)
    assert watch.selection["AssignedTo"] == watched


async def test_who_is_not_known_is_said_on_the_input(world: World) -> None:
    await world.type(MARA, "/amend watch ccs")
    view = await world.view_is(MARA, "watch")
    values = filled(view, AssignedTo="@sami", mode="now", quiet="")
    await world.act(MARA, "submit", view_id=view["id"], values=values)
    await until(lambda: "AssignedTo" in (world.view(MARA).get("errors") or {}), "an error")
    assert await watches(world) == []
