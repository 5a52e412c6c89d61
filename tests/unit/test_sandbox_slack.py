"""The emulated workspace: strict where Slack is strict, seen through Slack's own client."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib.parse import parse_qs

import aiohttp
import pytest
from aiohttp import web
from slack_sdk.errors import SlackApiError
from slack_sdk.signature import SignatureVerifier
from slack_sdk.socket_mode.aiohttp import SocketModeClient
from slack_sdk.socket_mode.async_client import AsyncBaseSocketModeClient
from slack_sdk.socket_mode.request import SocketModeRequest
from slack_sdk.socket_mode.response import SocketModeResponse
from slack_sdk.web.async_client import AsyncWebClient

from deploy.sandbox import company
from deploy.sandbox.company import Command, Shortcut
from deploy.sandbox.slack import SlackSandbox

Json = dict[str, Any]


class Clock:
    """A clock that a test can put forward."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


class Bot:
    """A tiny endpoint: it checks signatures, keeps what came, and answers as it is told."""

    def __init__(self) -> None:
        self.got: list[Json] = []
        self.headers: list[dict[str, str]] = []
        self.answer: Callable[[Json], Any] = lambda payload: ""
        self.delay = 0.0
        self.statuses: list[int] = []

    async def serve(self, request: web.Request) -> web.Response:
        body = await request.read()
        verifier = SignatureVerifier(company.SIGNING_SECRET)
        if not verifier.is_valid_request(body, dict(request.headers)):
            return web.Response(status=401)
        if request.content_type == "application/json":
            payload = json.loads(body)
        else:
            form = {key: one[0] for key, one in parse_qs(body.decode()).items()}
            payload = json.loads(form["payload"]) if "payload" in form else form
        self.got.append(payload)
        self.headers.append(dict(request.headers))
        if self.delay:
            await asyncio.sleep(self.delay)
        answer = self.answer(payload)
        if asyncio.iscoroutine(answer):
            answer = await answer
        status = self.statuses.pop(0) if self.statuses else 200
        if isinstance(answer, dict):
            return web.json_response(answer, status=status)
        return web.Response(text=answer, status=status)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def bot() -> Bot:
    return Bot()


@pytest.fixture
async def slack(bot: Bot, clock: Clock) -> AsyncIterator[SlackSandbox]:
    app = web.Application()
    app.router.add_post("/slack/events", bot.serve)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    sandbox = SlackSandbox(
        request_url=f"http://127.0.0.1:{runner.addresses[0][1]}/slack/events",
        clock=clock,
        commands=(Command("/qualys", "Tickets", "[list]"),),
        shortcuts=(Shortcut("find", "Find"), Shortcut("file", "File", "message")),
    )
    await sandbox.start()
    yield sandbox
    await sandbox.stop()
    await runner.cleanup()


@pytest.fixture
def client(slack: SlackSandbox) -> AsyncWebClient:
    return AsyncWebClient(token=company.BOT_TOKEN, base_url=f"{slack.url}/api/")


def plain(text: str) -> Json:
    return {"type": "plain_text", "text": text}


def section(text: str = "text", **more: Any) -> Json:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}, **more}


def text_input(block_id: str, **more: Any) -> Json:
    element = {"type": "plain_text_input", "action_id": "value", **more}
    return {"type": "input", "block_id": block_id, "label": plain(block_id), "element": element}


def modal(*blocks: Json, title: str = "Form", **more: Any) -> Json:
    view = {"type": "modal", "title": plain(title), "submit": plain("Send")}
    return {**view, "blocks": list(blocks) or [section()], **more}


def buttons(action_id: str = "go", value: str = "v1") -> Json:
    element = {"type": "button", "action_id": action_id, "text": plain("Go"), "value": value}
    return {"type": "actions", "block_id": "row", "elements": [element]}


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(120):
        while not true():  # noqa: ASYNC110 - the workspace has no event for this
            await asyncio.sleep(0.01)


async def error_of(call: Any) -> str:
    with pytest.raises(SlackApiError) as caught:
        await call
    return str(caught.value.response["error"])


