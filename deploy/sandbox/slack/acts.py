"""What a person can do in the workspace, and what follows once the bot has acknowledged."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from deploy.sandbox import company
from deploy.sandbox.slack import forms, payloads
from deploy.sandbox.slack.chat_api import answer
from deploy.sandbox.slack.core import Core
from deploy.sandbox.slack.delivery import COMMANDS, INTERACTIVE, Ack
from deploy.sandbox.slack.escaping import escaped
from deploy.sandbox.slack.rule_elements import SUGGESTIONS
from deploy.sandbox.slack.submissions import submitted
from deploy.sandbox.slack.triggers import ResponseUrl
from deploy.sandbox.slack.views import OpenView
from deploy.sandbox.slack.workspace import Json, Message, SlackError

FOLLOWED_AFTER = 1.0  # seconds

_IDS = ("user", "do", "channel", "ts", "view_id", "block_id", "action_id", "values")


class Refused(Exception):
    """Slack's client would not let the person do this."""


class Acts:
    """The people's hands."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._kinds: dict[str, Callable[[str, Json], Awaitable[Json]]] = {
            "type": self._type,
            "press": self._press,
            "press_view": self._press_view,
            "submit": self._submit,
            "close": self._close,
            "shortcut": self._shortcut,
            "options": self._options,
            "home": self._home,
            "redeliver": self._redeliver,
        }

    async def act(self, body: Json) -> Json:
        """One act; the answer tells how the bot acknowledged it."""
        act = self._kinds.get(str(body.get("do")))
        if act is None:
            return {"ok": False, "error": f"unknown act {body.get('do')!r}"}
        try:
            user = str(body.get("user"))
            if body["do"] != "redeliver":
                self._core.workspace.person(user)
            return await act(user, body)
        except (Refused, forms.BadEntry, SlackError) as refusal:
            return {"ok": False, "error": str(refusal)}
        except KeyError as missing:
            return {"ok": False, "error": f"missing field {missing}"}

    def _member(self, user: str, channel: str) -> None:
        if user not in self._core.workspace.channel(channel).members:
            raise Refused("not_in_channel")

    def _own_workspace(self, user: str) -> None:
        # Commands and shortcuts work only for the workspace that installed the app.
        if self._core.workspace.person(user).team_id != company.TEAM_ID:
            raise Refused("this app is not installed in your workspace")

    async def _type(self, user: str, body: Json) -> Json:
        channel, text = body["channel"], str(body["text"])
        self._member(user, channel)
        if text.startswith("/"):
            return await self._command(user, channel, text, bool(body.get("thread_ts")))
        workspace = self._core.workspace
        thread_ts = str(body.get("thread_ts") or "")
        if thread_ts:
            workspace.check_thread(channel, thread_ts)
        sent = escaped(workspace, text, command=False)
        message = Message(channel, workspace.new_ts(), user, sent, thread_ts=thread_ts)
        workspace.post(message)
        if company.BOT_USER not in workspace.channel(channel).members:
            return {"ok": True, "ts": message.ts}
        return _told(await self._core.delivery.send_event(self._event(message))) | {
            "ts": message.ts
        }

    def _event(self, message: Message) -> Json:
        workspace = self._core.workspace
        mentioned = f"<@{company.BOT_USER}>" in message.text
        channel = workspace.channel(message.channel)
        event: Json = {
            "type": "app_mention" if mentioned else "message",
            "user": message.user,
            "text": message.text,
            "ts": message.ts,
            "channel": message.channel,
            "event_ts": message.ts,
            "team": workspace.person(message.user).team_id,
        }
        if not mentioned:
            event["channel_type"] = "im" if channel.with_user else "channel"
        if message.thread_ts:
            event["thread_ts"] = message.thread_ts
        return event

    async def _command(self, user: str, channel: str, text: str, threaded: bool) -> Json:
        name, _, rest = text.partition(" ")
        if threaded:
            raise Refused(f"{name} is not supported in threads. Sorry!")
        self._own_workspace(user)
        if name not in {one.command for one in self._core.commands}:
            raise Refused(f"{name} is not a valid command.")
        own = escaped(self._core.workspace, rest.strip(), command=True)
        payload = payloads.command(self._core, user, channel, name, own)
        ack = await self._core.delivery.send(COMMANDS, payload, name)
        if ack.ok and ack.body:
            place = ResponseUrl(user, channel, self._core.workspace.clock())
            self._command_answer(place, ack.body, name, text)
        return _told(ack)

    def _command_answer(self, place: ResponseUrl, body: Any, name: str, typed: str) -> None:
        given = body if isinstance(body, dict) else {"text": str(body)}
        workspace = self._core.workspace
        if given.get("response_type") == "in_channel":
            ts = workspace.new_ts()
            workspace.post(Message(place.channel, ts, place.user, typed))
        if set(given) <= {"response_type"}:
            return
        try:
            answer(self._core, place, given, f"ack of {name}")
        except SlackError as refusal:
            workspace.violation(f"ack of {name}: {refusal.error}")

    def _message(self, user: str, body: Json) -> Message:
        channel, ts = body["channel"], body["ts"]
        self._member(user, channel)
        message = self._core.workspace.find(channel, ts)
        if message.only_for not in ("", user):
            raise Refused("message_not_found")
        return message

    def _view(self, user: str, body: Json) -> OpenView:
        view = self._core.views.find(str(body["view_id"]))
        if view.user != user:
            raise Refused("not_found")
        if view.view["type"] == "modal" and self._core.views.stack(user)[-1] is not view:
            raise Refused("another view lies on top of this one")
        return view

    async def _press(self, user: str, body: Json) -> Json:
        message = self._message(user, body)
        ids = (body["block_id"], body["action_id"])
        block, element = forms.element_at(message.blocks, *ids)
        action = payloads.action(self._core, block, element, _chosen(body))
        chosen = payloads.choices(self._core, message, user)
        _remember(chosen, element, ids, body)
        if block["type"] == "input" and not block.get("dispatch_action"):
            return {"ok": True}
        payload = payloads.press(self._core, message, user, action)
        return self._pressed(await self._core.delivery.send(INTERACTIVE, payload, "block_actions"))

    async def _press_view(self, user: str, body: Json) -> Json:
        view = self._view(user, body)
        ids = (body["block_id"], body["action_id"])
        blocks = view.view["blocks"]
        block, element = forms.element_at(blocks, *ids)
        action = payloads.action(self._core, block, element, _chosen(body))
        for block_id, values in forms.entered(blocks, body.get("values") or {}).items():
            view.entered.setdefault(block_id, {}).update(values)
        _remember(view.entered, element, ids, body)
        if block["type"] == "input" and not block.get("dispatch_action"):
            return {"ok": True}
        payload = payloads.press_view(self._core, view, action)
        return self._pressed(await self._core.delivery.send(INTERACTIVE, payload, "block_actions"))

    def _pressed(self, ack: Ack) -> Json:
        if ack.ok and ack.body:
            self._core.workspace.violation("block_actions: the ack must be empty")
        return _told(ack)

    async def _submit(self, user: str, body: Json) -> Json:
        view = self._view(user, body)
        if view.view["type"] != "modal" or not view.view["submit"]:
            raise Refused("this view cannot be submitted")
        view.entered |= forms.entered(view.view["blocks"], body.get("values") or {})
        view.errors = forms.client_errors(view.view["blocks"], view.values()) or None
        self._core.workspace.changed()
        if view.errors:
            return {"ok": False, "error": "the form is not complete", "errors": view.errors}
        payload = payloads.submission(self._core, view)
        ack = await self._core.delivery.send(INTERACTIVE, payload, "view_submission")
        if not ack.ok:
            return _told(ack)
        if self._core.fault.take("slow_follow"):
            await asyncio.sleep(FOLLOWED_AFTER)
        error = submitted(self._core, view, ack.body)
        return _told(ack) | ({"ok": False, "error": error} if error else {})

    async def _close(self, user: str, body: Json) -> Json:
        view = self._view(user, body)
        everything = bool(body.get("all"))
        told = self._core.views.stack(user)[0] if everything else view
        self._core.views.close(view, everything=everything)
        if not told.view["notify_on_close"]:
            return {"ok": True}
        payload = payloads.closed(self._core, told, is_cleared=everything)
        return _told(await self._core.delivery.send(INTERACTIVE, payload, "view_closed"))

    async def _shortcut(self, user: str, body: Json) -> Json:
        self._own_workspace(user)
        callback_id, kind = body["callback_id"], "message" if "ts" in body else "global"
        known = {(one.callback_id, one.type) for one in self._core.shortcuts}
        if (callback_id, kind) not in known:
            raise Refused(f"no {kind} shortcut {callback_id!r}")
        if kind == "message":
            message = self._message(user, body)
            if message.only_for:
                raise Refused("an ephemeral message has no shortcuts")
            payload = payloads.message_shortcut(self._core, user, callback_id, message)
        else:
            payload = payloads.shortcut(self._core, user, callback_id)
        ack = await self._core.delivery.send(INTERACTIVE, payload, payload["type"])
        return _told(ack)

    async def _options(self, user: str, body: Json) -> Json:
        if "view_id" in body:
            view = self._view(user, body)
            blocks, place = view.view["blocks"], payloads.view_place(view)
        else:
            message = self._message(user, body)
            blocks, place = message.blocks, payloads.message_place(self._core, message, user)
        ids = {key: body[key] for key in ("block_id", "action_id")}
        _, element = forms.element_at(blocks, **ids)
        if "external" not in element["type"]:
            raise Refused("this select has no external source")
        value = str(body.get("value", ""))
        if len(value) < element.get("min_query_length", 3):
            return {"ok": True, "options": []}
        payload = payloads.suggestion(self._core, user, place, ids, value)
        ack = await self._core.delivery.send(INTERACTIVE, payload, "block_suggestion")
        return _told(ack) | self._suggested(ack)

    def _suggested(self, ack: Ack) -> Json:
        if not ack.ok:
            return {"options": []}
        found: list[str] = []
        SUGGESTIONS(ack.body, "/suggestions", found)
        if found:
            self._core.workspace.violations += [f"block_suggestion: {one}" for one in found]
            return {"ok": False, "error": found[0], "options": []}
        groups = ack.body.get("option_groups") or []
        flat = [one for group in groups for one in group["options"]]
        answer = {"options": ack.body.get("options", flat)}
        return answer | ({"option_groups": groups} if groups else {})

    async def _home(self, user: str, _body: Json) -> Json:
        home = self._core.views.homes.get(user)
        event = {
            "type": "app_home_opened",
            "user": user,
            "channel": self._core.workspace.im_with(user).id,
            "tab": "home",
            "event_ts": self._core.workspace.new_ts(),
        }
        seen = {"view": home.slack()} if home else {}
        return _told(await self._core.delivery.send_event(event | seen))

    async def _redeliver(self, _user: str, body: Json) -> Json:
        ack = await self._core.delivery.redeliver(int(body["n"]))
        if ack is None:
            raise Refused(f"entry {body['n']} was not sent to the bot")
        return _told(ack)


def _chosen(body: Json) -> Json:
    """What of the act's body is the element's own value."""
    return {key: value for key, value in body.items() if key not in _IDS}


def _remember(state: Json, element: Json, ids: tuple[str, str], body: Json) -> None:
    if element["type"] in forms.KEYS:
        state.setdefault(ids[0], {})[ids[1]] = forms.state_of(element, _chosen(body))


def _told(ack: Ack) -> Json:
    error = {} if ack.ok else {"error": ack.error}
    return {"ok": ack.ok, "ack": ack.page(), **error}
