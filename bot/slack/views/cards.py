"""Cards and replies: what a channel sees of a request."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from bot.domain.errors import Problem
from bot.domain.operations import Offer, Operation, Record, Result
from bot.domain.plans import Counts, RequestFacts, State
from bot.domain.unseen import visible
from bot.slack.views import forms
from bot.slack.views.blocks import (
    Block,
    actions,
    beginning,
    brief,
    button,
    confirm,
    context,
    cut,
    escape,
    fit,
    inline,
    lasting,
    many,
    section,
    when,
)
from bot.slack.views.changes import change_blocks, record_block
from bot.slack.views.exact import line, one_line, quoted, words
from bot.slack.views.outcomes import Outcomes, listed, moved, outcome_blocks
from bot.slack.views.review import account, left_out_blocks, note_blocks
from bot.slack.views.tables import fallback

Message = dict[str, Any]

HEADS = {
    State.RECEIVED: ("hourglass_flowing_sand", "Being planned"),
    State.DENIED: ("no_entry", "Refused"),
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
IN_LINE = ("hourglass", "In line")
_DECIDED = {State.REJECTED: "Rejected", State.CANCELLED: "Cancelled"}
BEFORE_ITS_END = (State.PENDING_APPROVAL, State.PLANNED, State.SCHEDULED, State.RUNNING)
_BAR = 10


def card(
    operation: Operation, facts: RequestFacts, *, now: float, offers: frozenset[str]
) -> Message:
    """The one message of a request; `offers` names the buttons that apply now."""
    emoji, stage = IN_LINE if facts.in_line else HEADS[facts.state]
    what = _what(operation, facts)
    head = f":{emoji}: *{stage}* · {brief(what, 300)}{_relation(facts)} · <@{facts.requester}>"
    top = [section(head), *change_blocks(operation, facts)]
    if facts.program:
        top.append(context(f"Asked for by a program: {inline(facts.program)}"))
    if facts.reason:
        top.append(quoted(beginning(facts.reason, 1200, visible), words("Why:", "bold")))
    samples, beside = _samples(facts)
    if facts.relation == "undo":
        top += samples  # they are what it changes
    else:
        beside = [*samples, *beside]
    if facts.state in (State.PLANNED, State.PENDING_APPROVAL):
        beside = [*note_blocks(facts), *beside]
    end = _status_blocks(facts, now)
    under = f" · {account(facts, 'own account')}" if facts.digest else ""
    end.append(context(f"Request {facts.id} · plan {facts.digest[:12]}{under}"))
    buttons = _buttons(facts, offers)
    if buttons:
        end.append(actions(buttons, f"request:{facts.id}"))
    return {
        "text": cut(f"{stage}: {escape(what)} for <@{facts.requester}>", 3000),
        "blocks": fit([*top, *beside, *end], keep=len(end), first=len(top)),
        "metadata": {"event_type": "amend_request", "event_payload": _payload(facts)},
    }


def _what(operation: Operation, facts: RequestFacts) -> str:
    """What the plan has: the one record by its id, or how many it sends, or lists in vain."""
    ids = (
        [facts.sample[0].id] if facts.sample else [i for _, _, some in facts.left_out for i in some]
    )
    if facts.counts.records != 1 or not ids:
        how_many = facts.to_send or facts.counts.records
        return f"{operation.vendor_title}: {many(how_many, operation.noun)}"
    so = " is so already" if facts.counts.unchanged and not facts.to_send else ""
    return f"{operation.vendor_title} {operation.noun[0]} {ids[0]}{so}"


def _samples(facts: RequestFacts) -> tuple[list[Block], list[Block]]:
    """The first records, and what is left out, as long as it is to come."""
    if facts.state not in BEFORE_ITS_END:
        return [], []
    return [record_block(each) for each in facts.sample[:3]], left_out_blocks(facts)


def _relation(facts: RequestFacts) -> str:
    words = {"undo": "undoes", "retry": "tries again", "decision": "decides on"}
    verb = words.get(facts.relation, "")
    return f" · {verb} {facts.source}" if verb else ""


def _payload(facts: RequestFacts) -> dict[str, Any]:
    return {
        "request_id": facts.id,
        "operation": facts.operation,
        "state": facts.state.value,
        "digest": facts.digest,
        **facts.counts.public(),
    }


def _status_blocks(facts: RequestFacts, now: float) -> list[Block]:
    blocks = []
    if facts.state is State.PLANNED:
        blocks.append(section(f"Nothing was sent. Only <@{facts.requester}> can run it."))
    if facts.state is State.RUNNING and facts.to_send > 1 and not facts.in_line:
        blocks.append(section(_progress(facts, now)))
    if facts.ended is not None and facts.counts.ended:
        blocks.append(section(counted(facts.counts)))
    if facts.words and facts.state is not State.SUCCEEDED:
        blocks.append(quoted(beginning(facts.words, 1500, visible)))
    if facts.state is State.PENDING_APPROVAL:
        blocks.append(section(_asked(facts)))
    return [*blocks, *map(section, _timing(facts)), *_decided(facts)]


def _timing(facts: RequestFacts) -> list[str]:
    if facts.state is State.SCHEDULED and facts.run_at:
        verb = "starts" if facts.started is None else "goes on"
        return [f"It {verb} {when(facts.run_at)}."]
    if facts.state is State.RUNNING and facts.cancelling:
        return ["Stopping after the calls under way …"]
    if facts.state is State.PENDING_APPROVAL and facts.wished:
        return [f"Once approved, it runs {when(facts.wished)}."]
    return []


def _decided(facts: RequestFacts) -> list[Block]:
    """Who decided, and why, where somebody did."""
    if not facts.decided_by.startswith(("U", "W")):
        return []
    verb = _DECIDED.get(facts.state)
    if verb is None:
        return [section(f"Approved by {_people(facts.approved_by or [facts.decided_by])}.")]
    said = section(f"{verb} by <@{facts.decided_by}> {when(facts.ended or facts.created)}.")
    why = quoted(beginning(facts.decided_why, 800, visible))
    return [said, why] if facts.decided_why else [said]


def _people(users: Sequence[str]) -> str:
    *others, last = (f"<@{each}>" for each in users)
    return f"{', '.join(others)} and {last}" if others else last


def _asked(facts: RequestFacts) -> str:
    had = len(facts.approved_by)
    votes = f" {had} of {facts.approvals_needed} given." if facts.approvals_needed > 1 else ""
    gone = f" {cut(facts.lapsed, 1500)}" if facts.lapsed else ""
    return f":lock: {facts.approvers or 'This needs an approval.'}{votes}{gone}"


def _progress(facts: RequestFacts, now: float) -> str:
    left_out = facts.counts.records - facts.to_send
    done, total = facts.counts.ended - left_out, facts.to_send
    filled = _BAR * done // total if total else 0
    line = f"{'▓' * filled}{'░' * (_BAR - filled)} {done:,} of {total:,}"
    seconds = now - facts.started if facts.started else 0.0
    if done > 0 and seconds > 1:
        rate = done / seconds
        pace = f"{rate:,.0f}/s" if rate >= 2 else f"{rate * 60:,.0f}/min"
        line += f" · {pace} · about {lasting((total - done) / rate)} left"
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
        "run": button("Run", "run", bound, style="primary"),
        "approve": button("Approve", "approve", bound, style="primary"),
        "reject": button("Reject", "reject", bound, style="danger"),
        "cancel": button(
            "Cancel",
            "cancel",
            bound,
            confirm=confirm("Cancel this request?", "Calls under way are finished.", "Cancel it"),
        ),
        "retry": button("Retry", "retry", bound),
        "undo": button("Undo", "undo", bound),
        "details": button("Details", "details", bound),
    }
    return [made[name] for name in made if name in offers]


def thread_reply(
    operation: Operation,
    facts: RequestFacts,
    outcomes: Outcomes,
    offers: Sequence[Offer] = (),
) -> Message:
    """The receipt under the card: one summary line, the vendor's words, then the records."""
    told = f"<@{facts.asked_by}>" if facts.asked_by else ""
    if len(outcomes) == facts.counts.records == 1:
        summary, blocks = _of_one(operation, facts, outcomes[0], told)
    else:
        summary, blocks = _of_many(operation, facts, outcomes, told)
    if offers:
        blocks.append(offer_block(offers, facts.id))
    text = fallback(escape(summary), blocks)
    return {"text": text, "blocks": fit(blocks, keep=2 if offers else 1)}