async def command(slack: SlackSandbox, text: str = "/qualys list", user: str = "U0UMAR") -> Json:
    return await slack.act(user=user, do="type", channel="C0OPS", text=text)


async def opened(slack: SlackSandbox, bot: Bot, client: AsyncWebClient, view: Json) -> Json:
    """Opens a view for Umar from a command."""
    await command(slack)
    answer = await client.views_open(trigger_id=bot.got[-1]["trigger_id"], view=view)
    return dict(answer["view"])


# --- the Web API ---------------------------------------------------------------------------


async def test_auth_and_tokens(slack: SlackSandbox, client: AsyncWebClient) -> None:
    answer = await client.auth_test()
    assert (answer["user_id"], answer["bot_id"]) == ("U0AMEND", "B0AMEND")
    assert "chat:write" in answer.headers["x-oauth-scopes"]
    assert await error_of(client.auth_test(token="xoxb-wrong")) == "invalid_auth"
    assert await error_of(client.apps_connections_open(app_token="xoxb-wrong")) == "invalid_auth"
    bot_token = client.apps_connections_open(app_token=company.BOT_TOKEN)
    assert await error_of(bot_token) == "not_allowed_token_type"
    assert await error_of(client.api_call("pins.add")) == "unknown_method"


async def test_lookups(slack: SlackSandbox, client: AsyncWebClient) -> None:
    assert (await client.users_info(user="U0GUST"))["user"]["is_restricted"]
    assert (await client.users_info(user="U0OUTS"))["user"]["is_stranger"]
    assert await error_of(client.users_info(user="U0NONE")) == "user_not_found"
    found = await client.users_lookupByEmail(email="mara.lindqvist@northwind.example")
    assert found["user"]["id"] == "U0MARA"
    first = await client.users_list(limit=5)
    cursor = first["response_metadata"]["next_cursor"]
    assert len(first["members"]) + len((await client.users_list(cursor=cursor))["members"]) == 7
    assert (await client.usergroups_users_list(usergroup="S0ONCALL"))["users"] == ["U0ONCA"]
    opened = await client.conversations_open(users="U0MARA")
    assert opened["channel"]["id"] == "D0MARA"
    assert (await client.team_info())["team"]["id"] == "T0SANDBOX"


async def test_messages(slack: SlackSandbox, client: AsyncWebClient) -> None:
    metadata = {"event_type": "ticket", "event_payload": {"id": "7"}}
    sent = await client.chat_postMessage(
        channel="C0OPS", text="Hello", blocks=[section()], metadata=metadata
    )
    ts = sent["ts"]
    reply = await client.chat_postMessage(channel="C0OPS", text="More", thread_ts=ts)
    plainly = await client.conversations_history(channel="C0OPS")
    assert [one["ts"] for one in plainly["messages"]] == [ts]
    assert "metadata" not in plainly["messages"][0]
    found = await client.conversations_replies(channel="C0OPS", ts=ts, include_all_metadata=True)
    assert found["messages"][0]["metadata"] == metadata
    assert found["messages"][0]["reply_count"] == 1
    under_reply = client.chat_postMessage(channel="C0OPS", text="no", thread_ts=reply["ts"])
    assert await error_of(under_reply) == "cannot_reply_to_message"
    await client.chat_update(channel="C0OPS", ts=ts, text="Changed")
    assert slack.messages("C0OPS")[0]["blocks"] == []
    too_long = client.chat_update(channel="C0OPS", ts=ts, text="x" * 4001)
    assert await error_of(too_long) == "msg_too_long"
    link = await client.chat_getPermalink(channel="C0OPS", message_ts=ts)
    assert ts.replace(".", "") in link["permalink"]
    await client.chat_delete(channel="C0OPS", ts=ts)
    assert len(slack.messages("C0OPS")) == 1


