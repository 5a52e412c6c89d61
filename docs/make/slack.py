"""What is typed in Slack, and what the app asks Slack for."""

from __future__ import annotations

from collections.abc import Iterator

from bot.bootstrap import entries
from bot.slack.link.manifest import SCOPES, manifest
from bot.slack.views.helptext import TOPIC_HELP, how_to_list
from docs.make.markdown import code, table


def commands() -> str:
    """The slash commands that the manifest registers."""
    made = manifest(entries(), None)["features"]["slash_commands"]
    rows = [(code(f"{each['command']} {each['usage_hint']}"), each["description"]) for each in made]
    return table(("command", "does"), rows)


def topics() -> str:
    """The words after `/amend`, as its own help says them, and those that vendors bring."""
    return "\n".join(f"- {words}" for words in (*TOPIC_HELP.values(), *_of_vendors()))


def _of_vendors() -> Iterator[str]:
    for entry in entries():
        for register in entry.registers:
            yield how_to_list(register)
        for each in entry.operations:
            if each.command and not each.slash:
                yield f"`{each.typed_as()} [{each.records_in}] NAME=VALUE …`: {each.summary}."


def scopes() -> str:
    """The bot token's scopes, each with what it is for."""
    return table(
        ("scope", "what for"), [(code(name), words) for name, words in sorted(SCOPES.items())]
    )
