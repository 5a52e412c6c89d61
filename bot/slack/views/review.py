"""The review: exactly what will change, before anything is sent."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bot.domain.operations import Operation
from bot.domain.plans import RequestFacts
from bot.slack.views.blocks import (
    Block,
    code,
    context,
    cut,
    divider,
    inline,
    many,
    moment,
    plain,
    section,
)
from bot.slack.views.changes import record_block, whole_blocks
from bot.slack.views.exact import line, one_line, quoted, words
from bot.slack.views.inputs import joined

_NEEDS_QUOTES = re.compile(r"[\s&%=\"“”„«»]|^['‘’]")
_QUOTE = re.compile(r"[\"'“”„‘’«»]")
WHEN_NOW = "now"
WHEN_QUIET = "quiet"


@dataclass(frozen=True)
class ReviewValues:
    """What a person set in a review: when it shall run (epoch seconds), and why it is asked for."""

    when: str = WHEN_NOW
    run_at: float | None = None
    reason: str = ""


def review_view(operation: Operation, facts: RequestFacts) -> dict[str, Any]:
    """The modal whose submission starts the request, or asks for its approval."""
    blocks = [section(_lead(operation, facts)), *whole_blocks(operation, facts)]
    blocks += note_blocks(facts)
    if facts.sample:
        blocks.append(divider())
        blocks += map(record_block, facts.sample)
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
    if facts.to_send:
        blocks += _inputs(facts)
    if not facts.relation and operation.typed_as():
        blocks.append(_typed(operation, facts.parameters))
    under = (
        f"Goes out under {account(facts, 'your own account')}. Nothing is sent before you confirm."
    )
    end = under if facts.to_send else "Nothing was sent."
    blocks.append(context(f"{end} Plan {facts.digest[:12]}"))
    view: dict[str, Any] = {
        "type": "modal",
        "callback_id": "review",
        "private_metadata": json.dumps(
            {"request": facts.id, "digest": facts.digest, "quiet": facts.quiet_from}
        ),
        "title": plain("Review", 24),
        "close": plain("Cancel", 24),
        "blocks": blocks,
    }
    if facts.to_send:
        view["submit"] = plain(_verb(operation, facts), 24)
    else:
        view["blocks"][0] = section(f"No {operation.noun[0]} of this selection can be changed.")
    return view


def account(facts: RequestFacts, own: str) -> str:
    """The account that the plan goes out under; `own` is how its reader calls a person's own."""
    kind = own if facts.own_account else "the shared account"
    return f"{kind} {code(facts.account)}" if facts.account else kind


def command_line(operation: Operation, parameters: Mapping[str, Any]) -> str:
    """The request as the command that asks for exactly it; in the order of its parameters."""
    words = [
        f"{name}={_word(parameters[name])}" for name in operation.params() if name in parameters
    ]
    return " ".join([operation.typed_as(), *words])


def _typed(operation: Operation, parameters: Mapping[str, Any]) -> Block:
    """The command as code; in a quote where it has several lines, which code cannot hold."""
    typed, title = cut(command_line(operation, parameters), 1500), words("As Amend reads it: ")
    several = len(typed.splitlines()) > 1
    return quoted(typed, title) if several else line(title, words(typed, "code"))


def _word(value: Any) -> str:
    """A value as it may be typed: in quotes where the grammar needs them."""
    text = joined(value)
    if text and not _NEEDS_QUOTES.search(text):
        return text
    return '"' + _QUOTE.sub(r"\\\g<0>", text) + '"'


def _lead(operation: Operation, facts: RequestFacts) -> str:
    what = f"*{many(facts.to_send, operation.noun)}* at {operation.vendor_title}"
    if facts.relation == "undo":
        return f"{what} will go back to what they were before request {facts.source}"
    if facts.relation == "retry":
        return f"{what} that request {facts.source} missed will be tried again"
    return f"{what} will change"


def note_blocks(facts: RequestFacts) -> list[Block]:
    """What the vendor will do that the records alone do not show."""
    if not facts.notes:
        return []
    notes = "\n".join(f":information_source: {inline(each)}" for each in facts.notes)
    return [section(cut(notes, 2900))]


def _inputs(facts: RequestFacts) -> list[Block]:
    """When it shall run, and why it is asked for where somebody has to approve."""
    blocks: list[Block] = []
    if facts.approvals_needed:
        reason = {"type": "plain_text_input", "action_id": "reason", "max_length": 500}
        hint = "The approvers read it."
        blocks.append(_input("reason", "Why is this needed?", reason, hint))
    if facts.quiet_from is not None:
        choices = [_option("Now", WHEN_NOW), _option("In the next quiet window", WHEN_QUIET)]
        select: Block = {"type": "static_select", "action_id": "when", "options": choices}
        select["initial_option"] = choices[0]
        hint = f"The vendor's quiet window begins {moment(facts.quiet_from)}."
        blocks.append(_input("when", "When?", select, hint))
    picker = {"type": "datetimepicker", "action_id": "run_at"}
    blocks.append(_input("run_at", "Run at", picker, "In your own time zone. Empty: at once."))
    return blocks


def _input(name: str, label: str, element: Block, hint: str) -> Block:
    return {
        "type": "input",
        "block_id": name,
        "optional": True,
        "label": plain(label),
        "hint": plain(hint, 150),
        "element": element,
    }


def _option(label: str, value: str) -> Block:
    return {"text": plain(label), "value": value}


def review_values(state: Mapping[str, Any]) -> ReviewValues:
    """What was set in a submitted review."""
    when = ((state.get("when") or {}).get("when") or {}).get("selected_option") or {}
    run_at = ((state.get("run_at") or {}).get("run_at") or {}).get("selected_date_time")
    reason = ((state.get("reason") or {}).get("reason") or {}).get("value") or ""
    wished = float(run_at) if run_at else None
    return ReviewValues(str(when.get("value") or WHEN_NOW), wished, str(reason).strip())


def review_errors(problem: str) -> dict[str, str]:
    return {"run_at": problem}


def _verb(operation: Operation, facts: RequestFacts) -> str:
    if facts.approvals_needed:
        return "Ask for approval"
    verb = {"undo": "Undo", "retry": "Retry"}.get(facts.relation, "Edit")
    return f"{verb} {many(facts.to_send, operation.noun)}"


def left_out_blocks(facts: RequestFacts) -> list[Block]:
    """What will not be sent, and why."""
    if not facts.left_out:
        return []
    lines = [_left_out(reason, how_many, ids) for reason, how_many, ids in facts.left_out[:8]]
    return [divider(), line(words("Left out", "bold"), *map(words, lines))]


def _left_out(reason: str, how_many: int, ids: Any) -> str:
    more = ", …" if how_many > len(ids) else ""
    return f"\n• {how_many:,} ({one_line(', '.join(ids))}{more}): {one_line(reason)}"
