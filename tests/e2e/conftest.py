"""The real bot (real Bolt dispatch, signed HTTP or Socket Mode) against the sandbox's strict Slack."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from bot.bootstrap import Bot, build
from bot.domain.people import Account
from bot.pipeline import bounds
from bot.settings import load_settings
from deploy.sandbox.slack import triggers
from deploy.sandbox.start import Sandbox
from tests.laid import lay

MARA, UMAR, SAMI, ONCA = "U0MARA", "U0UMAR", "U0SAMI", "U0ONCA"
GUEST, OUTSIDER = "U0GUST", "U0OUTS"
OPS, APPROVALS = "C0OPS", "C0APPROVALS"

PEOPLE = [
    (MARA, Account("qualys", "mlindqvist", "Manager")),
    (UMAR, Account("qualys", "uhaddad", "Unit Manager", ("10.10.10.0/24",))),
    (SAMI, Account("qualys", "sito", "Scanner", ("10.10.10.0/24",))),
    (ONCA, Account("qualys", "oreyes", "Manager")),
    (MARA, Account("ccs", "northwind\\mlindqvist", "Remediation Administrator")),
    (ONCA, Account("ccs", "northwind\\oreyes", "Remediation Administrator")),
    (UMAR, Account("ccs", "northwind\\uhaddad", "Standard User")),
    (MARA, Account("xpanse", "mara.lindqvist@northwind.example", "Instance Administrator")),
    (UMAR, Account("xpanse", "umar.haddad@northwind.example", "Responder")),
    (SAMI, Account("xpanse", "sami.ito@northwind.example", "Viewer")),
    (MARA, Account("zstack", "mara", "admin")),
    (ONCA, Account("zstack", "onca", "approver")),
    (UMAR, Account("zstack", "umar", "owner")),
]


class World:
    """A sandbox with a running bot, and the few verbs that tests need."""

    def __init__(self, sandbox: Sandbox, bot: Bot) -> None:
        self.sandbox, self.bot = sandbox, bot
        self.slack, self.qualys = sandbox.slack, sandbox.qualys

    async def act(self, user: str, do: str, **fields: Any) -> dict[str, Any]:
        answer: dict[str, Any] = await self.slack.act(user=user, do=do, **fields)
        return answer

    async def type(self, user: str, text: str, channel: str = OPS, **more: Any) -> dict[str, Any]:
        return await self.act(user, "type", channel=channel, text=text, **more)

    def messages(self, channel: str = OPS) -> list[dict[str, Any]]:
        return list(self.slack.messages(channel))

    def seen_by(self, user: str, channel: str = OPS) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.slack.state(user)["messages"].get(channel, [])
        return found

    def cards(self, channel: str = OPS) -> list[dict[str, Any]]:
        return [
            each
            for each in self.messages(channel)
            if (each.get("metadata") or {}).get("event_type") == "amend_request"
        ]

    def payload(self, channel: str = OPS) -> dict[str, Any]:
        """What the newest card says of its request; no state as long as there is none."""
        cards = self.cards(channel)
        found: dict[str, Any] = cards[-1]["metadata"]["event_payload"] if cards else {"state": ""}
        return found

    async def settled(self, channel: str = OPS) -> dict[str, Any]:
        """Wait until the newest card shows an end, and its reply stands in the thread."""
        await until(lambda: bool(self.cards(channel)))
        over = {"succeeded", "partial", "failed", "unknown", "cancelled", "rejected", "expired"}
        await until(lambda: self.payload(channel)["state"] in over)
        return self.payload(channel)

    def thread(self, channel: str = OPS) -> list[dict[str, Any]]:
        card = self.cards(channel)[-1]
        return [each for each in self.messages(channel) if each.get("thread_ts") == card["ts"]]

    def view(self, user: str) -> dict[str, Any]:
        stack = self.slack.state(user)["views"]
        return dict(stack[-1]) if stack else {}

    async def view_is(self, user: str, callback_id: str) -> dict[str, Any]:
        await until(lambda: self.view(user).get("callback_id") == callback_id)
        return self.view(user)

    def files_there(self) -> bool:
        """Is there a file, with all that is in it? It has a name before that."""
        files = self.slack.core.files.values()
        return bool(files) and all(each.content is not None for each in files)

    def private(self, user: str, channel: str = OPS) -> list[str]:
        return [text_of(each) for each in self.seen_by(user, channel) if each.get("ephemeral")]

    async def told(self, user: str, words: str, channel: str = OPS) -> str:
        """Wait until this person privately reads `words`."""
        await until(lambda: any(words in each for each in self.private(user, channel)), words)
        return next(each for each in self.private(user, channel) if words in each)

    def edits(self) -> list[dict[str, str]]:
        return [dict(each.params) for each in self.qualys.requests if "ticket_edit" in each.path]

    def lists(self) -> list[dict[str, str]]:
        return [dict(each.params) for each in self.qualys.requests if "ticket_list" in each.path]


def text_of(message: dict[str, Any]) -> str:
    """Everything that a message says, fallback and blocks."""

    def walk(value: Any) -> list[str]:
        if isinstance(value, dict):
            if str(value.get("type")).startswith(("rich_text_section", "rich_text_quote")):
                return ["".join(str(each.get("text", "")) for each in value["elements"])]
            own = [value["text"]] if isinstance(value.get("text"), str) else []
            return own + [each for part in value.values() for each in walk(part)]
        if isinstance(value, list):
            return [each for part in value for each in walk(part)]
        return []

    return "\n".join([str(message.get("text", "")), *walk(message.get("blocks") or [])])


def read_for_marks(message: dict[str, Any]) -> str:
    """What of a message Slack reads for mentions, links and marks: no text of a rich text.

    An element of rich text that calls a whole channel is told as the mention that it is.
    """

    def walk(value: Any) -> list[str]:
        if isinstance(value, list):
            return [each for part in value for each in walk(part)]
        if not isinstance(value, dict):
            return []
        if value.get("type") == "broadcast":
            return [f"<!{value['range']}>"]
        own = [str(value["text"])] if value.get("type") == "mrkdwn" else []
        return own + [each for part in value.values() for each in walk(part)]

    return "\n".join([str(message.get("text", "")), *walk(message.get("blocks") or [])])


def filled(view: dict[str, Any], **values: str) -> dict[str, Any]:
    """What Slack sends as `state.values` for these inputs of a view, by their blocks."""
    found: dict[str, Any] = {}
    for block in view["blocks"]:
        name = block.get("block_id", "")
        if block["type"] != "input" or name not in values:
            continue
        element, value = block["element"], values[name]
        state: dict[str, Any] = {"type": element["type"]}
        if "select" in element["type"]:
            text = {"type": "plain_text", "text": value}
            state["selected_option"] = {"text": text, "value": value}
        elif element["type"] == "datepicker":
            state["selected_date"] = value
        else:
            state["value"] = value
        found[name] = {element["action_id"]: state}
    return found


async def until(condition: Callable[[], bool], what: str = "", within: float = 120.0) -> None:
    """Wait for a condition; fails with `what` when it does not come true in time."""
    end = time.monotonic() + within
    while not condition():
        assert time.monotonic() < end, f"did not happen: {what or condition}"
        await asyncio.sleep(0.02)


async def start_bot(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **settings: str
) -> Bot:
    socket_mode = settings.pop("mode", "http") == "socket"
    environment = sandbox.environment(tmp_path / "amend.db", port=0, socket_mode=socket_mode)
    # A lost answer is looked for during a second only, where a test says nothing else.
    environment["AMEND_LOST_ANSWER_SECONDS"] = "1"
    for name, value in {**environment, **settings}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    lay(tmp_path / "amend.db")
    bot = build(load_settings())
    await bot.start()
    sandbox.slack.request_url = f"http://127.0.0.1:{bot.port}/slack/events"
    await bot.store.import_people(bot.team, PEOPLE, replace=True, actor="test")
    return bot


Make = Callable[..., Awaitable[World]]

PATIENCE = 60.0  # seconds that a busy machine may take for what a person would not wait for


def be_patient(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither Slack nor the bot gives up on a machine that is slow: what is tested is what happens."""
    monkeypatch.setattr(bounds, "ACCEPT_WITHIN", PATIENCE)
    monkeypatch.setattr(triggers, "TRIGGER_SECONDS", PATIENCE)
    sandbox.slack.core.delivery.ack_seconds = PATIENCE


@pytest_asyncio.fixture
async def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Make]:
    """Makes a world with the settings given; everything is stopped afterwards.

    `patient=False` is for tests of the limits themselves.
    """
    worlds: list[World] = []

    async def made(*, patient: bool = True, **settings: str) -> World:
        sandbox = Sandbox()
        await sandbox.start()
        if patient:
            be_patient(sandbox, monkeypatch)
        world = World(sandbox, await start_bot(sandbox, tmp_path, monkeypatch, **settings))
        worlds.append(world)
        return world

    yield made
    for world in worlds:
        await world.bot.stop(within=120.0)
        assert world.slack.violations == []
        await world.sandbox.stop()


@pytest_asyncio.fixture
async def world(make: Make) -> World:
    """The usual world: signed HTTP, attribution off so that comments arrive as typed."""
    return await make(AMEND_ATTRIBUTION="off")