async def test_refused_messages(slack: SlackSandbox, client: AsyncWebClient) -> None:
    post = client.chat_postMessage
    assert await error_of(post(channel="C0NONE", text="x")) == "channel_not_found"
    assert await error_of(post(channel="C0GENERAL", text="x")) == "not_in_channel"
    assert (
        await error_of(client.api_call("chat.postMessage", json={"channel": "C0OPS"})) == "no_text"
    )
    assert slack.violations == []
    with pytest.raises(SlackApiError) as caught:
        await post(channel="C0OPS", text="x", blocks=[section("")])
    assert caught.value.response["error"] == "invalid_blocks"
    assert "/blocks/0/text" in caught.value.response["response_metadata"]["messages"][0]
    assert len(slack.violations) == 1
    typed = await slack.act(user="U0MARA", do="type", channel="C0OPS", text="mine")
    others = client.chat_update(channel="C0OPS", ts=typed["ts"], text="x")
    assert await error_of(others) == "cant_update_message"


async def test_ephemeral_messages_are_for_one_person(
    slack: SlackSandbox, client: AsyncWebClient
) -> None:
    sent = await client.chat_postEphemeral(channel="C0OPS", user="U0MARA", text="psst")
    assert [one["text"] for one in slack.state("U0MARA")["messages"]["C0OPS"]] == ["psst"]
    assert slack.state("U0UMAR")["messages"]["C0OPS"] == []
    assert (await client.conversations_history(channel="C0OPS"))["messages"] == []
    update = client.chat_update(channel="C0OPS", ts=sent["message_ts"], text="x")
    assert await error_of(update) == "message_not_found"
    stranger = client.chat_postEphemeral(channel="C0APPROVALS", user="U0OUTS", text="x")
    assert await error_of(stranger) == "user_not_in_channel"


async def test_files(slack: SlackSandbox, client: AsyncWebClient) -> None:
    await client.files_upload_v2(
        channel="C0OPS", filename="report.csv", content="a,b\n1,2\n", initial_comment="Here"
    )
    (message,) = slack.messages("C0OPS")
    assert (message["text"], message["files"][0]["name"]) == ("Here", "report.csv")
    async with (
        aiohttp.ClientSession() as session,
        session.get(message["files"][0]["url_private"]) as answer,
    ):
        assert await answer.text() == "a,b\n1,2\n"


async def test_faults_of_the_web_api(slack: SlackSandbox, client: AsyncWebClient) -> None:
    await slack.fault("slack", "rate_limited", times=1)
    with pytest.raises(SlackApiError) as caught:
        await client.auth_test()
    assert caught.value.response.headers["Retry-After"] == "1"
    await client.auth_test()
    await client.chat_postMessage(channel="C0OPS", text="1")
    await client.chat_postMessage(channel="C0OPS", text="2")
    assert len(slack.core.too_fast) == 1
    await slack.fault("slack", "channel_pace")
    await client.chat_postMessage(channel="C0APPROVALS", text="3")
    assert await error_of(client.chat_postMessage(channel="C0APPROVALS", text="4")) == "ratelimited"
    assert not (await slack.fault("slack", "nonsense"))["ok"]


# --- commands and response URLs -------------------------------------------------------------


async def test_a_command_is_signed_and_escaped(slack: SlackSandbox, bot: Bot) -> None:
    text = "/qualys give @sami & #vuln-ops <x> https://a.example/?x=1&y=2, a@b.example @nobody"
    told = await command(slack, text)
    assert told["ok"]
    assert told["ack"]["status"] == 200
    got = bot.got[0]
    assert got["text"] == (
        "give <@U0SAMI|sami> &amp; <#C0OPS|vuln-ops> &lt;x&gt; "
        "<https://a.example/?x=1&amp;y=2>, <mailto:a@b.example|a@b.example> @nobody"
    )
    assert (got["command"], got["channel_name"], got["user_id"]) == (
        "/qualys",
        "vuln-ops",
        "U0UMAR",
    )
    entry = slack.traffic[-1]
    assert (entry["direction"], entry["what"]) == ("to_bot", "/qualys")
    assert entry["request"]["token"] == "•••"


async def test_refused_commands(slack: SlackSandbox, bot: Bot, client: AsyncWebClient) -> None:
    sent = await client.chat_postMessage(channel="C0OPS", text="parent")
    threaded = await slack.act(
        user="U0UMAR", do="type", channel="C0OPS", text="/qualys", thread_ts=sent["ts"]
    )
    assert "threads" in threaded["error"]
    assert "not a valid command" in (await command(slack, "/other"))["error"]
    assert "not installed" in (await command(slack, user="U0OUTS"))["error"]
    assert not (await slack.act(user="U0OUTS", do="type", channel="C0GENERAL", text="x"))["ok"]
    assert bot.got == []


