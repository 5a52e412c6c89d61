"""Cards and replies: what a channel sees of a request."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bot.domain.errors import Problem
from bot.domain.operations import Operation, Record, Result
from bot.domain.plans import RESULT_WORDS, Counts, RequestFacts, State
from bot.slack.blocks import (
    Block,
    actions,
    button,
    confirm,
    context,
    cut,
    escape,
    fit,
    many,
    quote,
    section,
    when,
)
from bot.slack.review import change_blocks, left_out_blocks, record_line

Message = dict[str, Any]

_HEADS = {
    State.PLANNED: ("clipboard", "Planned"),
    State.PENDING_APPROVAL: ("lock", "Waiting for approval"),
    State.SCHEDULED: ("calendar", "Scheduled"),
    State.RUNNING: ("hourglass_flowing_sand", "Running"),
    State.SUCCEEDED: ("white_check_mark", "Done"),
    State.PARTIAL: ("warning", "Partly done"),
    State.FAILED: ("x", "Failed"),
    State.UNKNOWN: ("grey_question", "Outcome unknown"),
    State.CANCELLED: ("black_square_for_stop", "Cancelled"),
    State.REJECTED: ("no_entry", "Rejected"),
    State.EXPIRED: ("hourglass", "Expired"),
}
_BAR = 10


def card(
    operation: Operation, facts: RequestFacts, *, now: float, offers: frozenset[str]
) -> Message:
    """The one message of a request; `offers` names the buttons that apply now."""
    emoji, words = _HEADS.get(facts.state, ("hourglass_flowing_sand", "Working"))
    what = f"{operation.vendor_title}: {many(facts.to_send, operation.noun)}"
    if facts.counts.records == 1 and facts.sample:
        what = f"{operation.vendor_title} {operation.noun[0]} {facts.sample[0].id}"
    head = f":{emoji}: *{words}* · {escape(what)} · <@{facts.requester}>"
    blocks = [section(head), *change_blocks(operation, facts)]
    if facts.state in (State.PENDING_APPROVAL, State.PLANNED, State.SCHEDULED, State.RUNNING):
        blocks += [section(cut(record_line(each), 600)) for each in facts.sample[:3]]
        blocks += left_out_blocks(facts)
    blocks += [section(line) for line in _status_lines(facts, now)]
    blocks.append(context(f"Request {facts.id} · plan {facts.digest[:12]}"))
    buttons = _buttons(facts, offers)
    if buttons:
        blocks.append(actions(buttons, f"request:{facts.id}"))
    return {
        "text": cut(f"{words}: {escape(what)} for <@{facts.requester}>", 3000),
        "blocks": fit(blocks, keep=2 if buttons else 1),
        "metadata": {"event_type": "amend_request", "event_payload": _payload(facts)},
    }


def _payload(facts: RequestFacts) -> dict[str, Any]:
    return {
        "request_id": facts.id,
        "operation": facts.operation,
        "state": facts.state.value,
        "digest": facts.digest,
        **facts.counts.public(),
    }


def _status_lines(facts: RequestFacts, now: float) -> list[str]:
    lines = []
    if facts.state is State.RUNNING and facts.to_send > 1:
        lines.append(_progress(facts, now))
    if facts.ended is not None and facts.counts.ended:
        lines.append(counted(facts.counts))
    if facts.words and facts.state is not State.SUCCEEDED:
        lines.append(quote(facts.words))
    if facts.state is State.SCHEDULED and facts.run_at:
        lines.append(f"It goes on {when(facts.run_at)}.")
    if facts.state is State.PENDING_APPROVAL:
        lines.append(_asked(facts))
    if facts.decided_by.startswith(("U", "W")) and facts.ended is not None:
        lines.append(f"Decided by <@{facts.decided_by}> {when(facts.ended)}.")
    elif facts.decided_by.startswith(("U", "W")):
        lines.append(f"Approved by <@{facts.decided_by}>.")
    return lines


def _asked(facts: RequestFacts) -> str:
    had = len(facts.approved_by)
    votes = f" {had} of {facts.approvals_needed} given." if facts.approvals_needed > 1 else ""
    return f":lock: {facts.approvers or 'This needs an approval.'}{votes}"


def _progress(facts: RequestFacts, now: float) -> str:
    left_out = facts.counts.records - facts.to_send
    done, total = facts.counts.ended - left_out, facts.to_send
    filled = _BAR * done // total if total else 0
    line = f"{'▓' * filled}{'░' * (_BAR - filled)} {done:,} of {total:,}"
    seconds = now - facts.started if facts.started else 0.0
    if done > 0 and seconds > 1:
        rate = done / seconds
        line += f" · {rate:,.0f}/s · about {max(1, round((total - done) / rate)):,} s left"
    return line


def counted(counts: Counts) -> str:
    """The counts that are not zero, in words."""
    parts = [
        f"{value:,} {words}"
        for value, words in (
            (counts.changed, "changed"),
            (counts.unchanged, "unchanged"),
            (counts.refused, "refused"),
            (counts.unknown, "unknown"),
            (counts.not_sent, "not sent"),
        )
        if value
    ]
    return " · ".join(parts) or "nothing done"


def _buttons(facts: RequestFacts, offers: frozenset[str]) -> list[Block]:
    bound = f"{facts.id}:{facts.digest}"
    made = {
        "approve": button("Approve", "approve", bound, style="primary"),
        "reject": button("Reject", "reject", bound, style="danger"),
        "cancel": button(
            "Cancel",
            "cancel",
            bound,
            confirm=confirm("Cancel this request?", "Calls under way are finished.", "Cancel it"),
        ),
        "details": button("Details", "details", bound),
    }
    return [made[name] for name in made if name in offers]


def thread_reply(
    operation: Operation, facts: RequestFacts, outcomes: Sequence[tuple[Record, Result, str]]
) -> Message:
    """The receipt under the card: one summary line, the vendor's words, then the records."""
    summary = f"{operation.vendor_title}: {counted(facts.counts)}"
    blocks = [section(f"*{escape(summary)}*")]
    if facts.reply:
        blocks.append(section(quote(facts.reply)))
    elif facts.words:
        blocks.append(section(quote(facts.words)))
    if facts.sent_comment and facts.counts.changed:
        blocks.append(context(f"Comment sent: {escape(cut(facts.sent_comment, 400))}"))
    lines = [_outcome(*each) for each in outcomes]
    blocks += [section(cut(line, 600)) for line in lines]
    rest = facts.counts.records - len(outcomes)
    end = f"… and {rest:,} more in the file." if rest > 0 else f"Request {facts.id}"
    return {"text": escape(summary), "blocks": fit([*blocks, context(end)])}