def _of_one(
    operation: Operation, facts: RequestFacts, outcome: tuple[Record, Result, str], told: str
) -> tuple[str, list[Block]]:
    """The card says all but what the vendor did and said."""
    record, result, vendor_said = outcome
    what = f"{operation.vendor_title}: {counted(facts.counts)}"
    move = cut(moved(record, result), 600) if moved(record, result) else ""
    of = f"{operation.noun[0]} {record.id}{f': {move}' if move else ''}"
    said = facts.reply or vendor_said or facts.words
    blocks = [section(told)] if told else []
    blocks.append(line(words(what, "bold"), words(f" · {of}")))
    return f"{what} · {of}", [*blocks, quoted(said)] if said else blocks


def _of_many(
    operation: Operation, facts: RequestFacts, outcomes: Outcomes, told: str
) -> tuple[str, list[Block]]:
    summary = f"{operation.vendor_title}: {counted(facts.counts)}"
    blocks = [section(f"*{escape(summary)}* {told}".strip())]
    if said := facts.reply or facts.words:
        blocks.append(quoted(said))
    if facts.sent_comment and facts.counts.changed:
        comment = brief(facts.sent_comment, 400, one_line)
        blocks.append(line(words(f"Comment sent: {comment}")))
    blocks += outcome_blocks(operation, outcomes, blocks)
    rest = facts.counts.records - listed(blocks, outcomes)
    end = f"… and {rest:,} more in the file." if rest > 0 else f"Request {facts.id}"
    return summary, [*blocks, context(end)]