async def test_answers_in_the_ack_are_ephemeral(slack: SlackSandbox, bot: Bot) -> None:
    bot.answer = lambda payload: "plain words"
    await command(slack)
    bot.answer = lambda payload: {"response_type": "in_channel", "text": "for all"}
    await command(slack)
    shown = [(one["text"], one["ephemeral"]) for one in slack.messages("C0OPS")]
    assert shown == [("plain words", True), ("/qualys list", False), ("for all", False)]


async def test_a_late_bot_is_told_of(slack: SlackSandbox, bot: Bot) -> None:
    slack.core.delivery.ack_seconds = 0.05
    bot.delay = 0.2
    told = await command(slack)
    assert (told["ok"], told["error"]) == (False, "operation_timeout")
    bot.delay = 0.0
    bot.statuses = [500]
    assert (await command(slack))["error"] == "http_status_500"


async def post(url: str, body: Json) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.post(url, json=body) as answer:
        return answer.status, await answer.text()


async def test_response_urls(slack: SlackSandbox, bot: Bot, clock: Clock) -> None:
    await command(slack)
    url = bot.got[0]["response_url"]
    for number in range(5):
        assert (await post(url, {"text": str(number)}))[0] == 200
    assert all(one["for"] == "U0UMAR" for one in slack.messages("C0OPS"))
    status, text = await post(url, {"text": "sixth"})
    assert (status, json.loads(text)["error"]) == (404, "used_url")
    await command(slack)
    clock.ahead = 31 * 60
    _, text = await post(bot.got[-1]["response_url"], {"text": "late"})
    assert json.loads(text)["error"] == "expired_url"


async def test_an_ephemeral_message_is_replaced_and_deleted(
    slack: SlackSandbox, bot: Bot, client: AsyncWebClient
) -> None:
    sent = await client.chat_postEphemeral(
        channel="C0OPS", user="U0MARA", text="choose", blocks=[buttons()]
    )
    place = {"channel": "C0OPS", "ts": sent["message_ts"], "block_id": "row", "action_id": "go"}
    assert not (await slack.act(user="U0UMAR", do="press", **place))["ok"]
    assert (await slack.act(user="U0MARA", do="press", **place))["ok"]
    got = bot.got[0]
    assert got["container"]["is_ephemeral"]
    assert "message" not in got
    url = got["response_url"]
    await post(url, {"text": "chosen", "replace_original": True})
    assert [(one["text"], one["for"]) for one in slack.messages("C0OPS")] == [("chosen", "U0MARA")]
    both = await post(url, {"text": "x", "delete_original": True})
    assert both[0] == 400
    await post(url, {"delete_original": True})
    assert slack.messages("C0OPS") == []


# --- triggers and views ----------------------------------------------------------------------


async def test_a_trigger_works_once_and_for_three_seconds(
    slack: SlackSandbox, bot: Bot, client: AsyncWebClient, clock: Clock
) -> None:
    await opened(slack, bot, client, modal())
    trigger = bot.got[-1]["trigger_id"]
    again = client.views_open(trigger_id=trigger, view=modal())
    assert await error_of(again) == "exchanged_trigger_id"
    await command(slack)
    clock.ahead = 3.5
    late = client.views_open(trigger_id=bot.got[-1]["trigger_id"], view=modal())
    assert await error_of(late) == "expired_trigger_id"
    assert await error_of(client.views_open(trigger_id="1.2.3", view=modal())) == (
        "invalid_trigger_id"
    )


async def test_hash_conflict_and_closed_views(
    slack: SlackSandbox, bot: Bot, client: AsyncWebClient
) -> None:
    view = await opened(slack, bot, client, modal(private_metadata="keep"))
    fresh = await client.views_update(view_id=view["id"], hash=view["hash"], view=modal())
    assert fresh["view"]["private_metadata"] == ""
    stale = client.views_update(view_id=view["id"], hash=view["hash"], view=modal())
    assert await error_of(stale) == "hash_conflict"
    assert (await slack.act(user="U0UMAR", do="close", view_id=view["id"]))["ok"]
    assert await error_of(client.views_update(view_id=view["id"], view=modal())) == "not_found"


