"""Small forms around a decision: why a request is rejected, which operation is meant."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from bot.domain.operations import Operation
from bot.slack.views.blocks import Block, button, context, escape, plain, section

View = dict[str, Any]


def reject_view(request_id: str, digest: str, channel: str) -> View:
    """Why? The reason stands on the card, for the person who asked."""
    about = {"request": request_id, "digest": digest, "channel": channel}
    return {
        "type": "modal",
        "callback_id": "reject",
        "private_metadata": json.dumps(about),
        "title": plain("Reject", 24),
        "submit": plain("Reject", 24),
        "close": plain("Back", 24),
        "blocks": [
            {
                "type": "input",
                "block_id": "reason",
                "label": plain("Why?"),
                "hint": plain("The person who asked reads it on the card."),
                "element": {
                    "type": "plain_text_input",
                    "action_id": "reason",
                    "multiline": True,
                    "max_length": 500,
                },
            }
        ],
    }


def read_reject(view: Mapping[str, Any]) -> dict[str, str]:
    """Request, digest, channel and reason of a submitted rejection."""
    about = json.loads(view.get("private_metadata") or "{}")
    reason = view["state"]["values"]["reason"]["reason"].get("value") or ""
    names = ("request", "digest", "channel")
    return {**{name: str(about.get(name, "")) for name in names}, "reason": reason.strip()}


def choice_view(drafts: Sequence[tuple[Operation, str]]) -> View:
    """A launcher in a modal: each operation with its button, filled with what was found."""
    blocks: list[Block] = []
    for operation, draft in drafts:
        title = f"{operation.vendor_title}: {operation.title.lower()}"
        press = button("Open", f"form:{operation.name}", draft)
        block = section(f"*{escape(title)}*\n{escape(operation.summary)}")
        blocks.append({**block, "accessory": press})
    if not blocks:
        blocks = [section("There is nothing that you may do here yet.")]
    blocks.append(context("`/amend help` shows how to type it."))
    return {
        "type": "modal",
        "callback_id": "message",
        "title": plain("Amend", 24),
        "close": plain("Close", 24),
        "blocks": blocks,
    }
