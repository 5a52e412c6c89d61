"""The Slack app's manifest, made from what the code registers and calls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bot.domain.operations import VendorEntry
from integrations.addresses import server_address

SCOPES = {
    "app_mentions:read": "requests by mention in a thread",
    "channels:history": "finding a message again that a killed process may have posted",
    "channels:read": "a program proposes only in channels that its person is in",
    "chat:write": "cards, replies and private answers",
    "commands": "slash commands and shortcuts",
    "files:write": "receipts of more than 20 records",
    "groups:history": "the same as channels:history, in private channels",
    "groups:read": "the same as channels:read, in private channels",
    "im:history": "the same as channels:history, in direct messages",
    "im:write": "a direct message where the bot cannot post",
    "usergroups:read": "who is on call at the moment of the click",
    "users:read": "guests, bots and outsiders are refused",
    "users:read.email": "people imported by e-mail address",
}
EVENTS = ("app_home_opened", "app_mention")
SHORTCUTS = (
    ("amend_edit", "Edit findings", "global", "Choose findings and change them"),
    ("amend_edit_here", "Edit these records", "message", "Change the records named here"),
)


def manifest(entries: Sequence[VendorEntry], url: str | None) -> dict[str, Any]:
    """The manifest for Socket Mode, or for HTTP at `url`. Raises `ValueError` for a bad URL."""
    target = f"{_checked(url)}/slack/events" if url else ""
    interactivity: dict[str, Any] = {"is_enabled": True}
    events: dict[str, Any] = {"bot_events": list(EVENTS)}
    if target:
        interactivity |= {"request_url": target, "message_menu_options_url": target}
        events["request_url"] = target
    return {
        "_metadata": {"major_version": 1, "minor_version": 1},
        "display_information": {
            "name": "Amend",
            "description": "Fix security findings: plan, approve, run, receipt.",
            "background_color": "#14342b",
        },
        "features": {
            "app_home": {
                "home_tab_enabled": True,
                "messages_tab_enabled": True,
                "messages_tab_read_only_enabled": True,
            },
            "bot_user": {"display_name": "Amend", "always_online": True},
            "slash_commands": [_command(each, target) for each in _commands(entries)],
            "shortcuts": [
                {"callback_id": key, "name": name, "type": kind, "description": words}
                for key, name, kind, words in SHORTCUTS
            ],
        },
        "oauth_config": {"scopes": {"bot": sorted(SCOPES)}},
        "settings": {
            "event_subscriptions": events,
            "interactivity": interactivity,
            "org_deploy_enabled": False,
            "socket_mode_enabled": not target,
            "token_rotation_enabled": False,
        },
    }


def _commands(entries: Sequence[VendorEntry]) -> list[tuple[str, str, str]]:
    own = ("amend", "What you may do here; help, whoami", "[help | whoami | qualys …]")
    found = [
        (each.command, each.summary, f"[{each.records_in}] NAME=VALUE …")
        for entry in entries
        for each in entry.operations
        if each.command and each.slash
    ]
    return [own, *found]


def _command(command: tuple[str, str, str], target: str) -> dict[str, Any]:
    name, words, hint = command
    made: dict[str, Any] = {
        "command": f"/{name}",
        "description": words,
        "usage_hint": hint,
        "should_escape": True,
    }
    return made | ({"url": target} if target else {})


def _checked(url: str) -> str:
    server_address(url, "https://amend.example")
    return url.rstrip("/")
