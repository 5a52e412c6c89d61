"""What is typed in Slack, and what the app asks Slack for."""

from __future__ import annotations

from bot.bootstrap import entries
from bot.slack.link.manifest import SCOPES, manifest
from bot.slack.views.helptext import TOPIC_HELP
from docs.make.markdown import code, table


def commands() -> str:
    """The slash commands that the manifest registers."""
    made = manifest(entries(), None)["features"]["slash_commands"]
    rows = [(code(f"{each['command']} {each['usage_hint']}"), each["description"]) for each in made]
    return table(("command", "does"), rows)


def topics() -> str:
    """The words after `/amend`, as its own help says them."""
    return "\n".join(f"- {words}" for words in TOPIC_HELP.values())


def scopes() -> str:
    """The bot token's scopes, each with what it is for."""
    return table(
        ("scope", "what for"), [(code(name), words) for name, words in sorted(SCOPES.items())]
    )
