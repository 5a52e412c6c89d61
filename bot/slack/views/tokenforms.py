"""Views about tokens: the form of a new one, the one time that it is shown, and the list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bot.db.tables import Token
from bot.slack.views.blocks import Block, button, context, escape, fit, plain, section, when

View = dict[str, Any]

LONGEST_NAME = 60
MOST_DAYS = 90
CANNOT = (
    "A program with it may look, plan and propose for you. It sends nothing, approves nothing and cancels"
    " nothing: what it proposes waits for you to press Run."
)


def token_view() -> View:
    """What it is called, and how long it holds."""
    name: Block = {"type": "plain_text_input", "action_id": "name", "max_length": LONGEST_NAME}
    days: Block = {
        "type": "number_input",
        "action_id": "days",
        "is_decimal_allowed": False,
        "min_value": "1",
        "max_value": str(MOST_DAYS),
        "initial_value": "30",
    }
    return {
        "type": "modal",
        "callback_id": "token",
        "title": plain("New token", 24),
        "submit": plain("Make it", 24),
        "close": plain("Cancel", 24),
        "blocks": [
            section(CANNOT),
            _input("name", "Name", name, "Which program has it? The card says so."),
            _input("days", "Days", days, "How many days it works, 1 to 90."),
        ],
    }


def _input(block_id: str, label: str, element: Block, hint: str) -> Block:
    return {
        "type": "input",
        "block_id": block_id,
        "label": plain(label),
        "hint": plain(hint),
        "element": element,
    }


def read_token(state: Mapping[str, Any]) -> tuple[str, int, dict[str, str]]:
    """(name, days, what is wrong by field)."""
    name = " ".join(str(state["name"]["name"].get("value") or "").split())
    typed = str(state["days"]["days"].get("value") or "")
    days = int(typed) if typed.isascii() and typed.isdigit() and len(typed) < 4 else 0
    errors = {}
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        errors["name"] = f"Give it a name of 1 to {LONGEST_NAME} characters."
    if not 1 <= days <= MOST_DAYS:
        errors["days"] = f"Give a whole number of days, 1 to {MOST_DAYS}."
    return name, days, errors


def made_view(name: str, days: int, secret: str) -> View:
    """The token, this once."""
    many = "1 day" if days == 1 else f"{days} days"
    return {
        "type": "modal",
        "callback_id": "message",
        "title": plain("New token", 24),
        "close": plain("Close", 24),
        "blocks": [
            section(f"*{escape(name)}*, for {many}:\n```{secret}```"),
            context("Copy it now: it is shown this once, and only its hash is kept."),
        ],
    }


def tokens_message(tokens: Sequence[Token]) -> dict[str, Any]:
    """Those that work, oldest first."""
    if not tokens:
        text = "You have no token. `/amend token` makes one for a program of yours."
        return {"text": text, "blocks": [section(text)]}
    blocks: list[Block] = [section("*Your tokens*")]
    for each in tokens:
        used = f"last used {when(each.used_at)}" if each.used_at else "never used"
        line = f"*{escape(each.name)}* · works until {when(each.expires_at)} · {used}"
        press = {**button("Revoke", f"revoke:{each.id}", each.id), "style": "danger"}
        blocks.append({**section(line), "accessory": press})
    return {"text": f"Your tokens: {len(tokens)}", "blocks": fit(blocks)}