async def test_a_stack_of_three(slack: SlackSandbox, bot: Bot, client: AsyncWebClient) -> None:
    await command(slack)
    outside = client.views_push(trigger_id=bot.got[-1]["trigger_id"], view=modal())
    assert await error_of(outside) == "invalid_trigger_id"
    await opened(slack, bot, client, modal(buttons(), notify_on_close=True))
    for _ in range(3):
        top = slack.state("U0UMAR")["views"][-1]["id"]
        press = {"view_id": top, "block_id": "row", "action_id": "go"}
        await slack.act(user="U0UMAR", do="press_view", **press)
        trigger = bot.got[-1]["trigger_id"]
        if len(slack.state("U0UMAR")["views"]) < 3:
            await client.views_push(trigger_id=trigger, view=modal(buttons()))
    assert await error_of(client.views_push(trigger_id=trigger, view=modal())) == (
        "push_limit_reached"
    )
    below = slack.state("U0UMAR")["views"][0]["id"]
    assert not (await slack.act(user="U0UMAR", do="submit", view_id=below, values={}))["ok"]
    await slack.act(user="U0UMAR", do="close", view_id=top, all=True)
    assert slack.state("U0UMAR")["views"] == []
    assert (bot.got[-1]["type"], bot.got[-1]["is_cleared"]) == ("view_closed", True)


async def test_refused_views(slack: SlackSandbox, bot: Bot, client: AsyncWebClient) -> None:
    await command(slack)
    trigger = bot.got[-1]["trigger_id"]
    no_title = modal()
    del no_title["title"]
    assert await error_of(client.views_open(trigger_id=trigger, view=no_title)) == "invalid_blocks"
    # 250 kB is the limit of the whole view.
    huge = modal(*[section("x" * 2990) for _ in range(90)])
    assert await error_of(client.views_open(trigger_id=trigger, view=huge)) == "view_too_large"
    await client.views_open(trigger_id=trigger, view=modal(external_id="mine"))
    await command(slack, user="U0MARA")
    other = client.views_open(trigger_id=bot.got[-1]["trigger_id"], view=modal(external_id="mine"))
    assert await error_of(other) == "duplicate_external_id"


async def test_submitting(slack: SlackSandbox, bot: Bot, client: AsyncWebClient) -> None:
    select = {
        "type": "static_select",
        "action_id": "pick",
        "options": [{"text": plain(one), "value": one} for one in ("a", "b")],
        "initial_option": {"text": plain("a"), "value": "a"},
    }
    blocks = [
        text_input("first"),
        text_input("second", initial_value="as it was"),
        {"type": "input", "block_id": "third", "label": plain("third"), "element": select},
        text_input("fourth") | {"optional": True},
    ]
    view = await opened(slack, bot, client, modal(*blocks))
    act = {"user": "U0UMAR", "do": "submit", "view_id": view["id"]}
    sent = len(bot.got)
    assert not (await slack.act(**act, values={}))["ok"]
    assert list(slack.state("U0UMAR")["views"][0]["errors"]) == ["first"]
    assert len(bot.got) == sent
    assert "no element" in (await slack.act(**act, values={"x": {"y": {}}}))["error"]
    values = {
        "first": {"value": {"value": "typed"}},
        "third": {"pick": {"selected_option": {"value": "b"}}},
    }
    bot.answer = lambda payload: {"response_action": "errors", "errors": {"first": "no"}}
    assert (await slack.act(**act, values=values))["ok"]
    got = bot.got[-1]["view"]["state"]["values"]
    assert got["first"]["value"] == {"type": "plain_text_input", "value": "typed"}
    assert got["second"]["value"]["value"] == "as it was"
    assert got["third"]["pick"]["selected_option"]["text"] == plain("b")
    assert got["fourth"]["value"]["value"] is None
    assert slack.state("U0UMAR")["views"][0]["errors"] == {"first": "no"}
    assert slack.violations == []
    bot.answer = lambda payload: {"response_action": "errors", "errors": {"elsewhere": "no"}}
    assert "trouble" in (await slack.act(**act, values=values))["error"]
    assert len(slack.violations) == 1
    bot.answer = lambda payload: {"response_action": "push", "view": modal(title="Second")}
    await slack.act(**act, values=values)
    assert [one["title"]["text"] for one in slack.state("U0UMAR")["views"]] == ["Form", "Second"]
    top = slack.state("U0UMAR")["views"][-1]["id"]
    bot.answer = lambda payload: {"response_action": "update", "view": modal(title="New")}
    await slack.act(user="U0UMAR", do="submit", view_id=top)
    assert slack.state("U0UMAR")["views"][-1]["title"]["text"] == "New"
    bot.answer = lambda payload: {"response_action": "clear"}
    await slack.act(user="U0UMAR", do="submit", view_id=top)
    assert slack.state("U0UMAR")["views"] == []


