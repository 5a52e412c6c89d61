"""Turns what a person types into the text that an app gets."""

from __future__ import annotations

import re
from collections.abc import Iterable

from deploy.sandbox import company
from deploy.sandbox.slack.workspace import Workspace

_PART = re.compile(
    r"(?P<url>https?://[^\s<>]+)"
    r"|(?P<mail>[\w.+-]+@[\w-]+(?:\.[\w-]+)+)"
    r"|(?P<domain>(?<![\w.@/-])(?:[a-z0-9-]+\.)+(?:com|org|net|io|dev)(?![\w-]|\.\w))"
    r"|(?<![\w.])@(?P<user>[A-Za-z0-9][\w.-]*)"
    r"|(?<![\w&])#(?P<channel>[a-z0-9][\w-]*)"
)
_SPECIAL = ("here", "channel", "everyone")


def escape(text: str) -> str:
    """The three characters that Slack escapes."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def escaped(workspace: Workspace, text: str, *, command: bool) -> str:
    """Typed text with mentions and links in Slack's forms; a command's carry the names too."""
    parts: list[str] = []
    end = 0
    for match in _PART.finditer(text):
        parts += [escape(text[end : match.start()]), _form(workspace, match, command=command)]
        end = match.end()
    return "".join([*parts, escape(text[end:])])


def _form(workspace: Workspace, match: re.Match[str], *, command: bool) -> str:
    kind, value = str(match.lastgroup), match[str(match.lastgroup)]
    if kind == "url":
        # A sentence's own punctuation is no part of the link.
        address = value.rstrip(".,;:!?)'\"")
        return f"<{escape(address)}>{escape(value[len(address) :])}"
    if kind == "mail":
        return f"<mailto:{value}|{value}>"
    if kind == "domain":
        return f"<http://{value}|{value}>"
    if kind == "channel":
        return _channel(workspace, value) or escape(match[0])
    return _mention(workspace, value, command=command) or escape(match[0])


def _channel(workspace: Workspace, name: str) -> str:
    for channel in workspace.channels.values():
        if channel.name == name and not channel.with_user:
            return f"<#{channel.id}|{name}>"
    return ""


def _mention(workspace: Workspace, typed: str, *, command: bool) -> str:
    name = typed.rstrip(".-")
    rest = typed[len(name) :]
    if name in _SPECIAL:
        return f"<!{name}>{rest}"
    for group in workspace.groups.values():
        if group.handle == name.lower():
            return f"<!subteam^{group.id}|@{group.handle}>{rest}"
    people: Iterable[tuple[str, str]] = [(one.id, one.name) for one in workspace.people.values()]
    for user, known in [*people, (company.BOT_USER, company.BOT_NAME)]:
        if known == name.lower():
            return f"<@{user}|{known}>{rest}" if command else f"<@{user}>{rest}"
    return ""
