"""The review: exactly what will change, before anything is sent."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from bot.domain.operations import Operation, Record
from bot.domain.plans import RequestFacts
from bot.slack.blocks import (
    Block,
    context,
    cut,
    divider,
    escape,
    many,
    plain,
    quote,
    section,
)


def review_view(operation: Operation, facts: RequestFacts) -> dict[str, Any]:
    """The modal whose submission starts the request, or asks for its approval."""
    blocks = [
        section(f"*{many(facts.to_send, operation.noun)}* at {operation.vendor_title} will change"),
        *change_blocks(operation, facts),
    ]
    if facts.sample:
        blocks.append(divider())
        blocks += [section(cut(record_line(each), 2900)) for each in facts.sample]
        rest = facts.to_send - len(facts.sample)
        if rest > 0:
            blocks.append(context(f"… and {rest:,} more"))
    blocks += left_out_blocks(facts)
    if facts.approvals_needed:
        who = f" {facts.approvers}" if facts.approvers else ""
        need = (
            "one approval" if facts.approvals_needed == 1 else f"{facts.approvals_needed} approvals"
        )
        blocks.append(section(f":lock: This needs *{need}*.{who}"))
    blocks.append(context(f"Nothing is sent before you confirm. Plan {facts.digest[:12]}"))
    view: dict[str, Any] = {
        "type": "modal",
        "callback_id": "review",
        "private_metadata": json.dumps({"request": facts.id, "digest": facts.digest}),
        "title": plain("Review", 24),
        "close": plain("Cancel", 24),
        "blocks": blocks,
    }
    if facts.to_send:
        view["submit"] = plain(_verb(operation, facts), 24)
    else:
        view["blocks"][0] = section(f"No {operation.noun[0]} of this selection can be changed.")
    return view


def _verb(operation: Operation, facts: RequestFacts) -> str:
    if facts.approvals_needed:
        return "Ask for approval"
    return f"Edit {many(facts.to_send, operation.noun)}"


def change_blocks(operation: Operation, facts: RequestFacts) -> list[Block]:
    """Each change by its title, and the comment exactly as it will be sent."""
    params = operation.params()
    lines = []
    for name in operation.params():
        if name not in facts.parameters or params[name].kind != "change":
            continue
        if name == operation.comment:
            continue
        value = str(facts.parameters[name])
        label = params[name].choices.get(value, value)
        lines.append(f"*{params[name].title}:* {escape(label)}")
    blocks = [section("\n".join(lines))] if lines else []
    if facts.sent_comment:
        blocks.append(section(f"*Comment:*\n{quote(facts.sent_comment)}"))
    return blocks


def record_line(record: Record) -> str:
    """One record: what it is, and from → to."""
    moves = [
        f"{name.capitalize()}: {escape(record.state.get(name, '') or '–')} → {escape(after or '–')}"
        for name, after in record.after.items()
    ]
    label = f" {escape(cut(record.label, 300))}" if record.label else ""
    return "\n".join([f"*{escape(record.id)}*{label}", *moves])


def left_out_blocks(facts: RequestFacts) -> list[Block]:
    """What will not be sent, and why."""
    if not facts.left_out:
        return []
    lines = [_left_out(reason, how_many, ids) for reason, how_many, ids in facts.left_out[:8]]
    return [divider(), section("*Left out*\n" + "\n".join(lines))]


def _left_out(reason: str, how_many: int, ids: Any) -> str:
    more = ", …" if how_many > len(ids) else ""
    return f"• {how_many:,} ({escape(', '.join(ids))}{more}): {escape(reason)}"


def parameters_line(parameters: Mapping[str, Any]) -> str:
    """The request as it may be typed again."""
    return " ".join(f"{name}={value}" for name, value in parameters.items())
