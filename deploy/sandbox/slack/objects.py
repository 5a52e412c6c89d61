"""Slack's own objects for people, channels, messages and files, and the page's message."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

from deploy.sandbox import company
from deploy.sandbox.company import Channel, Person, UserGroup
from deploy.sandbox.slack.core import Core, StoredFile
from deploy.sandbox.slack.workspace import Json, Message


def user_object(person: Person) -> Json:
    """A user as `users.info` gives it."""
    first, _, last = person.real_name.partition(" ")
    profile = {
        "real_name": person.real_name,
        "real_name_normalized": person.real_name,
        "display_name": person.name,
        "display_name_normalized": person.name,
        "first_name": first,
        "last_name": last,
        "title": person.title,
        "email": person.email,
        "team": person.team_id,
    }
    if person.is_stranger:
        del profile["email"]  # another organisation's addresses are not shown
    found = {
        "id": person.id,
        "team_id": person.team_id,
        "name": person.name,
        "deleted": person.is_deactivated,
        "color": person.color,
        "real_name": person.real_name,
        "tz": person.timezone,
        "profile": profile,
        "is_admin": False,
        "is_owner": False,
        "is_bot": False,
        "is_app_user": False,
        "is_restricted": person.is_guest,
        "is_ultra_restricted": False,
        "is_email_confirmed": True,
        "updated": 1_700_000_000,
    }
    return found | ({"is_stranger": True} if person.is_stranger else {})


def bot_user_object() -> Json:
    """The app's own user."""
    return {
        "id": company.BOT_USER,
        "team_id": company.TEAM_ID,
        "name": company.BOT_NAME,
        "deleted": False,
        "real_name": "Amend",
        "tz": "Etc/UTC",
        "profile": {
            "real_name": "Amend",
            "display_name": "Amend",
            "bot_id": company.BOT_ID,
            "api_app_id": company.APP_ID,
            "team": company.TEAM_ID,
        },
        "is_bot": True,
        "is_app_user": False,
        "is_restricted": False,
        "is_ultra_restricted": False,
    }


def channel_object(channel: Channel) -> Json:
    """A conversation as `conversations.info` gives it."""
    if channel.with_user:
        return {
            "id": channel.id,
            "is_im": True,
            "is_channel": False,
            "is_mpim": False,
            "user": channel.with_user,
            "is_archived": False,
            "is_ext_shared": channel.is_shared,
            "is_open": True,
        }
    return {
        "id": channel.id,
        "name": channel.name,
        "name_normalized": channel.name,
        "is_channel": True,
        "is_group": False,
        "is_im": False,
        "is_mpim": False,
        "is_private": False,
        "is_archived": False,
        "is_general": channel.name == "general",
        "is_member": company.BOT_USER in channel.members,
        "is_ext_shared": channel.is_shared,
        "is_shared": channel.is_shared,
        "num_members": len(channel.members),
        "topic": {"value": channel.topic, "creator": "", "last_set": 0},
        "purpose": {"value": "", "creator": "", "last_set": 0},
        "context_team_id": company.TEAM_ID,
    }


def group_object(group: UserGroup, *, with_users: bool) -> Json:
    """A user group as `usergroups.list` gives it."""
    found = {
        "id": group.id,
        "team_id": company.TEAM_ID,
        "is_usergroup": True,
        "name": group.name,
        "handle": group.handle,
        "date_delete": 0,
        "user_count": len(group.users),
    }
    return found | ({"users": list(group.users)} if with_users else {})


def bot_profile() -> Json:
    """The app's mark on its messages."""
    return {
        "id": company.BOT_ID,
        "app_id": company.APP_ID,
        "user_id": company.BOT_USER,
        "name": "Amend",
        "deleted": False,
        "team_id": company.TEAM_ID,
    }


def message_object(core: Core, message: Message, *, with_metadata: bool = False) -> Json:
    """A message as the Web API and the interactions give it."""
    found: Json = {
        "type": "message",
        "user": message.user,
        "ts": message.ts,
        "text": message.text,
        "team": company.TEAM_ID,
    }
    if message.by_bot:
        found |= {
            "bot_id": company.BOT_ID,
            "app_id": company.APP_ID,
            "bot_profile": bot_profile(),
        }
    for key in ("blocks", "attachments", "edited", "thread_ts", "files"):
        if getattr(message, key):
            found[key] = getattr(message, key)
    replies = _replies(core, message)
    if replies:
        found |= {
            "thread_ts": message.ts,
            "reply_count": len(replies),
            "reply_users": sorted({one.user for one in replies}),
            "latest_reply": replies[-1].ts,
        }
    if with_metadata and message.metadata:
        found["metadata"] = message.metadata
    return found


def _replies(core: Core, message: Message) -> list[Message]:
    thread = core.workspace.thread(message.channel, message.ts)
    return [one for one in thread if one.ts != message.ts and one.thread_ts == message.ts]


def page_messages(core: Core, channel: str, shown: Iterable[Message]) -> list[Json]:
    """Messages of one channel as the page sees them; the replies are counted in one pass."""
    replies = Counter(
        one.thread_ts
        for one in core.workspace.messages[channel]
        if one.thread_ts != one.ts and not one.only_for
    )
    return [_page_message(one, replies[one.ts]) for one in shown]


def page_message(core: Core, message: Message) -> Json:
    """A message as the page and the tests see it."""
    return _page_message(message, len(_replies(core, message)))


def _page_message(message: Message, replies: int) -> Json:
    found: Json = {
        "ts": message.ts,
        "channel": message.channel,
        "user": message.user,
        "bot": message.by_bot,
        "text": message.text,
        "blocks": message.blocks,
        "ephemeral": bool(message.only_for),
    }
    if message.only_for:
        found["for"] = message.only_for
    for key in ("thread_ts", "edited", "files", "metadata", "attachments"):
        if getattr(message, key):
            found[key] = getattr(message, key)
    return found | ({"reply_count": replies} if replies else {})


def file_object(core: Core, file: StoredFile) -> Json:
    """A file as the Web API gives it."""
    address = f"{core.base_url()}/files/{file.id}/{quote(file.name)}"
    found: dict[str, Any] = {
        "id": file.id,
        "name": file.name,
        "title": file.title or file.name,
        "size": file.length,
        "user": company.BOT_USER,
        "filetype": file.name.rpartition(".")[2] or "text",
        "url_private": address,
        "url_private_download": address,
        "permalink": address,
    }
    return found
