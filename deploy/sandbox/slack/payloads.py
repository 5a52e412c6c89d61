"""The payloads that Slack sends for what a person does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from deploy.sandbox import company
from deploy.sandbox.slack import forms
from deploy.sandbox.slack.core import Core
from deploy.sandbox.slack.objects import message_object
from deploy.sandbox.slack.views import OpenView
from deploy.sandbox.slack.workspace import Json, Message

VERIFICATION = "sandbox-verification"


def _someone(core: Core, user: str) -> Json:
    person = core.workspace.person(user)
    return {
        "id": user,
        "username": person.name,
        "name": person.name,
        "team_id": person.team_id,
    }


def _base(core: Core, kind: str, user: str) -> Json:
    return {
        "type": kind,
        "user": _someone(core, user),
        "api_app_id": company.APP_ID,
        "token": VERIFICATION,
        "team": {"id": company.TEAM_ID, "domain": company.TEAM_DOMAIN},
        "enterprise": None,
        "is_enterprise_install": False,
    }


def _place(core: Core, channel: str) -> Json:
    return {"id": channel, "name": core.workspace.channel(channel).name}


def command(core: Core, user: str, channel: str, name: str, text: str) -> Json:
    """A slash command, as form fields."""
    return {
        "token": VERIFICATION,
        "team_id": company.TEAM_ID,
        "team_domain": company.TEAM_DOMAIN,
        "channel_id": channel,
        "channel_name": core.workspace.channel(channel).name,
        "user_id": user,
        "user_name": core.workspace.person(user).name,
        "command": name,
        "text": text,
        "api_app_id": company.APP_ID,
        "is_enterprise_install": "false",
        "response_url": core.response_url(user, channel),
        "trigger_id": core.triggers.issue(user),
    }


def message_place(core: Core, message: Message, user: str) -> Json:
    """What tells an app in which message something happened."""
    container: Json = {
        "type": "message",
        "message_ts": message.ts,
        "channel_id": message.channel,
        "is_ephemeral": bool(message.only_for),
    }
    if message.thread_ts:
        container["thread_ts"] = message.thread_ts
    found = {
        "container": container,
        "channel": _place(core, message.channel),
        "state": {"values": forms.values(message.blocks, choices(core, message, user))},
    }
    # An app is told that an ephemeral message was touched, and not what is in it.
    if not message.only_for:
        found["message"] = message_object(core, message)
    return found


def choices(core: Core, message: Message, user: str) -> Json:
    """What a person has chosen in a message so far."""
    return core.workspace.choices.setdefault((message.channel, message.ts, user), {})


def view_place(view: OpenView) -> Json:
    """What tells an app in which view something happened."""
    return {"container": {"type": "view", "view_id": view.id}, "view": view.slack()}


def press(core: Core, message: Message, user: str, action: Json) -> Json:
    """An element of a message was used."""
    return {
        **_base(core, "block_actions", user),
        **message_place(core, message, user),
        "trigger_id": core.triggers.issue(user),
        "response_url": core.response_url(user, message.channel, message.ts),
        "actions": [action],
    }


def press_view(core: Core, view: OpenView, action: Json) -> Json:
    """An element of a modal or of the home tab was used."""
    from_view = view.id if view.view["type"] == "modal" else ""
    return {
        **_base(core, "block_actions", view.user),
        **view_place(view),
        "trigger_id": core.triggers.issue(view.user, from_view),
        "actions": [action],
    }


def action(core: Core, block: Json, element: Json, given: Json) -> Json:
    """One entry of `actions`."""
    found: Json = {
        "type": element["type"],
        "action_id": element["action_id"],
        "block_id": block["block_id"],
        "action_ts": core.workspace.new_ts(),
    }
    if element["type"] in ("button", "icon_button"):
        found |= {key: element[key] for key in ("text", "value", "style", "url") if key in element}
    elif element["type"] == "overflow":
        found["selected_option"] = _overflow(element, given)
    elif element["type"] == "feedback_buttons":
        found["value"] = given.get("value")
    else:
        found |= forms.state_of(element, given)
        key = forms.KEYS[element["type"]][1]
        found |= {key: element[key]} if key in element else {}
    if "confirm" in element:
        found["confirm"] = element["confirm"]
    if "placeholder" in element:
        found["placeholder"] = element["placeholder"]
    return found


def _overflow(element: Json, given: Json) -> Any:
    wanted = (given.get("selected_option") or {}).get("value")
    for option in element["options"]:
        if option["value"] == wanted:
            return option
    raise forms.BadEntry(f"{wanted!r} is not one of the options")


def submission(core: Core, view: OpenView) -> Json:
    """A modal was submitted."""
    return {
        **_base(core, "view_submission", view.user),
        "trigger_id": core.triggers.issue(view.user, view.id),
        "view": view.slack(),
        "response_urls": list(_response_urls(core, view)),
    }


def _response_urls(core: Core, view: OpenView) -> Iterator[Json]:
    """A way back for each chosen conversation whose select asked for one."""
    values = view.values()
    for block, element in forms.stateful(view.view["blocks"]):
        ids = {"block_id": block["block_id"], "action_id": element["action_id"]}
        state = values[ids["block_id"]][ids["action_id"]]
        channel = state.get("selected_conversation") or state.get("selected_channel")
        if channel and element.get("response_url_enabled"):
            url = core.response_url(view.user, channel)
            yield {**ids, "channel_id": channel, "response_url": url}


def closed(core: Core, view: OpenView, *, is_cleared: bool) -> Json:
    """A modal was closed; what was entered is not told."""
    seen = view.view | {"state": {"values": {}}}
    return {**_base(core, "view_closed", view.user), "view": seen, "is_cleared": is_cleared}


def shortcut(core: Core, user: str, callback_id: str) -> Json:
    """A global shortcut was chosen."""
    return {
        **_base(core, "shortcut", user),
        "callback_id": callback_id,
        "trigger_id": core.triggers.issue(user),
        "action_ts": core.workspace.new_ts(),
    }


def message_shortcut(core: Core, user: str, callback_id: str, message: Message) -> Json:
    """A message shortcut was chosen; its response URL cannot touch that message."""
    return {
        **_base(core, "message_action", user),
        "callback_id": callback_id,
        "trigger_id": core.triggers.issue(user),
        "action_ts": core.workspace.new_ts(),
        "response_url": core.response_url(user, message.channel),
        "channel": _place(core, message.channel),
        "message_ts": message.ts,
        "message": message_object(core, message),
    }


def suggestion(core: Core, user: str, place: Json, ids: Json, value: str) -> Json:
    """Somebody types into an external select."""
    return {**_base(core, "block_suggestion", user), **place, **ids, "value": value}
