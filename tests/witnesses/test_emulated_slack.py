"""`amend run` against a Slack that others wrote (npm `emulate`): command, form, review, card, thread.

That Slack keeps messages and views and is strict about triggers, hashes and scopes. It has no
commands and no interactions, so this test plays Slack's part of them as its documents have it: it
signs and sends them, and takes the answer to a submission to where the view is kept.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote_plus, urlencode

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web

from deploy.sandbox.ports import free_port
from deploy.sandbox.vendors.qualys import QualysStandIn
from tests.e2e.conftest import filled, text_of
from tests.e2e.test_crash import Process

HERE = Path(__file__).parent / "slack"
EMULATOR = HERE.parents[2] / ".venv" / "emulate" / "node_modules" / "emulate" / "dist" / "index.js"
TOKEN = "xoxb-emulated-not-a-secret"
SECRET = "emulated-not-a-secret"
TEAM = "T000000001"

Found = TypeVar("Found")

pytestmark = pytest.mark.skipif(
    not EMULATOR.exists() or shutil.which("node") is None,
    reason="the emulated Slack is not installed (it needs Node.js and npm): make witnesses",
)


async def eventually(look: Callable[[], Awaitable[Found]], what: str) -> Found:
    """What `look` finds as soon as it finds something; fails after a minute."""
    for _ in range(600):
        if found := await look():
            return found
        await asyncio.sleep(0.1)
    raise AssertionError(f"did not happen: {what}")


class EmulatedSlack:
    """The emulator, with a front that takes reads by GET as Slack does, and keeps what was said."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.private: list[str] = []
        self.port, self.own = free_port(), free_port()

    async def start(self) -> None:
        self._node = await asyncio.create_subprocess_exec(
            "node",
            *("--require", str(HERE / "loopback.cjs"), str(EMULATOR), "start"),
            *("--service", "slack", "--port", str(self.own), "--seed", str(HERE / "seed.yaml")),
            stdout=asyncio.subprocess.DEVNULL,
        )
        self._session = aiohttp.ClientSession()
        app = web.Application()
        app.router.add_route("*", "/api/{method}", self._forward)
        app.router.add_post("/response", self._hear)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()
        await eventually(self._up, "the emulator answers")

    async def stop(self) -> None:
        self._node.terminate()
        await self._node.wait()
        await self._runner.cleanup()
        await self._session.close()

    async def _up(self) -> bool:
        assert self._node.returncode is None, "the emulator did not start"
        try:
            return bool((await self.call("auth.test"))["ok"])
        except aiohttp.ClientError:
            return False

    async def call(self, method: str, **arguments: Any) -> dict[str, Any]:
        packed = {
            name: value if isinstance(value, str) else json.dumps(value)
            for name, value in arguments.items()
        }
        return await self._ask(method, urlencode(packed).encode(), TOKEN)

    async def _ask(self, method: str, body: bytes, token: str) -> dict[str, Any]:
        headers = {
            "Authorization": f"Bearer {token}",
            "Content-Type": "application/x-www-form-urlencoded",
        }
        url = f"http://127.0.0.1:{self.own}/api/{method}"
        async with self._session.post(url, data=body, headers=headers) as answer:
            if answer.status == 404:
                return {"ok": False, "error": "unknown_method"}
            told: dict[str, Any] = await answer.json()
            return told

    async def _forward(self, request: web.Request) -> web.Response:
        method = request.match_info["method"]
        if request.content_type == "application/json":
            given = {
                name: value if isinstance(value, str) else json.dumps(value)
                for name, value in (await request.json()).items()
            }
            body = urlencode(given).encode()
        else:
            body = await request.read() or request.query_string.encode()
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        told = await self._ask(method, body, token)
        self.calls.append((method, told))
        if method == "chat.postEphemeral":
            self.private.append(unquote_plus(body.decode()))
        return web.json_response(told)

    async def _hear(self, request: web.Request) -> web.Response:
        self.private.append(text_of(await request.json()))
        return web.Response()

    async def user(self, name: str) -> str:
        members = (await self.call("users.list"))["members"]
        return next(str(each["id"]) for each in members if each["name"] == name)

    async def channel(self, name: str) -> str:
        channels = (await self.call("conversations.list"))["channels"]
        return next(str(each["id"]) for each in channels if each["name"] == name)

    def view(self) -> dict[str, Any]:
        """The view that was opened or changed last."""
        shown = [
            told["view"] for name, told in self.calls if name.startswith("views.") and told["ok"]
        ]
        return dict(shown[-1]) if shown else {}

    def refusals(self) -> list[tuple[str, str]]:
        return [(name, str(told["error"])) for name, told in self.calls if not told["ok"]]