async def test_typed_text_survives_where_both_ids_stay(
    slack: SlackSandbox, bot: Bot, client: AsyncWebClient
) -> None:
    view = await opened(slack, bot, client, modal(text_input("a"), text_input("b"), buttons()))
    typed = {"a": {"value": {"value": "A"}}, "b": {"value": {"value": "B"}}}
    place = {"view_id": view["id"], "block_id": "row", "action_id": "go"}
    await slack.act(user="U0UMAR", do="press_view", **place, values=typed)
    got = bot.got[-1]
    assert got["actions"][0]["value"] == "v1"
    assert "response_url" not in got
    assert got["view"]["state"]["values"]["a"]["value"]["value"] == "A"
    fresh = modal(text_input("a"), text_input("b2", initial_value="other"))
    await client.views_update(view_id=view["id"], hash=got["view"]["hash"], view=fresh)
    values = slack.state("U0UMAR")["views"][0]["state"]["values"]
    assert values["a"]["value"]["value"] == "A"
    assert values["b2"]["value"]["value"] == "other"


async def test_pressing_in_a_message(slack: SlackSandbox, bot: Bot, client: AsyncWebClient) -> None:
    users = {"type": "users_select", "action_id": "who"}
    row = {"type": "actions", "block_id": "row2", "elements": [users]}
    sent = await client.chat_postMessage(channel="C0OPS", text="x", blocks=[buttons(), row])
    at = {"user": "U0OUTS", "do": "press", "channel": "C0OPS", "ts": sent["ts"]}
    await slack.act(**at, block_id="row2", action_id="who", selected_user="U0SAMI")
    assert bot.got[-1]["actions"][0]["selected_user"] == "U0SAMI"
    await slack.act(**at, block_id="row", action_id="go")
    got = bot.got[-1]
    assert got["user"]["team_id"] == "T0OTHER"
    assert got["state"]["values"]["row2"]["who"]["selected_user"] == "U0SAMI"
    assert got["message"]["ts"] == sent["ts"]
    assert got["message"]["bot_id"] == "B0AMEND"
    assert not (await slack.act(**at, block_id="row", action_id="none"))["ok"]


async def test_external_options(slack: SlackSandbox, bot: Bot, client: AsyncWebClient) -> None:
    element = {"type": "external_select", "action_id": "find", "min_query_length": 2}
    block = {"type": "input", "block_id": "q", "label": plain("q"), "element": element}
    view = await opened(slack, bot, client, modal(block))
    bot.answer = lambda payload: {"options": [{"text": plain("One"), "value": "1"}]}
    ask = {"user": "U0UMAR", "do": "options", "view_id": view["id"], "block_id": "q"}
    sent = len(bot.got)
    assert (await slack.act(**ask, action_id="find", value="o"))["options"] == []
    assert len(bot.got) == sent
    told = await slack.act(**ask, action_id="find", value="on")
    assert told["options"][0]["value"] == "1"
    assert (bot.got[-1]["type"], bot.got[-1]["value"]) == ("block_suggestion", "on")
    bot.answer = lambda payload: {"options": [{"text": plain("x"), "value": "v" * 151}]}
    assert not (await slack.act(**ask, action_id="find", value="on"))["ok"]