def offer_block(offers: Sequence[Offer], source: str, *, ends: str = "") -> Block:
    """Buttons for next steps; whoever presses one goes the normal way with their own rights.

    `ends` names the end that they are about, where it is a reminder's (`WATCH:RECORD:DAY`).
    """
    keys = [each.key for each in offers]
    made = []
    for number, each in enumerate(offers, 1):
        value = {"operation": each.operation, "values": dict(each.values), "source": source}
        value |= {"ends": ends} if ends else {}
        name = each.key if keys.count(each.key) == 1 else f"{each.key}:{number}"
        style = {"style": each.style} if each.style else {}
        made.append(button(each.label, name, json.dumps(value), **style))
    return actions(made[:5], f"offer:{source}"[:255])


def offer_card(
    operation: Operation, facts: RequestFacts, made: str, offers: Sequence[Offer]
) -> Message:
    """What a request made at the vendor and somebody has to decide on now."""
    head = f":lock: *{escape(made)}* waits for a decision · asked for by <@{facts.requester}>"
    blocks = [section(head)] if offers else _decision(facts, made)
    blocks += change_blocks(operation, facts)
    first = len(blocks)
    labels = [each.label for each in facts.sample[:1] if each.label]
    blocks += [line(words(brief(each, 300, one_line))) for each in labels]
    blocks.append(context(f"Request {facts.id}"))
    if offers:
        blocks.append(offer_block(offers, facts.id))
    text = f"{made} waits for a decision." if offers else f"{made} is decided."
    return {
        "text": escape(text),
        "blocks": fit(blocks, keep=2 if offers else 1, first=first),
        "metadata": {"event_type": "amend_request", "event_payload": _payload(facts)},
    }


def _decision(facts: RequestFacts, made: str) -> list[Block]:
    """Who decided what, and with what words of the vendor."""
    after = dict(facts.decision_after)
    verdict = after.pop("state", "decided")
    more = "".join(f", {escape(name)} {escape(value)}" for name, value in after.items())
    by = f" by <@{facts.decision_by}>" if facts.decision_by else ""
    said = f"*{escape(made)}* {escape(verdict.lower())}{by}{more}"
    head = section(f":white_check_mark: {said} · asked for by <@{facts.requester}>")
    return [head, quoted(facts.decision_words)] if facts.decision_words else [head]