def _outcome(record: Record, result: Result, words: str) -> str:
    state = record.state.get("state", "")
    after = record.after.get("state", "") if result is Result.CHANGED else ""
    move = f" {escape(state)} → {escape(after)}" if after else f" {escape(record.label)}"
    said = f": {escape(words)}" if words else ""
    return f"*{escape(record.id)}*{move} · {RESULT_WORDS[result]}{said}"


def problem_reply(
    operation: Operation, problems: Sequence[Problem], *, form_value: str | None
) -> Message:
    """What is wrong with what was typed, and the form filled with what was understood."""
    said = [escape(each.message) for each in problems[:10]]
    text = "\n".join(f":warning: {line}" for line in said)
    blocks = [section(text)]
    if form_value:
        blocks.append(actions([button("Open the form", "form", form_value)], "offer"))
    blocks.append(context(f"Nothing was sent to {operation.vendor_title}."))
    return {"text": cut(" ".join(said), 3000), "blocks": blocks}


def review_prompt(operation: Operation, facts: RequestFacts, value: str) -> Message:
    """Where no form can open by itself: a button that opens the review."""
    text = f"{many(facts.to_send, operation.noun)} at {operation.vendor_title}: please review."
    press = button("Review", "review", value, style="primary")
    return {"text": text, "blocks": [section(text), actions([press], "offer")]}


def denial(reasons: Sequence[str]) -> Message:
    """A no, with the rule that said it; reasons are ready for Slack."""
    text = "\n".join(reasons)
    return {
        "text": cut(f"Not allowed. {' '.join(reasons)}", 3000),
        "blocks": [section(f":no_entry: *Not allowed*\n{text}"), context("Nothing was sent.")],
    }