async def test_shortcuts(slack: SlackSandbox, bot: Bot, client: AsyncWebClient) -> None:
    assert (await slack.act(user="U0MARA", do="shortcut", callback_id="find"))["ok"]
    assert bot.got[-1]["type"] == "shortcut"
    assert "response_url" not in bot.got[-1]
    sent = await client.chat_postMessage(channel="C0OPS", text="x")
    at = {"channel": "C0OPS", "ts": sent["ts"]}
    assert (await slack.act(user="U0MARA", do="shortcut", callback_id="file", **at))["ok"]
    assert bot.got[-1]["message"]["text"] == "x"
    assert not (await slack.act(user="U0MARA", do="shortcut", callback_id="file"))["ok"]
    assert not (await slack.act(user="U0OUTS", do="shortcut", callback_id="find"))["ok"]


# --- events, home, redelivery ------------------------------------------------------------------


async def test_events_and_their_retries(slack: SlackSandbox, bot: Bot) -> None:
    slack.core.delivery.retry_seconds = (0.0, 0.01, 0.01)
    bot.statuses = [500, 500]
    told = await slack.act(user="U0MARA", do="type", channel="C0OPS", text="@Amend hello")
    assert not told["ok"]
    await until(lambda: len(bot.got) == 3)
    assert [one.get("x-slack-retry-num") for one in bot.headers] == [None, "1", "2"]
    assert len({one["event_id"] for one in bot.got}) == 1
    assert bot.got[0]["event"]["type"] == "app_mention"
    assert bot.got[0]["event"]["text"] == "<@U0AMEND> hello"
    await slack.act(user="U0MARA", do="type", channel="D0MARA", text="hello")
    assert bot.got[-1]["event"]["channel_type"] == "im"


async def test_the_home_tab(slack: SlackSandbox, bot: Bot, client: AsyncWebClient) -> None:
    await slack.act(user="U0MARA", do="home")
    assert bot.got[0]["event"]["type"] == "app_home_opened"
    home = {"type": "home", "blocks": [section(), buttons()]}
    first = await client.views_publish(user_id="U0MARA", view=home)
    second = await client.views_publish(user_id="U0MARA", hash=first["view"]["hash"], view=home)
    stale = client.views_publish(user_id="U0MARA", hash=first["view"]["hash"], view=home)
    assert await error_of(stale) == "hash_conflict"
    view = slack.state("U0MARA")["home"]
    assert view["id"] == second["view"]["id"]
    place = {"view_id": view["id"], "block_id": "row", "action_id": "go"}
    assert (await slack.act(user="U0MARA", do="press_view", **place))["ok"]
    assert not (await slack.act(user="U0UMAR", do="press_view", **place))["ok"]


async def test_redelivery_is_byte_for_byte(slack: SlackSandbox, bot: Bot) -> None:
    await command(slack)
    number = slack.traffic[-1]["n"]
    assert (await slack.act(user="U0MARA", do="redeliver", n=number))["ok"]
    assert bot.got[0] == bot.got[1]
    assert bot.headers[0]["X-Slack-Signature"] == bot.headers[1]["X-Slack-Signature"]
    assert not (await slack.act(user="U0MARA", do="redeliver", n=999))["ok"]


# --- Socket Mode ---------------------------------------------------------------------------------


@pytest.fixture
async def socket(
    slack: SlackSandbox, client: AsyncWebClient
) -> AsyncIterator[tuple[SocketModeClient, list[SocketModeRequest]]]:
    got: list[SocketModeRequest] = []

    async def listen(sender: AsyncBaseSocketModeClient, request: SocketModeRequest) -> None:
        got.append(request)
        payload = {"text": "over the socket"} if request.type == "slash_commands" else None
        answer = SocketModeResponse(envelope_id=request.envelope_id, payload=payload)
        await sender.send_socket_mode_response(answer)

    mode = SocketModeClient(company.APP_TOKEN, web_client=client, ping_interval=0.1)
    mode.socket_mode_request_listeners.append(listen)
    await mode.connect()
    await until(lambda: slack.core.delivery.sockets.connected)
    yield mode, got
    await mode.close()