class Office:
    """The bot as its own process, and what a person does at Slack."""

    def __init__(self, slack: EmulatedSlack, qualys: QualysStandIn, folder: Path) -> None:
        self.slack, self.qualys = slack, qualys
        self.port = free_port()
        self.process = Process(
            {
                "SLACK_BOT_TOKEN": TOKEN,
                "SLACK_SIGNING_SECRET": SECRET,
                "SLACK_API_URL": f"http://127.0.0.1:{slack.port}/api/",
                "AMEND_HOST": "127.0.0.1",
                "AMEND_PORT": str(self.port),
                "AMEND_ATTRIBUTION": "off",
                "DATABASE_URL": f"sqlite:///{folder / 'amend.db'}",
                **qualys.settings(),
            },
            folder,
        )
        self.folder = folder
        self.mara = self.ops = ""

    async def begin(self) -> None:
        self.mara = await self.slack.user("mara")
        self.ops = await self.slack.channel("vuln-ops")
        (self.folder / "people.csv").write_text(
            f"slack_user,vendor,account,role,scope\n{self.mara},qualys,mlindqvist,Manager,\n"
        )
        imported = await self.process.run("people", "import", "people.csv")
        assert await imported.wait() == 0
        await self.process.start(self.port)

    async def type(self, command: str, text: str) -> None:
        trigger = await self.slack.call("views.generateTriggerId", user=self.mara)
        told = await self._send(
            {
                "command": command,
                "text": text,
                "trigger_id": trigger["trigger_id"],
                "team_id": TEAM,
                "channel_id": self.ops,
                "channel_name": "vuln-ops",
                "user_id": self.mara,
                "user_name": "mara",
                "api_app_id": "A000000001",
                "response_url": f"http://127.0.0.1:{self.slack.port}/response",
            }
        )
        self.slack.private.append(text_of(told))

    async def submit(self, values: dict[str, Any]) -> None:
        view = self.slack.view()
        payload = {
            "type": "view_submission",
            "team": {"id": TEAM, "domain": "northwind"},
            "user": {"id": self.mara, "name": "mara", "team_id": TEAM},
            "api_app_id": "A000000001",
            "trigger_id": (await self.slack.call("views.generateTriggerId"))["trigger_id"],
            "view": view | {"state": {"values": values}},
            "response_urls": [],
        }
        answer = await self._send({"payload": json.dumps(payload)})
        if answer.get("response_action") == "update":
            told = await self.slack.call("views.update", view_id=view["id"], view=answer["view"])
            assert told["ok"], told
            self.slack.calls.append(("views.update", told))
        else:
            assert answer in ({}, {"response_action": "clear"}), answer

    async def _send(self, form: dict[str, str]) -> dict[str, Any]:
        body, at = urlencode(form), str(int(time.time()))
        made = hmac.new(SECRET.encode(), f"v0:{at}:{body}".encode(), hashlib.sha256)
        headers = {
            "Content-Type": "application/x-www-form-urlencoded",
            "X-Slack-Request-Timestamp": at,
            "X-Slack-Signature": f"v0={made.hexdigest()}",
        }
        url = f"http://127.0.0.1:{self.port}/slack/events"
        async with (
            aiohttp.ClientSession() as session,
            session.post(url, data=body, headers=headers) as answer,
        ):
            assert answer.status == 200, await answer.text()
            told = await answer.text()
        return dict(json.loads(told)) if told.startswith("{") else {}

    async def view_is(self, callback_id: str) -> dict[str, Any]:
        """The view on top, once it is this one."""

        async def look() -> dict[str, Any]:
            view = self.slack.view()
            return view if view.get("callback_id") == callback_id else {}

        return await eventually(look, callback_id)

    async def thread(self, card: dict[str, Any]) -> list[str]:
        """What stands below the card, once something does."""

        async def look() -> list[str]:
            told = await self.slack.call("conversations.replies", channel=self.ops, ts=card["ts"])
            return [text_of(each) for each in told["messages"] if each["ts"] != card["ts"]]

        return await eventually(look, "a reply below the card")

    async def card(self) -> dict[str, Any]:
        """The card of the channel, once it shows an end."""

        async def look() -> dict[str, Any]:
            told = await self.slack.call("conversations.history", channel=self.ops)
            return next((each for each in told["messages"] if _state(each) in OVER), {})

        return await eventually(look, "a card shows an end")


OVER = {"succeeded", "partial", "failed", "unknown"}


def _state(message: dict[str, Any]) -> str:
    return str((message.get("metadata") or {}).get("event_payload", {}).get("state", ""))


@pytest_asyncio.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    slack = EmulatedSlack()
    await slack.start()
    async with QualysStandIn() as qualys:
        made = Office(slack, qualys, tmp_path)
        await made.begin()
        yield made
        import signal

        await made.process.end(signal.SIGTERM)
    await slack.stop()


async def test_command_form_review_card_and_thread(office: Office) -> None:
    await office.type("/qualys", "")
    form = await office.view_is("form")
    comment = "Host patched"
    values = filled(form, ticket_numbers="23456", change_state="RESOLVED", add_comment=comment)
    await office.submit(values)
    review = await office.view_is("review")
    assert "Resolved" in text_of({"blocks": review["blocks"]})
    assert not office.qualys.edits
    await office.submit({})
    card = await office.card()
    assert "Done" in text_of(card)
    assert office.qualys.tickets[23456].condition == "RESOLVED"
    assert [each.comment for each in office.qualys.tickets[23456].history][-1] == comment
    assert len(office.qualys.edits) == 1
    assert any("23456" in each for each in await office.thread(card))
    assert not office.slack.refusals()


async def test_what_is_typed_whole_runs_and_what_is_mistyped_is_answered(office: Office) -> None:
    await office.type("/qualys", "23456 change_state=VERIFIED")
    assert any("RESOLVED" in each for each in office.slack.private)
    await office.type("/qualys", "23456 add_comment=checked")
    assert "Done" in text_of(await office.card())
    assert [dict(each.changes)["add_comment"] for each in office.qualys.edits] == ["checked"]
    assert not office.slack.refusals()


async def test_a_review_that_is_confirmed_twice_at_once_runs_once(office: Office) -> None:
    await office.type("/qualys", "23456,23457 add_comment=once")
    await office.view_is("review")
    await asyncio.gather(office.submit({}), office.submit({}))
    await office.card()
    assert len(office.qualys.edits) == 1