def follow_reply(operation: Operation, rows: Sequence[tuple[str, str]], more: int) -> Message:
    """What the vendor did by itself after the edit, record by record."""
    text = f"{operation.vendor_title} went on by itself"
    blocks = [section(f"*{escape(text)}*")]
    for each, said in rows:
        told = cut(f" · {one_line(said)}", 600)
        blocks.append(line(words(one_line(each), "bold"), words(told)))
    if more:
        blocks.append(context(f"… and {more:,} more; `/amend show` lists them."))
    return {
        "text": escape(f"{text}: {'; '.join(said for _, said in rows[:3])}"),
        "blocks": blocks,
    }


def reminder(operation: Operation, facts: RequestFacts, link: str) -> Message:
    """A pending approval, once more and without a mention."""
    what = f"{operation.vendor_title}: {many(facts.to_send, operation.noun)}"
    text = f":bell: Still waiting for approval: {escape(what)} (request {facts.id})"
    shown = f"{text} · <{link}|open>" if link else text
    return {"text": text, "blocks": [section(shown)]}


def problem_reply(
    operation: Operation, problems: Sequence[Problem], values: Mapping[str, Any], draft: str
) -> Message:
    """What is wrong with what was typed, and the form filled with what was understood.

    `draft` is where `values` are kept ("" where they could not be).
    """
    said = [escape(each.message) for each in problems[:10]]
    fits = forms.holds(operation, values)
    begin = "Correct it in the form" if fits and draft else "Type it once more"
    lines = "\n".join(f":warning: {line}" for line in said)
    blocks = [section(f"*{begin}*\n{lines}")]
    if fits:
        press = button("Open the form", "form", draft)
        blocks += [actions([press], "offer")] if draft else []
    else:
        blocks.append(section(escape(forms.withheld(operation, values))))
        blocks += forms.review_button(operation, values, draft)
    blocks.append(context(f"Nothing was sent to {operation.vendor_title}."))
    return {"text": cut(f"{begin}: {' '.join(said)}", 3000), "blocks": blocks}


def opens(topic: str, about: str) -> Message:
    """What has a form, asked for where none can open by itself."""
    text = f"`{topic}` has a form; a button opens it."
    press = button("Open it", "topic", f"{topic} {about}".strip(), style="primary")
    return {"text": text, "blocks": [section(text), actions([press], "offer")]}


def review_prompt(operation: Operation, facts: RequestFacts, value: str) -> Message:
    """Where no form can open by itself: a button that opens the review."""
    text = f"{many(facts.to_send, operation.noun)} at {operation.vendor_title}: please review."
    press = button("Review", "review", value, style="primary")
    return {"text": text, "blocks": [section(text), actions([press], "offer")]}


def handed(operation: Operation, by: str, values: Mapping[str, Any], draft: str) -> Message:
    """A request that somebody else typed and may not make: filled in, for who may."""
    title = f"{operation.vendor_title}: {operation.title.lower()}"
    typed = " ".join(f"{name}={_said(value)}" for name, value in values.items())
    text = f"<@{by}> hands you a request that they may not make themselves: *{escape(title)}*"
    press = button("Open it", "form", draft, style="primary")
    blocks = [section(text), quoted(cut(typed, 1500)), actions([press], "offer")]
    return {"text": text, "blocks": blocks}


def _said(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def verdict(user: str, operation: Operation, *, allowed: bool, reasons: Sequence[str]) -> Message:
    """May somebody do something: yes or no, with the reasons that a denial would show."""
    mark = ":white_check_mark: Yes" if allowed else ":no_entry: No"
    what = f"{operation.vendor_title}: {operation.title.lower()}"
    lines = "\n".join(f"• {each}" for each in reasons)
    text = f"*{mark}*, <@{user}> and {escape(what)}\n{lines}"
    return {"text": cut(f"{mark}: {' '.join(reasons)}", 3000), "blocks": [section(cut(text, 2900))]}


def denial(reasons: Sequence[str], *, hand_on: str = "") -> Message:
    """A no, with the rule that said it; reasons are ready for Slack.

    `hand_on` is the draft of the finished request, to be handed to somebody who may.
    """
    text = "\n".join(reasons)
    blocks = [section(f":no_entry: *Not allowed*\n{text}"), context("Nothing was sent.")]
    if hand_on:
        blocks.append(actions([button("Hand it to somebody who may", "hand", hand_on)], "offer"))
    return {"text": cut(f"Not allowed. {' '.join(reasons)}", 3000), "blocks": blocks}