async def test_socket_mode(
    slack: SlackSandbox, bot: Bot, socket: tuple[SocketModeClient, list[SocketModeRequest]]
) -> None:
    _, got = socket
    told = await command(slack)
    assert told["ack"]["body"] == {"text": "over the socket"}
    assert slack.messages("C0OPS")[0]["text"] == "over the socket"
    await slack.act(user="U0MARA", do="type", channel="C0OPS", text="hello")
    assert [one.type for one in got] == ["slash_commands", "events_api"]
    assert got[1].payload["event"]["text"] == "hello"
    assert bot.got == []


async def test_the_socket_is_dropped_and_comes_back(
    slack: SlackSandbox, socket: tuple[SocketModeClient, list[SocketModeRequest]]
) -> None:
    before = slack.core.delivery.sockets.connections[0]
    await slack.fault("slack", "socket_drop")
    await until(lambda: slack.core.delivery.sockets.connections not in ([], [before]))
    assert (await command(slack))["ok"]


async def test_a_silent_socket_acknowledges_nothing(
    slack: SlackSandbox, socket: tuple[SocketModeClient, list[SocketModeRequest]]
) -> None:
    mode, _ = socket
    mode.auto_reconnect_enabled = False
    slack.core.delivery.ack_seconds = 0.1
    await slack.fault("slack", "socket_silent")
    assert (await command(slack))["error"] == "operation_timeout"
    await slack.fault("slack", None)
    assert (await command(slack))["ok"]


async def test_a_ticket_works_once(slack: SlackSandbox, client: AsyncWebClient) -> None:
    url = (await client.apps_connections_open(app_token=company.APP_TOKEN))["url"]
    async with aiohttp.ClientSession() as session:
        async with session.ws_connect(url) as ws:
            assert (await ws.receive_json())["type"] == "hello"
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await session.ws_connect(url)


# --- the page's protocol -----------------------------------------------------------------------


async def test_the_page_protocol(slack: SlackSandbox, client: AsyncWebClient) -> None:
    asked: list[Any] = []
    slack.add_vendor(
        "qualys", "http://127.0.0.1:1", {"busy": "says no"}, lambda *given: asked.append(given)
    )
    async with aiohttp.ClientSession(slack.url) as session:
        ws = await session.ws_connect("/sandbox/live?user=U0MARA")
        await client.chat_postMessage(channel="C0OPS", text="a")
        await client.chat_postMessage(channel="C0OPS", text="b")
        events = [await ws.receive_json(timeout=120) for _ in range(3)]
        assert [one["type"] for one in events] == ["traffic", "traffic", "state"]
        await ws.close()
        fault = {"target": "qualys", "fault": "busy", "times": 2}
        async with session.post("/sandbox/fault", json=fault) as answer:
            assert (await answer.json())["ok"]
        async with session.get("/sandbox/state", params={"user": "U0GUST"}) as answer:
            state = await answer.json()
        async with session.get("/sandbox/traffic", params={"since": "1"}) as answer:
            assert [one["n"] for one in (await answer.json())["entries"]] == [2]
        foreign = {"Origin": "https://elsewhere.example"}
        async with session.post("/sandbox/act", json={}, headers=foreign) as answer:
            assert answer.status == 403
    assert asked == [("busy", {"times": 2})]
    assert state["vendors"][0]["faults"] == {
        "available": ["busy"],
        "says": {"busy": "says no"},
        "active": {"fault": "busy", "times": 2},
    }
    assert [one["id"] for one in state["channels"]] == ["C0OPS", "C0GENERAL", "D0GUST"]
    assert state["commands"][0]["usage_hint"] == "[list]"


async def test_secrets_are_masked_in_the_log(slack: SlackSandbox) -> None:
    slack.record_traffic(
        {
            "link": "vendor",
            "vendor": "qualys",
            "request": {"headers": {"Authorization": "Basic dXNlcjpwYXNz"}, "x": "xoxb-1-abc"},
            "response": "x" * 30_000,
        }
    )
    entry = slack.traffic[-1]
    assert entry["request"] == {"headers": {"Authorization": "•••"}, "x": "•••"}
    assert len(entry["response"]) == 20_000
