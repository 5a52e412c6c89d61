"""The Web API's methods that look people, channels, groups and messages up."""

from __future__ import annotations

import base64
import binascii
from typing import Any

from deploy.sandbox import company
from deploy.sandbox.company import Channel
from deploy.sandbox.slack.core import Arguments, Core
from deploy.sandbox.slack.objects import (
    bot_profile,
    bot_user_object,
    channel_object,
    group_object,
    message_object,
    user_object,
)
from deploy.sandbox.slack.workspace import Json, Message, SlackError


def truthy(value: Any) -> bool:
    """A flag as forms and JSON write it."""
    return str(value).lower() in ("1", "true")


def _page(items: list[Any], given: Arguments, default: int = 100) -> tuple[list[Any], Json]:
    """One page of a list, and the cursor to the next."""
    try:
        limit = int(given.get("limit") or default)
        cursor = str(given.get("cursor") or "")
        begin = int(base64.b64decode(cursor, validate=True)) if cursor else 0
    except (ValueError, binascii.Error) as error:
        raise SlackError("invalid_cursor") from error
    if not 1 <= limit <= 1000:
        raise SlackError("invalid_limit")
    end = begin + limit
    following = base64.b64encode(str(end).encode()).decode() if end < len(items) else ""
    return items[begin:end], {"response_metadata": {"next_cursor": following}}


def users_info(core: Core, given: Arguments) -> Json:
    """users.info"""
    user = str(given.get("user", ""))
    if user == company.BOT_USER:
        return {"user": bot_user_object()}
    return {"user": user_object(core.workspace.person(user))}


def users_list(core: Core, given: Arguments) -> Json:
    """users.list"""
    everybody = [*map(user_object, core.workspace.people.values()), bot_user_object()]
    members, cursor = _page(everybody, given)
    return {"members": members, "cache_ts": int(core.workspace.clock()), **cursor}


def users_by_email(core: Core, given: Arguments) -> Json:
    """users.lookupByEmail"""
    wanted = str(given.get("email", "")).lower()
    for person in core.workspace.people.values():
        if person.email == wanted and not person.is_stranger:
            return {"user": user_object(person)}
    raise SlackError("users_not_found")


def _of_types(core: Core, given: Arguments) -> list[Channel]:
    types = str(given.get("types") or "public_channel").split(",")
    return [
        channel
        for channel in core.workspace.channels.values()
        if ("im" if channel.with_user else "public_channel") in types
    ]


def conversations_list(core: Core, given: Arguments) -> Json:
    """conversations.list"""
    found, cursor = _page([channel_object(one) for one in _of_types(core, given)], given)
    return {"channels": found, **cursor}


def conversations_info(core: Core, given: Arguments) -> Json:
    """conversations.info"""
    channel = core.workspace.channel(str(given.get("channel", "")))
    found = channel_object(channel)
    if not truthy(given.get("include_num_members")):
        found.pop("num_members", None)
    return {"channel": found}


def conversations_members(core: Core, given: Arguments) -> Json:
    """conversations.members"""
    channel = core.workspace.channel(str(given.get("channel", "")))
    members, cursor = _page(channel.members, given)
    return {"members": members, **cursor}


def conversations_open(core: Core, given: Arguments) -> Json:
    """conversations.open"""
    if given.get("channel"):
        channel = core.workspace.channel(str(given["channel"]))
    else:
        users = given.get("users") or []
        names = users.split(",") if isinstance(users, str) else list(users)
        if len(names) != 1:
            raise SlackError("too_many_users" if names else "users_list_not_supplied")
        channel = core.workspace.im_with(str(names[0]).strip())
    short = {"id": channel.id}
    return {"channel": channel_object(channel) if truthy(given.get("return_im")) else short}


def _joined(core: Core, given: Arguments) -> Channel:
    channel = core.workspace.channel(str(given.get("channel", "")))
    if company.BOT_USER not in channel.members:
        raise SlackError("not_in_channel")
    return channel


def _between(given: Arguments, messages: list[Message]) -> list[Message]:
    try:
        oldest, latest = float(given.get("oldest") or 0), float(given.get("latest") or "inf")
    except ValueError as error:
        raise SlackError("invalid_arguments") from error
    inclusive = truthy(given.get("inclusive"))
    return [
        one
        for one in messages
        if oldest < float(one.ts) < latest or (inclusive and float(one.ts) in (oldest, latest))
    ]


def _shown(core: Core, given: Arguments, messages: list[Message]) -> Json:
    with_metadata = truthy(given.get("include_all_metadata"))
    found, cursor = _page(messages, given)
    shown = [message_object(core, one, with_metadata=with_metadata) for one in found]
    more = bool(cursor["response_metadata"]["next_cursor"])
    return {"messages": shown, "has_more": more, **(cursor if more else {})}


def history(core: Core, given: Arguments) -> Json:
    """conversations.history"""
    channel = _joined(core, given)
    main = [
        one
        for one in reversed(core.workspace.messages[channel.id])
        if not one.only_for and one.thread_ts in ("", one.ts)
    ]
    return _shown(core, given, _between(given, main))


def replies(core: Core, given: Arguments) -> Json:
    """conversations.replies"""
    channel = _joined(core, given)
    found = core.workspace.thread(channel.id, str(given.get("ts", "")))
    if not found:
        raise SlackError("thread_not_found")
    # The parent comes with every page, whatever the bounds.
    return _shown(core, given, [found[0], *_between(given, found[1:])])


def usergroups_list(core: Core, given: Arguments) -> Json:
    """usergroups.list"""
    with_users = truthy(given.get("include_users"))
    groups = core.workspace.groups.values()
    return {"usergroups": [group_object(one, with_users=with_users) for one in groups]}


def usergroups_users(core: Core, given: Arguments) -> Json:
    """usergroups.users.list"""
    group = core.workspace.groups.get(str(given.get("usergroup", "")))
    if group is None:
        raise SlackError("no_such_subteam")
    return {"users": list(group.users)}


def bots_info(_core: Core, given: Arguments) -> Json:
    """bots.info"""
    if given.get("bot", company.BOT_ID) != company.BOT_ID:
        raise SlackError("bot_not_found")
    return {"bot": bot_profile()}


def team_info(_core: Core, _given: Arguments) -> Json:
    """team.info"""
    team = {"id": company.TEAM_ID, "name": company.TEAM_NAME, "domain": company.TEAM_DOMAIN}
    return {"team": team | {"email_domain": "northwind.example"}}


METHODS = {
    "users.info": users_info,
    "users.list": users_list,
    "users.lookupByEmail": users_by_email,
    "conversations.list": conversations_list,
    "conversations.info": conversations_info,
    "conversations.members": conversations_members,
    "conversations.open": conversations_open,
    "conversations.history": history,
    "conversations.replies": replies,
    "usergroups.list": usergroups_list,
    "usergroups.users.list": usergroups_users,
    "bots.info": bots_info,
    "team.info": team_info,
}
